# SPDX-License-Identifier: Apache-2.0
"""What is stored and told of moves, read by a real Nova, and what Nova writes of them, read by us."""

import json
import uuid
from dataclasses import replace

from numaplace import fit, wire
from numaplace.libvirt import live_migration
from numaplace.model import Guest
from numaplace.nova import convert
from numaplace.tests import samples

UUID = str(uuid.UUID(int=7))


def _context():
    host = samples.host()
    # The topology of the vCPUs is not stored there.
    guests = (replace(samples.guest(vcpus=vcpus), cpu_topology=None) for vcpus in (2, 4))
    old, new = (fit.place(host, guest) for guest in guests)
    return host, wire.Context(UUID, 3, old, new)


def _plain(thing):
    return json.loads(json.dumps(thing.obj_to_primitive()))


def test_nova_reads_our_context(theirs):
    """Topologies with their pins, and the number of the move."""
    host, context = _context()
    read = theirs.objects.MigrationContext.obj_from_db_obj(json.dumps(wire.write_context(context)))
    assert (read.instance_uuid, read.migration_id, read.old_pci_devices, read.new_resources) == (UUID, 3, None, None)
    assert read.old_numa_topology.cells[0].cpu_pinning == {0: 0, 1: 1}
    assert read.new_numa_topology.cells[0].cpu_pinning == {0: 0, 1: 1, 2: 2, 3: 3}
    assert wire.read_context(read, host, host) == context


def test_we_read_novas_context(theirs):
    """Written by Nova's own class, with the empty lists of devices that it stores."""
    host, context = _context()
    objects = theirs.objects
    stored = objects.MigrationContext(
        instance_uuid=UUID,
        migration_id=3,
        old_numa_topology=convert.write_placement(context.old),
        new_numa_topology=convert.write_placement(context.new),
        old_pci_devices=objects.PciDeviceList(objects=[]),
        new_pci_devices=objects.PciDeviceList(objects=[]),
        old_pci_requests=None,
        new_pci_requests=objects.InstancePCIRequests(instance_uuid=UUID, requests=[]),
        old_resources=None,
        new_resources=None,
    )
    assert wire.read_context(_plain(stored), host, host) == context


def test_nova_reads_our_pins_of_a_live_migration(theirs):
    """Sets of CPUs by vCPU and of host cells by guest cell, and nothing of a guest that floats."""
    from nova.objects import migrate_data  # noqa: PLC0415

    host = samples.host()
    placement = fit.place(host, samples.guest(cells=2, vcpus=2))
    written = live_migration.numa_info(placement, host)
    read = migrate_data.LibvirtLiveMigrateNUMAInfo.obj_from_primitive(written)
    assert read.cpu_pins == {'0': {0}, '1': {1}, '2': {8}, '3': {9}}
    assert (read.cell_pins, read.emulator_pins) == ({'0': {0}, '1': {1}}, {0, 1, 8, 9})
    assert 'sched_priority' not in read
    floating = migrate_data.LibvirtLiveMigrateNUMAInfo.obj_from_primitive(
        live_migration.numa_info(fit.place(host, Guest(1, 64)), host)
    )
    assert not floating.obj_what_changed()
    assert 'cpu_pins' not in floating
