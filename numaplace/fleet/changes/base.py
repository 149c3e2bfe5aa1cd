# SPDX-License-Identifier: Apache-2.0
"""One change after which a host takes a guest, and what is known when it is looked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeAlias

from numaplace.fit.assignment import hall_violator
from numaplace.fit.cell_demand import Demand, demands
from numaplace.fit.cells import shortfall
from numaplace.model import Guest, GuestCell, Host, Limits, Networks, Placement

__all__ = ['Case', 'Change', 'Takes', 'Trial', 'amounts_of', 'with_cells']


class Trial(NamedTuple):
    """A host and a guest of which one is changed.

    :param without: name of the server that is not on the host any more, or None
    """

    host: Host
    guest: Guest
    networks: Networks | None = None
    without: str | None = None


#: Asks whether the host takes the guest.
Takes: TypeAlias = Callable[[Trial], bool]


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a host or of a guest.

    :param kind: one of :data:`numaplace.fleet.changes.KINDS`
    :param cost: the smaller, the nearer, among changes of the same kind
    :param before: what is changed, as plain values; None where the subject says it all
    :param after: what it becomes
    :param subject: name of the device, the network, the server or the host
    """

    kind: str
    cost: tuple[float, ...]
    before: Any = None
    after: Any = None
    subject: str = ''


@dataclass(frozen=True, slots=True)
class Case:
    """A host that refuses a guest.

    :param takes: judges every change; with more resources, or with less demand of one kind, it refuses no more
    :param limits: overcommit of shared CPUs and memory; None sets no limit
    :param servers: what can leave the host, by name
    :param others: names of other hosts that take the guest
    """

    host: Host
    guest: Guest
    takes: Takes
    limits: Limits | None = None
    networks: Networks | None = None
    servers: Mapping[str, Placement] = field(default_factory=dict)
    others: Sequence[str] = ()

    def takes_guest(self, guest: Guest) -> bool:
        """Return whether the host takes a changed guest; those that cannot fit cost little."""
        return self.may_fit(demands(guest, self.limits)) and self.takes(Trial(self.host, guest, self.networks))

    def may_fit(self, wanted: Sequence[Demand]) -> bool:
        """Return whether guest cells fit on host cells of their own, apart from networks and devices."""
        rows = self.rows(wanted)
        return all(rows) and hall_violator(rows) is None

    def has_memory(self) -> bool:
        """Return whether the memory of guest cells fits on host cells of their own, whatever CPUs these have."""
        wanted = demands(self.guest, self.limits)
        return self.may_fit([each._replace(dedicated=0, shared=0, emulator=0, thread_policy=None) for each in wanted])

    def rows(self, wanted: Sequence[Demand]) -> list[int]:
        """Return for each demand the mask of the places of host cells that it fits."""
        cells = self.host.cells
        found = {
            demand: sum([1 << place for place, cell in enumerate(cells) if shortfall(cell, demand) is None])
            for demand in set(wanted)
        }
        return [found[demand] for demand in wanted]


def with_cells(guest: Guest, cells: Sequence[GuestCell]) -> Guest:
    """Return a guest with other cells, and as many vCPUs and as much memory as they have."""
    vcpus = sum([cell.vcpus.bit_count() for cell in cells])
    return replace(
        guest,
        cells=tuple(cells),
        vcpus=vcpus,
        memory_mib=sum([cell.memory_mib for cell in cells]),
        cpu_topology=guest.cpu_topology if vcpus == guest.vcpus else None,
    )


def amounts_of(guest: Guest) -> list[dict[str, int]]:
    """Return vCPUs and memory of each guest cell, as plain values."""
    return [{'vcpus': cell.vcpus.bit_count(), 'memory_mib': cell.memory_mib} for cell in guest.cells]
