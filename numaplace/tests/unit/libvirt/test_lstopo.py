# SPDX-License-Identifier: Apache-2.0
"""The XML of lstopo: what it leaves out and how CPUs are dealt to cells, and faults that say where they are."""

import pytest

from numaplace import exception
from numaplace.libvirt import lstopo
from numaplace.model import MemoryAccess
from numaplace.tests import recordings

_SEED3 = recordings.text('seed3.lstopo.xml').decode()


def _read(text):
    return lstopo.read(text if isinstance(text, bytes) else text.encode(), place='x.xml')


def _machine(*objects, attributes='cpuset="0x3" complete_cpuset="0x3"', after='', version='2.0'):
    inner = ''.join(f'<object {one}/>' for one in objects)
    return (
        f'<!DOCTYPE topology SYSTEM "hwloc2.dtd"><topology version="{version}">'
        f'<object type="Machine" {attributes}>{inner}</object>{after}</topology>'
    )


_PUS = ('type="PU" os_index="0" cpuset="0x1"', 'type="PU" os_index="1" cpuset="0x2"')
_NODE = 'type="NUMANode" os_index="0" cpuset="0x3" local_memory="1048576"'


def test_cpus_that_lstopo_could_not_see_are_told():
    assert _read(_SEED3).hidden_cpus == 0
    assert _read(recordings.text('tiers.lstopo.xml')).hidden_cpus == 1 << 7


def test_cpus_near_to_memory_without_cpus_stay_in_their_own_cell():
    """The memory may have the lower number, and be near to all CPUs or to those of one cell."""
    nodes = (
        'type="NUMANode" os_index="0" cpuset="0x3" local_memory="0"',
        'type="NUMANode" os_index="1" cpuset="0x1"',
        'type="NUMANode" os_index="2" cpuset="0x2"',
        'type="NUMANode" os_index="3" cpuset="0x2"',
    )
    cells = _read(_machine(*_PUS, *nodes)).host.cells
    assert [cell.shape.online_cpus for cell in cells] == [0, 1, 2, 0]


def test_cpus_without_core_are_cores_and_one_cell_is_near_to_itself():
    shape = _read(_machine(*_PUS, _NODE)).host.cells[0].shape
    assert (shape.siblings, shape.socket, shape.distances, shape.memory_mib) == ((1, 2), None, ((0, 10),), 1)


def test_sets_come_in_words_of_which_some_are_empty():
    pus = ('type="PU" os_index="3"', 'type="PU" os_index="64"')
    core = 'type="Core" cpuset="0x00000001,,0x00000008"'
    node = 'type="NUMANode" os_index="0" cpuset="0x00000001,,0x00000008"'
    assert _read(_machine(*pus, core, node)).host.cells[0].shape.siblings == (1 << 64 | 1 << 3,)


def test_clusters_are_told_where_they_divide_a_die():
    pus = tuple(f'type="PU" os_index="{cpu}"' for cpu in range(8))
    groups = tuple(f'type="Group" subtype="Cluster" cpuset="{mask}"' for mask in ('0x3', '0xc', '0xf0'))
    cores = tuple(f'type="Core" cpuset="{mask}"' for mask in ('0x3', '0xc', '0x10', '0x20', '0x40', '0x80'))
    others = ('type="Package" os_index="0" cpuset="0xff"', 'type="Group" cpuset="0x1f"')
    node = 'type="NUMANode" os_index="0" cpuset="0xff"'
    shape = _read(_machine(*pus, *groups, *cores, *others, node)).host.cells[0].shape
    assert (shape.clusters, shape.dies, shape.socket) == ((0xF0,), (), 0)


def test_ways_from_cells_that_are_only_in_part_near_are_left_out():
    nodes = (
        'type="NUMANode" os_index="0" cpuset="0x3" gp_index="7"',
        'type="NUMANode" os_index="1" cpuset="0x3" gp_index="8"',
    )
    values = ''.join(
        f'<memattr name="{name}"><memattr_value target_obj_gp_index="8" value="9" initiator_cpuset="{near}"/></memattr>'
        for name, near in (('ReadLatency', '0x3'), ('Latency', '0x3'), ('WriteLatency', '0x1'))
    )
    cells = _read(_machine(*_PUS, *nodes, after=values)).host.cells
    assert [cell.shape.accesses for cell in cells] == [(), (MemoryAccess(0, 9),)]


_BAD = {
    'nothing': ('', 'x.xml: no XML: .*; expected the output of `lstopo --of xml` of hwloc 2'),
    'another document': ('<capabilities/>', "the root is 'capabilities': expected <topology>"),
    'hwloc 1': (_machine(*_PUS, _NODE, version='1.0'), 'topology/@version: not of hwloc 2'),
    'hwloc 3': (_machine(version='3.0').replace('hwloc2', 'hwloc3'), 'topology/@version: not of hwloc 2'),
    'another DTD': (_SEED3.replace('hwloc2.dtd', 'http://127.0.0.1:9/x.dtd'), 'the document has a DTD'),
    'a DTD with entities': (
        _SEED3.replace('"hwloc2.dtd">', '"hwloc2.dtd" [<!ENTITY a "b">]>'),
        'the document has a DTD',
    ),
    'two DTDs': ('<!DOCTYPE topology SYSTEM "hwloc2.dtd">' * 2 + '<!DOCTYPE topology><topology/>', 'x.xml: '),
    'no machine': ('<topology version="2.0"/>', 'there is no object of type Machine'),
    'no cell': (_machine(*_PUS), 'there is no object of type NUMANode'),
    'no CPU': (_machine(_NODE), 'there is no object of type PU'),
    'a CPU without number': (_machine('type="PU"', _NODE), r'object\[1\]/@os_index: the CPU number is missing'),
    'a CPU that is no number': (_machine('type="PU" os_index="x"', _NODE), "'x' is no CPU number"),
    'a cell beyond all kernels': (_machine(*_PUS, 'type="NUMANode" os_index="65536"'), "'65536' is no cell number"),
    'two cells of one number': (_machine(*_PUS, _NODE, _NODE), 'there are two cells 0'),
    'a set that is none': (_machine(*_PUS, _NODE.replace('0x3', '0-1')), "@cpuset: '0-1' is no set"),
    'a set without end': (_machine(*_PUS, _NODE.replace('0x3', '0xf...f')), "'0xf...f' is no set"),
    'a set beyond all kernels': (_machine(*_PUS, _NODE.replace('0x3', ',' * 3000)), 'is no set'),
    'CPUs in no cell': (_machine(*_PUS, _NODE.replace('0x3', '0x1')), 'CPUs 1 are in no NUMANode'),
    'memory that is no number': (_machine(*_PUS, _NODE.replace('1048576', 'much')), "'much' is no size in bytes"),
    'a distance that is none': (_SEED3.replace('10 20 20 20', '10 20 20 far'), "'far' is no whole number"),
    'distances of other cells': (_SEED3.replace('0 1 2 </indexes>', '0 1 3 </indexes>'), '9 distances of 3 cells'),
    'half a KiB of page': (_SEED3.replace('size="4096"', 'size="512"'), 'a page size of 512 bytes'),
    'pages of one size twice': (_SEED3.replace('size="2097152"', 'size="4096"'), 'each size once'),
    'a way to nowhere': (
        _machine(*_PUS, _NODE, after='<memattr name="ReadLatency"><memattr_value target_obj_gp_index="9"/></memattr>'),
        '@target_obj_gp_index: no NUMANode has this gp_index',
    ),
}


@pytest.mark.parametrize('name', _BAD)
def test_a_document_that_cannot_be_used_is_refused_in_one_line_that_says_where(name):
    text, expected = _BAD[name]
    with pytest.raises(exception.InvalidCapabilities, match=expected) as caught:
        _read(text)
    assert '\n' not in str(caught.value)
