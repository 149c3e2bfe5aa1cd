# SPDX-License-Identifier: Apache-2.0
"""Find a host for a server and claim it: filter, weigh, claim, and on a lost claim the next host.

Any number of schedulers may do so at once on one database. What one of them saw may be taken by another before it
claims; then it goes on with the next host, and looks at all hosts anew. It says that no host takes the guest only of
hosts as they were when nobody came between.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal, Protocol, Unpack

from numaplace import conf as configuration
from numaplace import exception, fit, partition, plugins
from numaplace.compute import claims
from numaplace.conf import filter_scheduler
from numaplace.db.api import Database
from numaplace.db.records import HostRecord
from numaplace.model import Reason, Refusal
from numaplace.scheduler.filters import Answer, Filter, Request
from numaplace.scheduler.limits import limits
from numaplace.scheduler.weights import Weigher, order

if TYPE_CHECKING:
    from oslo_config import cfg

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

#: Stands for the filter where it was the claim that failed.
CLAIM = 'claim'
#: Stands for the filter where the server is to leave the host.
MOVE = 'move'
#: Stands for the filter where the host could not be read.
ROW = 'row'
#: How often all hosts are looked at.
LOOKS = 10


class Claiming(Protocol):
    """Claims a host that was found; see :mod:`numaplace.compute.claims`."""

    def __call__(self, host_name: str, **terms: Unpack[claims.Terms]) -> claims.Claim | Refusal:
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

    :param rejections: hosts that were refused before, by name
    """

    host: str
    claim: claims.Claim
    rejections: tuple[Rejection, ...] = ()


@dataclass(frozen=True, slots=True)
class Selections:
    """Hosts for several servers, and the claims on them.

    :param found: one for each server that fits, in the order in which they were asked for
    :param missing: why the next one did not; None where all did
    """

    found: tuple[Selection, ...]
    missing: NoHost | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """How hosts are chosen.

    :param filters: names and filters, in their order
    :param weighers: weighers and their multipliers
    :param max_attempts: number of hosts on which a claim is tried before all are looked at anew
    """

    filters: tuple[tuple[str, Filter], ...]
    weighers: tuple[tuple[Weigher, float], ...]
    max_attempts: int

    @classmethod
    def of(cls, conf: cfg.ConfigOpts) -> Policy:
        """Return the policy that a configuration describes.

        :raises: :class:`~numaplace.exception.UnknownPlugin` for a name that is not installed
        """
        group = conf.filter_scheduler
        names = group.enabled_filters
        kinds = plugins.load(plugins.FILTERS, names, '[filter_scheduler] enabled_filters')
        weighers = plugins.load(plugins.WEIGHTS, _weigher_names(group), '[filter_scheduler] weight_classes')
        return cls(
            filters=tuple((name, kind()) for name, kind in zip(names, kinds, strict=True)),
            weighers=tuple((kind(), group[kind.multiplier_option]) for kind in weighers),
            max_attempts=conf.scheduler.max_attempts,
        )


def _weigher_names(group: cfg.ConfigOpts.GroupAttr) -> list[str]:
    if filter_scheduler.ALL_WEIGHERS in group.weight_classes:
        return plugins.known(plugins.WEIGHTS)
    return [name.rpartition('.')[2] for name in group.weight_classes]


def strategy(conf: cfg.ConfigOpts) -> fit.Strategy:
    """Return the strategy that a configuration names."""
    found: fit.Strategy = plugins.load(plugins.STRATEGIES, [configuration.strategy(conf)], '[numaplace] strategy')[0]
    return found


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

    Time is linear in the number of hosts, times one fit each, and once more each time that others took what was seen.

    :param host: the only host to consider, or None for all
    :param leaves: the host that the server may not stay on, or None
    :param claim: claims the host that it is given by name, on terms; None creates the server there
    :raises: :class:`~numaplace.exception.NotFound` if that host is unknown,
        :class:`~numaplace.exception.ConcurrentUpdate` if others took what was seen LOOKS times,
        and what `claim` raises but ConcurrentUpdate and, for the host, NotFound
    """
    claiming = claim or partial(claims.instance_claim, database, request.instance)
    filters = policy.filters if leaves is None else ((MOVE, _Elsewhere(leaves)), *policy.filters)
    for _ in range(LOOKS):
        unread: dict[str, exception.NumaplaceException] = {}
        hosts = [database.host(host)] if host is not None else database.hosts(unread)
        admitted, rejections = _filter(hosts, request, filters)
        rejections += [_unread(name, fault) for name, fault in unread.items()]
        lost: list[str] = []
        for candidate in order(admitted, policy.weighers):
            if len(lost) == policy.max_attempts:
                break
            answer = _claim(claiming, request, candidate)
            if isinstance(answer, claims.Claim):
                return Selection(candidate.name, answer, tuple(rejections))
            if isinstance(answer, exception.NumaplaceException):
                answer = Refusal.of(Reason('claim.lost', subject=str(answer)))
                lost.append(candidate.name)
            rejections.append(Rejection(candidate.name, CLAIM, answer))
        if not lost:
            return NoHost(tuple(sorted(rejections, key=lambda rejection: rejection.host)))
    raise exception.ConcurrentUpdate(
        f'server {request.instance.name!r}: others were faster on each host that had room, {LOOKS} times; '
        f'the last were {", ".join(map(repr, lost))}: try again'
    )


def select_many(
    database: Database, requests: Sequence[Request], policy: Policy, *, at_least: int, host: str | None = None
) -> Selections | NoHost:
    """Find hosts for several servers, one after the other, until one fits nowhere.

    Each server is a claim of its own. Whatever ends the call gives back all claims that it made; a process that is
    killed leaves those that it made, each of them whole.

    :param at_least: how many have to fit; if fewer do, none keeps its place
    :raises: as :func:`select`
    """
    found: list[Selection] = []
    with ExitStack() as undo:
        for request in requests:
            answer = select(database, request, policy, host=host)
            if not isinstance(answer, NoHost):
                undo.callback(answer.claim.abort)
                found.append(answer)
            elif len(found) < at_least:
                return answer
            else:
                undo.pop_all()
                return Selections(tuple(found), answer)
        undo.pop_all()
    return Selections(tuple(found))


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


def _unread(host: str, fault: exception.NumaplaceException) -> Rejection:
    return Rejection(host, ROW, Refusal.of(Reason('host.topology.unreadable', subject=str(fault.__cause__))))


class _Elsewhere(Filter):
    """Lets pass all hosts but one."""

    def __init__(self, leaves: str) -> None:
        self._leaves = leaves

    def admit(self, host: HostRecord, request: Request) -> Answer:  # noqa: ARG002
        """Refuse with ``host.same``."""
        return Refusal.of(Reason('host.same')) if host.name == self._leaves else True


def _claim(
    claiming: Claiming, request: Request, host: HostRecord
) -> claims.Claim | Refusal | exception.ConcurrentUpdate | exception.NotFound:
    """Return the claim, why the host does not take the guest, or by which fault it was lost to others."""
    terms: claims.Terms = {
        'limits': limits(host),
        'networks': request.networks,
        'strategy': request.strategy,
    }
    try:
        claim = claiming(host.name, **terms)
    except exception.InstanceNotFound:
        raise
    except (exception.ConcurrentUpdate, exception.NotFound) as error:
        return error
    guest, bindings = request.instance.guest, request.bindings
    if isinstance(claim, Refusal) and partition.place(host.host, guest, bindings=bindings, **terms):
        return exception.ConcurrentUpdate(f'host {host.name!r} had room, which another server took')
    return claim
