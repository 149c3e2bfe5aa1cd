# SPDX-License-Identifier: Apache-2.0
"""Whether the usage that hosts are stored with is what their servers hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from numaplace import cpuset, exception, units
from numaplace.compute import resource_tracker
from numaplace.db import api
from numaplace.db.records import HostRecord, InstanceRecord
from numaplace.db.retry import retry
from numaplace.model import Host, HostCell

__all__ = ['Difference', 'Report', 'audit', 'discard', 'repair']


@dataclass(frozen=True, slots=True)
class Difference:
    """One figure of a host that is stored otherwise than its servers make it.

    :param part: what it is, in words
    """

    part: str
    stored: str
    counted: str


@dataclass(frozen=True, slots=True)
class Report:
    """What an audit found of a host.

    :param faults: why servers could not be read or counted, a line for each, or why the host could not; where there
        are any, the differences are those of the other servers, and nobody knows the right usage
    """

    host: str
    differences: tuple[Difference, ...]
    faults: tuple[str, ...] = ()


def audit(database: api.Database, name: str) -> Report:
    """Count what the servers of a host hold, and compare it with the usage that the host is stored with.

    :raises: :class:`~numaplace.exception.NotFound`
    """
    unread: dict[str, exception.NumaplaceException] = {}
    try:
        record, instances = database.holders(name, unread)
    except exception.InvalidObject as error:
        return Report(name, (), (str(error),))
    report, _ = _report(record, instances)
    return replace(report, faults=(*map(str, unread.values()), *report.faults))


def repair(database: api.Database, name: str) -> Report:
    """Audit a host, and store the usage that its servers make where all of them can be counted.

    One transaction, so that no claim is lost that comes meanwhile.

    :returns: what was found before
    :raises: :class:`~numaplace.exception.NotFound`, :class:`~numaplace.exception.ConcurrentUpdate`
    """
    report = audit(database, name)
    if report.faults or not report.differences:
        return report

    def change(record: HostRecord, instances: list[InstanceRecord]) -> HostRecord:
        nonlocal report
        report, counted = _report(record, instances)
        return record if report.faults else replace(record, host=counted)

    retry(lambda: database.change_host(name, change))
    return report


def discard(database: api.Database, instance_uuid: str) -> list[Report]:
    """Delete a server, also one that nobody can read or that the usage of its hosts does not hold, and repair these.

    Two transactions for a host: for a moment too much of it is taken, never too little.

    :returns: what was found of each host, with faults where it could not be repaired
    :raises: :class:`~numaplace.exception.InstanceNotFound`, :class:`~numaplace.exception.ConcurrentUpdate`
    """
    return [repair(database, name) for name in retry(lambda: database.discard(instance_uuid))]


def _report(record: HostRecord, instances: list[InstanceRecord]) -> tuple[Report, Host]:
    counted = resource_tracker.count(record.name, record.host, instances)
    differences = tuple(_compare(_figures(record.host), _figures(counted.host)))
    return Report(record.name, differences, tuple(map(str, counted.faults.values()))), counted.host


def _compare(stored: dict[str, str], counted: dict[str, str]) -> Iterator[Difference]:
    for part, value in stored.items():
        if value != counted[part]:
            yield Difference(part, value, counted[part])


def _figures(host: Host) -> dict[str, str]:
    """Return the usage of a host, by what each figure is."""
    found = {
        'vCPUs of all servers': str(host.vcpus_used),
        'MiB of all servers': str(host.memory_used_mib),
        'vCPUs that float': str(host.floating_vcpus),
    }
    for cell in host.cells:
        found |= {f'host cell {cell.id}: {part}': value for part, value in _cell_figures(cell).items()}
    return found


def _cell_figures(cell: HostCell) -> dict[str, str]:
    return {
        'pinned CPUs': cpuset.text(cell.pinned_cpus) or 'none',
        'shared vCPUs': str(cell.cpu_usage),
        'MiB': str(cell.memory_usage_mib),
        **{f'{units.size(pages.size_kib)} pages': str(pages.used) for pages in cell.pages},
    }
