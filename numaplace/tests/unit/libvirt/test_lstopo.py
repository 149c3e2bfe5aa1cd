# SPDX-License-Identifier: Apache-2.0
"""The XML of lstopo: what it leaves out and how CPUs are dealt to cells, and faults that say where they are."""

from dataclasses import replace

import pytest

from numaplace import cpuset, exception
from numaplace.libvirt import capabilities, lscpu, lstopo, numactl, recorded
from numaplace.model import MemoryAccess, Pages
from numaplace.tests import recordings

_SEED3 = recordings.text('seed3.lstopo.xml').decode()


def _read(text):
    return lstopo.read(text if isinstance(text, bytes) else text.encode(), place='x.xml')


def _machine(*objects, attributes='cpuset="0x3" complete_cpuset="0x3"', after='', version='2.0'):
    inner = ''.join(one if one.startswith('<') else f'<object {one}/>' for one in objects)
    return (
        f'<!DOCTYPE topology SYSTEM "hwloc2.dtd"><topology version="{version}">'
        f'<object type="Machine" {attributes}>{inner}</object>{after}</topology>'
    )


_PUS = ('type="PU" os_index="0" cpuset="0x1"', 'type="PU" os_index="1" cpuset="0x2"')
_NODE = 'type="NUMANode" os_index="0" cpuset="0x3" local_memory="1048576"'


def test_cpus_that_lstopo_could_not_see_are_told():
    assert _read(_SEED3).hidden_cpus == 0
    assert _read(recordings.text('tiers.lstopo.xml')).hidden_cpus == 1 << 7


def test_a_node_with_cpus_and_without_memory_is_a_cell_of_0_mib():
    """There is no NUMANode for it, only its bit in the complete_nodeset of its CPUs."""
    machine = _read(recordings.text('bare-node.lstopo.xml'))
    cells = [(cell.id, cell.shape.online_cpus, cell.shape.memory_mib, cell.pages) for cell in machine.host.cells]
    assert cells == [(0, 0b01, 0, ()), (1, 0b10, 8192, (Pages(4, 2097152),))]
    assert (machine.bare_cells, machine.hidden_cells, machine.hidden_cpus, machine.stray_cpus) == (0, 0, 0, 0)


def _pu(cpu, *nodes):
    nodeset = hex(cpuset.mask(nodes))
    return f'type="PU" os_index="{cpu}" cpuset="{hex(1 << cpu)}" complete_nodeset="{nodeset}"'


def _node(number, cpus, mib=1):
    return f'type="NUMANode" os_index="{number}" cpuset="{hex(cpus)}" local_memory="{mib << 20}"'


def _nodesets(cpus, nodes, all_cpus=None):
    return f'cpuset="{hex(cpus)}" complete_cpuset="{hex(all_cpus or cpus)}" complete_nodeset="{hex(nodes)}"'


_GROUP = '<info name="LinuxCgroup" value="/user.slice"/>'

#: By name: the objects, the sets of the machine, the CPUs and MiB of each cell, and what else is told.
_HIDDEN = {
    'two nodes without memory, their CPUs near to nodes of memory alone': (
        (_pu(0, 0, 5, 7), _pu(1, 0, 5, 7), _pu(2, 1, 6, 7), _node(5, 0b11), _node(6, 0b100), _node(7, 0b111, 2)),
        _nodesets(0b111, 0b11100011),
        {0: (0b11, 0), 1: (0b100, 0), 5: (0, 1), 6: (0, 1), 7: (0, 2)},
        {},
    ),
    'a node without memory and CPUs': (
        (_pu(0, 0), _node(0, 0b1)),
        _nodesets(0b1, 0b11),
        {0: (0b1, 1)},
        {'hidden_cells': 0b10},
    ),
    'a node of memory alone that a group keeps away': (
        (_GROUP, _pu(0, 0, 1), _node(0, 0b1)),
        _nodesets(0b1, 0b11),
        {0: (0b1, 1)},
        {'hidden_cells': 0b10},
    ),
    'memory of a node and CPUs of another that a group keeps away': (
        (_GROUP, _pu(0, 0), _pu(2, 1), _node(1, 0b100), _node(2, 0)),
        _nodesets(0b101, 0b111, all_cpus=0b1111),
        {0: (0b1, 0), 1: (0b100, 1), 2: (0, 1)},
        {'bare_cells': 0b1, 'hidden_cpus': 0b1010},
    ),
    'CPUs of a node that is offline': (
        (_pu(0), _pu(1, 1), _node(1, 0b10)),
        _nodesets(0b11, 0b10),
        {1: (0b10, 1)},
        {'stray_cpus': 0b1},
    ),
}


@pytest.mark.parametrize('name', _HIDDEN)
def test_what_lstopo_shows_in_part(name):
    objects, sets, cells, other = _HIDDEN[name]
    machine = _read(_machine(*objects, attributes=sets))
    found = {cell.id: (cell.shape.online_cpus, cell.shape.memory_mib) for cell in machine.host.cells}
    assert found == cells
    kinds = ('hidden_cpus', 'stray_cpus', 'bare_cells', 'hidden_cells')
    assert {kind: mask for kind in kinds if (mask := getattr(machine, kind))} == other


def test_a_node_whose_cpus_a_group_keeps_away_has_general_memory():
    """Memory without CPUs that is near to them has none of its own."""
    nodes = (
        'type="NUMANode" os_index="0" cpuset="0x3" complete_cpuset="0x3" local_memory="1048576"',
        'type="NUMANode" os_index="1" cpuset="0x0" complete_cpuset="0xc" local_memory="1048576"',
        'type="NUMANode" os_index="2" cpuset="0x3" complete_cpuset="0xf" local_memory="1048576"',
        'type="NUMANode" os_index="3" cpuset="0x0" complete_cpuset="0xc" local_memory="1048576"',
    )
    host = _read(_machine(*_PUS, *nodes, attributes='complete_cpuset="0xf" cpuset="0x3"')).host
    assert [cell.shape.kind for cell in host.cells] == ['general', 'general', 'unknown', 'unknown']
    assert host.memory_mib == 2


def test_two_integer_cores_of_a_module_are_siblings_as_the_kernel_and_libvirt_say(tmp_path):
    """Caches that the kernel gives no number, as in this recording, are not named by libvirt."""
    found = _read(recordings.text('modules.lstopo.xml')).host
    assert found == recorded.read(recordings.lay_out('modules', tmp_path))
    assert found.cells[1].shape.siblings == (0x300, 0xC00, 0x3000, 0xC000)
    plain = [replace(cell, shape=replace(cell.shape, caches=())) for cell in found.cells]
    assert plain == list(capabilities.read(recordings.capabilities('modules')).cells)
    cpus = lscpu.read(recordings.text('modules.lscpu-p.txt'), 'modules')
    shapes = [cell.shape for cell in numactl.read(recordings.text('modules.numactl.txt'), cpus).host.cells]
    assert [shape.siblings for shape in shapes] == [cell.shape.siblings for cell in plain]


@pytest.mark.parametrize(
    ('vendor', 'family', 'siblings'),
    [('AuthenticAMD', 21, (0b11,)), ('AuthenticAMD', 22, (1, 2)), ('HygonGenuine', 24, (1, 2)), ('x', 21, (1, 2))],
)
def test_cores_that_share_a_cache_are_a_module_on_one_family_alone(vendor, family, siblings):
    infos = f'<info name="CPUVendor" value="{vendor}"/><info name="CPUFamilyNumber" value="{family}"/>'
    cores = ''.join(f'<object type="Core" cpuset="{mask}"/>' for mask in ('0x1', '0x2'))
    package = f'<object type="Package" os_index="0" cpuset="0x3">{infos}<object type="L2Cache" cpuset="0x3">{cores}'
    text = _machine(*_PUS, _NODE).replace('</object></topology>', f'{package}</object></object></object></topology>')
    assert _read(text).host.cells[0].shape.siblings == siblings


def test_hwloc_3_is_read_and_tells_no_pages():
    """It keeps the architecture beside the machine; in XML of hwloc 2 it writes a 0 for each number of pages."""
    text = _machine(*_PUS, _NODE, version='3.0', after='<info name="Architecture" value="x86_64"/>')
    machine = _read(text)
    assert (machine.facts.arch, machine.has_pages, machine.host.cells[0].pages) == ('x86_64', False, ())
    untold = '<page_type size="4096" count="0"/><page_type size="2097152" count="0"/>'
    text = _machine(*_PUS, _NODE).replace('1048576"/>', f'1048576">{untold}</object>')
    assert (_read(text).has_pages, _read(text).host) == (False, machine.host)
    assert _read(_SEED3).has_pages


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
    'nothing': ('', 'x.xml: no XML: .*; expected the output of `lstopo --of xml` of hwloc 2 or 3'),
    'another document': ('<capabilities/>', "the root is 'capabilities': expected <topology>"),
    'hwloc 1': (
        _machine(*_PUS, _NODE).replace(' version="2.0"', '').replace('hwloc2', 'hwloc'),
        'topology/@version: of another hwloc: .* 2 or 3, which `lstopo --input FILE --of xml` of hwloc 2 makes of it',
    ),
    'hwloc 4': (_machine(version='4.0'), 'topology/@version: of another hwloc: .* of hwloc 2 or 3$'),
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
    'a CPU that is not a number': (_machine('type="PU" os_index="x"', _NODE), "'x' is not a CPU number"),
    'a cell beyond all kernels': (_machine(*_PUS, 'type="NUMANode" os_index="65536"'), "'65536' is not a cell number"),
    'two cells of one number': (_machine(*_PUS, _NODE, _NODE), 'there are two cells 0'),
    'a set that is none': (_machine(*_PUS, _NODE.replace('0x3', '0-1')), "@cpuset: '0-1' is not a set"),
    'a set without end': (_machine(*_PUS, _NODE.replace('0x3', '0xf...f')), "'0xf...f' is not a set"),
    'a set beyond all kernels': (_machine(*_PUS, _NODE.replace('0x3', ',' * 3000)), 'is not a set'),
    'CPUs in no cell': (_machine(*_PUS, _NODE.replace('0x3', '0x0')), 'no object of type PU that is in a NUMANode'),
    'memory that is not a number': (_machine(*_PUS, _NODE.replace('1048576', 'much')), "'much' is not a size in bytes"),
    'a distance that is none': (_SEED3.replace('10 20 20 20', '10 20 20 far'), "'far' is not a whole number"),
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
