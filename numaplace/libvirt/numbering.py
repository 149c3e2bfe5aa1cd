# SPDX-License-Identifier: Apache-2.0
"""Determine which CPUs share a core if only their numbers are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from numaplace import cpuset

__all__ = ['NUMBERINGS', 'Numbered', 'Numbering', 'cores']

#: ``adjacent``: the threads of a core are consecutive, such as 0 and 1. ``apart``: the first threads of all cores
#: come before the second ones, such as 0 and 60 of 120 CPUs.
Numbering = Literal['adjacent', 'apart']
NUMBERINGS: tuple[Numbering, ...] = ('adjacent', 'apart')


@dataclass(frozen=True, slots=True)
class Numbered:
    """The core of each CPU by CPU number; empty if the numbers do not determine it.

    :param assumed: what was assumed in addition to the numbers, or empty if they are proof
    """

    cores: Mapping[int, int]
    assumed: str = ''


def cores(nodes: Mapping[int, int], threads: int, hypervisor: str, said: Numbering | None = None) -> Numbered:
    """Return the cores of a machine whose cores all have the same number of threads.

    No core is in two nodes, which excludes a numbering that would split one. If runs of CPUs exclude ``adjacent``,
    ``apart`` is proven. If the runs fit both, they show firmware that lists first threads first: with adjacent
    threads, nodes and packages would cross each other, which no hardware does. Guests may have any nodes; QEMU numbers
    the threads of a core consecutively, so this is assumed for a KVM guest.

    :param nodes: mask of the CPUs of each node
    :param hypervisor: hypervisor that the machine is a guest of, or empty
    :param said: the numbering that the operator states
    """
    if threads == 1 or all(mask.bit_count() in (0, threads) for mask in nodes.values()):
        return Numbered({cpu: mask if threads > 1 else 1 << cpu for mask in nodes.values() for cpu in cpuset.ids(mask)})
    total = sum(nodes.values()).bit_count()
    if total % threads or sum(nodes.values()) != (1 << total) - 1:
        return Numbered({})
    possible = {
        name: found
        for name, found in _numberings(total, threads).items()
        if all(not core & ~mask for mask in nodes.values() for core in map(found.__getitem__, cpuset.ids(mask)))
    }
    if said:
        return Numbered(possible.get(said, {}))
    in_runs = all(_runs(mask) == threads for mask in nodes.values() if mask)
    if 'apart' in possible and in_runs and ('adjacent' not in possible or not hypervisor):
        assumed = f'numbered as firmware does where a node has {threads} runs of CPUs' if 'adjacent' in possible else ''
        return Numbered(possible['apart'], assumed)
    if 'adjacent' in possible and hypervisor == 'KVM':
        return Numbered(possible['adjacent'], 'numbered as QEMU does, because the hypervisor is KVM')
    return Numbered({})


def _numberings(total: int, threads: int) -> dict[Numbering, dict[int, int]]:
    apart = total // threads
    return {
        'adjacent': {cpu: ((1 << threads) - 1) << cpu // threads * threads for cpu in range(total)},
        'apart': {cpu: sum(1 << cpu % apart + apart * thread for thread in range(threads)) for cpu in range(total)},
    }


def _runs(mask: int) -> int:
    return (mask & ~(mask << 1)).bit_count()
