# SPDX-License-Identifier: Apache-2.0
"""The contents of a request, read once for all hosts of one call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property
from typing import Any

from numaplace import exception
from numaplace.model import Guest, Networks, Reason, Refusal
from numaplace.nova import convert

__all__ = ['Asked', 'impossible', 'of', 'once']


def impossible(guest: Guest) -> Refusal | None:
    """Refuse a guest that no Nova compute node can start, whatever the fit answers.

    Nova writes a list of CPUs for each guest cell, and libvirt rejects an empty one.
    """
    found = [number for number, cell in enumerate(guest.cells) if not cell.vcpus]
    return Refusal.of(*(Reason('cpus.invalid', 1, 0, 'vCPUs', (number,)) for number in found)) if found else None


class Asked:
    """What a ``nova.objects.RequestSpec`` requests; each part is read once, when it is needed.

    :param spec_obj: must not change in the meantime
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
    def refusal(self) -> Refusal | None:
        """Why every host refuses the guest, or None: it cannot be read, or no compute node could start it."""
        try:
            return impossible(self.guest)
        except exception.InvalidObject as error:
            return Refusal.of(Reason('guest.topology.unreadable', subject=str(error)))

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
        """The ``nova.objects.InstancePCIRequest`` objects, if any."""
        return list(self.spec_obj.pci_requests.requests) if self.spec_obj.pci_requests else []


# Each thread and each green thread has its own context, so neither the filter nor the request holds state.
_CURRENT: ContextVar[Asked | None] = ContextVar('numaplace_asked', default=None)


@contextmanager
def once(spec_obj: Any) -> Iterator[None]:
    """Let :func:`of` read a request once while the block runs; it must not change until the block ends."""
    token = _CURRENT.set(Asked(spec_obj))
    try:
        yield
    finally:
        _CURRENT.reset(token)


def of(spec_obj: Any) -> Asked:
    """Return the contents of a request."""
    asked = _CURRENT.get()
    return asked if asked is not None and asked.spec_obj is spec_obj else Asked(spec_obj)
