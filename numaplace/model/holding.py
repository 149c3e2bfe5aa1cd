# SPDX-License-Identifier: Apache-2.0
"""What a domain holds on a host, whether or not numaplace can manage it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from numaplace import cpuset
from numaplace.model.placement import Placement
from numaplace.units import KIB_PER_MIB

__all__ = ['Holding', 'Note']


class Note(NamedTuple):
    """What is told about a domain.

    :param code: a key of :data:`numaplace.fleet.findings.CODES`
    :param text: one line
    """

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Holding:
    """What nobody else may be given while a domain is there.

    :param vcpus: number of vCPUs that may be on
    :param online: the vCPUs that are on
    :param dedicated: CPUs of the dedicated set
    :param floating: number of vCPUs that float; they count against the allocation ratio of the shared CPUs
    :param memory: MiB by the host cells that they may come from: over several, whatever the split, what is placed
        beside it must fit
    :param pages: numbers of huge pages by the host cells that they may come from, as for `memory`, and by size in KiB
    :param devices: PCI addresses of the host, such as ``0000:41:00.0``
    :param resources: names as in :class:`numaplace.model.HostResources`, or PMEM and the path of a device
    :param notes: what it cannot say or numaplace cannot, by code
    """

    name: str
    uuid: str
    vcpus: int = 0
    online: frozenset[int] = frozenset()
    dedicated: frozenset[int] = frozenset()
    floating: int = 0
    memory: tuple[tuple[frozenset[int], int], ...] = ()
    pages: tuple[tuple[frozenset[int], int, int], ...] = ()
    devices: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()
    resources: tuple[str, ...] = ()

    @classmethod
    def of(cls, name: str, uuid: str, placement: Placement, general: frozenset[int]) -> Holding:
        """Return what a placed guest holds.

        :param name: of its domain
        :param general: the host cells with general memory, for a guest that floats
        """
        guest = placement.guest
        taken = cpuset.union([placed.taken for placed in placement.cells])
        on = (1 << guest.most_vcpus) - 1 & ~guest.offline_vcpus
        pinned = sum([len(placed.pins) for placed in placement.cells])
        memory: dict[frozenset[int], int] = {}
        pages: dict[tuple[frozenset[int], int], int] = {}
        for placed in placement.cells:
            cells, mib = frozenset((placed.host_cell,)), placed.guest_cell.memory_mib
            memory[cells] = memory.get(cells, 0) + mib
            if size_kib := placed.pagesize_kib:
                pages[cells, size_kib] = pages.get((cells, size_kib), 0) + mib * KIB_PER_MIB // size_kib
        return cls(
            name,
            uuid,
            guest.most_vcpus,
            frozenset(cpuset.ids(on)),
            frozenset(cpuset.ids(taken)),
            guest.vcpus - pinned,
            tuple(memory.items()) or ((general, guest.memory_mib),),
            tuple([(cells, size_kib, number) for (cells, size_kib), number in pages.items()]),
            tuple([granted.device.address for granted in placement.devices]),
            resources=placement.resources,
        )

    @property
    def findings(self) -> list[str]:
        """The codes of the notes, each once, sorted."""
        return sorted({note.code for note in self.notes})

    @property
    def memory_mib(self) -> int:
        """All of its memory."""
        return sum([mib for _cells, mib in self.memory])
