# SPDX-License-Identifier: Apache-2.0
"""Expanded domains in a real libvirt, and what a real kernel sees of them."""

import pytest

from numaplace import cpuset
from numaplace.tests import amount
from numaplace.tests.unit.libvirt.domains import DISTRIBUTIONS, expanded, whole

#: The command line that the vNUMA talk shows, as far as it concerns CPUs, memory and nodes.
TALK = """
-overcommit mem-lock=on
-smp 1,maxcpus=16,sockets=4,cores=2,threads=2
{nodes}
{distances}
-device pcie-root-port,port=0x8,chassis=1,id=pci.1,bus=pcie.0,multifunction=on,addr=0x1
-device pcie-root-port,port=0x9,chassis=2,id=pci.2,bus=pcie.0,addr=0x1.0x1
-device pxb-pcie,bus_nr=254,id=pci.3,numa_node=1,bus=pcie.0,addr=0x2
-device pcie-root-port,port=0x0,chassis=4,id=pci.4,bus=pci.3,addr=0x0
-device virtio-rng-pci,bus=pci.4,addr=0x0
""".format(
    nodes='\n'.join(
        f'-object memory-backend-ram,id=ram-node{node},size=8589934592,host-nodes={node},policy=bind\n'
        f'-numa node,nodeid={node},cpus={4 * node}-{4 * node + 3},memdev=ram-node{node}'
        for node in range(4)
    ),
    distances='\n'.join(
        f'-numa dist,src={source},dst={target},val={10 if source == target else 21}'
        for source in range(4)
        for target in range(4)
    ),
)

PORTS = """    <controller type='pci' index='0' model='pcie-root'/>
    <controller type='pci' index='1' model='pcie-root-port'/>
    <controller type='pci' index='2' model='pcie-root-port'/>
"""
#: A device that needs nothing of the host, where the talk has a network card.
NEAR = """    <rng model='virtio'>
      <backend model='random'>/dev/urandom</backend>
      <vnuma node='1'/>
    </rng>
    <memballoon model='none'/>
"""


def _runnable(text):
    """Return a domain for a machine without KVM."""
    return text.replace("type='kvm'", "type='qemu'").replace(
        '</os>', '</os>\n  <features>\n    <acpi/>\n    <apic/>\n  </features>\n  <cpu><model>Nehalem</model></cpu>'
    )


def test_libvirt_makes_the_command_line_of_the_talk(testbed, talk_host, tmp_path):
    path = tmp_path / 'guest.xml'
    path.write_text(expanded(_runnable(whole(devices=PORTS + NEAR))), 'utf-8')
    found = testbed.arguments.parse(talk_host.arguments(path))
    wanted = testbed.arguments.parse(TALK)
    assert 31 == len(wanted)
    missing = [
        (option, properties)
        for option, properties in wanted
        if not any(option == other and properties.items() <= given.items() for other, given in found)
    ]
    assert [] == missing


def _small(element):
    """Return the talk's guest with memory that this machine has."""
    return _runnable(whole(element, NEAR)).replace("<memory unit='GiB'>32</memory>", "<memory unit='MiB'>1024</memory>")


@pytest.mark.parametrize('distribution', DISTRIBUTIONS)
def test_a_kernel_sees_the_cells_and_siblings_of_a_distribution(boot, distribution):
    told = boot(expanded(_small(f"<vnuma mode='host' distribution='{distribution}'/>")))
    cells = DISTRIBUTIONS[distribution]
    assert cells == [told[f'node/node{node}/cpulist'].strip() for node in range(len(cells))]
    assert '0-15' == told['cpu/online'].strip()
    threads = 1 if distribution == 'interleave' else 2
    for vcpu in range(16):
        core = vcpu // threads * threads
        expected = cpuset.text(cpuset.mask(range(core, core + threads)))
        assert expected == told[f'cpu/cpu{vcpu}/topology/thread_siblings_list'].strip()


@pytest.mark.parametrize('number', [2, pytest.param(3, marks=amount.long)])
@pytest.mark.parametrize('distribution', DISTRIBUTIONS)
def test_a_kernel_and_hwloc_find_no_fault_in_the_sockets_of_a_distribution(boot, distribution, number):
    """With a model of AMD, of which the kernel expects that a socket is in one node."""
    element = f"<vnuma mode='host' distribution='{distribution}'><partition nodeset='0-{number - 1}'/></vnuma>"
    text = _small(element).replace('Nehalem', 'qemu64').replace('>16<', f'>{4 * number}<')
    told = boot(expanded(text.replace('>1024<', f'>{128 * number}<')))
    assert f'0-{number - 1}' == told['node/online'].strip()
    packages = [told[f'cpu/cpu{vcpu}/topology/physical_package_id'] for vcpu in range(4 * number)]
    sockets = {'contiguous': number, 'interleave': 4 * number}.get(distribution, 2 * number)
    assert sockets == len(set(packages))


def test_a_kernel_sees_distances_memory_and_the_node_of_a_device(boot):
    told = boot(expanded(_small("<vnuma mode='host'/>")))
    for node in range(4):
        expected = ['10' if other == node else '21' for other in range(4)]
        assert expected == told[f'node/node{node}/distance'].split()
        total_kib = int(told[f'node/node{node}/meminfo'].split()[3])
        assert 0.8 * 256 * 1024 < total_kib <= 256 * 1024, 'the kernel keeps some for itself'
    devices = {name.split('/')[5]: text.strip() for name, text in told.items() if name.endswith('/numa_node')}
    assert {'0000:fe:00.0': '1', '0000:ff:00.0': '1'} == {name: node for name, node in devices.items() if node != '-1'}
    assert 'pci_bus 0000:fe: on NUMA node 1' in told['dmesg']


def test_a_kernel_takes_the_distances_of_cells_that_share_a_node(boot):
    told = boot(expanded(_small("<vnuma mode='host'><partition nodeset='0-1' cells='4'/></vnuma>")))
    assert ['10', '11', '21', '21'] == told['node/node0/distance'].split()
    assert ['21', '21', '11', '10'] == told['node/node3/distance'].split()


def test_vcpus_that_are_off_are_there_to_be_added(boot):
    text = _small("<vnuma mode='host'/>").replace("'static'", "'static' current='8'")
    told = boot(expanded(text))
    # The kernel numbers those that are there at its start one after the other.
    assert ['0-1', '2-3', '4-5', '6-7'] == [told[f'node/node{node}/cpulist'].strip() for node in range(4)]
    assert ('0-7', '0-15') == (told['cpu/online'].strip(), told['cpu/possible'].strip())
