# SPDX-License-Identifier: Apache-2.0
"""The NUMA topology of a guest that requests none: ``[numaplace] default_guest_numa = single``."""

from dataclasses import replace

from numaplace.model import Guest, GuestCell

__all__ = ['single']


def single(guest: Guest) -> Guest:
    """Return the guest with one cell of all its vCPUs and memory; others that request cells stay as they are."""
    if guest.cells or guest.wish:
        return guest
    cell = GuestCell(id=0, shared_vcpus=(1 << guest.vcpus) - 1, dedicated_vcpus=0, memory_mib=guest.memory_mib)
    return replace(guest, cells=(cell,))
