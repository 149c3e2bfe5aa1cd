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
        'tags': {'physical_network': 'lake', 'interface': 'enp10s0f0v0'},
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
    assert numaplace.json('host discover --root tree one')['pci_devices'] == []


def test_a_broken_file_refuses_the_host_in_one_line(offering):
    (offering.directory / 'tree/sys/bus/pci/devices' / PF / 'vendor').write_text('broken')
    done = offering.run('host', 'discover', '--root', 'tree', 'one')
    assert 1 == done.returncode
    assert f"{PF}/vendor: 'broken' is not a hexadecimal number such as '0x8086'" in done.stderr
    assert 1 == len(done.stderr.splitlines())
    assert [] == offering.json('host list')


def _shown(program):
    return [(device['address'], device['status']) for device in program.json('host show one')['pci_devices']]


def _remove(program, address):
    for path in (program.directory / 'tree/sys/bus/pci/devices' / address, *program.directory.glob('tree/**/virtfn1')):
        path.unlink()


def test_they_are_stored_with_the_host_and_a_refresh_tells_what_changed(offering):
    offering('host discover --root tree one')
    assert [(address, 'available') for address in (PF, *VFS)] == _shown(offering)
    _remove(offering, VFS[1])
    (offering.directory / 'tree/sys/bus/pci/devices' / VFS[0] / 'device').write_text('0x154d')
    offering.configure(more=f'[pci]\ndevice_spec = {SPEC}\ndevice_spec = {{"vendor_id": "10de"}}')
    done = offering.run('host', 'discover', '--refresh', '--root', 'tree', 'one')
    told = 'PCI devices: 2 added (0000:81:00.0, 0000:c1:00.0), 1 removed (0000:0a:02.1), 1 changed (0000:0a:02.0)'
    assert (0, f'numaplace: warning: {told}\n') == (done.returncode, done.stderr)
    assert [PF, VFS[0], '0000:81:00.0', '0000:c1:00.0'] == sorted(address for address, _ in _shown(offering))


@pytest.mark.parametrize('many', [False, True])
def test_a_refresh_from_a_source_without_devices_keeps_those_that_are_stored(many, offering):
    offering('host discover --root tree one')
    (offering.directory / 'a.xml').write_bytes(recordings.capabilities('seed3'))
    words = ['one=a.xml'] if many else ['one', '--capabilities', 'a.xml']
    done = offering.run('host', 'import', '--refresh', *words)
    assert (0, 1) == (done.returncode, len(done.stderr.splitlines()))
    assert [PF, *VFS] == [address for address, _ in _shown(offering)]


def test_a_refresh_without_a_spec_keeps_them_and_an_empty_spec_removes_them(offering):
    offering('host discover --root tree one')
    offering.configure()
    offering('host discover --refresh --root tree one')
    assert [PF, *VFS] == [address for address, _ in _shown(offering)]
    offering.configure(more='[pci]\ndevice_spec = []')
    done = offering.run('host', 'discover', '--refresh', '--root', 'tree', 'one')
    assert 'PCI devices: 3 removed (0000:0a:00.0, 0000:0a:02.0, 0000:0a:02.1)' in done.stderr
    assert [] == _shown(offering)


def test_many_hosts_get_theirs_too(offering):
    (offering.directory / 'a.xml').write_bytes(recordings.text('pci.lstopo.xml'))
    assert 0 == offering.run('host', 'import', 'one=a.xml').returncode
    assert 3 == len(_shown(offering))
