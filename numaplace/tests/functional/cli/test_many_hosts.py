# SPDX-License-Identifier: Apache-2.0
"""Many hosts with one command: what is stored, what is refused, and what is said of both."""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import time

import pytest

from numaplace.tests import recordings

_NO_L3 = b"""available: 2 nodes (0-1)
node 0 cpus: 0 1
node 0 size: 4000 MB
node 1 cpus: 2 3
node 1 size: 8000 MB
node distances:
node   0   1
  0:  10  20
  1:  20  10
"""
_SUMMARY = b"""Architecture:           x86_64
CPU(s):                 4
On-line CPU(s) list:    0-3
Thread(s) per core:     2
Core(s) per socket:     1
Socket(s):              2
"""


@pytest.fixture
def directory(numaplace):
    """Return a function that writes files into the directory `hosts`."""

    def write(**files):
        (numaplace.directory / 'hosts').mkdir(exist_ok=True)
        for name, content in files.items():
            (numaplace.directory / 'hosts' / name).write_bytes(content)

    return write


def _recorded(host, ending):
    return recordings.text(f'{host}.{ending}')


def _run(numaplace, line):
    return numaplace.run(*line.split())


def _names(numaplace):
    return [row['Name'] for row in numaplace.json('host list')]


def _cells(numaplace, name):
    return numaplace.json(f'host show {name}')['cells']


def test_a_directory_holds_hosts_in_each_form(numaplace, directory):
    directory(
        **{
            'compute1.example.org.xml': _recorded('seed3', 'capabilities.xml'),
            'compute2.example.org.lstopo.xml': _recorded('tiers', 'lstopo.xml'),
            'compute3.numactl': _recorded('oracle4', 'numactl.txt'),
            'compute3.lscpu': _recorded('oracle4', 'lscpu-p.txt'),
            'compute4.numactl.txt': _recorded('one2', 'numactl.txt'),
            'compute4.lscpu.json': _recorded('one2', 'lscpu-e.json'),
            'compute5': _NO_L3 + _SUMMARY,
            'xml.example.org.CAPABILITIES.XML': _recorded('one2', 'capabilities.xml'),
        }
    )
    done = _run(numaplace, 'host import --directory hosts --architecture x86_64 --siblings adjacent -f json')
    expected = ['compute1.example.org', 'compute2.example.org', 'compute3', 'compute4', 'compute5', 'xml.example.org']
    assert (0, expected) == (done.returncode, [each['name'] for each in json.loads(done.stdout)])
    assert expected == _names(numaplace)
    for name, recorded in (('compute1.example.org', 'seed3'), ('xml.example.org', 'one2')):
        numaplace(f'host import alone-{recorded} --capabilities {numaplace.fixture(recorded)}')
        assert _cells(numaplace, f'alone-{recorded}') == _cells(numaplace, name)
    assert [[[0, 1]], [[2, 3]]] == [cell['siblings'] for cell in _cells(numaplace, 'compute5')]


def test_pairs_of_name_and_file_are_as_a_directory(numaplace):
    for name in ('seed3.lstopo.xml', 'one2.numactl.txt', 'one2.lscpu-p.txt'):
        (numaplace.directory / name).write_bytes(recordings.text(name))
    pairs = 'a=seed3.lstopo.xml b=one2.numactl.txt b=one2.lscpu-p.txt'
    printed = numaplace.json(f'host import --architecture x86_64 {pairs}')
    assert [
        {'name': 'a', 'result': 'registered', 'error': None, 'warnings': []},
        {'name': 'b', 'result': 'registered', 'error': None, 'warnings': []},
    ] == printed


def test_one_that_is_refused_does_not_keep_the_others(numaplace, directory):
    capabilities = _recorded('one2', 'capabilities.xml')
    directory(
        **{
            'README.md': b'Hosts of the first hall.\n',
            'a.xml': capabilities,
            'b.lstopo.xml': _recorded('one2', 'lstopo.xml'),
            'b.xml': capabilities,
            'c.xml': capabilities[: len(capabilities) // 2],
            'd.numactl': _recorded('one2', 'numactl.txt'),
            'e.1.xml': capabilities,
            'f.lscpu': _recorded('one2', 'lscpu-p.txt'),
            'f.numactl': _recorded('one2', 'numactl.txt'),
            'f.txt': _recorded('one2', 'lscpu.json'),
            'g.txt': b'',
            'i.xml': capabilities,
            'i.xml.orig': capabilities,
        }
    )
    (numaplace.directory / 'hosts' / 'h.xml').symlink_to('nowhere')
    done = _run(numaplace, 'host import --directory hosts -f json')
    results = {each['name']: each['error'] for each in json.loads(done.stdout)}
    assert 1 == done.returncode
    assert ['a', 'e.1'] == [name for name, error in results.items() if error is None] == _names(numaplace)
    one = (
        'expected that of `virsh capabilities`, of `lstopo --of xml`, or those of `numactl -H` and `lscpu`, alone or '
        'with that of `virsh domcapabilities`'
    )
    sources = 'the output of `virsh capabilities`, `virsh domcapabilities`, `lstopo --of xml`, `numactl -H` or `lscpu`'
    assert {
        'README.md': f'hosts/README.md: not recognized: expected {sources}',
        'b': 'hosts/b.lstopo.xml holds the output of `lstopo --of xml` and hosts/b.xml holds the output of '
        f'`virsh capabilities`: {one}',
        'd': f'hosts/d.numactl holds the output of `numactl -H`: {one}',
        'f': f'hosts/f.lscpu and hosts/f.txt hold the output of `lscpu`: {one}',
        'g': f'hosts/g.txt: not recognized: expected {sources}',
        'i': f'hosts/i.xml and hosts/i.xml.orig hold the output of `virsh capabilities`: {one}',
        'h': f'hosts/h.xml: cannot be read: No such file or directory; expected a file that holds {sources}',
    } == {name: error for name, error in results.items() if error is not None and name != 'c'}
    assert results['c'].startswith('hosts/c.xml: no XML: ')
    told = [f"numaplace: host '{name}': {error}\n" for name, error in results.items() if error is not None]
    assert ''.join(told) == done.stderr


def test_people_see_how_many_there_are_and_who_is_refused(numaplace, directory):
    directory(**{f'{name}.xml': _recorded('one2', 'capabilities.xml') for name in 'abc'})
    numaplace(f'host import b --capabilities {numaplace.fixture("one2")}')
    done = _run(numaplace, 'host import --directory hosts')
    assert 1 == done.returncode
    assert "numaplace: host 'b': a host 'b' exists; update it with --refresh, or use another name\n" == done.stderr
    rows = [line.strip('|').split('|') for line in done.stdout.splitlines() if line.startswith('| r')]
    assert [['registered', '2'], ['refreshed', '0'], ['refused', '1']] == [
        [cell.strip() for cell in row] for row in rows
    ]


def test_formats_without_lists_have_the_numbers(numaplace, directory):
    directory(**{'a.xml': _recorded('one2', 'capabilities.xml')})
    line = 'host import --refresh --directory hosts'
    assert '1 0 0 0' == ' '.join(numaplace(f'{line} -f value').split())
    assert 'registered="0"\nrefreshed="1"\nrefused="0"\nskipped="0"\n' == numaplace(f'{line} -f shell')
    assert [{'name': 'a'}] == json.loads(numaplace(f'{line} -f json -c name'))


def test_warnings_that_differ_in_the_host_alone_are_one_line(numaplace, directory):
    directory(**{f'c{number}.txt': _NO_L3 + _SUMMARY.partition(b'\n')[2] for number in range(6)})
    done = _run(numaplace, 'host import --directory hosts --siblings adjacent')
    unknown = (
        "numaplace: warning: host 'c0' and 5 more (c1, c2, c3, ...): hosts/c0.txt does not report the architecture: no "
        "XML is written for servers on host 'c0' until it is given with --refresh --architecture ARCH\n"
    )
    assert (0, unknown) == (done.returncode, done.stderr)


def test_hidden_files_backups_and_subdirectories_are_skipped_and_said(numaplace, directory):
    directory(**{'a.xml': _recorded('one2', 'capabilities.xml'), 'a.xml~': b'', '.b.xml': b'', '.c': b''})
    (numaplace.directory / 'hosts' / 'old').mkdir()
    os.mkfifo(numaplace.directory / 'hosts' / 'pipe')
    done = _run(numaplace, 'host import --directory hosts -f value -c skipped')
    assert (0, '5\n') == (done.returncode, done.stdout)
    assert (
        'numaplace: warning: hidden files, backups (~) and subdirectories are skipped: 5 (.b.xml, .c, a.xml~, ...)\n'
        == done.stderr
    )
    assert ['a'] == _names(numaplace)


def test_refresh_refreshes_known_hosts_and_registers_others(prepared):
    prepared('server create --flavor m1.tiny web')
    pairs = [f'seed3={prepared.fixture("seed3")}', f'one2={prepared.fixture("one2")}']
    done = prepared.run('host', 'import', '--refresh', '-f', 'json', *pairs)
    assert (0, '') == (done.returncode, done.stderr)
    assert [('seed3', 'refreshed'), ('one2', 'registered')] == [
        (each['name'], each['result']) for each in json.loads(done.stdout)
    ]
    assert ['web'] == prepared.json('host show seed3')['servers']
    assert 1 == prepared.json('host show seed3')['vcpus_used']


def test_a_host_whose_servers_would_not_fit_is_refused_and_stays(prepared):
    prepared('flavor create --ram 64 --vcpus 4 --property hw:cpu_policy=dedicated --property hw:numa_nodes=2 wide')
    prepared('server create --flavor wide web')
    before = prepared.json('host show seed3')
    pairs = [f'seed3={prepared.fixture("one2")}', f'other={prepared.fixture("one2")}']
    done = prepared.run('host', 'import', '--refresh', *pairs)
    assert 1 == done.returncode
    assert done.stderr.startswith("numaplace: host 'seed3': server 'web' (")
    assert before == prepared.json('host show seed3')
    assert ['other', 'seed3'] == _names(prepared)


def test_an_architecture_holds_for_all_and_contradicts_none(numaplace):
    for name in ('oracle4.capabilities.xml', 'one2.numactl.txt', 'one2.lscpu-p.txt'):
        (numaplace.directory / name).write_bytes(recordings.text(name))
    pairs = 'a=oracle4.capabilities.xml b=one2.numactl.txt b=one2.lscpu-p.txt'
    done = numaplace.run(*f'host import --architecture ppc64le {pairs}'.split())
    assert (
        "numaplace: host 'a': --architecture ppc64le: oracle4.capabilities.xml reports x86_64: expected the same"
        in done.stderr
    )
    assert 'ppc64le' == numaplace.json('host show b')['architecture']


@pytest.mark.parametrize(
    ('status', 'line', 'words'),
    [
        (2, 'host import', 'NAME, NAME=FILE or --directory is required'),
        (2, 'host import a=x b', "--numactl is required for host 'b', or NAME=FILE"),
        (2, 'host import --directory . --lstopo x', 'not allowed with argument'),
        (2, 'host import --directory . --lscpu x', 'expected --numactl and --lscpu together'),
        (2, 'host import a b --lstopo x', 'are for one host: expected only its NAME'),
        (2, 'host import --lstopo x', 'are for one host: expected only its NAME'),
        (1, 'host import --directory nowhere', '--directory nowhere: cannot be read: No such file or directory'),
        (1, 'host import --directory test.conf', '--directory test.conf: cannot be read: Not a directory'),
        (1, 'host import --directory empty', '--directory empty: there are no files: expected some named after hosts'),
    ],
)
def test_a_command_line_that_names_no_hosts(prepared, refused, status, line, words):
    (prepared.directory / 'empty').mkdir()
    assert words in refused(status, *line.split())


def test_a_name_that_is_none_is_refused(numaplace):
    done = numaplace.run('host', 'import', f'={numaplace.fixture("one2")}', f'a={numaplace.fixture("one2")}')
    assert (1, ['a']) == (done.returncode, _names(numaplace))
    assert "numaplace: host '': host name '' (0 characters): expected 1 to 255 printable" in done.stderr


def test_a_wrong_configuration_is_said_once(numaplace):
    numaplace.configure(more='[compute]\ncpu_dedicated_set = 0-')
    pairs = [f'{name}={numaplace.fixture("one2")}' for name in 'abc']
    done = numaplace.run('host', 'import', *pairs)
    assert (1, '', 1) == (done.returncode, done.stdout, done.stderr.count('\n'))
    assert 'cpu_dedicated_set' in done.stderr


def test_cpus_of_the_configuration_that_a_host_lacks_refuse_that_host(numaplace):
    numaplace.configure(more='[compute]\ncpu_dedicated_set = 2-5')
    done = numaplace.run('host', 'import', *(f'{name}={numaplace.fixture(name)}' for name in ('one2', 'seed3')))
    assert (1, ['seed3']) == (done.returncode, _names(numaplace))
    assert done.stderr.startswith("numaplace: host 'one2': ")


def test_with_one_source_a_name_may_have_an_equal_sign(numaplace):
    numaplace(f'host import a=b --capabilities {numaplace.fixture("one2")}')
    assert ['a=b'] == _names(numaplace)


#: A shell in the background starts its children with SIGINT ignored.
_INTERRUPTIBLE = ('env', '--default-signal=INT')


def _wait_for_hosts(numaplace, expected):
    for _ in range(200):
        if numaplace.database.exists() and _names(numaplace) == expected:
            return
        time.sleep(0.1)
    raise AssertionError(f'{expected} were not stored in time')


@contextlib.contextmanager
def _waiting_for_the_third(numaplace):
    """Yield a command that has stored hosts a and b of four, and waits until somebody writes into the file of c."""
    os.mkfifo(numaplace.directory / 'pipe')
    fixture = numaplace.fixture('one2')
    words = numaplace.command('host', 'import', f'a={fixture}', f'b={fixture}', 'c=pipe', f'd={fixture}')
    process = subprocess.Popen(
        [*_INTERRUPTIBLE, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=numaplace.environment,
        cwd=numaplace.directory,
    )
    try:
        _wait_for_hosts(numaplace, ['a', 'b'])
        yield process
    finally:
        process.kill()
        process.communicate()


_EARLY = "numaplace: ended early: 2 of 4 hosts are stored and stay; host 'c' was under way\n"


@pytest.mark.parametrize(('number', 'status'), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_what_is_stored_stays_when_the_command_is_ended(numaplace, number, status):
    with _waiting_for_the_third(numaplace) as process:
        process.send_signal(number)
        out, told = process.communicate(timeout=30)
    assert (status, '', _EARLY) == (process.returncode, out, told)
    assert ['a', 'b'] == _names(numaplace)


def test_a_database_that_cannot_be_used_any_more_ends_the_command(numaplace):
    """No host after it is tried."""
    with _waiting_for_the_third(numaplace) as process:
        with contextlib.closing(sqlite3.connect(numaplace.database)) as connection:
            connection.execute('DROP TABLE compute_nodes')
        (numaplace.directory / 'pipe').write_bytes(recordings.capabilities('one2'))
        out, told = process.communicate(timeout=30)
    early, fault = told.splitlines(keepends=True)
    assert (1, '', _EARLY) == (process.returncode, out, early)
    assert fault.startswith('numaplace: database sqlite')
    assert fault.endswith(': no such table: compute_nodes\n')


def test_a_terminal_shows_how_many_hosts_are_done(numaplace):
    pairs = [f'{name}={numaplace.fixture("one2")}' for name in 'abc']
    result = numaplace.on_terminal('host', 'import', '-f', 'json', *pairs)
    assert '0/3' in result.stderr
    assert '\x1b[' in result.stderr
    assert ['a', 'b', 'c'] == [each['name'] for each in json.loads(result.stdout)]


def test_five_hundred_hosts_are_one_command(numaplace, directory):
    names = [f'compute{number:03}.example.org' for number in range(500)]
    directory(**dict.fromkeys((f'{name}.xml' for name in names), _recorded('oracle4', 'capabilities.xml')))
    assert '500\n0\n0\n0\n' == numaplace('host import --directory hosts -f value')
    assert names == _names(numaplace)
