# SPDX-License-Identifier: Apache-2.0
"""Audit: whether the stored usage of hosts is what their servers hold."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from numaplace import exception
from numaplace.db import api, rows
from numaplace.db.retry import retry
from numaplace.fleet import usage
from numaplace.fleet.audit import audit_host, held
from numaplace.fleet.findings import RECOUNTED, UNCOUNTABLE, Finding
from numaplace.model.allocations import held_on
from numaplace.model.records import HostRecord, InstanceRecord

__all__ = ['Report', 'audit', 'discard', 'repair']


@dataclass(frozen=True, slots=True)
class Report:
    """What an audit found of the usage of a host.

    :param differences: where the stored usage is not what the servers hold
    :param faults: why servers could not be read or counted, or why the host could not; if there are any, the right
        usage is unknown
    :param is_old: the row of the host is not as it is written now; a repair writes it
    """

    host: str
    differences: tuple[Finding, ...] = ()
    faults: tuple[Finding, ...] = ()
    is_old: bool = False


def audit(database: api.Database, name: str) -> Report:
    """Count what the servers of a host hold, and compare it with the stored usage of the host.

    :raises: :class:`~numaplace.exception.NotFound`
    """
    unread: dict[str, exception.NumaplaceException] = {}
    try:
        record, instances = database.holders(name, unread)
    except exception.InvalidObject as error:
        return Report(name, faults=(_unread('compute_nodes', name, error),))
    report = _report(record, instances)
    if report.differences:
        database.strays(unread)
    if not unread:
        return report
    faults = [_unread('instances', name, fault, uuid) for uuid, fault in unread.items()]
    return Report(name, faults=(*faults, *report.faults))


def repair(database: api.Database, name: str) -> Report:
    """Audit a host, and store the usage of its servers if all of them can be counted.

    One transaction, so that no claim made in the meantime is lost. The rows of other hosts need not be readable.

    :returns: what was found before
    :raises: :class:`~numaplace.exception.NotFound`, :class:`~numaplace.exception.ConcurrentUpdate`
    """
    report = audit(database, name)
    if report.faults or not (report.differences or report.is_old):
        return report

    unread: rows.Unread = {}

    def change(record: HostRecord, instances: list[InstanceRecord]) -> HostRecord:
        nonlocal report
        for fault in unread.values():  # a server that was readable a moment ago
            raise fault
        found = _report(record, instances)
        if found.faults or found.differences:  # none are left if an earlier attempt stored them, and got no answer
            report = found
        return record if found.faults else replace(record, host=usage.count(record.host, held_on(name, instances)))

    retry(lambda: database.change_host(name, change, unread))
    return report


def discard(database: api.Database, instance_uuid: str) -> list[Report]:
    """Delete a server, even one that cannot be read or is not in the usage of its hosts, and repair these hosts.

    Two transactions for each host: for a moment its usage is too high, never too low.

    :returns: the report of each host, with faults if it could not be repaired
    :raises: :class:`~numaplace.exception.InstanceNotFound`, :class:`~numaplace.exception.ConcurrentUpdate`
    """
    reports = []
    for name in retry(lambda: database.discard(instance_uuid)):
        with suppress(exception.NotFound):  # the row of the server named a host that does not exist
            reports.append(repair(database, name))
    return reports


def _report(record: HostRecord, instances: Sequence[InstanceRecord]) -> Report:
    found = list(audit_host(record, held(instances).get(record.name, ())))
    return Report(
        record.name,
        tuple([finding for finding in found if finding.code in RECOUNTED]),
        tuple([finding for finding in found if finding.code in UNCOUNTABLE]),
        bool(record.old_format),
    )


def _unread(table: str, host: str, fault: Exception, server: str | None = None) -> Finding:
    return Finding('row.unreadable', host, server, None, rows.cause(fault), '', f'{table} {server or host}')
