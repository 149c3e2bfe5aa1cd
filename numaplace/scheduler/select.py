# SPDX-License-Identifier: Apache-2.0
"""Find a host for a server and claim it: filter, weigh, claim; after a lost claim, try the next host.

Any number of schedulers may do so at once on one database. Another scheduler may take what one of them saw before it
claims; then it continues with the next host, and checks all hosts again. It only reports that no host takes the guest
if no other claim came in between.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Final

from numaplace import exception
from numaplace.compute import claims
from numaplace.db.api import Database
from numaplace.model.records import HostRecord
from numaplace.scheduler import direct
from numaplace.scheduler.claiming import (
    CLAIM,
    LOOKS,
    MOVE,
    ROW,
    Claiming,
    Elsewhere,
    NoHost,
    Rejection,
    Selection,
    claim_on,
    others_were_faster,
    refuse,
    rejected,
    unread,
)
from numaplace.scheduler.filters import Filter, Request
from numaplace.scheduler.policy import Policy, asked, strategy
from numaplace.scheduler.weights import weigh

if TYPE_CHECKING:
    from numaplace.scheduler.fresh import FreshIndex

__all__ = [
    'CLAIM',
    'MOVE',
    'ROW',
    'Claiming',
    'NoHost',
    'Policy',
    'Rejection',
    'Selection',
    'Selections',
    'ask',
    'asked',
    'select',
    'select_many',
    'strategy',
]

LOG = logging.getLogger(__name__)

#: Servers that are claimed in one transaction at most: their hosts are locked meanwhile.
TOGETHER: Final = 50


@dataclass(frozen=True, slots=True)
class Selections:
    """Hosts for several servers, and the claims on them.

    :param found: one for each server that fits, in the order of the requests
    :param missing: why another one does not; None if all do
    """

    found: tuple[Selection, ...]
    missing: NoHost | None = None


def select(
    database: Database,
    request: Request,
    policy: Policy,
    *,
    host: str | None = None,
    leaves: str | None = None,
    claim: Claiming | None = None,
) -> Selection | NoHost:
    """Find the best host for a server and claim it there.

    The database finds the best hosts where it can: see :mod:`numaplace.scheduler.direct`. Otherwise, and if no host
    takes the server, time is linear in the number of hosts, with one fit each, and again each time that others took
    what was seen. Who places many servers does so by a :class:`~numaplace.scheduler.fresh.FreshIndex`.

    :param host: the only host to consider, or None for all
    :param leaves: the host that the server may not stay on, or None
    :param claim: claims the host of a given name with given options; None creates the server there
    :raises: :class:`~numaplace.exception.NotFound` if that host is unknown,
        :class:`~numaplace.exception.ConcurrentUpdate` if others took what was seen LOOKS times,
        and what `claim` raises, except ConcurrentUpdate and, for the host, NotFound
    """
    claiming = claim or partial(claims.instance_claim, database, request.instance)
    filters = policy.filters if leaves is None else ((MOVE, Elsewhere(leaves)), *policy.filters)
    if host is None:
        selection = _directly(database, request, replace(policy, filters=filters), claiming)
        if selection is not None:
            return selection
    for _ in range(LOOKS):
        faults: dict[str, exception.NumaplaceException] = {}
        hosts, group = database.candidates(request.instance.group, host, faults)
        request = replace(request, group=group)
        admitted, rejections = _filter(hosts, request, filters)
        rejections += [unread(name, fault) for name, fault in faults.items()]
        lost: list[str] = []
        for candidate in policy.order(weigh(admitted, policy.weighers, request)):
            if len(lost) == policy.max_attempts:
                break
            answer = claim_on(claiming, request, candidate)
            if isinstance(answer, claims.Claim):
                return Selection(candidate.name, answer, candidate, tuple(rejections))
            if isinstance(answer, exception.NumaplaceException):
                lost.append(candidate.name)
            rejections.append(rejected(candidate, answer))
        if not lost:
            return NoHost.of(*rejections)
    raise others_were_faster(request, lost)


def select_many(
    database: Database,
    requests: Sequence[Request],
    policy: Policy,
    *,
    at_least: int,
    host: str | None = None,
    claimed: Callable[[], object] = lambda: None,
    read: Callable[[int, int], object] = lambda _read, _of: None,
    index: FreshIndex | None = None,
) -> Selections | NoHost:
    """Find hosts for several servers, one after the other, until one fits nowhere.

    Up to TOGETHER servers are chosen one after the other and claimed in one transaction. If the call fails for any
    reason, all its claims are released; a killed process leaves its claims, each of them complete.

    :param at_least: how many have to fit; if fewer do, none keeps its place
    :param claimed: called after each claim
    :param read: called with the numbers of hosts that are read and to be read, where an index is made for this call
    :param index: of the hosts; without one, several servers make theirs
    :raises: as :func:`select`
    """
    found: list[Selection] = []
    if host is not None:
        index = None
    elif index is None and len(requests) > 1:
        index = _index(database)
        index.refresh(read)
    missing = None
    with ExitStack() as undo:

        def keep(selections: Sequence[Selection]) -> None:
            for selection in selections:
                undo.callback(selection.claim.abort)
            for _ in selections:
                claimed()

        for first in range(0, len(requests), TOGETHER):
            several = requests[first : first + TOGETHER]
            answers, missing = _select_several(database, several, policy, keep, host=host, index=index)
            found += answers
            if missing is not None:
                break
        if missing is not None and len(found) < at_least:
            return missing
        undo.pop_all()
    return Selections(tuple(found), missing)


def _select_several(
    database: Database,
    requests: Sequence[Request],
    policy: Policy,
    keep: Callable[[Sequence[Selection]], None],
    *,
    host: str | None,
    index: FreshIndex | None,
) -> tuple[list[Selection], NoHost | None]:
    """Find hosts for servers together, and for each that is left alone, until one of these fits nowhere.

    :param keep: called with selections as soon as they are known
    """
    found: list[Selection | None] = [None] * len(requests)
    if index is not None:
        found = index.select_several(requests, policy, database=database)
    keep([answer for answer in found if answer is not None])
    missing = None
    for number, request in enumerate(requests):
        if found[number] is None:
            alone = (
                select(database, request, policy, host=host)
                if index is None
                else index.select(request, policy, database=database)
            )
            if isinstance(alone, NoHost):
                missing = alone
                break
            found[number] = alone
            keep([alone])
    return [answer for answer in found if answer is not None], missing


def _index(database: Database) -> FreshIndex:
    from numaplace.scheduler.fresh import FreshIndex  # noqa: PLC0415 - one server needs no NumPy

    return FreshIndex(database)


def _directly(database: Database, request: Request, policy: Policy, claiming: Claiming) -> Selection | None:
    """Claim one of the best hosts as the database finds them; None if all of them are lost, or all must be read."""
    if request.instance.group is not None:
        LOG.debug('all hosts are read: the server has a group')
        return None
    if policy.shuffles:
        LOG.debug('all hosts are read: the best come in a random order')
        return None
    number = policy.max_attempts + policy.subset_size - 1
    found = direct.heaviest(database, request, policy, number)
    rejections: list[Rejection] = []
    for candidate in islice(policy.order(found), policy.max_attempts):
        answer = claim_on(claiming, request, candidate)
        if isinstance(answer, claims.Claim):
            return Selection(candidate.name, answer, candidate, tuple(rejections))
        rejections.append(rejected(candidate, answer))
    return None


def ask(hosts: Iterable[HostRecord], request: Request, policy: Policy) -> tuple[list[HostRecord], list[Rejection]]:
    """Return the hosts that take a server, and why the others do not; nothing is claimed."""
    return _filter(hosts, request, policy.filters)


def _filter(
    hosts: Iterable[HostRecord], request: Request, filters: Sequence[tuple[str, Filter]]
) -> tuple[list[HostRecord], list[Rejection]]:
    admitted, rejections = [], []
    for host in hosts:
        refused = refuse(host, request, filters)
        if refused is None:
            admitted.append(host)
        else:
            rejections.append(refused)
    return admitted, rejections
