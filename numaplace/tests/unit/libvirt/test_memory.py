# SPDX-License-Identifier: Apache-2.0
"""What kind of memory a cell has, from each source that reports it, and which counts as general memory."""

import pytest

from numaplace import cpuset, exception
from numaplace.libvirt import capabilities, lstopo, memory, recorded, topology
from numaplace.libvirt.found_cell import FoundCell
from numaplace.model import MemoryAccess
from numaplace.tests import recordings


def _kinds(host):
    return {cell.id: cell.shape.kind for cell in host.cells}


def _write(root, files):
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(f'{content}\n')


def _device(number, pci_class, node):
    directory = f'bus/pci/devices/0000:{number:02x}:00.0'
    return {f'{directory}/class': pci_class, f'{directory}/numa_node': node}


#: Node 8 has the memory from 8 to 12 GiB.
_BLOCKS = {'devices/system/memory/block_size_bytes': '8000000', 'devices/system/node/node8/memory64/state': 'online'}


def _region(number, resource, size):
    directory = f'bus/cxl/devices/region{number}'
    return {f'{directory}/resource': resource, f'{directory}/size': size}


_TOLD = {
    'nothing beside the bandwidth': ({}, 'slow'),
    'a 3D controller': (_device(1, '0x030200', 8), 'gpu'),
    'a graphics card': (_device(1, '0x030000', 8), 'gpu'),
    'an accelerator': (_device(1, '0x120000', 8), 'gpu'),
    'a CXL memory device': (_device(1, '0x050210', 8), 'cxl'),
    'both of them': (_device(1, '0x050210', 8) | _device(2, '0x030200', 8), 'gpu'),
    'a network card': (_device(1, '0x020000', 8), 'slow'),
    'a graphics card of a node with CPUs': (_device(1, '0x030000', 1), 'slow'),
    'a graphics card of no node': (_device(1, '0x030000', -1), 'slow'),
    'a CXL region of its memory': (_BLOCKS | _region(0, '0x200000000', '0x100000000'), 'cxl'),
    'a CXL region that ends where its memory starts': (_BLOCKS | _region(0, '0x100000000', '0x100000000'), 'slow'),
    'a CXL region that begins behind its block': (_BLOCKS | _region(0, '0x208000000', '0x10000000'), 'slow'),
    'the second of two CXL regions': (
        _BLOCKS | _region(0, '0x100000000', '0x8000000') | _region(1, '0x200000000', '0x8000000'),
        'cxl',
    ),
    'a CXL region that is not in use': (_BLOCKS | _region(0, '0x0', '0x0'), 'slow'),
    'a CXL region whose place nobody may read': (_BLOCKS | _region(0, '', '0x8000000'), 'slow'),
    'blocks of unknown size': (
        {'devices/system/node/node8/memory64/state': 'online'} | _region(0, '0x200000000', '0x100000000'),
        'slow',
    ),
}


@pytest.mark.parametrize(('files', 'kind'), _TOLD.values(), ids=_TOLD)
def test_the_kernel_tells_what_the_memory_of_a_node_without_cpus_is(files, kind, tmp_path):
    root = recordings.lay_out('tiers', tmp_path / 'sys')
    _write(root, files)
    expected = {0: 'general', 1: 'general', 2: 'general', 8: kind}
    found = recorded.read(tmp_path)
    assert expected == _kinds(found)
    # What libvirt leaves out is taken from the kernel of this machine.
    assert found == capabilities.read(recordings.capabilities('tiers'), memory_kinds=memory.reported(root))


_DAX = {
    'non-volatile memory': ('LNXSYSTM:00/LNXSYBUS:00/ACPI0012:00/ndbus0/region5/dax5.1', 8, 'slow'),
    'memory set apart by the firmware': ('platform/hmem.1', 8, None),
    'memory on a CXL link': ('platform/ACPI0017:00/root0/decoder0.0/region0/dax_region0', 8, 'cxl'),
    'non-volatile memory on a CXL link': ('platform/ACPI0017:00/root0/nvdimm-bridge0/ndbus0/region0', 8, 'cxl'),
    'memory of another node': ('LNXSYSTM:00/LNXSYBUS:00/ACPI0012:00/ndbus0/region5/dax5.1', 1, None),
    'memory of no node': ('LNXSYSTM:00/LNXSYBUS:00/ACPI0012:00/ndbus0/region5/dax5.1', -1, None),
}


@pytest.mark.parametrize(('place', 'node', 'kind'), _DAX.values(), ids=_DAX)
def test_a_node_that_was_a_dax_device_is_of_what_that_hangs_on(place, node, kind, tmp_path):
    root = recordings.lay_out('tiers', tmp_path / 'ndbus7/sys')
    _write(root, {f'devices/{place}/dax5.0/target_node': node})
    (root / 'bus/dax/devices').mkdir(parents=True)
    (root / 'bus/dax/devices/dax5.0').symlink_to(f'../../../devices/{place}/dax5.0')
    assert memory.reported(root) == ({8: kind} if kind else {})


@pytest.mark.parametrize(
    ('text', 'kind'),
    [
        ('Node:      8\nStatus:    online\nAddress:   40000000000\nSize:      3f0000000', 'gpu'),
        ('Node:      1\nStatus:    online', 'slow'),
        ('Status:    disabled', 'slow'),
    ],
)
def test_nvidias_driver_tells_the_node_of_a_card_that_hangs_on_another(text, kind, tmp_path):
    root = recordings.lay_out('tiers', tmp_path / 'sys')
    _write(root, _device(4, '0x030200', 0))
    _write(tmp_path, {'proc/driver/nvidia/gpus/0004:04:00.0/numa_status': text})
    assert _kinds(recorded.read(tmp_path))[8] == kind


def test_a_node_may_tell_by_a_bitmap_alone_that_it_has_no_cpus(tmp_path):
    root = recordings.lay_out('tiers', tmp_path / 'sys')
    _write(root, _device(1, '0x030200', 8) | {'devices/system/node/node8/cpumap': '00000000,00000000'})
    (root / 'devices/system/node/node8/cpulist').unlink()
    assert memory.reported(root) == {8: 'gpu'}


def test_a_file_that_cannot_be_read_tells_nothing(tmp_path):
    root = recordings.lay_out('tiers', tmp_path / 'sys')
    _write(root, _device(2, '0x030200', 8))
    (root / 'bus/pci/devices/0000:01:00.0/class').mkdir(parents=True)
    (root / 'bus/pci/devices/0000:01:00.0/numa_node').write_text('8\n')
    (root / 'devices/system/memory/block_size_bytes').mkdir(parents=True)
    assert {8: 'gpu'} == memory.reported(root)


def test_a_machine_whose_nodes_all_have_cpus_is_asked_for_no_devices(tmp_path):
    root = recordings.lay_out('seed3', tmp_path)
    _write(root, _device(1, '0x030000', 0))
    assert {} == memory.reported(root) == memory.reported(tmp_path / 'nowhere')


def test_a_node_whose_cpus_are_offline_has_general_memory(tmp_path):
    root = recordings.lay_out('tiers', tmp_path / 'sys')
    (root / 'devices/system/node/node8/cpu9').mkdir()
    expected = {0: 'general', 1: 'general', 2: 'general', 8: 'general'}
    assert expected == _kinds(recorded.read(tmp_path))
    text = recordings.capabilities('tiers').replace(b"<cpus num='0'/>", b"<cpus num='1'><cpu id='9'/></cpus>")
    assert expected == _kinds(capabilities.read(text))


@pytest.mark.parametrize(
    ('subtype', 'kind'),
    [
        ('GPUMemory', 'gpu'),
        ('HBM', 'hbm'),
        ('MCDRAM', 'hbm'),
        ('CXL-DRAM', 'cxl'),
        ('CXL-NVM', 'cxl'),
        ('NVM', 'slow'),
        ('DRAM', 'slow'),
    ],
)
def test_lstopo_names_the_kinds_of_newer_hwloc(subtype, kind):
    node, named = b'<object type="NUMANode"', f'<object type="NUMANode" subtype="{subtype}"'.encode()
    host = lstopo.read(recordings.text('tiers.lstopo.xml').replace(node, named)).host
    assert {0: 'general', 1: 'general', 2: 'general', 8: kind} == _kinds(host)


def test_bandwidths_tell_faster_memory_from_slower():
    host = capabilities.read(recordings.capabilities('hbm'))
    assert {0: 'general', 1: 'general', 2: 'hbm', 3: 'hbm'} == _kinds(host)
    assert 'slow' == _kinds(capabilities.read(recordings.capabilities('tiers')))[8]


def _access(initiator, bandwidth):
    return (MemoryAccess(initiator, 100, 100, bandwidth, bandwidth),)


_BANDWIDTHS = {
    'of the memory alone': ((), _access(0, 5000), 'unknown'),
    'of the CPUs alone': (_access(0, 5000), (), 'unknown'),
    'the same': (_access(0, 5000), _access(0, 5000), 'unknown'),
    'latencies alone': (_access(0, None), _access(0, None), 'unknown'),
    'of the CPUs to memory of others': (_access(1, 9000), _access(0, 5000), 'unknown'),
    'more': (_access(0, 5000), _access(0, 5001), 'hbm'),
    'less': (_access(0, 5000), _access(0, 4999), 'slow'),
}


@pytest.mark.parametrize(('own', 'other', 'kind'), _BANDWIDTHS.values(), ids=_BANDWIDTHS)
def test_memory_is_faster_or_slower_than_that_of_the_cpus_beside_it(own, other, kind):
    found = [FoundCell(0, 4096, 0b11, accesses=own), FoundCell(1, 4096, 0, accesses=other)]
    assert {0: 'general', 1: kind} == memory.kinds(found)


def test_memory_is_compared_with_that_of_the_cpus_that_reach_it_best():
    """CPUs of other cells may have faster memory of their own, as a cell of HBM with CPUs does."""
    found = [
        FoundCell(0, 4096, 0b11, accesses=_access(0, 1000)),
        FoundCell(1, 4096, 0b1100, accesses=_access(1, 10000)),
        FoundCell(2, 4096, 0, accesses=_access(0, 10000)),
        FoundCell(3, 4096, 0, accesses=_access(1, 1000)),
        FoundCell(4, 4096, 0, accesses=(*_access(0, 100), *_access(1, 10000))),
    ]
    assert memory.kinds(found) == {0: 'general', 1: 'general', 2: 'hbm', 3: 'slow', 4: 'unknown'}


def test_cpus_that_are_in_neither_set_make_memory_general():
    """Nova's rows do not distinguish such a cell from one without CPUs; ours do."""
    host = capabilities.read(recordings.capabilities('hbm'), dedicated_cpus=cpuset.parse('0-1'))
    assert [(0b11, True), (0, True), (0, False), (0, False)] == [
        (cell.shape.dedicated_cpus, cell.shape.is_general) for cell in host.cells
    ]
    assert 2 * 131072 == host.memory_mib


@pytest.mark.parametrize(
    ('counted', 'cells'),
    [((), []), (('hbm',), [2, 3]), ((3,), [3]), (('cxl', 'hbm', 2), [2, 3]), (('cxl', 'unknown'), []), ((0,), [])],
)
def test_kinds_and_cells_that_the_operator_names_count(counted, cells):
    host = capabilities.read(recordings.capabilities('hbm'), general_memory=counted)
    assert cells == [cell.id for cell in host.cells if cell.shape.counts_as_general]
    assert 2 * 131072 + len(cells) * 65536 == host.memory_mib


def test_a_cell_that_does_not_exist_cannot_count():
    message = r'\[numaplace\] general_memory = 4: the host has no cell 4; it has 0, 1$'
    with pytest.raises(exception.InvalidConfiguration, match=message):
        topology.host([FoundCell(0, 1, 1), FoundCell(1, 1, 0)], general_memory=('cxl', 4))
