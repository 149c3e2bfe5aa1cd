# SPDX-License-Identifier: Apache-2.0
"""Repeat transactions if another one came first or the connection was lost."""

from __future__ import annotations

import functools
import random
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from numaplace import exception

__all__ = ['ATTEMPTS', 'repeated', 'retry']

#: Most lost races, and most lost connections, before the transaction fails.
ATTEMPTS = 10
#: Longest pause after the first lost race and the first lost connection, in seconds; it doubles with each.
_RACE_PAUSE_S, _LOSS_PAUSE_S = 0.01, 0.2
#: Longest pause of all, in seconds: a crashed server takes about that long to restart, and users do not wait longer.
_LONGEST_PAUSE_S = 3.0

P = ParamSpec('P')
T = TypeVar('T')


def retry(attempt: Callable[[], T]) -> T:
    """Return what a transaction returns; repeat it while others come first or the database is away.

    The pauses are random, so that transactions that lost together do not meet again.

    :raises: :class:`~numaplace.exception.ConcurrentUpdate` after ATTEMPTS lost races,
        :class:`~numaplace.exception.LostConnection` after ATTEMPTS lost connections; what is not known to be undone
        (:class:`~numaplace.exception.UnknownOutcome`) is not repeated
    """
    races = losses = 0
    while True:
        try:
            return attempt()
        except exception.ConcurrentUpdate as error:
            races += 1
            _pause(error, races, 0.0, _RACE_PAUSE_S)
        except exception.LostConnection as error:
            losses += 1
            _pause(error, losses, 0.5, _LOSS_PAUSE_S)


def repeated(transaction: Callable[P, T]) -> Callable[P, T]:
    """Return a transaction that is repeated if another one came first or the connection was lost."""

    @functools.wraps(transaction)
    def again(*args: P.args, **kwargs: P.kwargs) -> T:
        return retry(lambda: transaction(*args, **kwargs))

    return again


def _pause(error: exception.NumaplaceException, number: int, least: float, longest_s: float) -> None:
    """Wait before the next attempt, or raise the fault again if there is none."""
    if number == ATTEMPTS:
        raise type(error)(f'{error}; given up after {ATTEMPTS} attempts') from error
    time.sleep(random.uniform(least, 1) * min(longest_s * 2 ** (number - 1), _LONGEST_PAUSE_S))  # noqa: S311 - no secret
