# SPDX-License-Identifier: Apache-2.0
"""How time is measured: processor time, medians over rounds in which all sides take turns.

So other processes hardly affect the figures, and what affects them affects all sides alike.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ['Side', 'duration', 'medians']


@dataclass(frozen=True, slots=True)
class Side:
    """Something to be timed.

    :param prepare: makes the arguments of one call; not timed
    :param call: what is timed
    """

    prepare: Callable[[], tuple[Any, ...]]
    call: Callable[..., object]


def _seconds(side: Side, calls: int, clock: Callable[[], float]) -> float:
    """Return the processor seconds of one call, as the mean of some calls with different arguments."""
    arguments = [side.prepare() for _ in range(calls)]
    call = side.call
    collecting = gc.isenabled()
    gc.disable()
    try:
        start = clock()
        for values in arguments:
            call(*values)
        return (clock() - start) / calls
    finally:
        if collecting:
            gc.enable()


def medians(
    sides: Mapping[str, Side],
    *,
    rounds: int = 15,
    batch_s: float = 0.001,
    budget_s: float = 2.0,
    clock: Callable[[], float] = time.thread_time,
) -> dict[str, float]:
    """Return the median seconds of a call for each side.

    :param rounds: number of turns of each side, fewer (3 at least) if a round takes long
    :param batch_s: about how long a turn takes; it has 200 calls at most
    :param budget_s: about how long all rounds together may take
    :param clock: ``time.process_time`` for calls that use threads
    """
    warm = {name: min(_seconds(side, 1, clock), _seconds(side, 1, clock)) for name, side in sides.items()}
    calls = {name: max(1, min(200, int(batch_s / seconds))) for name, seconds in warm.items()}
    round_s = sum(warm[name] * calls[name] for name in sides)
    turns: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(max(3, min(rounds, int(budget_s / round_s)))):
        for name, side in sides.items():
            turns[name].append(_seconds(side, calls[name], clock))
    return {name: statistics.median(seconds) for name, seconds in turns.items()}


_UNITS: Sequence[tuple[float, str]] = ((1.0, 's'), (1e-3, 'ms'), (1e-6, 'us'))


def duration(seconds: float) -> str:
    """Format a duration with three digits: ``12.3 us``."""
    size, unit = next((known for known in _UNITS if seconds >= known[0]), _UNITS[-1])
    value = seconds / size
    return f'{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f} {unit}'
