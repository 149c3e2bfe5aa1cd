# SPDX-License-Identifier: Apache-2.0
"""Guests of ours in a real libvirt, and what a real kernel sees of one."""

import pytest

from numaplace import cpuset
from numaplace.libvirt.cpumodel import GuestCpu
from numaplace.libvirt.profile import PROFILES
from numaplace.model import CpuTopology
from numaplace.model.cpu_topology import UNLIMITED
from numaplace.partition.sockets import arrange
from numaplace.request import own_devices
from numaplace.tests.unit.libvirt import samples
from numaplace.tests.unit.libvirt.samples import SAMPLES, Sample, cell, placed

_OF_THE_TALK = [name for name, sample in SAMPLES.items() if sample.host == samples.host('fake-oracle-host')]


@pytest.mark.parametrize('name', _OF_THE_TALK)
def test_libvirt_binds_memory_as_the_placement_says(testbed, talk_host, tmp_path, name):
    sample = SAMPLES[name]
    path = tmp_path / 'guest.xml'
    path.write_text(sample.xml(), 'utf-8')
    found = testbed.arguments.parse(talk_host.arguments(path))
    backends = [given for option, given in found if option == '-object' and given[''].startswith('memory-backend')]
    cells, modules = sample.placement.cells, sample.placement.guest.modules
    sizes_mib = [one.guest_cell.memory_mib for one in cells]
    for module in modules:
        sizes_mib[module.cell] -= module.claimed_mib
    expected = [(str(one.host_cell), size_mib) for one, size_mib in zip(cells, sizes_mib, strict=True)]
    expected += [(str(cells[module.cell].host_cell), module.size_mib) for module in modules]
    assert expected == [(given['host-nodes'], int(given['size']) // 1024**2) for given in backends]
    assert {'bind'} == {given['policy'] for given in backends}


def test_a_device_with_a_node_is_behind_a_bus_of_that_node(testbed, talk_host, tmp_path):
    """The arguments of the talk: bus 254 on node 1, a root port behind it, and the device behind that."""
    path = tmp_path / 'guest.xml'
    found = own_devices([], ['path=/srv/plain.img', 'path=/srv/near.qcow2,format=qcow2,node=1'])
    path.write_text(SAMPLES['four cells'].xml(attached=found), 'utf-8')
    arguments = testbed.arguments.parse(talk_host.arguments(path))
    by_driver = {}
    for option, given in arguments:
        if option == '-device':
            by_driver.setdefault(given[''], []).append(given)
    (bus,) = by_driver['pxb-pcie']
    assert ('254', '1', 'pcie.0') == (bus['bus_nr'], bus['numa_node'], bus['bus'])
    (port,) = [given for given in by_driver['pcie-root-port'] if given['bus'] == bus['id']]
    plain, near = by_driver['virtio-blk-pci']
    assert (port['id'], '0') == (near['bus'], near['addr'])
    assert plain['bus'] not in (port['id'], bus['id'])
    assert {'iothread1'} == {plain['iothread'], near['iothread']}


def test_a_kernel_knows_the_node_of_each_device(boot, tmp_path):
    disks = []
    for number, node in enumerate((None, 1, 0, 1)):
        path = tmp_path / f'{number}.img'
        path.write_bytes(bytes(1024**2))
        disks.append(f'path={path}' + ('' if node is None else f',node={node}'))
    sample = Sample(samples.host('fake-oracle-host'), placed(cell(3, '0', 128), cell(1, '1', 128)))
    told = boot(sample.xml(attached=own_devices([], disks)))
    nodes = {name.split('/')[5]: text.strip() for name, text in told.items() if name.endswith('/numa_node')}
    storage = [
        nodes[name.split('/')[5]]
        for name, text in told.items()
        if name.endswith('/class') and text.startswith('0x0100') and 'pci/devices' in name
    ]
    assert {'-1': 1, '0': 1, '1': 2} == {node: storage.count(node) for node in ('-1', '0', '1')}
    assert 'pci_bus 0000:fe: on NUMA node 0' in told['dmesg']
    assert 'pci_bus 0000:fb: on NUMA node 1' in told['dmesg']


def test_a_kernel_sees_the_cells_of_a_guest_as_far_apart_as_their_host_cells(boot):
    sample = Sample(
        samples.host('fake-oracle-host'),
        placed(cell(3, '0-3', 256), cell(1, '4-5', 128), cpu_topology=CpuTopology(3, 1, 2)),
    )
    told = boot(sample.xml(cpu=GuestCpu('custom', 'Nehalem')))  # KVM gives the host's; AMD's hides threads here
    assert ['0-3', '4-5'] == [told[f'node/node{node}/cpulist'].strip() for node in range(2)]
    assert [['10', '21'], ['21', '10']] == [told[f'node/node{node}/distance'].split() for node in range(2)]
    assert '4-5' == told['cpu/cpu5/topology/thread_siblings_list'].strip()
    assert ['256', '128'] == [
        str(round(int(told[f'node/node{node}/meminfo'].split()[3]) / 1024 / size) * size)
        for node, size in ((0, 256), (1, 128))
    ]


_INTEL, _AMD = GuestCpu('custom', 'Nehalem'), GuestCpu('custom', 'qemu64')


def _celled(topology, *vcpus):
    """Return a guest by its topology and the vCPUs of each cell."""
    cells = [cell(node, text, 128) for node, text in enumerate(vcpus)]
    return Sample(samples.host('fake-oracle-host'), placed(*cells, cpu_topology=topology))


def test_a_kernel_finds_no_fault_in_sockets_of_unequal_cells(boot):
    topology = arrange([cpuset.parse('0-7'), cpuset.parse('8-11')], 1, UNLIMITED)
    told = boot(_celled(topology, '0-7', '8-11').xml(cpu=_AMD))
    assert ['0-3', '8-11'] == [told[f'cpu/cpu{vcpu}/topology/core_siblings_list'].strip() for vcpu in (0, 11)]


def test_a_kernel_sees_a_die_and_a_cache_of_level_3_in_each_cell_where_one_socket_was_requested(boot):
    told = boot(_celled(CpuTopology(1, 6, 1), '0-3', '4-5').xml(cpu=_INTEL))
    assert ['0-5'] * 3 == [told[f'cpu/cpu{vcpu}/topology/package_cpus_list'].strip() for vcpu in (0, 2, 4)]
    for name in ('topology/die_cpus_list', 'cache/index3/shared_cpu_list'):
        assert ['0-1', '2-3', '4-5'] == [told[f'cpu/cpu{vcpu}/{name}'].strip() for vcpu in (0, 2, 4)]


#: What a kernel reports, and whose sockets or cores lie in several cells.
_FAULTS = {
    'llc-sibling CPU #0 is not on the same node': (_AMD, _celled(CpuTopology(1, 4, 1), '0-1', '2-3')),
    'smt-sibling CPU #2 is not on the same node': (_INTEL, _celled(CpuTopology(1, 2, 2), '0-2', '3')),
}


@pytest.mark.parametrize('fault', _FAULTS)
def test_a_guest_whose_kernel_reports_a_fault_fails_the_boot(testbed, boot, fault):
    cpu, sample = _FAULTS[fault]
    with pytest.raises(testbed.log.KernelFault, match=fault):
        boot(sample.xml(cpu=cpu))


def test_a_guest_whose_tree_hwloc_cannot_build_fails_the_boot(testbed, boot):
    """Two sockets, each with vCPUs of both cells: of a model of Intel, the kernel reports nothing."""
    sample = _celled(CpuTopology(2, 2, 1), '0,2', '1,3')
    with pytest.raises(testbed.hwloc.NoTree, match='intersection without inclusion'):
        boot(sample.xml(cpu=_INTEL, profile=PROFILES['libvirt-2.2']))
