# SPDX-License-Identifier: Apache-2.0
"""Transactions again, when another one came first or the database went away."""

from __future__ import annotations

import functools
import itertools
import random
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from numaplace import exception

__all__ = ['ATTEMPTS', 'repeated', 'retry', 'retry_waiting']

#: How often a race is lost, and how often a connection, until it is given up.
ATTEMPTS = 10
#: Longest pause after the first lost race and the first lost connection, in seconds; it doubles with each.
_RACE_PAUSE_S, _LOSS_PAUSE_S = 0.01, 0.2
#: Longest pause of all, in seconds: a server that crashed takes that long to come back, and a user no longer waits.
_LONGEST_PAUSE_S = 3.0

P = ParamSpec('P')
T = TypeVar('T')


def retry(attempt: Callable[[], T]) -> T:
    """Return what a transaction returns, repeated while others come first or the database is away.

    The pauses are random, so that those who lost together do not meet again.

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


def retry_waiting(attempt: Callable[[bool], T]) -> T:
    """Return what a transaction returns, as :func:`retry`; once it lost, it is told to wait for the hosts.

    So it cannot lose again to those who compute longer than it waits.

    :param attempt: takes whether to wait
    """
    wait = itertools.chain([False], itertools.repeat(True))
    return retry(lambda: attempt(next(wait)))


def repeated(transaction: Callable[P, T]) -> Callable[P, T]:
    """Return a transaction as one that goes on when another one came first, or the database comes back."""

    @functools.wraps(transaction)
    def again(*args: P.args, **kwargs: P.kwargs) -> T:
        return retry(lambda: transaction(*args, **kwargs))

    return again


def _pause(error: exception.NumaplaceException, number: int, least: float, longest_s: float) -> None:
    """Wait before the next attempt, or raise the fault again if there is none."""
    if number == ATTEMPTS:
        raise type(error)(f'{error}; given up after {ATTEMPTS} attempts') from error
    time.sleep(random.uniform(least, 1) * min(longest_s * 2 ** (number - 1), _LONGEST_PAUSE_S))  # noqa: S311 - no secret
