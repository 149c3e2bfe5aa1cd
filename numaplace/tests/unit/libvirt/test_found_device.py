# SPDX-License-Identifier: Apache-2.0
"""PCI devices of a machine: each source finds the same, and a device_spec offers some of them."""

import json
import re
from dataclasses import replace

import pytest

from numaplace import exception
from numaplace.libvirt import lstopo, lstopo_devices, nodedev, sysfs_devices
from numaplace.libvirt.found_device import FoundDevice, offered
from numaplace.pci_specs import DeviceSpec, read_device_specs
from numaplace.tests import pci_tree, recordings

PF, VFS = '0000:0a:00.0', ['0000:0a:02.0', '0000:0a:02.1']
GPUS = ['0000:81:00.0', '0000:c1:00.0']


def _documents():
    printed = recordings.text('pci.nodedev.txt')
    return [b'<device>' + part for part in printed.split(b'<device>')[1:]]


def test_the_kernels_files_tell_type_parent_node_driver_and_interfaces(tmp_path):
    assert pci_tree.FOUND == sysfs_devices.read(pci_tree.lay_out(tmp_path))


def test_a_machine_without_pci_has_no_devices(tmp_path):
    assert () == sysfs_devices.read(recordings.lay_out('seed3', tmp_path))


def test_libvirt_tells_the_same():
    assert pci_tree.FOUND == nodedev.parse(_documents(), 'libvirt')
    assert pci_tree.FOUND == nodedev.parse(reversed(_documents()), 'libvirt'), 'in whatever order'


def test_lstopo_tells_the_same_but_for_types_and_drivers():
    xml = recordings.text('pci.lstopo.xml')
    expected = [
        replace(
            device,
            dev_type='type-PCI',
            parent=None,
            driver=None,
            pci_class=device.pci_class & 0xFFFF00,
            numa_node=None if device.numa_node == 7 else device.numa_node,
        )
        for device in pci_tree.FOUND
        if not device.address.startswith('10000:')  # of a domain that hwloc leaves out
    ]
    assert expected == list(lstopo_devices.read(xml, lstopo.read(xml).host))


@pytest.mark.parametrize(
    ('given', 'dev_type', 'expected'),
    [
        (
            {'physical_network': 'lake'},
            'type-VF',
            {'physical_network': 'lake', 'interface': 'a', 'vdpa_device': '/dev/v'},
        ),
        ({'physical_network': 'lake'}, 'type-PF', {'physical_network': 'lake'}),
        ({'managed': 'no'}, 'type-VF', {'managed': 'no'}),
    ],
)
def test_what_a_guest_is_attached_to_is_a_tag_of_a_device_of_a_network(given, dev_type, expected):
    found = FoundDevice(VFS[0], '8086', '154c', dev_type, interfaces=('a', 'b'), vdpa_device='/dev/v')
    assert [expected] == [one.tags for one in offered([found], [DeviceSpec(tags=given)], [0])]


def test_a_vf_with_a_vdpa_device_is_one():
    vdpa = (
        "<device><name>vdpa_vdpa0</name><path>/sys/devices/pci0000:00/0000:0a:02.0/vdpa0</path><capability type='vdpa'>"
        '<chardev>/dev/vhost-vdpa-0</chardev></capability></device>'
    )
    found = {device.address: device for device in nodedev.parse([vdpa.encode(), *_documents()], 'libvirt')}
    assert [('vdpa', '/dev/vhost-vdpa-0'), ('type-VF', None)] == [
        (found[address].dev_type, found[address].vdpa_device) for address in VFS
    ]


def test_the_kernels_files_tell_vdpa_and_the_interfaces_of_virtio(tmp_path):
    root = pci_tree.lay_out(tmp_path)
    (root / 'bus/pci/devices' / VFS[0] / 'vdpa0/vhost-vdpa-3').mkdir(parents=True)
    (root / 'bus/pci/devices' / VFS[1] / 'vdpa1').mkdir()
    (root / 'bus/pci/devices/10000:e1:00.0/virtio3/net/eth7').mkdir(parents=True)
    found = {device.address: device for device in sysfs_devices.read(root)}
    assert ('vdpa', '/dev/vhost-vdpa-3') == (found[VFS[0]].dev_type, found[VFS[0]].vdpa_device)
    assert ('vdpa', None) == (found[VFS[1]].dev_type, found[VFS[1]].vdpa_device)
    assert ('eth7',) == found['10000:e1:00.0'].interfaces


@pytest.mark.parametrize(
    ('name', 'text', 'told'),
    [
        ('vendor', None, 'vendor: there is no such file'),
        ('vendor', '8086', "vendor: '8086' is not a hexadecimal number such as '0x8086'"),
        ('class', '', 'class: '),
        ('numa_node', '-7', "numa_node: '-7' is not a whole number"),
        ('sriov_totalvfs', 'many', "sriov_totalvfs: 'many' is not a whole number"),
        ('physfn', '', 'physfn: expected a link'),
    ],
)
def test_a_file_that_is_missing_or_malformed_is_named(name, text, told, tmp_path):
    path = pci_tree.lay_out(tmp_path) / 'bus/pci/devices' / PF / name
    path.unlink(missing_ok=True)
    if text is not None:
        path.write_text(text)
    with pytest.raises(exception.UnreadableTopology, match=re.escape(f'{PF}/{told}')):
        sysfs_devices.read(tmp_path)


@pytest.mark.parametrize(
    ('before', 'after', 'told'),
    [
        ("vendor id='0x8086'", "vendor id='Intel'", "the vendor is 'Intel': expected an id such as '0x8086'"),
        ('<bus>10</bus>', '', 'there is no <bus>'),
        ('<bus>10</bus>', '<bus>256</bus>', "'256' is not a bus: expected a whole number from 0 to 255"),
        ("slot='0x02'", "slot='two'", 'no PCI address'),
        ("numa node='1'", "numa node='-1'", "'-1' is not a number of a node"),
        ('0x020000', 'network', "the class is 'network'"),
        ('</device>', '', 'no XML'),
        ('<device>', '<!DOCTYPE a []><device>', 'DTD'),
    ],
)
def test_a_fault_of_libvirts_xml_is_named(before, after, told):
    document = next(text.decode() for text in _documents() if b'phys_function' in text)
    document = document.replace("bus='0x0a' slot='0x00'", "bus='0x0a' slot='0x02'")
    with pytest.raises(exception.InvalidCapabilities, match=re.escape(told)):
        nodedev.parse([document.replace(before, after).encode()], 'libvirt')


@pytest.mark.parametrize(
    ('before', 'after', 'told'),
    [
        ('pci_busid="0000:0a:00.0"', 'pci_busid="0a:00"', "'0a:00' is not an address such as '0000:0a:00.1'"),
        ('pci_busid="0000:0a:00.0"', '', "'' is not an address"),
        ('0200 [8086:1572]', 'card', "is not a type: expected one such as '0200 [8086:154c]'"),
    ],
)
def test_a_fault_of_lstopos_xml_is_named(before, after, told):
    text = recordings.text('pci.lstopo.xml').decode()
    host = lstopo.read(text.encode()).host
    with pytest.raises(exception.InvalidCapabilities, match=re.escape(told)):
        lstopo_devices.read(text.replace(before, after).encode(), host)


# --- what is offered


def _offered(*specs, found=pci_tree.FOUND, cells=(0, 1)):
    return offered(found, [each for spec in specs for each in read_device_specs(json.dumps(spec))], cells)


@pytest.mark.parametrize(
    ('specs', 'addresses'),
    [
        ([], []),
        ([{'vendor_id': '10de', 'product_id': '20b0'}], GPUS),
        ([{'vendor_id': '8086', 'product_id': '154c'}], VFS),
        ([{'address': PF}], [PF, *VFS]),
        ([{'devname': 'enp10s0f0'}], [PF, *VFS]),
        ([{'devname': 'enp10s0f0v0'}], VFS[:1]),
        ([{'devname': 'enp9s0'}], []),
        ([{'address': '*:0a:02.*'}], VFS),
        ([{'address': {'bus': '0[ab]', 'function': '[01]'}}], [PF, *VFS, '0000:0b:00.0']),
        ([{'vendor_id': '10de'}, {'address': VFS[1]}], [VFS[1], *GPUS]),
    ],
)
def test_devices_that_match_a_spec_are_offered(specs, addresses):
    assert addresses == [device.address for device in _offered(*specs)]


def test_what_no_guest_can_have_is_never_offered():
    """A bridge, and a device in a domain of five digits."""
    found = [device.address for device in _offered({})]
    left_out = {'0000:00:1c.0', '10000:e1:00.0'}
    assert found == [device.address for device in pci_tree.FOUND if device.address not in left_out]


def test_a_device_has_the_tags_of_the_first_spec_that_it_matches():
    found = _offered(
        {'address': VFS[0], 'physical_network': 'lake', 'managed': 'no'},
        {'product_id': '154c', 'physical_network': None},
    )
    lake = {'physical_network': 'lake', 'managed': 'false', 'interface': 'enp10s0f0v0'}
    assert [lake, {'physical_network': None}] == [device.tags for device in found]


def test_on_a_node_that_is_no_host_cell_the_cell_is_not_known():
    assert [0, None] == [device.numa_node for device in _offered({'vendor_id': '10de'})]
    assert [None, None] == [device.numa_node for device in _offered({'vendor_id': '10de'}, cells=(1,))]


def test_type_and_parent_go_on():
    found = _offered({'address': PF})
    assert [('type-PF', None, 1), ('type-VF', PF, 1), ('type-VF', PF, 1)] == [
        (device.dev_type, device.parent, device.numa_node) for device in found
    ]


def test_the_order_of_the_devices_is_that_of_their_addresses():
    assert _offered({}) == _offered({}, found=reversed(pci_tree.FOUND))


def test_a_device_whose_class_is_not_known_is_no_bridge():
    assert FoundDevice('0000:00:01.0', '8086', '0000').is_assignable
    assert not FoundDevice('10000:e1:00.0', '8086', '0000').is_assignable
