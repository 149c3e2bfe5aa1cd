# SPDX-License-Identifier: Apache-2.0
"""Find a host for a server and claim it: filter, weigh, claim; after a lost claim, try the next host.

Any number of schedulers may do so at once on one database. Another scheduler may take what one of them saw before it
claims; then it continues with the next host, and checks all hosts again. It only reports that no host takes the guest
if no other claim came in between.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Literal, Protocol, Unpack

from numaplace import conf as configuration
from numaplace import exception, fit, partition, plugins
from numaplace.compute import claims
from numaplace.db.api import Database
from numaplace.model import Flavor, Reason, Refusal
from numaplace.model.held import NAME_TAKEN
from numaplace.model.records import HostRecord
from numaplace.request import keys
from numaplace.scheduler import direct, names
from numaplace.scheduler.filters import Answer, Filter, Request
from numaplace.scheduler.limits import limits
from numaplace.scheduler.weights import Weigher, weigh

if TYPE_CHECKING:
    from oslo_config import cfg

    from numaplace.scheduler.index import HostIndex

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
    'select',
    'select_many',
    'strategy',
]

LOG = logging.getLogger(__name__)

#: Always checked: Nova asks placement for the zone, whatever filters are enabled.
_ZONE = 'AvailabilityZoneFilter'

#: Used as the filter's name if the claim failed.
CLAIM = 'claim'
#: Used as the filter's name if the server has to leave the host.
MOVE = 'move'
#: Used as the filter's name if the host could not be read.
ROW = 'row'
#: How often all hosts are checked at most.
LOOKS = 10


class Claiming(Protocol):
    """Claims a host that was found; see :mod:`numaplace.compute.claims`."""

    def __call__(self, host_name: str, **options: Unpack[claims.FitOptions]) -> claims.Claim | Refusal:
        """Return the claim, or why the host does not take the guest."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """A host that does not take the guest: which filter refused it, and why."""

    host: str
    filter: str
    refusal: Refusal


@dataclass(frozen=True, slots=True)
class NoHost:
    """The falsy answer that no host takes the guest; rejections are by host name."""

    rejections: tuple[Rejection, ...]

    def __bool__(self) -> Literal[False]:
        return False


@dataclass(frozen=True, slots=True)
class Selection:
    """The host that was found, and the claim on it.

    :param rejections: hosts that were refused before, by name; not those of filters where not all hosts were read
    """

    host: str
    claim: claims.Claim
    rejections: tuple[Rejection, ...] = ()


@dataclass(frozen=True, slots=True)
class Selections:
    """Hosts for several servers, and the claims on them.

    :param found: one for each server that fits, in the order of the requests
    :param missing: why the next one does not; None if all do
    """

    found: tuple[Selection, ...]
    missing: NoHost | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """How hosts are chosen.

    :param filters: names and filters, in their order
    :param weighers: weighers and their multipliers
    :param max_attempts: number of hosts on which a claim is tried before all are checked again
    :param subset_size: of how many hosts, the best ones, a random one comes first
    :param shuffles: whether hosts that are as good as the best one come in a random order
    """

    filters: tuple[tuple[str, Filter], ...]
    weighers: tuple[tuple[Weigher, float], ...]
    max_attempts: int
    subset_size: int = 1
    shuffles: bool = False

    @classmethod
    def of(cls, conf: cfg.ConfigOpts) -> Policy:
        """Return the policy that a configuration describes.

        :raises: :class:`~numaplace.exception.UnknownPlugin` for a name that is not installed
        """
        group = conf.filter_scheduler
        checks = _filter_names(conf)
        kinds = plugins.load(plugins.FILTERS, checks, names.place(conf, names.FILTERS))
        weighers = plugins.load(plugins.WEIGHTS, _weigher_names(conf), names.place(conf, names.WEIGHERS))
        return cls(
            filters=tuple((name, kind.of(group)) for name, kind in zip(checks, kinds, strict=True)),
            weighers=tuple((kind(), group[kind.multiplier_option]) for kind in weighers),
            max_attempts=conf.scheduler.max_attempts,
            subset_size=group.host_subset_size,
            shuffles=group.shuffle_best_same_weighed_hosts,
        )

    def order(self, weighed: Iterable[tuple[HostRecord, float]]) -> Iterator[HostRecord]:
        """Yield the hosts in the order in which they are tried (Nova 34, `_get_sorted_hosts`).

        :param weighed: hosts and their weights, the heaviest first; no more are taken than are needed
        """
        hosts = self._shuffled(iter(weighed)) if self.shuffles else (host for host, _weight in weighed)
        if self.subset_size > 1:
            best = list(islice(hosts, self.subset_size))
            if best:
                yield best.pop(random.randrange(len(best)))  # noqa: S311 - no secret
            yield from best
        yield from hosts

    @staticmethod
    def _shuffled(weighed: Iterator[tuple[HostRecord, float]]) -> Iterator[HostRecord]:
        """Yield those that weigh as much as the first in a random order, then the others."""
        best: list[tuple[HostRecord, float]] = []
        for host, weight in weighed:
            if best and weight != best[0][1]:
                yield from (host for host, _weight in random.sample(best, len(best)))
                best = []
                yield host
                break
            best.append((host, weight))
        yield from (host for host, _weight in random.sample(best, len(best)))
        yield from (host for host, _weight in weighed)


def _filter_names(conf: cfg.ConfigOpts) -> list[str]:
    """Return the names of the filters to run, and log those that have nothing to check."""
    enabled = names.filters(conf)
    for name in enabled:
        if name in names.REMOVED_FILTERS:
            LOG.warning('%s is no longer a filter of Nova, and checks nothing: %s', name, names.REMOVED_FILTERS[name])
        elif name in names.IDLE_FILTERS:
            LOG.debug('%s checks nothing: %s', name, names.IDLE_FILTERS[name])
    running = [name for name in enabled if name not in names.REMOVED_FILTERS and name not in names.IDLE_FILTERS]
    return running if _ZONE in running else [_ZONE, *running]


def _weigher_names(conf: cfg.ConfigOpts) -> list[str]:
    """Return the names of the weighers to run, and log those that have nothing to weigh."""
    named = names.weighers(conf)
    for name in named:
        if name in names.IDLE_WEIGHERS:
            LOG.debug('%s weighs nothing: %s', name, names.IDLE_WEIGHERS[name])
    return [name for name in named if name not in names.IDLE_WEIGHERS]


def strategy(conf: cfg.ConfigOpts, flavor: Flavor) -> fit.Strategy:
    """Return the strategy that a flavor names, or else the configuration.

    :raises: :class:`~numaplace.exception.UnknownPlugin`
    """
    if keys.STRATEGY in flavor.extra_specs:
        name, place = flavor.extra_specs[keys.STRATEGY], f'flavor {flavor.name!r}: extra spec {keys.STRATEGY}'
    else:
        name, place = configuration.strategy(conf), names.place(conf, names.STRATEGY)
    found: fit.Strategy = plugins.load(plugins.STRATEGIES, [name], place)[0]
    return found


def select(
    database: Database,
    request: Request,
    policy: Policy,
    *,
    host: str | None = None,
    leaves: str | None = None,
    claim: Claiming | None = None,
    index: HostIndex | None = None,
) -> Selection | NoHost:
    """Find the best host for a server and claim it there.

    The database finds the best hosts where it can: see :mod:`numaplace.scheduler.direct`. Otherwise, and if no host
    takes the server, time is linear in the number of hosts, with one fit each, and again each time that others took
    what was seen. With an index it is a small part of that where the index knows a host; it is told what has changed of
    the hosts that were tried. What it does not know, or not any more, costs a claim, or the search of all hosts.

    :param host: the only host to consider, or None for all
    :param leaves: the host that the server may not stay on, or None
    :param claim: claims the host of a given name with given options; None creates the server there
    :param index: hosts as they were a while ago, or None; a server of a group is searched for without it
    :raises: :class:`~numaplace.exception.NotFound` if that host is unknown,
        :class:`~numaplace.exception.ConcurrentUpdate` if others took what was seen LOOKS times,
        and what `claim` raises, except ConcurrentUpdate and, for the host, NotFound
    """
    claiming = claim or partial(claims.instance_claim, database, request.instance)
    filters = policy.filters if leaves is None else ((MOVE, _Elsewhere(leaves)), *policy.filters)
    if host is None:
        selection = _of_the_best(database, request, replace(policy, filters=filters), claiming, index)
        if selection is not None:
            return selection
    for _ in range(LOOKS):
        unread: dict[str, exception.NumaplaceException] = {}
        hosts, group = database.candidates(request.instance.group, host, unread)
        request = replace(request, group=group)
        admitted, rejections = _filter(hosts, request, filters)
        rejections += [_unread(name, fault) for name, fault in unread.items()]
        lost: list[str] = []
        for candidate in policy.order(weigh(admitted, policy.weighers, request)):
            if len(lost) == policy.max_attempts:
                break
            answer = _claim(claiming, request, candidate)
            if isinstance(answer, claims.Claim):
                return Selection(candidate.name, answer, tuple(rejections))
            if isinstance(answer, exception.NumaplaceException):
                lost.append(candidate.name)
            rejections.append(_rejected(candidate, answer))
        if not lost:
            return NoHost(tuple(sorted(rejections, key=lambda rejection: rejection.host)))
    raise exception.ConcurrentUpdate(
        f'server {request.instance.name!r}: others were faster on each host that had room, {LOOKS} times; '
        f'the last were {", ".join(map(repr, lost))}: try again'
    )


def select_many(
    database: Database,
    requests: Sequence[Request],
    policy: Policy,
    *,
    at_least: int,
    host: str | None = None,
    claimed: Callable[[], object] = lambda: None,
) -> Selections | NoHost:
    """Find hosts for several servers, one after the other, until one fits nowhere.

    Each server is a claim of its own. If the call fails for any reason, all its claims are released; a killed process
    leaves its claims, each of them complete.

    :param at_least: how many have to fit; if fewer do, none keeps its place
    :param claimed: called after each claim
    :raises: as :func:`select`
    """
    found: list[Selection] = []
    is_long = len(requests) > 1 and host is None and requests[0].instance.group is None
    index = _index(database) if is_long else None
    with ExitStack() as undo:
        for request in requests:
            answer = select(database, request, policy, host=host, index=index)
            if not isinstance(answer, NoHost):
                undo.callback(answer.claim.abort)
                found.append(answer)
                claimed()
            elif len(found) < at_least:
                return answer
            else:
                undo.pop_all()
                return Selections(tuple(found), answer)
        undo.pop_all()
    return Selections(tuple(found))


def _index(database: Database) -> HostIndex:
    from numaplace.scheduler.index import HostIndex  # noqa: PLC0415 - one server needs no NumPy

    return HostIndex(database.candidates(None, None, {})[0])


def _by_index(
    database: Database, request: Request, policy: Policy, claiming: Claiming, index: HostIndex
) -> Selection | None:
    """Claim one of the best hosts that an index knows; None if all of them are lost, or there is none."""
    from numaplace.scheduler.search import Search  # noqa: PLC0415

    while index.outdated:
        _look_again(database, index, index.outdated.pop())
    search = Search(index, request, policy.filters, policy.weighers)
    for candidate in islice(policy.order(search.heaviest_first()), policy.max_attempts):
        # Read before the next search, and not here: nothing may come between a claim and its owner.
        index.outdated.add(candidate.name)
        answer = _claim(claiming, request, candidate)
        if isinstance(answer, claims.Claim):
            return Selection(candidate.name, answer)
    return None


def _of_the_best(
    database: Database, request: Request, policy: Policy, claiming: Claiming, index: HostIndex | None
) -> Selection | None:
    """Claim one of the best hosts without reading all of them; None if that is not possible."""
    if request.instance.group is not None:
        LOG.debug('all hosts are read: the server has a group')
        return None
    if index is not None:
        return _by_index(database, request, policy, claiming, index)
    return _directly(database, request, policy, claiming)


def _directly(database: Database, request: Request, policy: Policy, claiming: Claiming) -> Selection | None:
    """Claim one of the best hosts as the database finds them; None if all of them are lost, or all must be read."""
    if policy.shuffles:
        LOG.debug('all hosts are read: the best come in a random order')
        return None
    number = policy.max_attempts + policy.subset_size - 1
    found = direct.heaviest(database, request, policy, number)
    rejections: list[Rejection] = []
    for candidate in islice(policy.order(found), policy.max_attempts):
        answer = _claim(claiming, request, candidate)
        if isinstance(answer, claims.Claim):
            return Selection(candidate.name, answer, tuple(rejections))
        rejections.append(_rejected(candidate, answer))
    return None


def _look_again(database: Database, index: HostIndex, name: str) -> None:
    try:
        hosts, _group = database.candidates(None, name, {})
    except (exception.NotFound, exception.InvalidObject):
        index.remove(name)  # the search of all hosts names what it cannot read
    else:
        index.update(hosts[0])


def _filter(
    hosts: Iterable[HostRecord], request: Request, filters: Iterable[tuple[str, Filter]]
) -> tuple[list[HostRecord], list[Rejection]]:
    admitted, rejections = [], []
    for host in hosts:
        for name, check in filters:
            answer = check.admit(host, request)
            if isinstance(answer, Refusal):
                rejections.append(Rejection(host.name, name, answer))
                break
        else:
            admitted.append(host)
    return admitted, rejections


def _rejected(host: HostRecord, answer: Refusal | exception.NumaplaceException) -> Rejection:
    """Return why a host was not claimed."""
    if isinstance(answer, exception.NumaplaceException):
        answer = Refusal.of(Reason('claim.lost', subject=str(answer)))
    return Rejection(host.name, CLAIM, answer)


def _unread(host: str, fault: exception.NumaplaceException) -> Rejection:
    return Rejection(host, ROW, Refusal.of(Reason('host.topology.unreadable', subject=str(fault.__cause__))))


class _Elsewhere(Filter):
    """Pass all hosts but one."""

    def __init__(self, leaves: str) -> None:
        self._leaves = leaves

    def admit(self, host: HostRecord, request: Request) -> Answer:  # noqa: ARG002
        """Refuse with ``host.same``."""
        return Refusal.of(Reason('host.same')) if host.name == self._leaves else True


def _claim(
    claiming: Claiming, request: Request, host: HostRecord
) -> claims.Claim | Refusal | exception.ConcurrentUpdate | exception.NotFound:
    """Return the claim, why the host does not take the guest, or the fault by which it was lost to others."""
    options: claims.FitOptions = {
        'limits': limits(host),
        'networks': request.networks,
        'strategy': request.strategy,
    }
    try:
        claim = claiming(host.name, **options)
    except exception.InstanceNotFound:
        raise
    except (exception.ConcurrentUpdate, exception.NotFound) as error:
        return error
    if not isinstance(claim, Refusal) or any(reason.code == NAME_TAKEN for reason in claim.reasons):
        return claim
    if _had_room(request, host, options):
        return exception.ConcurrentUpdate(f'host {host.name!r} had room, which another server took')
    return claim


def _had_room(request: Request, host: HostRecord, options: claims.FitOptions) -> bool:
    """Return whether a host took the guest as it was read."""
    if request.group is not None and request.group.refuse(host.name, request.instance.uuid) is not None:
        return False
    return bool(partition.place(host.host, request.instance.guest, host_cell_ids=request.host_cell_ids, **options))
