# SPDX-License-Identifier: Apache-2.0
"""Repairs that others come between."""

from dataclasses import replace

import sqlalchemy as sa

from numaplace.compute import audit, resource_tracker
from numaplace.tests.functional.db.moving import SMALL_GUEST, check, place


def forget(database, name):
    """Store a host as one that nobody uses."""
    database.change_host(name, lambda record, _held: replace(record, host=resource_tracker.empty(record.host)))


def between(monkeypatch, action):
    """Let something happen after a repair looked and before it writes."""
    look = audit.audit

    def late(*arguments):
        report = look(*arguments)
        action()
        return report

    monkeypatch.setattr(audit, 'audit', late)


def test_a_repair_counts_a_server_that_comes_meanwhile(hosts, server, monkeypatch):
    def count_more(record, _held):
        first, *others = record.host.cells
        return replace(record, host=replace(record.host, cells=(replace(first, cpu_usage=3), *others)))

    hosts.change_host('a', count_more)
    between(monkeypatch, lambda: place(hosts, SMALL_GUEST, 'a', 'guest2'))
    assert audit.repair(hosts, 'a').differences
    check(hosts)


def test_a_repair_without_a_server_that_went_bad_meanwhile_stores_nothing(hosts, server, monkeypatch):
    """Its CPUs would be handed out again."""
    second = place(hosts, SMALL_GUEST, 'a', 'guest2')
    forget(hosts, 'a')
    before = hosts.host('a').host

    def pin_alike():
        text = 'SELECT numa_topology FROM instance_extra WHERE instance_uuid = :uuid'
        with hosts._transaction() as connection:
            topology = connection.scalar(sa.text(text), {'uuid': server})
            connection.execute(
                sa.text('UPDATE instance_extra SET numa_topology = :topology WHERE instance_uuid = :uuid'),
                {'topology': topology, 'uuid': second},
            )

    between(monkeypatch, pin_alike)
    faults = audit.repair(hosts, 'a').faults
    assert {('cpus.twice', server), ('cpus.twice', second)} == {(fault.code, fault.server) for fault in faults}
    assert hosts.host('a').host == before
