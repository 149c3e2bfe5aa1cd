# SPDX-License-Identifier: Apache-2.0
"""The guest of a request as a value, read once for all the hosts that one call asks about it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from numaplace.model import Guest
from numaplace.nova import convert

__all__ = ['guest', 'once']


class _Asked:
    """A topology that is asked for, and its guest from the first question on."""

    __slots__ = ('_guest', 'topology')

    def __init__(self, topology: Any) -> None:
        self.topology = topology
        self._guest: Guest | None = None

    def guest(self) -> Guest:
        if self._guest is None:
            self._guest = convert.read_guest(self.topology)
        return self._guest


# Threads, and Nova's green threads, have a context each; neither the filter nor the request has to hold anything.
_CURRENT: ContextVar[_Asked | None] = ContextVar('numaplace_asked', default=None)


@contextmanager
def once(topology: Any) -> Iterator[None]:
    """Let :func:`guest` read a topology once while the block runs, in which nobody may change it."""
    token = _CURRENT.set(_Asked(topology))
    try:
        yield
    finally:
        _CURRENT.reset(token)


def guest(topology: Any) -> Guest:
    """Return the guest of a ``nova.objects.InstanceNUMATopology``.

    :raises: as :func:`numaplace.nova.convert.read_guest`
    """
    asked = _CURRENT.get()
    return asked.guest() if asked is not None and asked.topology is topology else convert.read_guest(topology)
