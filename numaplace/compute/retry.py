# SPDX-License-Identifier: Apache-2.0
"""Transactions again, when another one came first."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from numaplace import exception

__all__ = ['ATTEMPTS', 'retry']

ATTEMPTS = 10
#: Longest pause after the first lost race, in seconds; it doubles with each.
_PAUSE = 0.01

T = TypeVar('T')


def retry(attempt: Callable[[], T]) -> T:
    """Return what a transaction returns, repeated while others come first.

    The pauses are random, so that those who lost together do not meet again.

    :raises: :class:`~numaplace.exception.ConcurrentUpdate` after ATTEMPTS lost races
    """
    for number in range(ATTEMPTS - 1):
        try:
            return attempt()
        except exception.ConcurrentUpdate:
            time.sleep(random.uniform(0, _PAUSE * 2**number))  # noqa: S311 - no secret
    try:
        return attempt()
    except exception.ConcurrentUpdate as error:
        raise exception.ConcurrentUpdate(f'{error}; given up after {ATTEMPTS} attempts') from error
