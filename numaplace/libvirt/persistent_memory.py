# SPDX-License-Identifier: Apache-2.0
"""The namespaces of persistent memory that a guest has, as memory modules of its domain."""

from __future__ import annotations

from dataclasses import replace

from numaplace import exception
from numaplace.model import HostResources, MemoryModule, Placement
from numaplace.model.host_resources import PMEM, Namespace
from numaplace.request import Hotplug
from numaplace.units import KIB_PER_MIB

__all__ = ['with_namespaces']

#: The area for labels in each module, as Nova 34 has it.
_LABEL_KIB = 2 * KIB_PER_MIB


def with_namespaces(placement: Placement, resources: HostResources, hotplug: Hotplug) -> tuple[Placement, Hotplug]:
    """Return a placement whose guest has the namespaces as modules, with a slot for each, and room for it.

    Each is near the first guest cell on its host cell, or else in cell 0.

    :param resources: of its host
    :raises: :class:`~numaplace.exception.InvalidDomain` for a namespace that the host no longer has
    """
    named = [name for name in placement.resources if name.startswith(PMEM)]
    if not named:
        return placement, hotplug
    guest, modules = placement.guest, []
    known = {module.path for module in guest.modules}
    for name in named:
        namespace = resources.namespace(name)
        if namespace is None:
            raise exception.InvalidDomain(
                f'namespace {name.removeprefix(PMEM)!r} of persistent memory: its host no longer has it'
            )
        if namespace.path not in known:  # an adopted domain has it among its own
            modules.append(_module(namespace, placement))
    more_mib = sum(module.size_mib for module in modules)
    largest_mib = max(hotplug.max_memory_mib, guest.memory_mib) + more_mib
    hotplug = replace(hotplug, slots=hotplug.slots + len(modules), max_memory_mib=largest_mib)
    return replace(placement, guest=replace(guest, modules=(*modules, *guest.modules))), hotplug


def _module(namespace: Namespace, placement: Placement) -> MemoryModule:
    near = (number for number, placed in enumerate(placement.cells) if placed.host_cell == namespace.numa_node)
    size_mib = namespace.size_kib // KIB_PER_MIB
    return MemoryModule(size_mib, next(near, 0), namespace.path, namespace.align_kib, _LABEL_KIB, pmem=True)
