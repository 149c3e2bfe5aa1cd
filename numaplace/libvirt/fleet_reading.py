# SPDX-License-Identifier: Apache-2.0
"""A fleet of libvirt hosts: what their domains hold, as servers where the model can say it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from numaplace import exception
from numaplace.fleet import usage
from numaplace.libvirt import adoption, domain_reading, inventory
from numaplace.libvirt.document import Document
from numaplace.libvirt.domain_reading import Reading
from numaplace.model.fleet import Fleet, Remark, Unread
from numaplace.model.held import hold
from numaplace.model.records import ACTIVE, HostRecord, InstanceRecord

__all__ = ['HostDomains', 'fleet', 'parse_all', 'unread']

#: A domain does not say when it was created.
_UNKNOWN_TIME = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class HostDomains:
    """A host and its domains.

    :param record: the host; its usage does not matter
    :param domains: each with what it says
    :param unread: those that cannot be read
    """

    record: HostRecord
    domains: Sequence[tuple[Document, Reading]]
    unread: tuple[Unread, ...] = ()


def unread(place: str, fault: str, host: str | None = None) -> Unread:
    """Return what stands for a host or a domain that cannot be read.

    :param place: its URI, or the path of its file
    """
    return Unread('libvirt.unreadable', 'libvirt', place, fault, host)


def parse_all(record: HostRecord, documents: Iterable[tuple[str, bytes]]) -> HostDomains:
    """Read domains from files; one that cannot be read does not stop the others.

    :param documents: the path and the content of each
    """
    domains, faults = [], []
    for place, xml in documents:
        try:
            domain = inventory.parse(xml, place)
            domains.append((domain, domain_reading.read(domain, record.host)))
        except exception.InvalidDomain as error:
            faults.append(unread(place, str(error).removeprefix(f'{place}: '), record.name))
    return HostDomains(record, domains, tuple(faults))


def fleet(hosts: Iterable[HostDomains], faults: Iterable[Unread] = ()) -> Fleet:
    """Return the fleet of hosts and their domains.

    A domain that no server can be like is one that numaplace does not manage, and holds what it has.

    :param faults: hosts that cannot be read
    """
    records: list[HostRecord] = []
    servers: list[InstanceRecord] = []
    remarks: list[Remark] = []
    unread_domains = list(faults)
    for one in hosts:
        own = list(_servers(one, len(servers) + 1))
        others = tuple([reading.holding for _domain, reading in one.domains if reading.placement is None])
        counted = usage.count(one.record.host, [server.placement for server in own])
        records.append(replace(one.record, host=hold(counted, others), unmanaged=others))
        servers += own
        remarks += _remarks(one)
        unread_domains += one.unread
    return Fleet(tuple(records), tuple(servers), unread=tuple(unread_domains), remarks=tuple(remarks))


def _servers(of: HostDomains, number: int) -> Iterator[InstanceRecord]:
    """Yield the domains that can be servers.

    :param number: of the first one
    """
    arch = str(of.record.facts.get('architecture') or '')
    for domain, reading in of.domains:
        if reading.placement is None:
            continue
        described = adoption.describe(domain, reading.placement.guest, arch)
        yield InstanceRecord(
            uuid=_uuid(of, reading),
            name=described.name,
            number=number,
            host=of.record.name,
            flavor=described.flavor,
            image_properties=described.image_properties,
            placement=reading.placement,
            availability_zone=None,
            vm_state=ACTIVE,
            created_at=_UNKNOWN_TIME,
            adopted_name=reading.holding.name,
        )
        number += 1


def _uuid(of: HostDomains, reading: Reading) -> str:
    """Return the UUID of a domain; a file that was written by hand may have none."""
    return reading.holding.uuid or f'{of.record.name}/{reading.holding.name}'


def _remarks(of: HostDomains) -> Iterator[Remark]:
    for _domain, reading in of.domains:
        for finding in reading.findings:
            yield Remark(
                finding.code,
                of.record.name,
                _uuid(of, reading),
                finding.cell,
                finding.found,
                finding.expected,
                finding.subject,
            )
