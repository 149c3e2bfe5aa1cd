# SPDX-License-Identifier: Apache-2.0
"""Claims of domains that run already: a placement that is given instead of searched."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from numaplace import cpuset, exception, units
from numaplace.db import api
from numaplace.db.consistency import check_placement
from numaplace.db.records import InstanceRequest
from numaplace.db.retry import retry
from numaplace.fleet.findings import Finding
from numaplace.model import CellPlacement, Host, HostCell, Placement
from numaplace.model.allocations import holds
from numaplace.model.records import InstanceRecord

__all__ = ['Conflict', 'adopt', 'conflicts', 'holders', 'named']


class Conflict(exception.Conflict):
    """A domain holds what others hold, or what its host does not have.

    :param findings: what is wrong
    """

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__('; '.join(finding.text for finding in findings))
        self.findings = tuple(findings)


def adopt(database: api.Database, request: InstanceRequest, host_name: str, placement: Placement) -> InstanceRecord:
    """Record a domain as a server, exactly where it is, in one transaction.

    :param request: the server; its guest is that of the placement
    :param placement: where it is; the memory that servers may overcommit is not limited, since the guest has it already
    :raises: :class:`~numaplace.exception.NotFound` for an unknown host, :class:`Conflict`,
        :class:`~numaplace.exception.AlreadyExists` if it is a server already,
        :class:`~numaplace.exception.ConcurrentUpdate` if the race for the host was lost too often
    """

    def place(host: Host) -> Placement:
        if found := list(conflicts(host, placement)):
            raise Conflict(found)
        return placement

    try:
        answer = retry(lambda: database.claim(request, host_name, place))
    except Conflict as conflict:
        raise Conflict(named(conflict.findings, holders(database, host_name))) from conflict
    assert isinstance(answer, InstanceRecord)  # noqa: S101 - `place` refuses nothing
    return answer


def conflicts(host: Host, placement: Placement) -> Iterator[Finding]:
    """Find what a placement takes that a host does not have free, by the codes of an audit.

    :raises: :class:`~numaplace.exception.InvalidObject` if no server can have it, as without memory
    """
    check_placement(placement)
    known = {cell.id: cell for cell in host.cells}
    taken: dict[int, list[CellPlacement]] = {}
    for placed in placement.cells:
        if placed.host_cell in known:
            taken.setdefault(placed.host_cell, []).append(placed)
        else:
            yield Finding('server.cell', cell=placed.host_cell, expected=', '.join(map(str, known)) or 'none')
    for number, cells in taken.items():
        yield from _check_cpus(known[number], cells)
        yield from _check_pages(known[number], cells)
    if twice := sorted(_addresses(placement) & host.devices.taken):
        yield Finding('devices.twice', found=', '.join(twice))


def _addresses(placement: Placement) -> set[str]:
    return {granted.device.address for granted in placement.devices}


def _check_cpus(cell: HostCell, placed: Sequence[CellPlacement]) -> Iterator[Finding]:
    cpus = cpuset.union(one.taken for one in placed)
    if outside := cpus & ~cell.shape.dedicated_cpus:
        expected = cpuset.text(cell.shape.dedicated_cpus) or '(none)'
        yield Finding('cpus.outside', cell=cell.id, found=cpuset.text(outside), expected=expected)
    if twice := cpus & cell.pinned_cpus:
        yield Finding('cpus.twice', cell=cell.id, found=cpuset.text(twice))


def _check_pages(cell: HostCell, placed: Sequence[CellPlacement]) -> Iterator[Finding]:
    known = {pages.size_kib: pages for pages in cell.pages}
    for size_kib in sorted({one.pagesize_kib for one in placed if one.pagesize_kib}):
        wanted = [one.guest_cell.memory_mib for one in placed if one.pagesize_kib == size_kib]
        number = sum(memory_mib * units.KIB_PER_MIB // size_kib for memory_mib in wanted)
        pages = known.get(size_kib)
        if pages is None or number > pages.free:
            used, most = (0, 0) if pages is None else (pages.used, pages.total - pages.reserved)
            size = units.size(size_kib)
            yield Finding('pages.overdrawn', None, None, cell.id, str(used + number), str(most), size)


def holders(database: api.Database, host_name: str) -> list[tuple[str, Placement]]:
    """Return what the servers of a host hold there, each with its UUID; rows that cannot be read are left out."""
    return [
        (server.uuid, side.placement)
        for server in database.instances(host_name, {})
        for side in holds(server)
        if side.host == host_name
    ]


def named(findings: Iterable[Finding], rivals: Sequence[tuple[str, Placement]]) -> list[Finding]:
    """Return findings that name who else holds the CPUs and devices."""
    return [_with_rivals(finding, rivals) if finding.code in _TWICE else finding for finding in findings]


#: Codes of what two hold, and whether a placement has some of what is found.
_TWICE: Mapping[str, Callable[[str, Placement], bool]] = {
    'cpus.twice': lambda found, placement: any(cpuset.parse(found) & placed.taken for placed in placement.cells),
    'devices.twice': lambda found, placement: not _addresses(placement).isdisjoint(found.split(', ')),
}


def _with_rivals(finding: Finding, rivals: Sequence[tuple[str, Placement]]) -> Finding:
    has = _TWICE[finding.code]
    theirs = {uuid for uuid, placement in rivals if has(finding.found, placement)}
    return replace(finding, subject=', '.join(sorted(theirs)))
