# SPDX-License-Identifier: Apache-2.0
"""The rules for the whole host: what guests without cells take of it, and what others must leave them."""

from __future__ import annotations

from numaplace.model import Guest, Host, Limits, Reason

__all__ = ['reasons']


def reasons(host: Host, guest: Guest, limits: Limits | None) -> tuple[Reason, ...]:
    """Return why a guest has no room on the whole host.

    A guest without cells counts there alone. For one with cells the rules of the cells say it all, unless others float:
    no cell counts those, and they keep the room that they were given, whoever comes first.

    :param limits: overcommit of shared CPUs and memory; without them a guest without cells may not overcommit memory
    """
    if guest.cells and not (limits and host.floating_vcpus):
        return ()
    found = []
    free_mib = host.memory_mib * (limits.ram_allocation_ratio if limits else 1.0) - host.memory_used_mib
    if guest.memory_mib and guest.memory_mib > free_mib:
        found.append(Reason('memory.host', guest.memory_mib, free_mib, 'MiB'))
    vcpus, shared = _vcpus_on_shared_cpus(host, guest), host.shared_cpus.bit_count()
    if vcpus > shared and not guest.cells:
        found.append(Reason('cpus.host.total', vcpus, shared, 'CPUs'))
    elif limits:
        room = shared * limits.cpu_allocation_ratio - host.shared_vcpus_used
        if vcpus and vcpus > room:
            found.append(Reason('cpus.host', vcpus, room, 'vCPUs'))
    return tuple(found)


def _vcpus_on_shared_cpus(host: Host, guest: Guest) -> int:
    """Return the number of vCPUs that take room of the shared CPUs: pinned ones too where both sets are one."""
    if not guest.cells or host.shared_cpus & host.dedicated_cpus:
        return guest.vcpus
    return sum(cell.shared_vcpus.bit_count() for cell in guest.cells)
