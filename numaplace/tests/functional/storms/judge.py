# SPDX-License-Identifier: Apache-2.0
"""What must hold of all journals and the rows together.

Every change of a host has a generation of its own, so the generations put all that processes were told in one order a
host, in which nothing may be held twice, and no host may have too many members of a group. Whether members are together
shows the clock that all processes share: where they surely were at the same time.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from itertools import combinations
from math import inf
from typing import NamedTuple

from numaplace.tests.functional.storms.journal import DONE, KILLED, REFUSED, Entry
from numaplace.tests.functional.storms.ledger import Holding, Ledger, device_faults

__all__ = ['faults']

#: Faults that another process must have caused.
_STATE_FAULTS = (
    'InstanceNotFound',
    'InstanceInvalidState',
    'ComputeServiceInUse',
    'ComputeServiceUnavailable',
    'UnableToMigrateToSelf',
)
#: Outcomes of which nobody knows whether anything was stored.
_UNKNOWN = (KILLED, 'UnknownOutcome')
#: What may be repeated without harm, so that an unanswered commit is.
_REPEATABLE = ('refresh', 'toggle')


def faults(found: list[Entry], ledger: Ledger, *, cut_off: bool = False) -> list[str]:
    """Return what proves that something was lost or handed out twice, or that a process failed without reason.

    :param cut_off: whether processes or servers were killed, so that some outcomes are not known
    """
    answer = ledger.faults()
    answer += [f'more than one transaction: {entry}' for entry in found if len(entry.commits) > 1]
    unknown = [entry for entry in found if cut_off and (entry.outcome in _UNKNOWN or entry.verb in _REPEATABLE)]
    for host in ledger.hosts:
        answer += _replay(host, found, ledger, unknown)
    answer += _parted(found, ledger, unknown)
    allowed = (DONE, REFUSED, 'ConcurrentUpdate', *((*_UNKNOWN, 'LostConnection') if cut_off else ()))
    unexplained = [entry for entry in found if entry.outcome not in allowed and not _is_explained(entry, found)]
    return answer + [f'nobody explains {entry}' for entry in unexplained]


def _replay(host: str, found: list[Entry], ledger: Ledger, unknown: list[Entry]) -> Iterator[str]:
    """Go through all changes of a host in the order of its generations."""
    every = [(commit[host], entry) for entry in found for commit in entry.commits if host in commit]
    steps = sorted((step for step in every if not _has_twin(*step, every)), key=lambda step: step[0])
    yield from _order_faults(host, steps, ledger.hosts[host]['generation'], len(unknown))
    latest_first = sorted(unknown, key=lambda entry: entry.begin, reverse=True)
    uncertain_since = {entry.server: entry.begin for entry in latest_first}
    held: dict[str, list[Holding]] = {}
    members = _members(found)
    for generation, entry in steps:
        held[entry.server] = [holding for holding in entry.told if holding.host == host]
        certain = _certain(held, uncertain_since, entry.end)
        double = _double_faults(ledger.hosts[host]['cells'], certain)
        devices = device_faults(ledger.hosts[host]['devices'], certain)
        for fault in (*double, *devices, *_crowds(certain, members, ledger.groups)):
            yield f'{host} at generation {generation}, {entry}: {fault}'
    expected = sorted(_certain(held, uncertain_since))
    stored = sorted(each for each in ledger.holdings if each.host == host and each.server not in uncertain_since)
    if expected != stored:
        yield f'{host}: the rows say {stored}, the journals {expected}'


def _members(found: list[Entry]) -> dict[str, str]:
    """Return the groups of all servers that are or were in one, by UUID."""
    return {entry.server: entry.group for entry in found if entry.group is not None}


def _crowds(held: list[Holding], members: Mapping[str, str], groups: dict[str, dict]) -> Iterator[str]:
    """Yield the groups of which more members hold something on one host than their rule allows."""
    present = Counter(members[server] for server in {holding.server for holding in held} if server in members)
    for uuid, count in present.items():
        if groups[uuid]['policy'] == 'anti-affinity' and count > (groups[uuid]['max_server_per_host'] or 1):
            yield f'{count} members of {groups[uuid]["name"]} are there'


class _Stay(NamedTuple):
    """A time in which a server surely held something on a host: from the end of what gave it to what took it."""

    server: str
    host: str
    since: int
    until: float


def _parted(found: list[Entry], ledger: Ledger, unknown: list[Entry]) -> Iterator[str]:
    """Yield two members of an affinity group that were on different hosts at the same time."""
    uncertain = {entry.server for entry in unknown}
    stays: defaultdict[str, list[_Stay]] = defaultdict(list)
    for server, group in _members(found).items():
        if ledger.groups[group]['policy'] == 'affinity' and server not in uncertain:
            stays[group] += _stays(server, found)
    for group, all_of_it in stays.items():
        for one, other in combinations(all_of_it, 2):
            together = max(one.since, other.since) < min(one.until, other.until)
            if together and one.server != other.server and one.host != other.host:
                yield f'{ledger.groups[group]["name"]} was on two hosts: {one}, {other}'


def _stays(server: str, found: list[Entry]) -> Iterator[_Stay]:
    changes = [entry for entry in found if entry.server == server and entry.commits]
    for host in {host for entry in changes for commit in entry.commits for host in commit}:
        steps = [(commit[host], entry) for entry in changes for commit in entry.commits if host in commit]
        since = None
        for _generation, entry in sorted(steps, key=lambda step: step[0]):
            is_there = any(holding.host == host for holding in entry.told)
            if is_there and since is None:
                since = entry.end
            elif not is_there and since is not None:
                yield _Stay(server, host, since, entry.begin)
                since = None
        if since is not None:
            yield _Stay(server, host, since, inf)


def _has_twin(generation: int, entry: Entry, steps: list[tuple[int, Entry]]) -> bool:
    """Tell whether another process made the very change whose commit nobody answered.

    Two that confirm a resize at the same time make the same rows. If one commit is lost with the server, and the other
    process comes before the first can look, the first finds what it wanted to store.
    """
    return not entry.answered and any(
        other.answered
        and (number, other.verb, other.server, other.told) == (generation, entry.verb, entry.server, entry.told)
        for number, other in steps
    )


def _certain(held: dict[str, list[Holding]], uncertain_since: dict[str, int], until: float = inf) -> list[Holding]:
    """Return what was held then, without the servers of which somebody may have done what nobody was told."""
    return [each for server, row in held.items() if uncertain_since.get(server, inf) >= until for each in row]


def _order_faults(host: str, steps: list[tuple[int, Entry]], last: int, unknown: int) -> Iterator[str]:
    generations = [generation for generation, _entry in steps]
    for number in [generation for generation, count in Counter(generations).items() if count > 1]:
        authors = [entry for generation, entry in steps if generation == number]
        yield f'{host}: generation {number} has two authors: {authors}'
    nobodys = set(range(1, last + 1)) - set(generations)
    if len(nobodys) > unknown:
        yield f'{host}: generations {sorted(nobodys)} have no author'
    if generations and generations[-1] > last:
        yield f'{host}: generation {generations[-1]} was lost, the rows have {last}'


def _double_faults(cells: dict[int, dict], held: list[Holding]) -> Iterator[str]:
    cpus: Counter[int] = Counter()
    pages: defaultdict[tuple[int, int], int] = defaultdict(int)
    for part in (part for holding in held for part in holding.cells):
        cpus.update(part.cpus)
        pages[part.host_cell, part.pagesize_kib] += part.memory_mib * 1024 // part.pagesize_kib
    if twice := [cpu for cpu, count in cpus.items() if count > 1]:
        yield f'CPUs {sorted(twice)} are handed out twice'
    for number, cell in cells.items():
        for row in cell['mempages']:
            is_huge = row['size_kb'] > 4
            if is_huge and pages[number, row['size_kb']] > row['total'] - row['reserved']:
                yield f'more pages of {row["size_kb"]} KiB than cell {number} has'


def _is_explained(entry: Entry, found: list[Entry]) -> bool:
    """Return whether another process came to the same server or host since this one looked."""
    return entry.outcome in _STATE_FAULTS and any(
        other.worker != entry.worker
        and other.server in entry.about
        and other.outcome in (DONE, *_UNKNOWN)
        and other.end >= entry.begin
        and other.begin <= entry.end
        for other in found
    )
