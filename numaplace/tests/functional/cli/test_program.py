# SPDX-License-Identifier: Apache-2.0
"""The program around the commands: help, refusals, forcing a host, pipes, signals, formats."""

import signal
import subprocess
import time

import pytest

from numaplace.operations import sources


@pytest.fixture
def wide(prepared):
    """The program with two hosts, and a flavor that needs six pinned CPUs in one cell."""
    prepared(f'host import one2 --capabilities {prepared.fixture("one2")}')
    prepared('flavor create --ram 512 --vcpus 6 --property hw:cpu_policy=dedicated m1.wide')
    return prepared


def test_a_refusal_names_each_host_the_nearest_first_what_was_missing_and_by_how_much(wide):
    before = wide.digest()
    result = wide.run(*['server', 'create', '--flavor', 'm1.wide', 'x'])
    assert (3, '') == (result.returncode, result.stdout)
    assert before == wide.digest()
    head, *lines = result.stderr.splitlines()
    assert "numaplace: no valid host for server 'x':" == head
    assert ['  seed3 (NUMATopologyFilter):', '  one2 (NUMATopologyFilter):'] == [
        line for line in lines if line.endswith(':')
    ]
    assert 'host cell 0 has 4 (2 short)' in result.stderr
    assert 'host cell 1 has 2 (4 short)' in result.stderr


def test_a_forced_host_is_the_only_one(wide):
    result = wide.run(*['server', 'create', '--flavor', 'm1.wide', '--host', 'one2', 'x'])
    assert 3 == result.returncode
    assert 'one2' in result.stderr
    assert 'seed3' not in result.stderr
    wide('server create --flavor m1.tiny --host one2 small')
    assert 'one2' == wide.json('server show small')['host']


def test_without_hosts_the_refusal_says_so(numaplace):
    numaplace('flavor create m1.tiny')
    result = numaplace.run(*['server', 'create', '--flavor', 'm1.tiny', 'x'])
    assert 3 == result.returncode
    assert 'there are no hosts' in result.stderr


def test_guests_go_where_most_memory_is_free(wide):
    wide.configure(more='[filter_scheduler]\ncpu_weight_multiplier = 0')
    wide('server create --flavor m1.tiny a')
    assert 'seed3' == wide.json('server show a')['host']
    wide.configure(more='[filter_scheduler]\ncpu_weight_multiplier = 0\nram_weight_multiplier = -1')
    wide('server create --flavor m1.tiny b')
    assert 'one2' == wide.json('server show b')['host']


def test_pins_are_shown_by_server(prepared):
    prepared('flavor create --ram 512 --vcpus 2 --property hw:cpu_policy=dedicated m1.pinned')
    prepared('server create --flavor m1.pinned db1')
    cell = prepared.json('host show seed3')['cells'][0]
    assert [0, 1] == cell['pinned_cpus']
    assert [('db1', [0, 1])] == [(owner['server'], owner['cpus']) for owner in cell['pinned_by']]
    assert '   A A . .' in prepared('host show seed3').splitlines()


def test_cells_are_words_for_people_and_values_for_machines(prepared):
    prepared('flavor create --ram 512 --vcpus 2 --property hw:cpu_policy=dedicated m1.pinned')
    prepared('server create --flavor m1.pinned', 'db\N{SNOWMAN}1')
    table = prepared('host show -c cells -c servers seed3')
    assert not {'[', '{', "'"} & set(table)
    assert '0: CPUs 0-3, 0-1 pinned, 0 shared vCPUs used, 512 of ' in table
    assert 'none pinned' in table
    assert 'db\N{SNOWMAN}1' in table
    shown = prepared.json('host show seed3')
    assert ['db\N{SNOWMAN}1'] == shown['servers']
    assert [0, 1, 2] == [cell['id'] for cell in shown['cells']]


def test_a_nova_conf_is_read_as_it_is(numaplace):
    numaplace.configure(
        more='[DEFAULT]\nmy_ip = 10.0.0.1\ncpu_allocation_ratio = 16.0\n'
        'reserved_huge_pages = node:1,size:2MB,count:28\n'
        '[database]\nconnection = mysql+pymysql://nova:secret@127.0.0.1:1/nova\n'
        '[compute]\ncpu_shared_set = 0-1\ncpu_dedicated_set = 2-7\n'
        '[neutron]\nphysnets = foo\n[neutron_physnet_foo]\nnuma_nodes = 0,1\n[neutron_tunnel]\nnuma_nodes = 2\n'
    )
    numaplace(f'host import seed3 --capabilities {numaplace.fixture("seed3")}')
    host = numaplace.json('host show seed3')
    assert 16.0 == host['cpu_allocation_ratio']
    assert [[0, 1], [], []] == [cell['shared_cpus'] for cell in host['cells']]
    assert [[2, 3], [4, 5], [6, 7]] == [cell['dedicated_cpus'] for cell in host['cells']]
    assert [['foo'], ['foo'], []] == [cell['physnets'] for cell in host['cells']]
    assert [False, False, True] == [cell['tunneled'] for cell in host['cells']]
    assert [28] == [pages['reserved'] for pages in host['cells'][1]['pages'] if pages['size_kib'] == 2048]


def test_this_machine_is_discovered(numaplace):
    result = numaplace.run('host', 'discover', 'here')
    assert result.returncode in (0, 1)
    if result.returncode:
        assert 1 == result.stderr.count('\n')
    else:
        assert numaplace.json('host show here')['cells']


def test_the_database_is_by_default_in_the_data_directory(numaplace):
    numaplace.config.write_text('')
    result = numaplace.spawn('server', 'list', XDG_DATA_HOME=str(numaplace.directory / 'data'))
    assert 0 == result.returncode
    assert [] != list((numaplace.directory / 'data' / 'numaplace').iterdir())


def test_a_variable_names_the_database(numaplace):
    file = numaplace.directory / 'named.sqlite'
    numaplace.spawn('server', 'list', OS_NUMAPLACE__CONNECTION=f'sqlite:///{file}')
    assert file.exists()
    assert not numaplace.database.exists()


def test_db_upgrade_makes_the_tables(numaplace):
    assert 'revision' in numaplace('db upgrade')
    before = numaplace.digest()
    numaplace('db upgrade')
    assert before == numaplace.digest()


def test_debug_shows_the_traceback(prepared):
    result = prepared.run('--debug', 'server', 'show', 'x')
    assert 1 == result.returncode
    assert 'Traceback' in result.stderr


@pytest.mark.parametrize(
    ('error', 'words'),
    [
        (KeyError(0), 'unexpected KeyError: 0; '),
        (IndexError(), 'unexpected IndexError; '),
        (ValueError('one\ntwo'), 'unexpected ValueError: one two; '),
    ],
)
def test_what_no_command_foresaw_is_one_line_that_names_it(prepared, monkeypatch, error, words):
    def fail(*_arguments):
        raise error

    monkeypatch.setattr(sources, 'numactl_files', fail)
    result = prepared.run('host', 'import', 'x', '--numactl', 'a', '--lscpu', 'b')
    hint = 'the same command with --debug shows the traceback that a bug report needs'
    assert (1, f'numaplace: {words}{hint}\n') == (result.returncode, result.stderr)


def test_without_a_command_the_help_is_shown(numaplace):
    result = numaplace.run()
    assert (2, '') == (result.returncode, result.stdout)
    assert 'numaplace quickstart' in result.stderr


def test_help_lists_all_commands_with_examples(numaplace):
    text = numaplace('--help')
    for noun in ('db upgrade', 'host discover', 'flavor create', 'server dumpxml', 'quickstart'):
        assert noun in text
    assert 'Could not load' not in text
    assert 'examples:\n  numaplace server create' in numaplace('server create --help')


@pytest.mark.parametrize('line', ['--help', 'server list'])
def test_short_commands_start_quickly(prepared, line):
    prepared.spawn(*line.split())
    started = time.perf_counter()
    prepared.spawn(*line.split())
    # Many times what an idle machine needs, and less than what any needless import of everything would add up to.
    assert time.perf_counter() - started < 5


def test_a_closed_pipe_is_no_fault(prepared):
    done = subprocess.run(
        ['bash', '-c', '"$@" | true; echo ${PIPESTATUS[0]}', 'bash', *prepared.command('quickstart')],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env=prepared.environment,
    )
    assert ('141\n', '') == (done.stdout, done.stderr)


def test_where_nobody_listens_the_command_is_done_all_the_same(prepared):
    done = _redirected(prepared, '>&-', 'server create --flavor m1.tiny silent1')
    assert (0, '', '') == (done.returncode, done.stdout, done.stderr)
    assert prepared.json('server show silent1')['host'] == 'seed3'


def test_output_that_cannot_be_written_is_told_and_what_was_done_stays(prepared):
    done = _redirected(prepared, '>/dev/full', 'server create --flavor m1.tiny full1')
    told = 'numaplace: the output cannot be written: No space left on device; '
    assert (1, '') == (done.returncode, done.stdout)
    assert done.stderr.startswith(told)
    assert prepared.json('server show full1')['host'] == 'seed3'


def _redirected(program, where, line):
    command = ['bash', '-c', f'"$@" {where}', 'bash', *program.command(*line.split())]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=program.environment)


@pytest.mark.parametrize(('number', 'status'), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_is_no_traceback_and_leaves_nothing(prepared, number, status):
    environment = {**prepared.environment, 'TMPDIR': str(prepared.directory)}
    # A parent in the background of a shell ignores SIGINT, and so would its children.
    command = ['env', '--default-signal=INT', *prepared.command('quickstart')]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        process.stdout.readline()
        process.send_signal(number)
        _, told = process.communicate(timeout=60)
    assert (status, '') == (process.returncode, told)
    assert [] == list(prepared.directory.glob('numaplace-quickstart-*'))


def test_a_command_leaves_the_handler_of_a_signal_as_it_was(prepared):
    """Or whatever runs it ends by a SystemExit at any later place, such as a test that did nothing wrong."""

    def ours(_number, _frame):
        """Do nothing."""

    before = signal.signal(signal.SIGTERM, ours)
    try:
        prepared('host list')
        assert ours is signal.getsignal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_formats_are_stable(prepared):
    assert ['seed3'] == [host['Name'] for host in prepared.json('host list')]
    assert 'seed3\n' == prepared('host list -f value -c Name')
    assert '"Name"\n"seed3"\n' == prepared('host list -f csv -c Name')
    assert '- Name: seed3\n' == prepared('host list -f yaml -c Name')
    assert {'id', 'name', 'ram', 'disk', 'vcpus', 'properties'} == set(prepared.json('flavor show m1.tiny'))


def test_an_image_may_spell_its_architecture_as_debian_does(prepared):
    prepared('server create --flavor m1.tiny --image-property hw_architecture=AMD64 debian1')
    assert "<type arch='x86_64'" in prepared('server dumpxml debian1')
