# SPDX-License-Identifier: Apache-2.0
"""Audit a fleet: recompute every host from its servers, and report all that is wrong."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta

from numaplace.fleet import configuration, pci_devices, resources, servers, usage
from numaplace.fleet.configuration import Settings
from numaplace.fleet.findings import Finding
from numaplace.fleet.servers import Held
from numaplace.model.allocations import holds
from numaplace.model.fleet import Fleet
from numaplace.model.records import HostRecord, InstanceRecord

__all__ = ['audit', 'audit_host', 'held']

#: How long a move may take before it is a finding.
PATIENCE = timedelta(hours=1)
_NO_SETTINGS = Settings()


def audit(
    fleet: Fleet, *, settings: Settings = _NO_SETTINGS, now: datetime | None = None, patience: timedelta = PATIENCE
) -> list[Finding]:
    """Return all findings, errors first, then by host and server.

    Linear in the number of servers, hosts and CPUs, and one fit for each flavor and kind of host.

    :param settings: what the configuration says of hosts
    :param now: the moment of the audit; without it no move is too old
    :param patience: how long a move may take
    """
    found: list[Finding] = [
        Finding(row.code, row.host, row.server, None, row.fault, '', f'{row.place} {row.key}') for row in fleet.unread
    ]
    found += [Finding(**asdict(remark)) for remark in fleet.remarks]
    by_host = held(fleet.servers)
    incomplete = {row.host for row in fleet.unread}
    found += [Finding('row.old', host.name, found=host.old_format) for host in fleet.hosts if host.old_format]
    found += [
        Finding('row.old', server.host, server.uuid, found=server.old_format)
        for server in fleet.servers
        if server.old_format
    ]
    for record in fleet.hosts:
        holders = by_host.get(record.name, ())
        found += audit_host(record, holders, is_complete=record.name not in incomplete)
        found += configuration.check_host(record, settings, holders)
    found += _check_servers(fleet, now, patience)
    found += configuration.check_flavors(fleet.flavors, fleet.hosts)
    found += _check_providers(fleet, by_host)
    return sorted(found, key=lambda finding: finding.order)


def audit_host(record: HostRecord, holders: Sequence[Held], *, is_complete: bool = True) -> Iterator[Finding]:
    """Check a host with what servers hold on it.

    :param is_complete: whether these are all of its servers; otherwise its usage may include others
    """
    for one in holders:
        yield from servers.check_placement(record.name, record.host, one)
    yield from servers.check_conflicts(record.name, record.host, holders, record.unmanaged)
    yield from pci_devices.check(record.name, record.host, holders, record.unmanaged)
    yield from resources.check(record.name, record.host, holders)
    if is_complete:
        yield from usage.check(record, usage.count(record.host, [one.placement for one in holders]))


def held(records: Iterable[InstanceRecord]) -> dict[str, list[Held]]:
    """Return what servers hold, by host."""
    found: dict[str, list[Held]] = defaultdict(list)
    for server in records:
        for side in holds(server):
            found[side.host].append(Held(server.uuid, side.placement, server.flavor.extra_specs))
    return found


def _check_servers(fleet: Fleet, now: datetime | None, patience: timedelta) -> Iterator[Finding]:
    known = {record.name for record in fleet.hosts} | {row.host for row in fleet.unread}
    for server in fleet.servers:
        for name in sorted({side.host for side in holds(server)} - known):
            yield Finding('server.host', name, server.uuid, None, name)
        yield from servers.check_metadata(server)
        if now is not None and server.move is not None and not server.move.has_ended:
            yield from servers.check_move(server, server.move, now, patience)


def _check_providers(fleet: Fleet, by_host: Mapping[str, list[Held]]) -> Iterator[Finding]:
    hosts = {record.name: record.host for record in fleet.hosts}
    by_uuid: dict[str, InstanceRecord] = {server.uuid: server for server in fleet.servers}
    twice = {row.host for row in fleet.unread if row.code == 'host.twice'}  # their servers may be with either
    moves = frozenset([server.move.uuid for server in fleet.servers if server.move is not None])
    for provider in fleet.providers:
        if provider.host in hosts and provider.host not in twice:
            here = {one.uuid for one in by_host.get(provider.host, ())}
            yield from configuration.check_provider(provider, hosts[provider.host], by_uuid, moves, sorted(here))
