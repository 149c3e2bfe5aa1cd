# SPDX-License-Identifier: Apache-2.0
"""What a file holds is told by its contents."""

import time
from importlib import resources

import pytest

from numaplace.libvirt import contents
from numaplace.libvirt.contents import Kind
from numaplace.tests import recordings

_DATA = resources.files('numaplace.tests.data')
_RECORDED = {
    'capabilities.xml': Kind.CAPABILITIES,
    'lstopo.xml': Kind.LSTOPO,
    'numactl.txt': Kind.NUMACTL,
    'lscpu.json': Kind.LSCPU,
    'lscpu-e.json': Kind.LSCPU,
    'lscpu-e.txt': Kind.LSCPU,
    'lscpu-p.txt': Kind.LSCPU,
}


@pytest.mark.parametrize('ending', _RECORDED)
@pytest.mark.parametrize('host', recordings.HOSTS)
def test_each_recorded_output_is_of_its_program(host, ending):
    assert {_RECORDED[ending]} == contents.kinds(recordings.text(f'{host}.{ending}'))


@pytest.mark.parametrize(
    'name', sorted(file.name for file in _DATA.joinpath('lscpu').iterdir() if file.name.endswith('.txt'))
)
def test_outputs_of_lscpu_of_other_machines_are_recognized(name):
    assert {Kind.LSCPU} == contents.kinds(_DATA.joinpath('lscpu', name).read_bytes())


@pytest.mark.parametrize(
    ('content', 'expected'),
    {
        'an element of capabilities inside another document': (b'<domain><capabilities/></domain>', set()),
        'a domain with a CPU topology': (b"<domain><cpu><topology sockets='1'/></cpu></domain>", set()),
        'capabilities have a topology inside': (b'<capabilities><host><topology/></host></capabilities>', {'CAP'}),
        'capabilities below a comment': (b'\n<!-- <topology> --><capabilities/>', {'CAP'}),
        'capabilities behind a byte order mark': (b'\xef\xbb\xbf<?xml version="1.0"?>\n<capabilities/>', {'CAP'}),
        'capabilities that are cut short': (b'<capabilities>\n  <host>', {'CAP'}),
        'lstopo with its DTD': (
            b'<?xml version="1.0"?>\n<!DOCTYPE topology SYSTEM "hwloc2.dtd">\n<topology/>',
            {'TOP'},
        ),
        'numactl below a prompt': (b'$ numactl -H\navailable: 1 nodes (0)\n', {'NUM'}),
        'numactl, then lscpu': (b'available: 1 nodes (0)\nnode 0 cpus: 0\nCPU(s): 1\n', {'NUM', 'LSC'}),
        'lscpu tells NUMA nodes too': (b'NUMA node(s): 1\nCPU(s): 1\nNUMA node0 CPU(s): 0\n', {'LSC'}),
        'prose': (b'These are hosts.\navailable: soon\n', set()),
        'nothing': (b'', set()),
        'other JSON': (b'{"hosts": []}', set()),
        'no text': (bytes(range(256)), set()),
    }.values(),
)
def test_what_a_content_is(content, expected):
    names = {'CAP': Kind.CAPABILITIES, 'TOP': Kind.LSTOPO, 'NUM': Kind.NUMACTL, 'LSC': Kind.LSCPU}
    assert {names[name] for name in expected} == contents.kinds(content)


def test_many_comments_before_no_element_are_read_once():
    started = time.process_time()
    assert frozenset() == contents.kinds(b'<!-- -->' * 50_000)
    assert time.process_time() - started < 5
