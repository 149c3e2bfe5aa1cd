# SPDX-License-Identifier: Apache-2.0
"""Faults that Nova's claims had or have, each as its scenario: here the audit may come at any moment of a move.

The audit of Nova, ``update_available_resource``, is :func:`numaplace.compute.resource_tracker.refresh` here.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from numaplace import fit
from numaplace.compute import claims, migration, resource_tracker
from numaplace.libvirt import live_migration
from numaplace.model import PAGES_ANY, allocations
from numaplace.scheduler import select
from numaplace.scheduler.filters import Request
from numaplace.scheduler.filters.numa_topology import NUMATopologyFilter
from numaplace.tests import samples
from numaplace.tests.functional.db.moving import (
    BIG,
    IDLE,
    LARGE,
    LARGE_GUEST,
    SMALL,
    SMALL_GUEST,
    place,
    read,
    resize,
    used,
)


def audit(database, *hosts):
    """Count again what each host has, as the periodic audit does."""
    for name in hosts or ('a', 'b'):
        before = database.host(name).host
        assert resource_tracker.refresh(database, name, resource_tracker.empty(before)).host == before


def test_1879878_an_audit_in_the_middle_of_a_confirmation_frees_nothing_twice(hosts, server):
    """Nova: the migration was confirmed first, and what the source held was freed later, by another step.

    An audit between the two no longer counted the old pins, and the second step unpinned them once more:
    CPUUnpinningInvalid, and the server in ERROR. Here both are one transaction, and an audit that comes into it waits.
    """
    resize(hosts, server)
    migration.finish(hosts, server)
    if hosts._engine.dialect.name != 'sqlite':  # where nobody can come between

        def interrupted(instance, _hosts):
            audits.append(pool.submit(audit, hosts))
            with pytest.raises(TimeoutError, match=r'^$'):
                audits[0].result(0.5)
            return instance

        audits = []
        with ThreadPoolExecutor(1) as pool:
            hosts.change_instance(server, interrupted)
            audits[0].result(30)
    audit(hosts)
    migration.confirm(hosts, server)
    audit(hosts)
    assert used(hosts) == {'a': IDLE, 'b': BIG}


def test_1944759_an_audit_on_the_way_keeps_what_the_source_holds(hosts, server):
    """Nova: the server was said to be on the destination before its old flavor was stored.

    An audit of the source between the two counted it neither as a server nor as an outbound move and dropped its pins;
    the confirmation failed on them later, and others could be pinned there. Here each side of a move stands in the row
    of the claim until the move is over.
    """
    resize(hosts, server)
    audit(hosts)
    assert used(hosts)['a'] == SMALL
    migration.finish(hosts, server)
    audit(hosts)
    assert used(hosts)['a'] == SMALL
    assert place(hosts, samples.guest(vcpus=6), name='other')
    migration.revert(hosts, server)
    audit(hosts)


def test_1953359_an_audit_counts_what_comes_by_its_place_here(hosts):
    """Nova: for a while a server was on the destination and still had the pins of the source.

    An audit of the destination pinned those. Where other servers had them it failed with CPUPinningInvalid, and the
    record of the host stayed as it was. Here the new pins are counted from the claim on.
    """
    place(hosts, samples.guest(vcpus=8), 'b', 'neighbour')
    server = place(hosts, samples.guest(vcpus=8))
    claim = claims.resize_claim(hosts, server, 'b', read=lambda *_: samples.guest(vcpus=8))
    assert [side.placement.cells[0].host_cell for side in allocations.holds(claim.instance)] == [0, 1]
    for step in (migration.finish, migration.confirm):
        audit(hosts)
        step(hosts, server)
    audit(hosts)
    assert [cell.free_cpus for cell in hosts.host('b').host.cells] == [0, 0]


def test_1894095_a_live_migration_that_fails_leaves_the_pins_of_the_source(hosts):
    """Nova, still open: the move was failed first, and dropped from the destination later.

    An audit of the source between the two counted the pins of the destination as its own. Here the source counts its
    own side at every moment, and the end is one transaction.
    """
    place(hosts, samples.guest(vcpus=4), 'b', 'neighbour')
    server = place(hosts, SMALL_GUEST)
    claims.live_migration_claim(hosts, server, 'b', strategy=fit.LINEAR)
    audit(hosts)
    assert used(hosts) == {'a': SMALL, 'b': ('0-5', 1024)}
    migration.drop_move_claim(hosts, server)
    audit(hosts)
    assert used(hosts) == {'a': SMALL, 'b': ('0-3', 512)}


@pytest.mark.parametrize('strategy', [fit.LINEAR, fit.SPREAD, fit.PACK], ids=lambda strategy: strategy.name)
def test_2144660_a_claim_takes_the_cells_that_the_scheduler_saw(hosts, server, strategy):
    """Nova, 2026: the claim sorted the host cells in another way than the filter, without regard to PCI devices.

    So it took the cells that were meant for guests with devices. Here filter and claim ask the same question: host,
    limits, networks, strategy.
    """
    place(hosts, samples.guest(vcpus=1), 'b', 'neighbour')
    wanted = replace(samples.instance_request(LARGE_GUEST), uuid=server)
    request = Request(wanted, strategy=strategy)
    seen = NUMATopologyFilter().admit(hosts.host('b'), request)
    policy = select.Policy((('NUMATopologyFilter', NUMATopologyFilter()),), (), 3)

    def claim(host_name, **terms):
        return claims.resize_claim(hosts, server, host_name, flavor=LARGE, read=read, **terms)

    answer = select.select(hosts, request, policy, leaves='a', claim=claim)
    assert [cell.pins for cell in answer.claim.side.placement.cells] == [cell.pins for cell in seen.cells]


def test_1289064_a_live_migration_gets_pins_of_its_own(hosts, server):
    """Nova before Train: a guest that moved while it ran kept the pins of its old host.

    Two guests then ran on one CPU, and nobody knew. Here the destination is fitted again, and the new pins are what the
    source is told.
    """
    neighbour = place(hosts, SMALL_GUEST, 'b', 'neighbour')
    claims.live_migration_claim(hosts, server, 'b', strategy=fit.LINEAR)
    arrived = migration.finish(hosts, server)
    taken = {
        instance.uuid: {cpu for cell in instance.placement.cells for _, cpu in cell.pins}
        for instance in hosts.instances('b')
    }
    assert taken == {neighbour: {0, 1}, server: {2, 3}}
    info = live_migration.numa_info(arrived.placement, hosts.host('b').host)
    assert info['nova_object.data']['cpu_pins'] == {'0': [2], '1': [3]}


def with_pages(name, *sizes_kib):
    """Return an idle host whose cells have pages of one size each."""
    record = samples.host_record(name)
    cells = (
        replace(cell, pages=tuple(pages for pages in cell.pages if pages.size_kib == size_kib))
        for cell, size_kib in zip(record.host.cells, sizes_kib, strict=True)
    )
    return replace(record, host=replace(record.host, cells=tuple(cells)))


def test_a_live_migration_keeps_the_page_size_of_every_cell(hosts):
    """Nova compares that of cell 0 only, so the other cells may come to rest on other pages."""
    resource_tracker.register(hosts, with_pages('mixed', 2048, 4))
    resource_tracker.register(hosts, with_pages('large', 2048, 2048))
    guest = samples.guest(cells=2, vcpus=1, memory_mib=256, pagesize_kib=PAGES_ANY)
    before = hosts.instance(place(hosts, guest, 'mixed')).placement
    (server,) = hosts.instances()
    assert sorted(cell.pagesize_kib for cell in before.cells) == [4, 2048]
    refusal = claims.live_migration_claim(hosts, server.uuid, 'large')
    assert {reason.code for reason in refusal.reasons} == {'pages.4.total'}
    claims.live_migration_claim(hosts, server.uuid, 'b')
    after = migration.finish(hosts, server.uuid).placement
    assert after.guest == before.guest
    assert [cell.pagesize_kib for cell in after.cells] == [cell.pagesize_kib for cell in before.cells]
