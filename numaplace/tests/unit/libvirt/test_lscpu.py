# SPDX-License-Identifier: Apache-2.0
"""Each form of lscpu, offline CPUs in it, and what is none of its forms."""

import pytest

from numaplace import cpuset, exception
from numaplace.libvirt import lscpu
from numaplace.tests import recordings

_SUMMARY = b'Architecture: ppc64le\nOn-line CPU(s) list: 0-7\nThread(s) per core: 4\nSocket(s): 1\nVendor ID: Mine\n'
_GUEST = (
    b'Architecture: ppc64le\nCPU(s): 16\nOn-line CPU(s) list: 0-14:2,1-15:2\nThread(s) per core: 2\n'
    b'Core(s) per socket: 2\nSocket(s): 4\nVendor ID: Mine\n'
)


def _read(text):
    return lscpu.read(text, 'cpus.txt')


@pytest.mark.parametrize('form', ['lscpu-p.txt', 'lscpu-e.txt', 'lscpu-e.json', 'lscpu.json'])
def test_offline_cpus_are_left_out(form):
    """Those rows have dashes, in JSON too, where lscpu does not quote them."""
    assert cpuset.parse('0-6') == _read(recordings.text(f'tiers.{form}')).online


def test_a_summary_and_a_table_may_follow_one_another():
    table = recordings.text('oracle4.lscpu-p.txt')
    for text in (_GUEST + table, table + _GUEST, recordings.text('oracle4.lscpu-e.txt') + table + _GUEST):
        found = _read(text)
        assert (found.facts.arch, found.facts.vendor) == ('ppc64le', 'Mine')
        assert (found.online, found.threads_per_core, found.cores[5]) == (0xFFFF, None, 0b110000)
        assert found.warnings == ()


def test_documents_of_json_may_follow_one_another():
    found = _read(recordings.text('oracle4.lscpu.json') + b'\n' + recordings.text('oracle4.lscpu-e.json'))
    assert (found.facts.arch, found.cores[5], found.warnings) == ('x86_64', 0b110000, ())


def test_cpus_of_one_package_are_all_in_it():
    assert _read(_SUMMARY).sockets == dict.fromkeys(range(8), 0)
    assert _read(_SUMMARY.replace(b'Socket(s): 1', b'Socket(s): 2')).sockets == {}


def test_cores_that_are_numbered_by_package_are_told_apart():
    found = _read(b'# CPU,Core,Socket\n0,0,0\n1,0,1\n2,0,0\n3,0,1\n')
    assert found.cores == {0: 0b0101, 2: 0b0101, 1: 0b1010, 3: 0b1010}
    assert found.sockets == {0: 0, 1: 1, 2: 0, 3: 1}


def test_the_columns_come_in_any_order_and_a_cpu_may_be_said_to_be_offline():
    found = _read(b'CORE CPU ONLINE\n7 0 yes\n7 1 yes\n8 2 no\n')
    assert (found.online, found.cores, found.sockets) == (0b11, {0: 0b11, 1: 0b11}, {})


_BAD = {
    'nothing': (b'', "cpus.txt: there is neither a table of CPUs nor 'Thread.s. per core'"),
    'another text': (b'<capabilities/>', 'neither a table of CPUs nor'),
    'another language': (b'Architektur: x86_64\nThread(s) pro Kern: 2\n', r'in English \(LC_ALL=C\)'),
    'octets': (bytes(range(256)), 'neither a table of CPUs nor'),
    'threads that are no number': (b'Thread(s) per core: many\n', "line 1: 'many' is not a number of threads"),
    'no thread': (b'\nThread(s) per core: 0\n', 'line 2: no threads per core: .*expected 1 or more, or .*--lstopo'),
    'a list that is none': (b'Thread(s) per core: 1\nOn-line CPU(s) list: all\n', "line 2: invalid CPU list .*'all'"),
    'a table without names': (b'0,0,0,0\n', "line 1: a row of a table without the line '# CPU,Core,...'"),
    'a table without cores': (b'CPU NODE\n0 0\n', 'line 2: there is no column CORE: expected .*--lstopo'),
    'rows of dashes': (b'# CPU,Core,Socket,Node\n,,,\n,,,\n', 'line 2: the row names no CPU: .*--lstopo'),
    'a row too short': (b'# CPU,Core\n0\n', "line 2: 1 columns: expected 2, 'cpu,core'"),
    'a CPU twice': (b'# CPU,Core\n0,0\n0,1\n', 'line 3: there are two rows of CPU 0'),
    'a CPU beyond all kernels': (b'# CPU,Core\n65536,0\n', "line 2: '65536' is not a CPU number"),
    'a core that is not a number': (b'# CPU,Core\n0,a\n', "line 2: 'a' is not a core number"),
    'a socket that is not a number': (b'# CPU,Core,Socket\n0,0,\x1b\n', r"line 2: '\\x1b' is not a socket number"),
    'no JSON': (b'{"lscpu": [', 'cpus.txt: no JSON of lscpu: '),
    'other JSON': (b'{"cpus": [1]}', 'no JSON of lscpu: not of the form that lscpu writes'),
    'JSON of another shape': (b'{"lscpu": 5}', 'no JSON of lscpu: not of the form'),
    'JSON without keys': (b'{"lscpu": [{}]}', 'no JSON of lscpu: not of the form'),
    'JSON without end': (b'{"lscpu":' + b'[' * 100000, 'no JSON of lscpu: '),
    'a row of JSON without core': (b'{"cpus": [{"cpu": 0}]}', r'cpus.txt: cpus\[0\]: there is no column CORE'),
    'a value of JSON': (
        b'{"lscpu": [{"field": "Thread(s) per core:", "data": "x"}]}',
        r"cpus.txt: 'Thread\(s\) per core': 'x' is not a number of threads",
    ),
}


@pytest.mark.parametrize('name', _BAD)
def test_what_cannot_be_used_is_refused_in_one_line_that_says_where(name):
    text, expected = _BAD[name]
    with pytest.raises(exception.InvalidCapabilities, match=expected) as caught:
        _read(text)
    assert '\n' not in str(caught.value)
    assert 'expected' in str(caught.value)
