# SPDX-License-Identifier: Apache-2.0
"""PCI devices of a server that is moved while it runs: which move, which do not, and both sides of the claim."""

import re
from dataclasses import replace

import pytest

from numaplace import exception, request
from numaplace.compute import claims, live_devices, migration, resource_tracker
from numaplace.model import PciDevice, PciRequest
from numaplace.tests import samples
from numaplace.tests.functional.db import moving
from numaplace.tests.functional.db.test_pci_devices import asks, claim, guest, held, record, statuses

LAKE = {'physical_network': 'lake'}
GPUS = [PciDevice(f'0000:0{n}:00.0', '10de', '20b0', numa_node=n - 1, tags={'live_migratable': 'true'}) for n in (1, 2)]
VFS = [PciDevice(f'0000:05:02.{n}', '8086', '154c', 'type-VF', n % 2, '0000:05:00.0', LAKE) for n in range(4)]
DIRECT = ['physnet=lake,vnic=direct']


@pytest.fixture
def lakes(database):
    """Two hosts with GPUs that can be migrated, and NICs."""
    for name in ('a', 'b'):
        resource_tracker.register(database, record(name, [*GPUS, *VFS]))
    return database


def migratable(number=1, says='true'):
    wanted = asks(number)
    return replace(wanted, alternatives=tuple({**one, 'live_migratable': says} for one in wanted.alternatives))


def serve(database, *requests, nics=(), cells=1):
    """Return a server, and what reads its flavor again."""
    wanted, own = guest(*requests, cells=cells), request.own_devices(nics, [])
    asked = samples.instance_request(wanted)
    asked = replace(asked, guest=request.with_networks(wanted, asked.flavor, {}, own), devices=own)
    return claims.instance_claim(database, asked, 'a').instance, lambda *_: wanted


def test_nics_and_migratable_devices_are_held_on_both_sides_and_then_on_one(lakes):
    server, read = serve(lakes, migratable(), nics=DIRECT * 2)
    before = statuses(lakes)
    assert 3 == len(before) == len(held(server))
    moving_server = claims.live_migration_claim(lakes, server.uuid, 'b', read=read).instance
    assert (before, 3) == (statuses(lakes), len(statuses(lakes, 'b')))
    new = moving_server.move.new.placement
    assert ['gpu', 'network:lake', 'network:lake'] == [granted.request for granted in new.devices]
    asked = claims.moving_guest(server, read).pci_requests
    assert [False, True, True] == [one.is_attached_again for one in live_devices.moved(server, asked, new)]
    moved = migration.finish(lakes, server.uuid)
    assert ({}, sorted(held(moved))) == (statuses(lakes), sorted(statuses(lakes, 'b')))
    moving.check(lakes)


def test_an_aborted_move_frees_what_was_held_at_the_destination(lakes):
    server, read = serve(lakes, migratable(), nics=DIRECT)
    before = statuses(lakes)
    claims.live_migration_claim(lakes, server.uuid, 'b', read=read)
    migration.drop_move_claim(lakes, server.uuid)
    assert (before, {}) == (statuses(lakes), statuses(lakes, 'b'))
    assert held(server) == held(lakes.instance(server.uuid))
    moving.check(lakes)


def test_a_destination_without_a_device_refuses(lakes):
    server, read = serve(lakes, nics=DIRECT)
    for number in range(4):
        claim(lakes, guest(PciRequest(1, (LAKE,), 'legacy', 'vf')), 'b', f'other{number}')
    refusal = claims.live_migration_claim(lakes, server.uuid, 'b', read=read)
    assert [('pci.total', 0)] == [(reason.code, reason.available) for reason in refusal.reasons]
    assert lakes.instance(server.uuid).move is None


@pytest.mark.parametrize(
    ('wanted', 'later', 'told'),
    [
        (asks(1), asks(1), "0000:01:00.0: [pci] alias 'gpu' does not say live_migratable='yes'"),
        (asks(1), migratable(2), '0000:01:00.0: its flavor and NICs request 2 such devices'),
        (migratable(2), migratable(1), '0000:01:00.0, 0000:02:00.0: its flavor and NICs request 1 such devices'),
        (
            migratable(),
            replace(migratable(), name='new'),
            '0000:01:00.0: its flavor and NICs request 0 such devices; none',
        ),
    ],
)
def test_what_does_not_move_is_refused_with_the_reason(wanted, later, told, lakes):
    server, _ = serve(lakes, wanted, cells=wanted.count)
    with pytest.raises(exception.Conflict, match=re.escape(f'do not move while it runs ({told}')):
        claims.live_migration_claim(lakes, server.uuid, 'b', read=lambda *_: guest(later))
    assert (wanted.count, {}) == (len(statuses(lakes)), statuses(lakes, 'b'))


def test_a_device_that_stays_in_the_guest_is_near_the_same_cell(lakes):
    server, read = serve(lakes, replace(migratable(2), policy='preferred'), cells=2)
    moved = claims.live_migration_claim(lakes, server.uuid, 'b', read=read).instance
    old, new = server.placement, moved.move.new.placement
    assert [old.cell_near(one.device) for one in old.devices] == [new.cell_near(one.device) for one in new.devices]


def test_one_that_would_be_near_another_cell_is_refused(database):
    for name, node in (('a', 0), ('b', None)):
        resource_tracker.register(database, record(name, [replace(GPUS[0], numa_node=node)]))
    server, read = serve(database, replace(migratable(), policy='legacy'))
    refusal = claims.live_migration_claim(database, server.uuid, 'b', read=read)
    assert [('pci.place', 'gpu (0000:01:00.0)')] == [(reason.code, reason.subject) for reason in refusal.reasons]


def test_a_macvtap_is_kept_and_other_nics_are_attached_again(database):
    kinds = {'direct-physical': 'type-PF', 'vdpa': 'vdpa', 'macvtap': 'type-VF', 'direct': 'type-PCI'}
    cards = [PciDevice(f'0000:0{n}:00.0', '8086', '154c', kind, 0, None, LAKE) for n, kind in enumerate(kinds.values())]
    for name in ('a', 'b'):
        resource_tracker.register(database, record(name, cards))
    server, read = serve(database, nics=[f'physnet=lake,vnic={vnic},policy=required' for vnic in kinds])
    moved = claims.live_migration_claim(database, server.uuid, 'b', read=read).instance.move.new.placement
    asked = claims.moving_guest(server, read).pci_requests
    exchanged = live_devices.moved(server, asked, moved)
    assert [vnic != 'macvtap' for vnic in kinds] == [each.is_attached_again for each in exchanged]
    assert [cards[n].address for n in (0, 1)] == [each.destination for each in exchanged[:2]]
