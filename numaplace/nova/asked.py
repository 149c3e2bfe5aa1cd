# SPDX-License-Identifier: Apache-2.0
"""What a request asks for, read once for all the hosts that one call asks about it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property
from typing import Any

from numaplace.model import Guest, Networks
from numaplace.nova import convert

__all__ = ['Asked', 'of', 'once']


class Asked:
    """What a ``nova.objects.RequestSpec`` asks for; each part is read when it is needed, and once.

    :param spec_obj: which nobody may change meanwhile
    """

    def __init__(self, spec_obj: Any) -> None:
        self.spec_obj = spec_obj
        self.topology = spec_obj.numa_topology

    @cached_property
    def guest(self) -> Guest:
        """The guest.

        :raises: as :func:`numaplace.nova.convert.read_guest`
        """
        return convert.read_guest(self.topology)

    @cached_property
    def network_metadata(self) -> Any:
        """The networks in Nova's class, or None."""
        return self.spec_obj.network_metadata if 'network_metadata' in self.spec_obj else None

    @cached_property
    def networks(self) -> Networks | None:
        """The networks, or None."""
        return convert.read_networks(self.network_metadata)

    @cached_property
    def devices(self) -> list[Any]:
        """The objects of ``nova.objects.InstancePCIRequest``, or none."""
        return list(self.spec_obj.pci_requests.requests) if self.spec_obj.pci_requests else []


# Threads, and Nova's green threads, have a context each; neither the filter nor the request has to hold anything.
_CURRENT: ContextVar[Asked | None] = ContextVar('numaplace_asked', default=None)


@contextmanager
def once(spec_obj: Any) -> Iterator[None]:
    """Let :func:`of` read a request once while the block runs, in which nobody may change it."""
    token = _CURRENT.set(Asked(spec_obj))
    try:
        yield
    finally:
        _CURRENT.reset(token)


def of(spec_obj: Any) -> Asked:
    """Return what a request asks for."""
    asked = _CURRENT.get()
    return asked if asked is not None and asked.spec_obj is spec_obj else Asked(spec_obj)
