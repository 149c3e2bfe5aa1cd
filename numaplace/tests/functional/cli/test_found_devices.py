# SPDX-License-Identifier: Apache-2.0
"""PCI devices by ``host discover`` and ``host import``: those that ``[pci] device_spec`` offers, from each source."""

import json

import pytest

from numaplace.tests import pci_tree, real, recordings

SPEC = '{"vendor_id": "8086", "address": "*:0a:*.*", "physical_network": "lake"}'
PF, VFS = '0000:0a:00.0', ['0000:0a:02.0', '0000:0a:02.1']


@pytest.fixture
def offering(numaplace):
    """The program with a device_spec, and a copy of a machine's /sys in the directory tree."""
    numaplace.configure(more=f'[pci]\ndevice_spec = {SPEC}')
    recordings.lay_out('seed3', numaplace.directory / 'tree/sys')
    pci_tree.lay_out(numaplace.directory / 'tree/sys')
    return numaplace


def test_a_copy_of_sys_tells_the_devices_with_cell_parent_and_tags(offering):
    found = offering.json('host discover --root tree one')['pci_devices']
    assert [PF, *VFS] == [device['address'] for device in found]
    assert {
        'address': VFS[0],
        'vendor_id': '8086',
        'product_id': '154c',
        'dev_type': 'type-VF',
        'numa_node': 1,
        'parent': PF,
        'tags': {'physical_network': 'lake'},
    } == found[1]
    assert '1 type-PF, 2 type-VF' in offering('host discover --refresh --root tree one')


def test_lstopo_tells_them_but_not_which_are_vfs(offering):
    (offering.directory / 'a.xml').write_bytes(recordings.text('pci.lstopo.xml'))
    done = offering.run('host', 'import', 'one', '--lstopo', 'a.xml', '-f', 'json')
    assert [('type-PCI', 1)] * 3 == [
        (one['dev_type'], one['numa_node']) for one in json.loads(done.stdout)['pci_devices']
    ]
    assert 'warning: a.xml: it does not tell the VFs of a PCI device: all count as type-PCI' in done.stderr


def test_a_copy_with_classes_and_nodes_alone_lists_no_devices(offering):
    for path in (offering.directory / 'tree/sys/devices').glob('pci*/*/vendor'):
        path.unlink()
    done = offering.run('host', 'discover', '--root', 'tree', 'one')
    assert 0 == done.returncode
    assert 'warning: tree lists no PCI devices: the PCI devices of [pci] device_spec are not known' in done.stderr


@pytest.mark.parametrize('many', [False, True])
def test_capabilities_list_no_devices_which_is_said(many, offering):
    (offering.directory / 'a.xml').write_bytes(recordings.capabilities('seed3'))
    words = ['one=a.xml'] if many else ['one', '--capabilities', 'a.xml']
    done = offering.run('host', 'import', *words)
    assert 0 == done.returncode
    assert 'a.xml lists no PCI devices: the PCI devices of [pci] device_spec are not known' in done.stderr


def test_a_libvirt_that_lists_no_node_devices_is_said(offering):
    real.require_program('virsh')
    done = offering.run('host', 'discover', '--connect', 'test:///default', 'one')
    assert 0 == done.returncode
    assert 'warning: virsh nodedev-list at test:///default: error: Failed to list node devices' in done.stderr
    assert 'the PCI devices of [pci] device_spec are not known' in done.stderr


def test_without_a_spec_no_device_is_looked_for(numaplace):
    recordings.lay_out('seed3', numaplace.directory / 'tree/sys')
    root = pci_tree.lay_out(numaplace.directory / 'tree/sys')
    (root / 'bus/pci/devices' / PF / 'vendor').write_text('broken')
    assert numaplace.json('host discover --root tree one')['pci_devices'] is None


def test_a_broken_file_refuses_the_host_in_one_line(offering):
    (offering.directory / 'tree/sys/bus/pci/devices' / PF / 'vendor').write_text('broken')
    done = offering.run('host', 'discover', '--root', 'tree', 'one')
    assert 1 == done.returncode
    assert f"{PF}/vendor: 'broken' is not a hexadecimal number such as '0x8086'" in done.stderr
    assert 1 == len(done.stderr.splitlines())
    assert [] == offering.json('host list')
