# SPDX-License-Identifier: Apache-2.0
"""An index of all hosts that follows the database: what a process that places many servers keeps.

It is loaded once and told what changes: by what this process claims itself, by whoever hears of changes, and by looks
at the generations of all rows. What it does not know yet costs another try: a host is read again before it is claimed.
It is said that no host takes a server only after a look at all that has changed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from functools import partial
from typing import Final

from numaplace import exception
from numaplace.compute import claims
from numaplace.db.api import Database
from numaplace.db.changes import NOTHING
from numaplace.model.records import HostRecord
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
    changed. Nothing depends on it but time.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._index = HostIndex()
        self._unread: dict[str, exception.NumaplaceException] = {}
        self._known = NOTHING
        #: Hosts that have changed since they were read.
        self._outdated: set[str] = set()
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
        with self._reading:
            changes = self._database.changes(self._known)
            self._known = changes.known
            self.changed(*changes.names, *changes.gone)
        return len(self._read_outdated(progress))

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

    def _store(self, found: Collection[HostRecord], names: Iterable[str]) -> None:
        with self._using:
            self._index.update(found, gone=set(names).difference([record.name for record in found]))

    def select(
        self, request: Request, policy: Policy, *, leaves: str | None = None, claim: Claiming | None = None
    ) -> Selection | NoHost:
        """Find the best host for a server and claim it there, as :func:`numaplace.scheduler.select.select` does.

        Best is what the index knows. The host is asked again as it is now, before it is claimed.

        :param leaves: the host that the server may not stay on, or None
        :param claim: claims the host of a given name with given options; None creates the server there
        :raises: as :func:`numaplace.scheduler.select.select`
        """
        claiming = claim or partial(claims.instance_claim, self._database, request.instance)
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
        self, request: Request, policy: Policy, claiming: Claiming, refused: dict[str, Rejection]
    ) -> Selection | list[str]:
        """Claim one of the best hosts; otherwise return those that others were faster on.

        :param refused: collects the hosts that had room and refused the claim for another reason
        """
        just_read = self._read_outdated()
        with self._using:
            hosts = Search(self._index, request, policy.filters, policy.weighers).heaviest_first()
        lost: list[str] = []
        for candidate in policy.order(hosts):
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
                return Selection(name, answer, tuple(refused.values()))
            if isinstance(answer, exception.NumaplaceException):
                lost.append(name)
            else:
                refused[name] = rejected(now, answer)
        return lost

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
