# SPDX-License-Identifier: Apache-2.0
"""What shadow mode has found in this process: counts, and one line in the log for each disagreement and fault."""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from oslo_log import log as logging

from numaplace import explain

__all__ = ['Case', 'Tally']

LOG = logging.getLogger(__name__)

#: How often the summary is logged at most, in seconds.
_SUMMARY_S = 60.0

#: Most warnings of an instance at each place, so that no tenant can flood the log, and most cases remembered.
_LINES, _REMEMBERED = 10, 1024


@dataclass(frozen=True, slots=True)
class Case:
    """A watched decision of Nova.

    :param place: ``filter``, ``consume`` (the scheduler's own count), ``claim`` or ``usage``
    :param instance: UUID, or None where Nova does not report
    """

    place: str
    host: str
    instance: str | None = None


class Tally:
    """The counts of a process; threads may share it.

    :param clock: seconds from any start, never decreasing
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.decisions = 0
        #: By place and kind.
        self.disagreements: Counter[tuple[str, str]] = Counter()
        #: Faults of numaplace, by place and class.
        self.faults: Counter[tuple[str, str]] = Counter()
        self._clock = clock
        self._summed_at: float | None = None
        self._told: OrderedDict[tuple[str, str], set[str]] = OrderedDict()
        self._lock = threading.Lock()

    @contextmanager
    def guard(self, place: str) -> Iterator[None]:
        """End the block early if it raises: Nova must continue, whatever numaplace raises."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - this is the boundary
            self._failed(place, error)

    def decided(self, case: Case, kind: str | None = None, text: str = '') -> None:
        """Count a decision that both have made.

        :param kind: the kind of the disagreement, None if there is none
        :param text: what each says and why
        """
        with self._lock:
            self.decisions += 1
            if kind is not None:
                self.disagreements[case.place, kind] += 1
        if kind is not None:
            line = f'numaplace shadow: disagreement ({case.place}, {kind}) on {explain.escape(case.host)}: {text}'
            LOG.log(self._level(case, line), '%s', line, instance_uuid=case.instance)
        if self._is_due():
            LOG.info('%s', self.summary())

    def summary(self) -> str:
        """Return the counts in one line."""
        with self._lock:
            disagreements, faults = self.disagreements.copy(), self.faults.copy()
            decisions = self.decisions
        parts = (
            _many(decisions, 'decision'),
            f'{_many(disagreements.total(), "disagreement")}{_listed(disagreements)}',
            f'{_many(faults.total(), "fault")} of numaplace{_listed(faults)}',
        )
        return f'numaplace shadow: {"; ".join(parts)}'

    def _failed(self, place: str, error: Exception) -> None:
        kind = place, type(error).__name__
        with self._lock:
            self.faults[kind] += 1
            first = self.faults[kind] == 1
        if first:
            LOG.warning(
                'numaplace shadow: fault of numaplace (%s), more of the kind are only counted: %s',
                ' '.join(kind),
                explain.escape(str(error)),
            )
            LOG.debug('numaplace shadow: where the fault comes from', exc_info=error)

    def _level(self, case: Case, line: str) -> int:
        """Return the level of a line: a warning once for each line, and for the first lines of an instance."""
        key = case.place, case.instance or line
        with self._lock:
            told = self._told.setdefault(key, set())
            self._told.move_to_end(key)
            if len(self._told) > _REMEMBERED:
                self._told.popitem(last=False)
            if line in told or len(told) == _LINES:
                return int(logging.DEBUG)
            told.add(line)
        return int(logging.WARNING)

    def _is_due(self) -> bool:
        now = self._clock()
        with self._lock:
            due = self._summed_at is None or now - self._summed_at >= _SUMMARY_S
            if due:
                self._summed_at = now
        return due


def _many(number: int, noun: str) -> str:
    return f'{number:,} {noun}{"" if number == 1 else "s"}'


def _listed(counts: Counter[tuple[str, str]]) -> str:
    listed = ', '.join(f'{" ".join(name)} {count:,}' for name, count in sorted(counts.items()))
    return f': {listed}' if listed else ''
