# SPDX-License-Identifier: Apache-2.0
"""Compare the rows of servers with the domains of their host's libvirt."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from numaplace import exception
from numaplace.operations import domain_xml, unmanaged

if TYPE_CHECKING:
    from oslo_config import cfg

    from numaplace.db.api import Database
    from numaplace.libvirt.connection import Libvirt
    from numaplace.libvirt.domain_reading import Reading
    from numaplace.libvirt.inventory import Domain
    from numaplace.model.records import HostRecord, InstanceRecord

__all__ = ['Mismatch', 'check']


class Mismatch(NamedTuple):
    """A difference between a server and its domain, or one of them without the other.

    :param server: name of the server; empty for a domain without one
    :param part: what differs, such as a pin
    """

    server: str
    domain: str
    part: str
    expected: str
    found: str


def check(
    conf: cfg.ConfigOpts,
    database: Database,
    record: HostRecord,
    uri: str,
    *,
    form: str = domain_xml.NEWEST,
    unread: dict[str, exception.NumaplaceException] | None = None,
    checked: Callable[[], object] = lambda: None,
) -> tuple[list[Mismatch], list[str]]:
    """Compare the servers of a host with its domains, and store anew what its other domains hold.

    :param form: as for :func:`numaplace.operations.domain_xml.write`
    :param unread: collects the servers whose rows cannot be read, by UUID
    :param checked: called after each server
    :returns: the differences, and warnings of the other domains
    :raises: :class:`~numaplace.exception.LibvirtError` if the libvirt does not answer
    """
    from numaplace.compute.unmanaged import update
    from numaplace.conf.numaplace import WARN
    from numaplace.libvirt import connection, inventory

    unread = {} if unread is None else unread
    ours = unmanaged.ours(database, record.name)
    found = inventory.read(uri, record.host)
    domains = {domain.uuid: domain for domain in found.domains}
    libvirt = connection.Libvirt(uri)
    differences: list[Mismatch] = []
    servers = [one for one in database.instances(record.name, unread) if one.host == record.name]
    for server in servers:
        if server.uuid in domains:
            differences += _compare(conf, database, server, domains[server.uuid], form=form, libvirt=libvirt)
        elif server.uuid in found.unread:
            differences.append(Mismatch(server.name, server.domain_name, 'XML', '', found.unread[server.uuid]))
        elif not _has_left(database, server):
            differences.append(Mismatch(server.name, server.domain_name, 'domain', server.uuid, ''))
        checked()
    seen = unmanaged.Seen.of(found, ours)
    policy = conf.numaplace.unknown_guests
    others = update(database, record.name, uri, seen.domains, seen.ours, is_held=policy != WARN)
    here = {server.uuid for server in servers}
    for uuid in sorted({*domains, *found.unread} - here - set(unread)):
        named = domains[uuid].reading.holding.name if uuid in domains else ''
        differences.append(Mismatch('', named, 'domain', '', uuid))
    return differences, list(unmanaged.warnings(record.name, others, seen, policy))


def _has_left(database: Database, server: InstanceRecord) -> bool:
    """Return whether a server was deleted, or left its host, since its domains were read."""
    with suppress(exception.InvalidObject):
        try:
            return database.instance(server.uuid).host != server.host
        except exception.NotFound:
            return True
    return False


def _compare(
    conf: cfg.ConfigOpts, database: Database, server: InstanceRecord, found: Domain, *, form: str, libvirt: Libvirt
) -> Iterator[Mismatch]:
    from numaplace.libvirt import checking

    if server.adopted_name is not None:
        yield from _compare_adopted(server, found.reading)
        return
    try:
        expected = domain_xml.write(conf, database, server, form, libvirt)
    except exception.NumaplaceException as error:
        yield Mismatch(server.name, server.domain_name, 'XML', str(error), '')
        return
    for difference in checking.compare(expected, found.xml, place=f'domain {server.uuid}'):
        yield Mismatch(server.name, server.domain_name, difference.part, difference.expected, difference.found)


def _compare_adopted(server: InstanceRecord, reading: Reading) -> Iterator[Mismatch]:
    """Yield what the reading of an adopted domain tells, and where it is not as its server holds."""
    from numaplace.libvirt import checking

    for note in reading.holding.notes:
        yield Mismatch(server.name, server.domain_name, note.code, '', note.text)
    if reading.placement is not None:
        for difference in checking.compare_placements(server.placement, reading.placement):
            yield Mismatch(server.name, server.domain_name, difference.part, difference.expected, difference.found)
