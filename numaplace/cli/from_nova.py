# SPDX-License-Identifier: Apache-2.0
"""Hosts and servers of a Nova, which become those of numaplace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from numaplace import exception
from numaplace.cli import fleet_sources, host_bulk, names

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from numaplace.cli.main import App
    from numaplace.db.api import Database
    from numaplace.model.fleet import Fleet
    from numaplace.model.records import HostRecord, InstanceRecord

__all__ = ['add_source', 'import_hosts', 'servers']


def add_source(parser: argparse.ArgumentParser, what: str) -> None:
    """Add the option that names the source.

    :param what: what is read there
    """
    parser.add_argument(
        '--from',
        dest='source',
        metavar='SOURCE',
        help=(
            f'Read {what} from {fleet_sources.NOVA}, the databases of a Nova, which the nova.conf of --config-file '
            'names and which are only read; or from a file that `numaplace fleet export` wrote.'
        ),
    )


def _read(app: App, source: str) -> Fleet:
    """Read a fleet, and tell which of its rows cannot be read."""
    fleet = fleet_sources.read_nova(app.conf) if source == fleet_sources.NOVA else fleet_sources.read_file(source)
    for row in fleet.unread:
        app.warn(f'{row.place} {names.shorten(row.key)}: {row.fault}')
    return fleet


def import_hosts(
    app: App, database: Database, source: str, wanted: Sequence[str], *, refresh: bool
) -> host_bulk.Report:
    """Register the hosts of a fleet without their servers, each in a transaction of its own.

    :param wanted: names of hosts; empty for all
    :param refresh: whether registered hosts are refreshed; otherwise they are refused
    :raises: :class:`~numaplace.exception.NotFound` for a host that is not there, and the faults of the source
    """
    known = {record.name: record for record in _read(app, source).hosts}
    if missing := [name for name in wanted if name not in known]:
        raise exception.NotFound(f'--from {source}: there is no host {missing[0]!r}')
    report = host_bulk.Report()
    for name in wanted or sorted(known):
        report.add(_import(database, known[name], refresh=refresh), ())
    for outcome in report.refused:
        app.complain(f"host '{names.shorten(outcome.name)}': {outcome.error}")
    return report


def _import(database: Database, record: HostRecord, *, refresh: bool) -> host_bulk.Outcome:
    from numaplace.compute import resource_tracker

    def register() -> object:
        return resource_tracker.register(database, record)

    def renew() -> object:
        host = resource_tracker.empty(record.host)
        # The databases of a Nova are read without the devices themselves.
        return resource_tracker.refresh(
            database,
            record.name,
            host,
            record,
            keeps_devices=not host.devices,
            keeps_resources=not host.resources,
        )

    attempts: list[tuple[str, Callable[[], object]]] = [('registered', register)]
    if refresh:
        attempts.insert(0, ('refreshed', renew))
    try:
        for result, act in attempts:
            try:
                act()
            except exception.NotFound:
                continue
            return host_bulk.Outcome(record.name, result)
    except exception.UnknownDatabase:
        raise  # it would not answer for the next host either
    except exception.NumaplaceException as error:
        return host_bulk.Outcome(record.name, 'refused', str(error))
    return host_bulk.Outcome(record.name, 'refused', 'it was deleted in the meantime')


def servers(app: App, source: str, host_name: str, wanted: Sequence[str]) -> list[InstanceRecord]:
    """Return the servers of a fleet that hold something on a host.

    :param wanted: names or UUIDs; empty for all
    :raises: :class:`~numaplace.exception.NotFound` for a server that is not there, and the faults of the source
    """
    from numaplace.model.allocations import holds

    here = [server for server in _read(app, source).servers if any(side.host == host_name for side in holds(server))]
    for name in wanted:
        if not any(name in (server.uuid, server.name) for server in here):
            raise exception.NotFound(f'--from {source}: there is no server {name!r} on host {host_name!r}')
    return [server for server in here if not wanted or server.uuid in wanted or server.name in wanted]
