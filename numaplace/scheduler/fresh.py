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
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Final

from numaplace import exception
from numaplace.compute import claims
from numaplace.db.api import Database
from numaplace.db.changes import NOTHING
from numaplace.model import Refusal
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


class FreshIndex:
    """The hosts of a database, for several threads and any number of requests.

    It begins empty: the first look, which is part of the first request otherwise, reads all hosts. The rows come in
    chunks, so beside the hosts themselves no more than CHUNK rows are in memory; 100,000 hosts of 8 cells take less
    than 2 GiB in all.

    Look often enough that few hosts that come first are stale: :meth:`refresh` costs milliseconds where little has
    changed. Nothing depends on it but time, unless a look is trusted.

    :param trust_s: for so many seconds after a look, a host is not read again before it is claimed for a new server:
        the claim compares its number and generation, and what the look said of aggregates and silent agents holds
    :param lost: called for each claim that failed because others were faster
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
        """Hear that hosts have changed, came or went: they are read before the next request is answered.

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
        create = partial(claims.instance_claim, database or self._database, request.instance)
        if leaves is not None:
            policy = replace(policy, filters=((MOVE, Elsewhere(leaves)), *policy.filters))
        refused: dict[str, Rejection] = {}
        lost: list[str] = []
        for number in range(LOOKS):
            request = self._with_group(request)
            answer = self._try(request, policy, claim, create, refused)
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
        claim: Claiming | None,
        create: Callable[..., claims.Claim | Refusal],
        refused: dict[str, Rejection],
    ) -> Selection | list[str]:
        """Claim one of the best hosts; otherwise return those that others were faster on.

        :param claim: as for :meth:`select`
        :param create: claims for a new server, also with a version of the host
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
            answer = None
            if claim is None and self.age_s < self._trust_s:
                answer = self._claim_as_known(create, request, candidate)
            if answer is None:
                now = candidate if name in just_read else self._read_again(name)
                if now is None or refuse(now, request, policy.filters):
                    lost.append(name)
                    continue
                # Read before the next search, and not here: nothing may come between a claim and its owner.
                self.changed(name)
                answer = claim_on(claim or create, request, now)
            if isinstance(answer, claims.Claim):
                return Selection(name, answer, tuple(refused.values()))
            if isinstance(answer, exception.NumaplaceException):
                self._lost()
                lost.append(name)
            else:
                refused[name] = rejected(candidate, answer)
        return lost

    def _claim_as_known(
        self, create: Callable[..., claims.Claim | Refusal], request: Request, known: HostRecord
    ) -> claims.Claim | Refusal | exception.NumaplaceException | None:
        """Claim a host that the index knows as it is, and know what it has then; None if it has changed."""
        try:
            answer = claim_on(partial(create, version=_version_of(known)), request, known)
        except exception.HostChanged:
            self._lost()
            return None
        if isinstance(answer, claims.Claim) and answer.is_new:
            used = known.host.consume(answer.instance.placement)
            servers = known.servers | {answer.instance.uuid}
            self._put(known, replace(known, host=used, generation=known.generation + 1, servers=servers))
        else:
            self.changed(known.name)
        return answer

    def _put(self, known: HostRecord, now: HostRecord) -> None:
        """Store a host, unless somebody has read it meanwhile."""
        with self._using:
            if self._version(now.name) == _version_of(known):
                self._index.update([now])

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
