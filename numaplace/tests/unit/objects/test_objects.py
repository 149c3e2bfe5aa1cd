# SPDX-License-Identifier: Apache-2.0
"""The objects are Nova's field by field; other versions are brought up or refused, other classes are not touched."""

import importlib
import json
import subprocess
import sys

import pytest

from numaplace import exception, objects, wire
from numaplace.model import Guest, Offline
from numaplace.objects.base import REGISTRY, base
from numaplace.tests import samples

#: A change of these without a new version makes rows that others misread.
FINGERPRINTS = {
    # As Nova 34 has them.
    'InstanceNUMACell': '1.6-25d9120d83a18356f4146f2a6fe2cc8d',
    'LibvirtLiveMigrateNUMAInfo': '1.0-0e777677f3459d0ed1634eabbdb6c22f',
    'NUMACell': '1.5-2592de3c926a7840d763bcc85f81afa7',
    'NUMAPagesTopology': '1.1-edab9fa2dc43c117a38d600be54b4542',
    'NUMATopology': '1.2-c63fad38be73b6afd04715c9c1b29220',
    'NUMATopologyLimits': '1.1-4235c5da7a76c7e36075f0cd2f5cf922',
    'NetworkMetadata': '1.0-2cb8d21b34f87b0261d3e1d1ae5cf218',
    'VirtCPUTopology': '1.0-fc694de72e20298f7c6bab1083fd4563',
    # Nova's fields; its fingerprint covers methods too that call its conductor.
    'InstanceNUMATopology': '1.3-b7b14056ebcb03f2f406310ff454f9a9',
    'MigrationContext': '1.2-c0bc984f3fa6848b94837a8ab971f202',
    # Ours.
    'AccessDetails': '1.0-71c9dd378700e5c5f437ff3d15dcd8a8',
    'CacheDetails': '1.0-fe59b55591a1953ce4942c7db1a97ef7',
    'CellDetails': '1.2-d8f0ff79f4302d8376b7cc001729ec33',
    'EncryptionDetails': '1.0-932f2a4c7cd588b7ef8afacb7981e700',
    'Fleet': '1.1-0d82c0cf57df41b06fd1a29a9cc78fab',
    'DeviceDetails': '1.0-2b8a8738ed66948340ac224c83ab2160',
    'FleetAggregate': '1.0-b038b473d07a42d055ad581b74ec9352',
    'FleetAllocation': '1.0-a4288083c6a3374a0385a223fb36e431',
    'FleetDisk': '1.0-f065031ed6aecb8c53059bc90eb42773',
    'FleetFlavor': '1.0-12deef2eb44a52c6d77772692352daa4',
    'FleetHost': '1.4-8808418e07007f8d6dca156e421da5a9',
    'FleetInventory': '1.1-60dea09db2180b752d6ffbc47973876c',
    'FleetMove': '1.0-3fb47be841f5454be23c7e3d16a03fba',
    'FleetNic': '1.1-1fcac540d6545842d2e0d2c6c1a6057e',
    'FleetPlacement': '1.0-aa0109016eda6e2bd652e502d8a5abb9',
    'FleetProvider': '1.0-148fe5be7f7c2eb944bff97aef4d5a6e',
    'FleetRemark': '1.0-afa47a825eb6238a617f53c18edf2b90',
    'FleetRequestSpec': '1.0-81f97a137d1530bb092fea6677af23f0',
    'CreateRequest': '1.1-cf4587beb8cf245b3bb1344bdbd23779',
    'Decision': '1.1-8f91986019d44ca4dc4c7f719ff38eee',
    'ServerRequest': '1.1-e454d16965a262ff3a5060c24053129e',
    'FleetServer': '1.3-ef2d810a0baa6601a33b2d12e5b55fd8',
    'FleetSide': '1.0-cbc4719f2aae9102767af6a456dd40cb',
    'FleetUnread': '1.0-9452c6ac6f3be4c1a30e7f5b3147d198',
    'GuestDetails': '1.3-f949fa58d9619ce28ab5cfea6e2ead21',
    'HeldMemory': '1.0-e724dba291b38617ccd4c37d36431dfd',
    'HeldPages': '1.0-5987872fe38a424f42a7a84548bca3a3',
    'Holding': '1.1-c50cdaebc535f8b9bb1ed2fca129aa5c',
    'HoldingNote': '1.0-ffd17e0c0acc2641ced1aa1252325d6d',
    'HostDetails': '1.0-c63fad38be73b6afd04715c9c1b29220',
    'HostResources': '1.0-ab96ed4015d7f307fcfbea1333eb0b13',
    'ModuleDetails': '1.0-36fd57c952eaf0889322a28054421b49',
    'MoveDetails': '1.0-04cfdba8a193c5e61514ef5a5f9050f4',
    'NamespaceDetails': '1.0-916089f09419209f2929a8a54f1587b4',
    'OfflineDetails': '1.0-803f92b0dfba447384d7c395ce524014',
    'SideDetails': '1.0-d3af2539a86010bd4ca02930ed460eaa',
}


def test_no_field_changed_without_a_new_version():
    fixture = importlib.import_module('oslo_versionedobjects.fixture')  # after ours, which silences what it warns of
    checker = fixture.ObjectVersionChecker({name: [cls] for name, cls in REGISTRY.items()})
    expected, actual = checker.test_hashes(FINGERPRINTS)
    assert expected == actual


def test_the_registry_of_the_process_stays_empty():
    """And importing says nothing, though what it imports on the way is deprecated."""
    code = (
        'from oslo_versionedobjects import base\n'
        'class NUMACell(base.VersionedObject): pass\n'
        'base.VersionedObjectRegistry.register(NUMACell)\n'
        'before = dict(base.VersionedObjectRegistry.obj_classes())\n'
        'import numaplace.objects\n'
        'assert dict(base.VersionedObjectRegistry.obj_classes()) == before == {"NUMACell": [NUMACell]}\n'
    )
    subprocess.run([sys.executable, '-W', 'ignore', '-c', code], check=True)
    done = subprocess.run(
        [sys.executable, '-W', 'error', '-c', 'import numaplace.objects'], capture_output=True, text=True, check=True
    )
    assert done.stderr == ''
    assert not {'NUMACell', 'HostDetails'} & set(base.VersionedObjectRegistry.obj_classes())


def stored(name, version, namespace='nova', **data):
    return {
        f'{namespace}_object.name': name,
        f'{namespace}_object.namespace': namespace,
        f'{namespace}_object.version': version,
        f'{namespace}_object.data': data,
    }


def host(version='1.2', cell='1.5'):
    return stored('NUMATopology', version, cells=[stored('NUMACell', cell, id=0)])


NESTED = {'cells': [{'id': 0, 'cpus': '0,1', 'mem': {'total': 512, 'used': 0}, 'cpu_usage': 0}]}


@pytest.mark.parametrize(
    ('data', 'error', 'message'),
    [
        (
            host(version='1.3'),
            exception.IncompatibleObjectVersion,
            r'^NUMATopology version 1\.3 was written by a newer release: expected 1\.0 to 1\.2$',
        ),
        (
            host(version='2.0'),
            exception.IncompatibleObjectVersion,
            r"^NUMATopology version '2\.0' cannot be read: expected 1\.0 to 1\.2$",
        ),
        (
            host(version='1.2.1'),
            exception.IncompatibleObjectVersion,
            r"NUMATopology version '1\.2\.1' cannot be read: expected 1\.0 to",
        ),
        (
            host(version=12),
            exception.IncompatibleObjectVersion,
            'NUMATopology version 12 cannot be read: expected ',
        ),
        (
            host(cell='1.6'),
            exception.IncompatibleObjectVersion,
            r'^NUMACell version 1\.6 was written by a newer release: expected 1\.4 to 1\.5$',
        ),
        (
            host(cell='1.3'),
            exception.IncompatibleObjectVersion,
            r'^NUMACell version 1\.3 is too old to be read: it does not name the dedicated CPUs; expected 1\.4 to ',
        ),
        (
            NESTED,
            exception.IncompatibleObjectVersion,
            r'^NUMACell version 1\.0 is too old to be read: it does not name ',
        ),
        (
            {'cell': []},
            exception.InvalidObject,
            r"expected a NUMATopology with 'nova_object.name', found keys \['cell'\]",
        ),
        (stored('NUMACell', '1.5', id=0), exception.InvalidObject, "expected a NUMATopology, found 'NUMACell'"),
        (stored('NUMATopology', '1.2', cells=[{}]), exception.InvalidObject, "there is no object ''"),
        (stored('NUMATopology', '1.2', cells=3), exception.InvalidObject, 'TypeError'),
        (
            stored('NUMATopology', '1.2', cells=[stored('Stranger', '1.0')]),
            exception.InvalidObject,
            "no object 'Stranger'",
        ),
        (
            host() | {'nova_object.namespace': 'else'},
            exception.InvalidObject,
            "NUMATopology: expected 'nova_object.namespace' 'nova', found 'else'",
        ),
        ([], exception.InvalidObject, 'expected a JSON object, found list'),
    ],
)
def test_what_cannot_be_read_is_a_clear_fault(data, error, message):
    with pytest.raises(error, match=message):
        objects.NUMATopology.from_json(json.dumps(data))


def test_an_object_without_a_needed_field_has_no_model():
    with pytest.raises(exception.InvalidObject, match="NUMACell: the field 'cpuset' is missing"):
        objects.NUMATopology.from_json(json.dumps(host())).to_model()


def test_pci_devices_of_a_move_are_not_read_yet():
    context = stored('MigrationContext', '1.2', new_pci_devices=stored('PciDeviceList', '1.3'))
    with pytest.raises(exception.InvalidObject, match="there is no object 'PciDeviceList'"):
        objects.MigrationContext.from_json(json.dumps(context))


def guest(version, **fields):
    cell = stored('InstanceNUMACell', version, id=0, memory=512, **fields)
    return json.dumps(stored('InstanceNUMATopology', '1.3', cells=[cell], emulator_threads_policy=None))


@pytest.mark.parametrize(
    ('version', 'fields', 'shared', 'dedicated'),
    [
        ('1.0', {'cpuset': [0, 1]}, 0b11, 0),
        ('1.1', {'cpuset': [0, 1], 'pagesize': 2048}, 0b11, 0),
        ('1.2', {'cpuset': [0, 1], 'cpu_pinning_raw': None}, 0b11, 0),
        ('1.2', {'cpuset': [0, 1], 'cpu_pinning_raw': {'0': 4, '1': 5}}, 0, 0b11),
        ('1.3', {'cpuset': [0, 1], 'cpu_pinning_raw': {'0': 4, '1': 5}}, 0b11, 0),
        ('1.3', {'cpuset': [0, 1], 'cpu_policy': 'dedicated'}, 0, 0b11),
        ('1.4', {'cpuset': [0, 1], 'cpu_policy': 'dedicated'}, 0, 0b11),
        ('1.4', {'cpuset': [0, 1], 'cpu_policy': None}, 0b11, 0),
        ('1.4', {'cpuset': [0, 1]}, 0b11, 0),
        ('1.5', {'cpuset': [], 'pcpuset': [0, 1], 'cpu_policy': 'dedicated'}, 0, 0b11),
        ('1.5', {'cpuset': [0, 1], 'cpu_policy': 'shared'}, 0b11, 0),
        ('1.5', {'cpuset': [0], 'pcpuset': [1], 'cpu_policy': 'mixed'}, 0b01, 0b10),
        ('1.6', {'cpuset': [0], 'pcpuset': [1], 'cpu_policy': 'mixed'}, 0b01, 0b10),
    ],
)
def test_a_guest_cell_of_an_older_version_is_brought_up(version, fields, shared, dedicated):
    """Pinned vCPUs move to where they stand today, and today's version is what is written."""
    topology = objects.InstanceNUMATopology.from_json(guest(version, **fields))
    (cell,) = topology.to_model().cells
    assert (cell.shared_vcpus, cell.dedicated_vcpus) == (shared, dedicated)
    assert json.loads(topology.to_json())['nova_object.data']['cells'][0]['nova_object.version'] == '1.6'


def test_older_versions_of_the_others_are_brought_up():
    pages = objects.NUMAPagesTopology.from_json(json.dumps(stored('NUMAPagesTopology', '1.0', size_kb=4, total=1)))
    assert pages.reserved == 0
    assert (
        objects.InstanceNUMATopology.from_json(
            json.dumps(stored('InstanceNUMATopology', '1.2', cells=[]))
        ).emulator_threads_policy
        is None
    )
    context = objects.MigrationContext.from_json(json.dumps(stored('MigrationContext', '1.0', migration_id=7)))
    assert (context.old_pci_devices, context.new_resources) == (None, None)


def older(thing, version, **manifest):
    return thing.obj_to_primitive(version, manifest)['nova_object.data']


def test_an_older_peer_gets_what_it_knows():
    topology = objects.InstanceNUMATopology.from_json(
        guest('1.6', cpuset=[], pcpuset=[0, 1], cpu_policy='dedicated', cpu_thread_policy=None, cpuset_reserved=None)
    )
    data = older(topology, '1.2', InstanceNUMATopology='1.2', InstanceNUMACell='1.4')
    assert 'emulator_threads_policy' not in data
    assert data['cells'][0]['nova_object.version'] == '1.4'
    assert data['cells'][0]['nova_object.data']['cpuset'] == (0, 1)
    assert 'pcpuset' not in data['cells'][0]['nova_object.data']
    assert set(older(topology.cells[0], '1.2', InstanceNUMACell='1.2')) == {'id', 'memory', 'cpuset'}
    cell = objects.NUMACell(id=0, cpuset={0}, pcpuset={0}, socket=1, network_metadata=objects.NetworkMetadata())
    assert set(older(cell, '1.4', NUMACell='1.4', NetworkMetadata='1.0')) == {
        'id',
        'cpuset',
        'pcpuset',
        'network_metadata',
    }
    assert set(older(cell, '1.2', NUMACell='1.2')) == {'id', 'cpuset'}
    assert set(older(objects.NUMAPagesTopology(size_kb=4, reserved=1), '1.0')) == {'size_kb'}
    limits = objects.NUMATopologyLimits(cpu_allocation_ratio=4, network_metadata=objects.NetworkMetadata())
    assert older(limits, '1.0', NUMATopologyLimits='1.0') == {'cpu_allocation_ratio': 4.0}
    context = objects.MigrationContext(migration_id=7, old_pci_devices=None, new_resources=None)
    assert set(older(context, '1.1')) == {'migration_id', 'old_pci_devices'}


def test_an_older_peer_cannot_get_mixed():
    topology = objects.InstanceNUMATopology.from_json(guest('1.6', cpuset=[0], pcpuset=[1], cpu_policy='mixed'))
    with pytest.raises(exception.IncompatibleObjectVersion, match=r'InstanceNUMACell 1\.5 has no CPU policy mixed'):
        older(topology.cells[0], '1.5', InstanceNUMACell='1.5')


def test_different_kinds_are_different():
    assert objects.NetworkMetadata() != objects.NUMACell()
    assert objects.NetworkMetadata() == objects.NetworkMetadata()


def test_json_for_an_older_peer_has_the_versions_that_it_knows():
    """Objects inside as well; versions of objects that the peer alone knows, and newer ones, change nothing."""
    topology = objects.NUMATopology.from_model(samples.host())
    known = {'NUMACell': '1.4', 'NUMAPagesTopology': '1.0', 'NUMATopology': '1.7', 'Stranger': 'x'}
    written = json.loads(topology.to_json(known))
    cell = written['nova_object.data']['cells'][0]
    assert (written['nova_object.version'], cell['nova_object.version']) == ('1.2', '1.4')
    assert 'socket' not in cell['nova_object.data']
    pages = cell['nova_object.data']['mempages'][0]
    assert (pages['nova_object.version'], set(pages['nova_object.data'])) == ('1.0', {'size_kb', 'total', 'used'})
    again = objects.NUMATopology.from_json(json.dumps(written)).to_model()
    assert [cell.shape.shared_cpus for cell in again.cells] == [cell.shape.shared_cpus for cell in samples.host().cells]


def test_our_own_objects_are_taken_back_too():
    details = objects.GuestDetails.from_model(Guest(2, 1024, offline=(Offline(0b10, 0b100),)))
    written = json.loads(details.to_json({'GuestDetails': '1.0'}))
    assert written['numaplace_object.version'] == '1.0'
    assert set(written['numaplace_object.data']) == {'cpu_topology', 'realtime_vcpus', 'locked_memory'}
    assert objects.GuestDetails.from_json(json.dumps(written)).offline == []


@pytest.mark.parametrize('version', ['2.0', '1.x', '1', ''])
def test_a_peer_with_no_version_of_ours_gets_nothing(version):
    with pytest.raises(exception.IncompatibleObjectVersion, match=r'cannot be written .*: expected 1\.0 to 1\.5$'):
        objects.NUMACell(id=0).to_json({'NUMACell': version})


@pytest.mark.parametrize('name', sorted(REGISTRY))
def test_every_object_of_the_table_has_a_class_with_its_version_and_fields(name):
    spec = wire.SPECS[name]
    assert (REGISTRY[name].VERSION, set(REGISTRY[name].fields)) == (spec.version, set(spec.fields))
    assert set(REGISTRY) == set(wire.SPECS)


PINS = {
    'floating': None,
    'pinned': wire.LiveMigrateNumaInfo(((0, 0b100), (1, 0b11000)), ((0, 0b1),), 0b11100),
    'realtime': wire.LiveMigrateNumaInfo(((0, 0b100),), ((0, 0b10),), 0b100, sched_vcpus=0b1, sched_priority=1),
}


@pytest.mark.parametrize('info', PINS.values(), ids=PINS)
def test_the_pins_of_a_live_migration_are_the_same_both_ways(info):
    stored = objects.LibvirtLiveMigrateNUMAInfo.from_model(info)
    assert json.loads(stored.to_json()) == wire.write_live_migrate_numa_info(info)
    assert objects.LibvirtLiveMigrateNUMAInfo.from_json(stored.to_json()) == stored
