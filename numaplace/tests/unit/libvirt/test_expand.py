# SPDX-License-Identifier: Apache-2.0
"""A domain with <vnuma> expands to what the talk about automatic vNUMA shows, and keeps all else."""

from dataclasses import replace

import pytest
from lxml import etree

from numaplace import exception, partition
from numaplace.libvirt import checking, vnuma
from numaplace.libvirt.domain import write
from numaplace.libvirt.expand import expand
from numaplace.libvirt.profile import PROFILES
from numaplace.tests.unit.libvirt.domains import DISTRIBUTIONS, expanded, host, talk, whole
from numaplace.tests.unit.libvirt.samples import UUID

QEMU = {'qemu': 'http://libvirt.org/schemas/domain/qemu/1.0'}
NODES = ['0-14,60-74', '15-29,75-89', '30-44,90-104', '45-59,105-119']


def _expand(*args, **kwargs):
    return etree.fromstring(expanded(*args, **kwargs))


def _attributes(root, path, *names):
    return [tuple(element.get(name) for name in names) for element in root.findall(path)]


def test_host_mode_expands_as_in_the_talk():
    root = _expand(talk())
    assert root.find('vnuma') is None
    assert root.find('memoryBacking/locked') is not None
    pins = [(str(vcpu), NODES[vcpu // 4]) for vcpu in range(16)]
    assert pins == _attributes(root, 'cputune/vcpupin', 'vcpu', 'cpuset')
    memnodes = [(str(node), 'strict', str(node)) for node in range(4)]
    assert memnodes == _attributes(root, 'numatune/memnode', 'cellid', 'mode', 'nodeset')
    assert 'host-passthrough' == root.find('cpu').get('mode')
    assert [('4', '2', '2')] == _attributes(root, 'cpu/topology', 'sockets', 'cores', 'threads')
    cells = [(str(cell), f'{4 * cell}-{4 * cell + 3}', '8388608', 'KiB') for cell in range(4)]
    assert cells == _attributes(root, 'cpu/numa/cell', 'id', 'cpus', 'memory', 'unit')
    for cell in root.findall('cpu/numa/cell'):
        expected = [(str(other), '10' if str(other) == cell.get('id') else '21') for other in range(4)]
        assert expected == _attributes(cell, 'distances/sibling', 'id', 'value')
    vcpus = [(str(vcpu), 'yes', 'yes' if vcpu else 'no') for vcpu in range(16)]
    assert vcpus == _attributes(root, 'vcpus/vcpu', 'id', 'enabled', 'hotpluggable')


def test_node_mode_expands_to_the_node_that_is_named():
    element = "<vnuma mode='node'><memory unit='GiB'>32</memory><partition nodeset='1'/></vnuma>"
    root = _expand(talk(element, memory=''))
    assert '33554432' == root.findtext('memory')
    assert [('0', '0-15', '33554432')] == _attributes(root, 'cpu/numa/cell', 'id', 'cpus', 'memory')
    assert [('1', '8', '2')] == _attributes(root, 'cpu/topology', 'sockets', 'cores', 'threads')
    assert {NODES[1]} == {cpus for (cpus,) in _attributes(root, 'cputune/vcpupin', 'cpuset')}
    assert [('0', '1')] == _attributes(root, 'numatune/memnode', 'cellid', 'nodeset')


@pytest.mark.parametrize('distribution', DISTRIBUTIONS)
def test_each_distribution_deals_the_vcpus_to_the_cells(distribution):
    root = _expand(talk(f"<vnuma mode='host' distribution='{distribution}'/>"))
    assert DISTRIBUTIONS[distribution] == [cpus for (cpus,) in _attributes(root, 'cpu/numa/cell', 'cpus')]
    threads = '1' if distribution == 'interleave' else '2'
    assert [(threads,)] == _attributes(root, 'cpu/topology', 'threads')


def test_cells_that_share_a_node_are_not_at_distance_zero():
    """Linux drops a distance table in which another node is as near as the node itself."""
    element = "<vnuma mode='host'><partition nodeset='0-3,^2' cells='6'/></vnuma>"
    root = _expand(talk(element, memory="<memory unit='GiB'>24</memory>", vcpu='24'))
    first = [value for (value,) in _attributes(root.find('cpu/numa/cell'), 'distances/sibling', 'value')]
    assert ['10', '11', '21', '21', '21', '21'] == first


def test_pinning_by_core_pairs_siblings():
    root = _expand(talk("<vnuma mode='host' pinning='core'/>"))
    expected = ['1', '61', '2', '62', '16', '76', '17', '77', '31', '91', '32', '92', '46', '106', '47', '107']
    assert expected == [cpus for (cpus,) in _attributes(root, 'cputune/vcpupin', 'cpuset')]


def test_vcpus_that_are_off_leave_the_cells_even():
    root = _expand(talk().replace("'static'", "'static' current='8'"))
    on = [vcpu for vcpu, enabled in _attributes(root, 'vcpus/vcpu', 'id', 'enabled') if enabled == 'yes']
    assert ['0', '1', '4', '5', '8', '9', '12', '13'] == on


NIC = """    <interface type='network'>
      <mac address='52:54:00:0f:fb:2{number}'/>
      <source network='default'/>
      <vnuma node='{node}'/>
    </interface>
"""


def test_a_device_with_a_node_goes_behind_an_expander_bus_of_that_node():
    root = _expand(whole(devices=NIC.format(number=0, node=1)))
    bus, port = root.findall('devices/controller')
    assert ('pcie-expander-bus', 'pxb-pcie', '254', '1') == (
        bus.get('model'),
        bus.find('model').get('name'),
        bus.find('target').get('busNr'),
        bus.findtext('target/node'),
    )
    assert 'pcie-root-port' == port.get('model')
    assert int(bus.get('index')) == int(port.find('address').get('bus'), 16)
    assert int(port.get('index')) == int(root.find('devices/interface/address').get('bus'), 16)
    assert root.find('devices/interface/vnuma') is None


def test_devices_of_a_node_share_its_bus_and_nodes_do_not_share_buses():
    devices = NIC.format(number=0, node=1) + NIC.format(number=1, node=0) + NIC.format(number=2, node=1)
    root = _expand(whole(devices=devices))
    buses = {bus.findtext('target/node'): bus for bus in root.findall('devices/controller[target]')}
    assert {'0': 254, '1': 251} == {node: int(bus.find('target').get('busNr')) for node, bus in buses.items()}
    ports = root.findall("devices/controller[@model='pcie-root-port']")
    assert 3 == len({int(port.get('index')) for port in ports})
    slots = [(int(port.find('address').get('bus'), 16), int(port.find('address').get('slot'), 16)) for port in ports]
    one = int(buses['1'].get('index'))
    assert [(one, 0), (one, 1)] == sorted(slot for slot in slots if slot[0] == one)


@pytest.mark.parametrize(
    ('devices', 'told'),
    [
        (NIC.format(number=0, node=4), "/@node: '4' is not a guest cell: expected a whole number from 0 to 3"),
        (
            NIC.format(number=0, node=1).replace('<mac', "<address type='pci' bus='0x01'/><mac"),
            'the <interface> has an <address>: expected one of the two',
        ),
    ],
)
def test_a_device_that_cannot_be_near_is_named(devices, told):
    with pytest.raises(exception.InvalidDomain, match=r'guest\.xml: line ') as caught:
        expanded(whole(devices=devices))
    assert told in str(caught.value)


def test_a_machine_without_expander_buses_is_named():
    with pytest.raises(exception.InvalidDomain, match="machine 'pc' has no PCIe expander bus"):
        expanded(whole(devices=NIC.format(number=0, node=1)).replace("'q35'", "'pc'"))


@pytest.mark.parametrize(
    ('more', 'told'),
    [
        ("<cputune><emulatorpin cpuset='0,200'/></cputune>", 'cputune/emulatorpin/@cpuset: the host has no CPU 200'),
        (
            "<iothreads>1</iothreads><cputune><iothreadpin iothread='1' cpuset='120'/></cputune>",
            'cputune/iothreadpin/@cpuset: the host has no CPU 120',
        ),
        (
            "<cputune><vcpusched vcpus='15-16' scheduler='fifo' priority='1'/></cputune>",
            'cputune/vcpusched/@vcpus: there is no vCPU 16: expected of 0-15',
        ),
        (
            "<memoryBacking><hugepages/></memoryBacking><cputune><emulatorpin cpuset='0-50'/></cputune>",
            '',
        ),
        (
            "<memoryBacking><hugepages/></memoryBacking><cputune><emulatorpin cpuset='0-40'/></cputune>",
            'cputune/emulatorpin/@cpuset: the emulator has no CPU of node 3, whose memory is preallocated',
        ),
        (
            "<memoryBacking><allocation mode='immediate'/></memoryBacking><cputune><emulatorpin cpuset='7'/></cputune>",
            'cputune/emulatorpin/@cpuset: the emulator has no CPU of node 1, whose memory is preallocated',
        ),
        (
            "<memoryBacking><allocation mode='ondemand'/></memoryBacking><cputune><emulatorpin cpuset='7'/></cputune>",
            '',
        ),
        ("<devices><memory model='dimm'><source><nodemask>4</nodemask></source></memory></devices>", 'nodemask: the'),
    ],
)
def test_what_libvirt_would_take_without_a_word_is_refused_with_its_place(more, told):
    text = talk(more=more)
    if not told:
        assert expanded(text)
        return
    with pytest.raises(exception.InvalidDomain, match=r'guest\.xml: line \d+, /domain/') as caught:
        expanded(text)
    assert told in str(caught.value)


def test_a_list_of_cpus_that_the_host_lacks_is_refused():
    with pytest.raises(exception.InvalidDomain, match='line 5, /domain/vcpu/@cpuset: the host has no CPU 120-127'):
        expanded(talk().replace("'static'", "'static' cpuset='0-127'"))


def test_all_else_stays_as_it_was():
    text = """<?xml version='1.0' encoding='UTF-8'?>
<!-- above -->
<domain xmlns:qemu="http://libvirt.org/schemas/domain/qemu/1.0" type="kvm">
  <name>a &amp; b</name>
  <!-- kept -->
  <metadata><x:y xmlns:x="urn:x">  <x:z/></x:y></metadata>
  <memory unit="GiB">32</memory>
  <vnuma mode="host"/>
  <vcpu placement="static">16</vcpu>
  <cputune>
    <shares>2048</shares>
  </cputune>
  <cpu mode="custom">
    <model>Nehalem</model>
  </cpu>
  <qemu:commandline>
    <qemu:arg value="-foo"/>
  </qemu:commandline>
</domain>
"""
    result = expanded(text)
    kept = [line for line in text.splitlines()[1:] if 'vnuma' not in line]
    lines = iter(result.splitlines())
    assert all(line in lines for line in kept), 'every other line is there, in its order'
    assert '\n    <shares>2048</shares>\n    <vcpupin vcpu="0"' in result
    assert '\n    <model>Nehalem</model>\n    <topology sockets="4"' in result


def test_distances_that_the_host_does_not_tell_are_left_to_libvirt():
    domain = vnuma.read(talk().encode())
    found = host()
    bare = replace(found, cells=tuple(replace(cell, shape=replace(cell.shape, distances=())) for cell in found.cells))
    root = etree.fromstring(expand(domain, partition.place(bare, domain.guest), bare))
    assert 4 == len(root.findall('cpu/numa/cell'))
    assert root.find('.//distances') is None


def _of(arch, machine, text=None):
    return (text or whole()).replace("arch='x86_64' machine='q35'", f"arch='{arch}' machine='{machine}'")


def test_an_expanded_guest_differs_in_nothing_from_what_numaplace_writes():
    found, domain = host(), vnuma.read(whole().encode())
    placement = partition.place(found, domain.guest)
    expected = write('a', UUID, 'a', placement, found, domain_type='kvm')
    assert [] == checking.compare(expected, expand(domain, placement, found, uuid=UUID), place='expanded')


def test_pins_that_the_domain_has_are_kept():
    root = _expand(talk(more="<iothreads>2</iothreads><cputune><emulatorpin cpuset='7'/></cputune>"))
    assert [('7',)] == _attributes(root, 'cputune/emulatorpin', 'cpuset')
    assert ([], '2') == (root.findall('cputune/iothreadpin'), root.findtext('iothreads'))


@pytest.mark.parametrize('arch', ['aarch64', 'riscv64'])
def test_where_vcpus_cannot_be_switched_nothing_is_written_of_it_and_the_wish_is_refused(arch):
    text = _of(arch, 'virt')
    root = _expand(text)
    assert root.find('vcpus') is None
    assert 4 == len(root.findall('cpu/numa/cell'))
    with pytest.raises(exception.InvalidDomain, match=f'virt of {arch} cannot switch vCPUs off and on'):
        expanded(text.replace("'static'", "'static' current='8'"))


def test_a_guest_without_an_architecture_has_that_of_its_host():
    domain, found = vnuma.read(talk().encode()), host()
    root = etree.fromstring(expand(domain, partition.place(found, domain.guest), found, host_arch='arm64'))
    assert root.find('vcpus') is None


def test_where_the_guest_sees_no_cells_one_is_bound_and_several_are_refused():
    one = "<vnuma mode='node' distribution='interleave'><partition nodeset='1'/></vnuma>"
    root = _expand(_of('s390x', 's390-ccw-virtio', whole(one)))
    assert (None, []) == (root.find('cpu/numa'), root.findall('numatune/memnode'))
    assert [('strict', '1')] == _attributes(root, 'numatune/memory', 'mode', 'nodeset')
    with pytest.raises(exception.InvalidDomain, match='4 NUMA cells; machine type s390-ccw-virtio of s390x takes at'):
        expanded(_of('s390x', 's390-ccw-virtio', whole("<vnuma mode='host' distribution='interleave'/>")))


@pytest.mark.parametrize('form', ['newest', 'libvirt-8.10'])
def test_memory_without_cpus_that_is_preallocated_switches_thread_contexts_off(form):
    """Libvirt 9.0 and QEMU 7.2 start no guest with one there."""
    text = talk("<vnuma mode='auto'><memory unit='MiB' tier='64'>256</memory></vnuma>", memory='', vcpu='2')
    text = text.replace('<vcpu', '<memoryBacking><hugepages/></memoryBacking>\n  <vcpu')
    domain, found = vnuma.read(text.encode()), host('tiers')
    placement = partition.place(found, domain.guest)
    root = etree.fromstring(expand(domain, placement, found, profile=PROFILES[form]))
    switched = root.xpath('qemu:capabilities/qemu:del/@capability', namespaces=QEMU)
    assert ([] if form == 'newest' else ['thread-context']) == switched
