# SPDX-License-Identifier: Apache-2.0
"""PCI devices of the host in a guest's XML: how they are written, where they are, and how they are read."""

import re
from dataclasses import replace

import pytest
from lxml import etree

from numaplace import exception
from numaplace.libvirt import checking, domain_reading
from numaplace.libvirt.inventory import parse
from numaplace.libvirt.profile import PROFILES
from numaplace.model import GrantedDevice, PciDevice
from numaplace.request import own_devices
from numaplace.tests.unit.libvirt.samples import SAMPLES

LAKE = {'physical_network': 'lake'}
GPU = PciDevice('0000:81:00.0', '10de', '20b0', numa_node=1)
VF = PciDevice('0000:0a:02.1', '8086', '154c', 'type-VF', 0, '0000:0a:00.0', LAKE)
FAR = PciDevice('10000:e1:00.0', '8086', '0a54', tags={'managed': 'false'})


def _sample(*granted, name='two cells'):
    sample = SAMPLES[name]
    return replace(sample, placement=replace(sample.placement, devices=granted))


def _all():
    return _sample(GrantedDevice(GPU, 'gpu'), GrantedDevice(VF, 'network:lake'), GrantedDevice(FAR, 'disk'))


def _on(*nics):
    return own_devices([f'physnet=lake,{nic}' for nic in nics], [])


def _tags(xml):
    return [one.tag for one in etree.fromstring(xml).find('devices')]


def test_devices_are_printed_as_virsh_prints_them_behind_the_bus_of_their_cell():
    text = _all().xml(attached=_on('vnic=direct'))
    assert (
        text[text.index('  <devices>') :]
        == """\
  <devices>
    <controller type='pci' index='1' model='pcie-expander-bus'>
      <model name='pxb-pcie'/>
      <target busNr='254'>
        <node>0</node>
      </target>
    </controller>
    <controller type='pci' index='2' model='pcie-root-port'>
      <address type='pci' domain='0x0000' bus='0x01' slot='0x00' function='0x0'/>
    </controller>
    <controller type='pci' index='3' model='pcie-expander-bus'>
      <model name='pxb-pcie'/>
      <target busNr='252'>
        <node>1</node>
      </target>
    </controller>
    <controller type='pci' index='4' model='pcie-root-port'>
      <address type='pci' domain='0x0000' bus='0x03' slot='0x00' function='0x0'/>
    </controller>
    <interface type='hostdev' managed='yes'>
      <mac address='52:4a:8d:74:0b:95'/>
      <source>
        <address type='pci' domain='0x0000' bus='0x0a' slot='0x02' function='0x1'/>
      </source>
      <address type='pci' domain='0x0000' bus='0x02' slot='0x00' function='0x0'/>
    </interface>
    <console type='pty'/>
    <hostdev mode='subsystem' type='pci' managed='yes'>
      <source>
        <address domain='0x0000' bus='0x81' slot='0x00' function='0x0'/>
      </source>
      <address type='pci' domain='0x0000' bus='0x04' slot='0x00' function='0x0'/>
    </hostdev>
    <hostdev mode='subsystem' type='pci' managed='no'>
      <source>
        <address domain='0x10000' bus='0xe1' slot='0x00' function='0x0'/>
      </source>
    </hostdev>
  </devices>
</domain>
"""
    )


def test_the_node_is_the_cell_of_the_guest_and_not_of_the_host():
    one = SAMPLES['two cells'].placement.cells
    sample = _sample(GrantedDevice(GPU, 'gpu'))
    swapped = replace(sample.placement, cells=(replace(one[0], host_cell=1), replace(one[1], host_cell=0)))
    root = etree.fromstring(replace(sample, placement=swapped).xml())
    assert ['0'] == [node.text for node in root.iterfind('devices/controller/target/node')]


IN_LAKE = GrantedDevice(VF, 'network:lake')
ATTACHED = replace(IN_LAKE, device=replace(VF, tags=LAKE | {'interface': 'ens3v1', 'vdpa_device': '/dev/vhost-vdpa-0'}))


@pytest.mark.parametrize(
    ('nic', 'granted', 'expected'),
    [
        ('vnic=direct', IN_LAKE, "interface[@type='hostdev'][@managed='yes']/source/address[@bus='0x0a']"),
        ('vnic=direct,vlan=42', IN_LAKE, "interface[@type='hostdev']/vlan/tag[@id='42']"),
        ('vnic=direct,mac=52:54:00:0A:00:01', IN_LAKE, "interface[@type='hostdev']/mac[@address='52:54:00:0a:00:01']"),
        ('vnic=direct', GrantedDevice(GPU, 'network:lake'), "hostdev/source/address[@bus='0x81']"),
        ('vnic=direct-physical', IN_LAKE, "hostdev/source/address[@bus='0x0a']"),
        ('vnic=macvtap', ATTACHED, "interface[@type='direct']/source[@dev='ens3v1'][@mode='passthrough']"),
        ('vnic=macvtap,vlan=7', ATTACHED, "interface[@type='direct']/vlan/tag[@id='7']"),
        ('vnic=vdpa', ATTACHED, "interface[@type='vdpa']/source[@dev='/dev/vhost-vdpa-0']"),
    ],
)
def test_a_nic_is_on_the_device_that_was_taken_for_its_network(nic, granted, expected):
    xml = _sample(granted, GrantedDevice(FAR, 'disk')).xml(attached=_on(nic))
    found = etree.fromstring(xml).find('devices')
    assert found.find(expected) is not None
    assert 2 == len(found.findall('interface') + found.findall('hostdev'))


def test_nics_of_one_network_have_its_devices_in_their_order():
    other = replace(VF, address='0000:0a:02.2')
    sample = _sample(IN_LAKE, GrantedDevice(GPU, 'gpu'), GrantedDevice(other, 'network:lake'))
    root = etree.fromstring(sample.xml(attached=_on('vnic=direct,vlan=1', 'vnic=direct,vlan=2')))
    found = [
        (one.find('vlan/tag').get('id'), one.find('source/address').get('function')) for one in root.iter('interface')
    ]
    assert [('1', '0x1'), ('2', '0x2')] == found
    assert 1 == len(root.findall('devices/hostdev'))


def test_a_device_that_was_taken_for_an_alias_is_no_nic():
    assert ['hostdev'] == [tag for tag in _tags(_sample(GrantedDevice(VF, 'lake')).xml()) if 'controller' != tag][1:]


@pytest.mark.parametrize(
    ('nic', 'granted', 'told'),
    [
        ('vnic=direct', GrantedDevice(VF, 'lake'), 'the guest has no PCI device for it'),
        ('vnic=macvtap', IN_LAKE, 'PCI device 0000:0a:02.1 has no known interface: expected a device whose driver'),
        ('vnic=vdpa', IN_LAKE, 'PCI device 0000:0a:02.1 has no known vdpa device: expected a device whose driver'),
    ],
)
def test_a_nic_whose_device_cannot_be_attached_is_a_fault(nic, granted, told):
    with pytest.raises(exception.InvalidRequest, match=re.escape(f"--nic 'physnet=lake,{nic}': {told}")):
        _sample(granted).xml(attached=_on(nic))


def test_another_vlan_is_a_difference():
    sample = _sample(IN_LAKE)
    one, other = (sample.xml(attached=_on(f'vnic=direct,vlan={vlan}')) for vlan in (1, 2))
    assert [('1', '2')] == [(each.expected, each.found) for each in checking.compare(one, other, place='guest')]


def test_macs_are_by_the_number_of_the_nic_and_buses_are_shared():
    attached = own_devices(['network=default,node=0', 'physnet=lake,vnic=direct'], ['path=/a,node=1'])
    root = etree.fromstring(_all().xml(attached=attached))
    macs = [mac.get('address') for mac in root.iterfind('devices/interface/mac')]
    assert ['52:4a:8d:74:0b:95', '52:80:d3:17:a2:25'] == macs
    assert ['0', '1'] == [node.text for node in root.iterfind('devices/controller/target/node')]
    assert 4 == len(root.findall("devices/controller[@model='pcie-root-port']"))


@pytest.mark.parametrize('options', [{'machine': 'pc'}, {'profile': PROFILES['nova-33']}])
def test_without_expander_buses_libvirt_chooses_the_place(options):
    text = _all().xml(attached=_on('vnic=direct'), **options)
    assert ['interface', 'console', 'hostdev', 'hostdev'] == _tags(text)
    assert [] == etree.fromstring(text).findall('devices/*/address')


def test_a_guest_without_cells_has_them_anywhere():
    assert ['console', 'hostdev'] == _tags(_sample(GrantedDevice(GPU, 'gpu'), name='floating').xml())


def test_more_than_the_bus_has_slots_for_is_a_fault():
    granted = [GrantedDevice(replace(GPU, address=f'0000:{bus:02x}:00.0'), 'gpu') for bus in range(33)]
    told = 'PCI device 0000:20:00.0: too many devices on node 1: expected at most 32'
    with pytest.raises(exception.InvalidRequest, match=re.escape(told)):
        _sample(*granted).xml()


def test_what_is_written_is_read_as_held():
    sample = _all()
    found = domain_reading.read(parse(sample.xml(attached=_on('vnic=direct')).encode(), 'guest'), sample.host)
    assert tuple(sorted(device.address for device in (GPU, VF, FAR))) == found.holding.devices


def test_another_device_and_another_cell_are_differences():
    expected = _sample(GrantedDevice(GPU, 'gpu')).xml()
    other = _sample(GrantedDevice(replace(GPU, address='0000:82:00.0', numa_node=0), 'gpu')).xml()
    assert {
        'PCI device 0000:81:00.0': ('hostdev', ''),
        'cell of PCI device 0000:81:00.0': ('1', ''),
        'PCI device 0000:82:00.0': ('', 'hostdev'),
        'cell of PCI device 0000:82:00.0': ('', '0'),
    } == {one.part: (one.expected, one.found) for one in checking.compare(expected, other, place='guest')}
