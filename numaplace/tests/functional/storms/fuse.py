# SPDX-License-Identifier: Apache-2.0
"""The moments of a process's work with databases, counted, or ended at one of them by SIGKILL."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

__all__ = ['count', 'light']

#: A connection is taken, a transaction begins, before and after each statement, before the transaction ends.
_MOMENTS = [
    (sa.Pool, 'checkout'),
    (sa.Engine, 'begin'),
    (sa.Engine, 'before_cursor_execute'),
    (sa.Engine, 'after_cursor_execute'),
    (sa.Engine, 'commit'),
]


@contextmanager
def _told(hook: Callable[..., None]) -> Iterator[None]:
    for target, moment in _MOMENTS:
        sa.event.listen(target, moment, hook)
    try:
        yield
    finally:
        for target, moment in _MOMENTS:
            sa.event.remove(target, moment, hook)


def count(work: Callable[[], object]) -> int:
    """Return how many moments some work has."""
    passed = 0

    def see(*_event: Any) -> None:
        nonlocal passed
        passed += 1

    with _told(see):
        work()
    return passed


@contextmanager
def light(moments: int) -> Iterator[None]:
    """Let so many moments pass, and die in the next."""
    left = moments

    def burn(*_event: Any) -> None:
        nonlocal left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

    with _told(burn):
        yield
