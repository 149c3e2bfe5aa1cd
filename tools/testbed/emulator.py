# SPDX-License-Identifier: Apache-2.0
"""QEMU without KVM crashes on rare occasions, in threads of its own: what a signal ended is started again."""

import logging
from collections.abc import Callable
from typing import TypeVar

LOG = logging.getLogger(__name__)

_STARTS = 3

Told = TypeVar('Told')


class Crashed(RuntimeError):
    """A signal ended QEMU; what the guest does cannot be the reason."""


def restarted(run: Callable[[], Told]) -> Told:
    """Return what ``run`` returns, and run it again, at most twice, where QEMU crashed.

    :raises: Crashed of the last start, what ``run`` raises
    """
    for _ in range(_STARTS - 1):
        try:
            return run()
        except Crashed as error:
            LOG.warning('QEMU is started again: %s', error)
    return run()
