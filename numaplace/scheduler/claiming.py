# SPDX-License-Identifier: Apache-2.0
"""Claim a host that was found, and say which of them did not take the server, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Literal, Protocol, Unpack

from numaplace import exception, partition
from numaplace.compute import claims
from numaplace.model import Reason, Refusal
from numaplace.model.held import NAME_TAKEN
from numaplace.model.records import HostRecord
from numaplace.scheduler.filters import Answer, Filter, Request
from numaplace.scheduler.limits import limits

if TYPE_CHECKING:
    from numaplace.scheduler.index import HostIndex, Mask

__all__ = [
    'CLAIM',
    'LOOKS',
    'MOVE',
    'ROW',
    'Claiming',
    'Elsewhere',
    'NoHost',
    'Rejection',
    'Selection',
    'claim_on',
    'fit_options',
    'others_were_faster',
    'refuse',
    'rejected',
    'unread',
]

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


class NoHost:
    """The falsy answer that no host takes the guest.

    :param find: returns the rejections; called when they are read
    :param counts: as the attribute, where it is known without the rejections
    """

    def __init__(
        self, find: Callable[[], Iterable[Rejection]], counts: Mapping[tuple[str, str], int] | None = None
    ) -> None:
        self._find, self._counts = find, counts

    @classmethod
    def of(cls, *rejections: Rejection) -> NoHost:
        """Return the answer of hosts that were asked one by one."""
        return cls(lambda: rejections)

    def __bool__(self) -> Literal[False]:
        return False

    @cached_property
    def rejections(self) -> tuple[Rejection, ...]:
        """Each host by name, with what refuses the guest there and why: in time linear in the hosts."""
        return tuple(sorted(self._find(), key=lambda rejection: rejection.host))

    def first(self, number: int) -> Sequence[Rejection]:
        """Return the rejections of some hosts, by name; the others are not asked."""
        return sorted(islice(self._find(), number), key=lambda rejection: rejection.host)

    @cached_property
    def counts(self) -> Mapping[tuple[str, str], int]:
        """How many hosts refuse the guest, by filter and kind of reason, as :meth:`Search.counts` has them."""
        if self._counts is not None:
            return self._counts
        return Counter((each.filter, kind) for each in self.rejections for kind in each.refusal.kinds)


@dataclass(frozen=True, slots=True)
class Selection:
    """The host that was found, and the claim on it.

    :param record: the host as it was claimed; its usage may have changed
    :param rejections: hosts that were refused before, by name; not those of filters where not all hosts were read
    """

    host: str
    claim: claims.Claim
    record: HostRecord
    rejections: tuple[Rejection, ...] = ()


def rejected(host: HostRecord, answer: Refusal | exception.NumaplaceException) -> Rejection:
    """Return why a host was not claimed."""
    if isinstance(answer, exception.NumaplaceException):
        answer = Refusal.of(Reason('claim.lost', subject=str(answer)))
    return Rejection(host.name, CLAIM, answer)


def unread(host: str, fault: exception.NumaplaceException) -> Rejection:
    """Return why a host was not asked."""
    return Rejection(host, ROW, Refusal.of(Reason('host.topology.unreadable', subject=str(fault.__cause__))))


class Elsewhere(Filter):
    """Pass all hosts but one."""

    def __init__(self, leaves: str) -> None:
        self._leaves = leaves

    def admit(self, host: HostRecord, request: Request) -> Answer:  # noqa: ARG002
        """Refuse with ``host.same``."""
        return Refusal.of(Reason('host.same')) if host.name == self._leaves else True

    def may_admit(self, index: HostIndex, request: Request) -> Mask:
        """Leave out the one."""
        return index.on([self._leaves], lambda host: self.admit(host, request) is True, elsewhere=True)


def fit_options(request: Request, host: HostRecord) -> claims.FitOptions:
    """Return the options of the fit of a server on a host."""
    return {'limits': limits(host), 'networks': request.networks, 'strategy': request.strategy}


def claim_on(
    claiming: Claiming, request: Request, host: HostRecord
) -> claims.Claim | Refusal | exception.ConcurrentUpdate | exception.NotFound:
    """Return the claim, why the host does not take the guest, or the fault by which it was lost to others."""
    options = fit_options(request, host)
    try:
        found = claiming(host.name, **options)
    except exception.InstanceNotFound:
        raise
    except (exception.ConcurrentUpdate, exception.NotFound) as error:
        return error
    if not isinstance(found, Refusal) or any(reason.code == NAME_TAKEN for reason in found.reasons):
        return found
    if _had_room(request, host, options):
        return exception.ConcurrentUpdate(f'host {host.name!r} had room, which another server took')
    return found


def refuse(host: HostRecord, request: Request, filters: Iterable[tuple[str, Filter]]) -> Rejection | None:
    """Return the first filter that refuses a host, with its reasons; None if the host takes the guest."""
    for name, check in filters:
        answer = check.admit(host, request)
        if isinstance(answer, Refusal):
            return Rejection(host.name, name, answer)
    return None


def others_were_faster(request: Request, lost: Sequence[str]) -> exception.ConcurrentUpdate:
    """Return the fault that each look at the hosts ended with lost claims.

    :param lost: names of the hosts of the last look
    """
    return exception.ConcurrentUpdate(
        f'server {request.instance.name!r}: others were faster on each host that had room, {LOOKS} times; '
        f'the last were {", ".join(map(repr, lost))}: try again'
    )


def _had_room(request: Request, host: HostRecord, options: claims.FitOptions) -> bool:
    """Return whether a host took the guest as it was read."""
    if request.group is not None and request.group.refuse(host.name, request.instance.uuid) is not None:
        return False
    return bool(partition.place(host.host, request.instance.guest, host_cell_ids=request.host_cell_ids, **options))
