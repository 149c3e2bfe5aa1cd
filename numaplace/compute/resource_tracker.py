# SPDX-License-Identifier: Apache-2.0
"""What hosts have, and how their usage follows from their servers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from numaplace import exception, wire
from numaplace.db import api, holding
from numaplace.db.records import HostRecord, InstanceRecord
from numaplace.db.retry import retry
from numaplace.model import Host, Placement

__all__ = ['Counted', 'count', 'empty', 'refresh', 'register', 'switch', 'unregister', 'usage']


def empty(host: Host) -> Host:
    """Return a host that nobody uses."""
    cells = tuple(
        replace(
            cell,
            pinned_cpus=0,
            cpu_usage=0,
            memory_usage_mib=0,
            pages=tuple(replace(pages, used=0) for pages in cell.pages),
        )
        for cell in host.cells
    )
    return Host(cells)


def usage(host: Host, placements: Iterable[Placement]) -> Host:
    """Return a host with the usage that follows from its guests, whatever usage it had before.

    :raises: :class:`~numaplace.exception.UsageInvalid` if a guest is on a cell that the host does not have,
        :class:`~numaplace.exception.CPUPinningUnknown` or :class:`~numaplace.exception.CPUPinningInvalid` if it holds
        CPUs that the host does not have, or that another guest holds
    """
    counted = empty(host)
    for placement in placements:
        counted = counted.consume(placement)
    return counted


@dataclass(frozen=True, slots=True)
class Counted:
    """A host with the usage that follows from its servers.

    :param host: with the servers that could be counted
    :param faults: the others by UUID, each with what is wrong with it
    """

    host: Host
    faults: Mapping[str, exception.NumaplaceException]


def count(name: str, host: Host, instances: Iterable[InstanceRecord]) -> Counted:
    """Count all servers that hold something on a host; one that cannot be counted does not keep the others.

    :param name: of the host
    :param host: what it has, with whatever usage
    """
    counted, faults = empty(host), {}
    for instance in instances:
        with_it = counted
        try:
            for placement in holding.held_on(name, [instance]):
                with_it = with_it.consume(_read_anew(placement, host))
        except exception.NumaplaceException as error:
            faults[instance.uuid] = type(error)(f'server {instance.name!r} ({instance.uuid}) on host {name!r}: {error}')
        else:
            counted = with_it
    return Counted(counted, faults)


def register(database: api.Database, record: HostRecord) -> HostRecord:
    """Store a new host, which nobody uses.

    :raises: :class:`~numaplace.exception.AlreadyExists`, :class:`~numaplace.exception.Invalid`
    """
    return database.create_host(replace(record, host=empty(record.host)))


def refresh(database: api.Database, name: str, host: Host, like: HostRecord | None = None) -> HostRecord:
    """Store what a host has now, with the usage that all that counts on it makes: its servers, and those in a move.

    :param like: the facts and ratios that it has now; None leaves them as they are
    :raises: :class:`~numaplace.exception.NotFound`, :class:`~numaplace.exception.ConcurrentUpdate`, and the faults of
        :func:`usage`, with the server named, if it holds what the host no longer has
    """

    def change(record: HostRecord, instances: Sequence[InstanceRecord]) -> HostRecord:
        now = like or record
        return replace(
            record,
            host=_all_counted(count(name, host, instances)),
            facts=now.facts,
            cpu_allocation_ratio=now.cpu_allocation_ratio,
            ram_allocation_ratio=now.ram_allocation_ratio,
        )

    return retry(lambda: database.change_host(name, change))


def _all_counted(counted: Counted) -> Host:
    for fault in counted.faults.values():
        raise fault
    return counted.host


def _read_anew(placement: Placement, host: Host) -> Placement:
    # What thread policy isolate takes follows from the siblings of the CPUs, which may be others now.
    return wire.read_placement(wire.write_placement(placement), host) if placement.cells else placement


def switch(database: api.Database, name: str, *, status: str | None = None, state: str | None = None) -> HostRecord:
    """Let guests come to a host or not, and say whether it answers.

    :param status: ENABLED or DISABLED; None leaves it as it is
    :param state: UP or DOWN; None leaves it as it is
    :raises: :class:`~numaplace.exception.NotFound`, :class:`~numaplace.exception.ConcurrentUpdate`
    """

    def change(record: HostRecord, _instances: Sequence[InstanceRecord]) -> HostRecord:
        return replace(record, status=status or record.status, state=state or record.state)

    # Its servers have no part in it, so none of them has to be such that it can be read.
    return retry(lambda: database.change_host(name, change, unread={}))


def unregister(database: api.Database, name: str) -> None:
    """Delete a host.

    :raises: :class:`~numaplace.exception.NotFound`, :class:`~numaplace.exception.Conflict` if it has servers,
        :class:`~numaplace.exception.ConcurrentUpdate`
    """
    database.delete_host(name)
