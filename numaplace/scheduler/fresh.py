# SPDX-License-Identifier: Apache-2.0
"""An index of all hosts that follows the database: what a process that places many servers keeps.

It is loaded once and told what changes: by what this process claims itself, by whoever hears of changes, and by looks
at the generations of all rows. What it does not know yet costs another try: a host is read again before it is claimed.
It is said that no host takes a server only after a look at all that has changed.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import Final

from numaplace import exception, partition
from numaplace.compute import claims
from numaplace.db.api import Database
from numaplace.db.changes import NOTHING
from numaplace.db.records import Chosen
from numaplace.model import Placement, held
from numaplace.model.records import DOWN, HostRecord
from numaplace.scheduler.claiming import (
    LOOKS,
    MOVE,
    Claiming,
    Elsewhere,
    NoHost,
    Rejection,
    Selection,
    claim_on,
    fit_options,
    others_were_faster,
    refuse,
    rejected,
    unread,
)
from numaplace.scheduler.filters import Request
from numaplace.scheduler.index import HostIndex
from numaplace.scheduler.policy import Policy
from numaplace.scheduler.search import Search

__all__ = ['CHUNK', 'FreshIndex']

#: Hosts whose rows are in memory at once while many are read.
CHUNK: Final = 200
#: The generation of a host on which a server is counted that is not stored yet: no row has it.
_RESERVED: Final = -1


class _Outdated(Exception):
    """A host that would be chosen has changed since it was read."""


class FreshIndex:
    """The hosts of a database, for several threads and any number of requests.

    It begins empty: the first look, which is part of the first request otherwise, reads all hosts. The rows come in
    chunks, so beside the hosts themselves no more than CHUNK rows are in memory; 100,000 hosts of 8 cells take less
    than 2 GiB in all.

    Look often enough that few hosts that come first are stale: :meth:`refresh` costs milliseconds where little has
    changed. Nothing depends on it but time, unless a look is trusted.

    :param trust_s: for so many seconds after a look, new servers need no other one: their claims compare numbers and
        generations of the hosts, and what the look said of aggregates and silent agents holds
    :param lost: called for each claim on a host that others have changed meanwhile
    """

    def __init__(self, database: Database, *, trust_s: float = 0.0, lost: Callable[[], object] = lambda: None) -> None:
        self._database, self._trust_s, self._lost = database, trust_s, lost
        #: When the last look began, by the monotonic clock.
        self._looked_s = -math.inf
        self._index = HostIndex()
        self._unread: dict[str, exception.NumaplaceException] = {}
        self._known = NOTHING
        #: Hosts that have changed since they were read.
        self._outdated: set[str] = set()
        #: Until when hosts with an agent are up, and which were silent when they were read.
        self._until: dict[str, datetime] = {}
        self._silent: set[str] = set()
        #: Whoever reads hosts has the first one until they are in the index; then, and to search, the second one.
        self._reading, self._using = threading.Lock(), threading.Lock()
        #: Whoever takes a note of changes, or takes the notes.
        self._noting = threading.Lock()

    def changed(self, *names: str) -> None:
        """Hear that hosts have changed, came or went: they are read by the next look, or before one of them is chosen.

        For notifications of other processes, which may be late, double, or missing, and for claims of this process that
        are aborted. It only takes a note.
        """
        with self._noting:
            self._outdated.update(names)

    def refresh(self, progress: Callable[[int, int], object] = lambda _read, _of: None) -> int:
        """Look at everything that has changed, and read it.

        :param progress: called with the numbers of hosts that are read and to be read, after each chunk
        :returns: how many hosts were read or are gone
        :raises: :class:`~numaplace.exception.LostConnection`; the next look goes on where this one ended
        """
        began_s = time.monotonic()
        with self._reading:
            changes = self._database.changes(self._known)
            self._known = changes.known
            with self._using:
                own = [name for name, version in changes.versions.items() if self._version(name) == version]
            self.changed(*changes.versions.keys() - own, *changes.moved, *changes.gone, *self._heard_again())
            self._looked_s = began_s
        return len(self._read_outdated(progress))

    @property
    def age_s(self) -> float:
        """Seconds since the last look began; infinite before the first one."""
        return time.monotonic() - self._looked_s

    def count(self, state: str) -> int:
        """Return the number of hosts in a state, in time linear in all of them."""
        with self._using:
            return sum(record.state == state for record in self._index.records)

    def _version(self, name: str) -> tuple[int | None, int] | None:
        row = self._index.row(name)
        return None if row is None else _version_of(self._index.records[row])

    def _heard_again(self) -> list[str]:
        """Return the hosts that are silent and were not when they were read, or are no longer: no row tells it."""
        now = datetime.now(UTC)
        due = [name for name, until in self._until.items() if until < now]
        if not due:
            return []
        found = self._database.up_until(due)
        self._until |= found
        silent = {name for name in due if name in found and found[name] < now}
        return [name for name in due if (name in silent) != (name in self._silent)]

    def _read_outdated(self, progress: Callable[[int, int], object] = lambda _read, _of: None) -> set[str]:
        """Read the hosts that have changed; return their names."""
        with self._reading:
            with self._noting:
                names, self._outdated = self._outdated, set()
            left = sorted(names)
            found: list[HostRecord] = []
            try:
                while left:
                    found += self._read(left[:CHUNK])
                    del left[:CHUNK]
                    progress(len(names) - len(left), len(names))
            finally:
                self.changed(*left)
                self._store(found, names.difference(left))
        return names

    def _read(self, names: Collection[str]) -> Iterable[HostRecord]:
        faults: dict[str, exception.NumaplaceException] = {}
        found = self._database.named_candidates(names, faults)
        for name in names:
            self._unread.pop(name, None)
        self._unread |= faults
        return found.values()

    def _store(self, found: Collection[HostRecord], names: Collection[str]) -> None:
        gone = set(names).difference([record.name for record in found])
        now = datetime.now(UTC)
        for name in names:
            self._until.pop(name, None)
            self._silent.discard(name)
        for record in found:
            if record.up_until is not None:
                self._until[record.name] = record.up_until
                if record.state == DOWN and record.up_until < now:
                    self._silent.add(record.name)
        with self._using:
            self._index.update(found, gone=gone)

    def select(
        self,
        request: Request,
        policy: Policy,
        *,
        leaves: str | None = None,
        claim: Claiming | None = None,
        database: Database | None = None,
    ) -> Selection | NoHost:
        """Find the best host for a server and claim it there, as :func:`numaplace.scheduler.select.select` does.

        Best is what the index knows. The host is asked again as it is now, before it is claimed.

        :param leaves: the host that the server may not stay on, or None
        :param claim: claims the host of a given name with given options; None creates the server there
        :param database: the view of the database in which the server is created, or None
        :raises: as :func:`numaplace.scheduler.select.select`
        """
        claiming = claim or partial(claims.instance_claim, database or self._database, request.instance)
        if leaves is not None:
            policy = replace(policy, filters=((MOVE, Elsewhere(leaves)), *policy.filters))
        refused: dict[str, Rejection] = {}
        lost: list[str] = []
        for number in range(LOOKS):
            request = self._with_group(request)
            answer = self._try(request, policy, claiming, refused)
            if isinstance(answer, Selection):
                return answer
            has_changed = self.refresh() if answer or not number else 0
            if not answer and not has_changed:
                return self._no_host(request, policy, refused)
            lost = answer or lost
        raise others_were_faster(request, lost)

    def _with_group(self, request: Request) -> Request:
        group = request.instance.group
        return request if group is None else replace(request, group=self._database.server_group(group))

    def _try(
        self,
        request: Request,
        policy: Policy,
        claiming: Claiming,
        refused: dict[str, Rejection],
    ) -> Selection | list[str]:
        """Claim one of the best hosts; otherwise return those that others were faster on.

        :param refused: collects the hosts that had room and refused the claim for another reason
        """
        just_read = self._read_outdated()
        with self._using:
            search = Search(self._index, request, policy.filters, policy.weighers, shuffles=policy.shuffles)
            hosts = search.heaviest_first()
        lost: list[str] = []
        for candidate in policy.order(hosts, is_shuffled=True):
            name = candidate.name
            if name in refused:
                continue
            if len(lost) == policy.max_attempts:
                break
            now = candidate if name in just_read else self._read_again(name)
            if now is None or refuse(now, request, policy.filters):
                lost.append(name)
                continue
            # Read before the next search, and not here: nothing may come between a claim and its owner.
            self.changed(name)
            answer = claim_on(claiming, request, now)
            if isinstance(answer, claims.Claim):
                return Selection(name, answer, now, tuple(refused.values()))
            if isinstance(answer, exception.NumaplaceException):
                self._lost()
                lost.append(name)
            else:
                refused[name] = rejected(candidate, answer)
        return lost

    def select_several(
        self, requests: Sequence[Request], policy: Policy, *, database: Database | None = None
    ) -> list[Selection | None]:
        """Find the best hosts for new servers, one after the other, and claim them all in one transaction.

        Each host is chosen as the index has it, with the servers before counted. Those that have changed since are
        asked again while they are locked.

        :param requests: of one group, if any
        :param database: the view of the database in which the servers are created, or None
        :returns: for each the selection, or None for one that needs a look of its own: see :meth:`select`
        """
        if self.age_s >= self._trust_s:
            self.refresh()
        reserved: dict[str, HostRecord] = {}
        try:
            asked, chosen = self._choose_several(requests, policy, reserved)
            if not chosen:
                return [None] * len(requests)

            def again(number: int, host: HostRecord) -> Placement | None:
                return None if refuse(host, asked[number], policy.filters) else _placement(asked[number], host)

            found, claimed = claims.several_claims(database or self._database, chosen, again)
        except BaseException:
            self.changed(*reserved)
            raise
        with ExitStack() as undo:
            for claim in found:
                if claim is not None:
                    undo.callback(claim.abort)
            for name, known in reserved.items():
                self._put(known, claimed.hosts.get(name))
            for _ in range(claimed.lost):
                self._lost()
            undo.pop_all()
        selections = [
            None if claim is None else Selection(each.host.name, claim, claimed.hosts.get(each.host.name, each.host))
            for claim, each in zip(found, chosen, strict=True)
        ]
        return [*selections, *[None] * (len(requests) - len(selections))]

    def _choose_several(
        self, requests: Sequence[Request], policy: Policy, reserved: dict[str, HostRecord]
    ) -> tuple[list[Request], list[Chosen]]:
        """Choose hosts for servers up to the first one that none takes, as the index has them.

        :param reserved: collects the hosts as the index has them from then on, by name
        :returns: what was asked, with the members of the group before, and what was chosen
        """
        asked: list[Request] = []
        chosen: list[Chosen] = []
        group = self._with_group(requests[0]).group
        for request in requests:
            request = replace(request, group=group)
            try:
                found = self._choose(request, policy, reserved, self._outdated)
            except _Outdated:
                self._read_outdated()
                found = self._choose(request, policy, reserved)
            if found is None:
                break
            asked.append(request)
            chosen.append(found)
            if group is not None:
                group = group.with_member(request.instance.uuid, found.host.name)
        return asked, chosen

    def _choose(
        self, request: Request, policy: Policy, reserved: dict[str, HostRecord], outdated: Collection[str] = ()
    ) -> Chosen | None:
        """Choose a host and count the server there, for all who search from then on; None if none takes it.

        :raises: _Outdated if a host that comes first is one of `outdated`
        """
        with self._using:
            search = Search(self._index, request, policy.filters, policy.weighers, shuffles=policy.shuffles)
            hosts = policy.order(search.heaviest_first(), is_shuffled=True)
            for host in islice(hosts, policy.max_attempts):
                if host.name in outdated:
                    raise _Outdated
                placement = _placement(request, host)
                if placement is None:
                    continue
                now = replace(host.with_server(request.instance.uuid, placement), generation=_RESERVED)
                # Somebody has read it since the server before was counted there: for this one, and all after it, the
                # claim finds again what is left.
                is_ours = reserved.get(host.name, host) is host
                reserved[host.name] = now
                self._index.update([now])
                return Chosen(request.instance, host, placement if is_ours else None)
        return None

    def _put(self, known: HostRecord, now: HostRecord | None) -> None:
        """Store a host as it is now, unless it is not known, or somebody has read it meanwhile."""
        with self._using:
            row = self._index.row(known.name)
            if now is not None and row is not None and self._index.records[row] is known:
                self._index.update([now])
                return
        self.changed(known.name)

    def _read_again(self, name: str) -> HostRecord | None:
        """Return a host as it is now; None if it is gone or cannot be read."""
        with self._reading:
            found = list(self._read([name]))
            self._store(found, [name])
        return found[0] if found else None

    def _no_host(self, request: Request, policy: Policy, refused: dict[str, Rejection]) -> NoHost:
        with self._using:
            search = Search(self._index, request, policy.filters, policy.weighers)
            counts = search.counts()
            search.detach()
            faults = dict(self._unread)
        others = [*refused.values(), *(unread(name, fault) for name, fault in faults.items())]
        for each in others:
            for kind in each.refusal.kinds:
                counts[each.filter, kind] = counts.get((each.filter, kind), 0) + 1

        def find() -> Iterable[Rejection]:
            yield from others
            yield from (Rejection(*refusal) for refusal in search.refusals())

        return NoHost(find, counts)


def _version_of(host: HostRecord) -> tuple[int | None, int]:
    return host.number, host.generation


def _placement(request: Request, host: HostRecord) -> Placement | None:
    """Return the place of a new server on a host, or None."""
    instance = request.instance
    if held.name_taken(host.unmanaged, instance.uuid, instance.name) is not None:
        return None
    options = fit_options(request, host)
    return partition.place(host.host, instance.guest, **options) or None
