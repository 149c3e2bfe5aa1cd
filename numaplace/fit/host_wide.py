# SPDX-License-Identifier: Apache-2.0
"""The rules for the whole host: what guests without cells use of it, and what others must leave for them."""

from __future__ import annotations

from collections.abc import Sequence

from numaplace.model import Guest, Host, Limits, Reason, limit

__all__ = ['memory_reason', 'reasons']


def reasons(
    host: Host, guest: Guest, limits: Limits | None, host_cell_ids: Sequence[int] | None = None
) -> tuple[Reason, ...]:
    """Return why a guest has no room on the whole host.

    A guest without cells is counted only there. For one with cells the rules of the cells suffice, unless others
    float: no cell counts those, and they keep the room that they were given.

    What it requests by name, such as memory encryption, is counted there for every guest.

    Memory is the general memory of the host: that of cells without CPUs is for the guest cells bound to them.

    :param limits: overcommit of shared CPUs and memory; without them a guest without cells may not overcommit memory
    :param host_cell_ids: for each guest cell the id of its host cell, where they are fixed
    """
    found = list(host.resources.reasons(guest.resource_requests)) if guest.resource_requests else []
    if guest.cells and not (limits and (host.floating_vcpus or host.held_vcpus)):
        return tuple(found)
    memory = memory_reason(
        host, _general_mib(host, guest, host_cell_ids), limits.ram_allocation_ratio if limits else 1.0
    )
    found += [memory] if memory else []
    vcpus, shared = _vcpus_on_shared_cpus(host, guest), host.shared_cpus.bit_count()
    if vcpus > shared and not guest.cells:
        found.append(Reason('cpus.host.total', vcpus, shared, 'CPUs'))
    elif limits:
        left = limit(shared, limits.cpu_allocation_ratio) - host.shared_vcpus_used
        if vcpus and vcpus > left:
            found.append(Reason('cpus.host', vcpus, left, 'vCPUs', held=host.held_vcpus))
    return tuple(found)


def memory_reason(host: Host, needed_mib: int, ratio: float) -> Reason | None:
    """Return what the whole host lacks of general memory, or None.

    :param ratio: overcommit of memory
    """
    total_mib = limit(host.memory_mib, ratio)
    left_mib = total_mib - host.general_memory_used_mib - host.held_mib
    if not needed_mib or needed_mib <= left_mib:
        return None
    if needed_mib > total_mib:
        return Reason('memory.host.total', needed_mib, total_mib, 'MiB')
    return Reason('memory.host', needed_mib, left_mib, 'MiB', held=host.held_mib)


def _general_mib(host: Host, guest: Guest, host_cell_ids: Sequence[int] | None) -> int:
    """Return the general memory that a guest needs: all but that of guest cells bound to memory of another kind."""
    if host_cell_ids is None:
        return guest.memory_mib
    special = {cell.id for cell in host.cells if not cell.shape.is_general}
    return sum(cell.memory_mib for cell, bound in zip(guest.cells, host_cell_ids, strict=True) if bound not in special)


def _vcpus_on_shared_cpus(host: Host, guest: Guest) -> int:
    """Return the number of vCPUs that count against the shared CPUs: pinned ones too where both sets are the same."""
    if not guest.cells or host.shared_cpus & host.dedicated_cpus:
        return guest.vcpus
    return sum(cell.shared_vcpus.bit_count() for cell in guest.cells)
