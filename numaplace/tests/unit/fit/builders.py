# SPDX-License-Identifier: Apache-2.0
"""Hosts and guests in a few words."""

from numaplace import cpuset
from numaplace.model import CellShape, Guest, GuestCell, Host, HostCell, Pages

__all__ = ['cell', 'guest', 'guest_cell', 'host', 'pages']


def pages(size_kib: int, total: int, used: int = 0, reserved: int = 0) -> Pages:
    """Return pages of one size."""
    return Pages(size_kib, total, used, reserved)


def cell(
    cell_id: int = 0,
    cpus: str = '0-3',
    *,
    shared: str | None = None,
    siblings: str = '',
    pinned: str = '',
    memory_mib: int = 4096,
    used_mib: int = 0,
    cpu_usage: int = 0,
    sizes: tuple[Pages, ...] = (),
    physnets: str = '',
    tunneled: bool = False,
    socket: int | None = None,
    distances: tuple[tuple[int, int], ...] = (),
) -> HostCell:
    """Return a host cell; CPU sets are lists, cores stand apart by blanks, shared CPUs are the dedicated by default."""
    dedicated = cpuset.parse(cpus)
    shape = CellShape(
        id=cell_id,
        shared_cpus=dedicated if shared is None else cpuset.parse(shared),
        dedicated_cpus=dedicated,
        memory_mib=memory_mib,
        siblings=tuple(cpuset.parse(core) for core in siblings.split()),
        physnets=frozenset(physnets.split()),
        tunneled=tunneled,
        socket=socket,
        distances=distances,
    )
    return HostCell(shape, cpuset.parse(pinned), cpu_usage, used_mib, sizes)


def host(*cells: HostCell) -> Host:
    """Return a host."""
    return Host(cells)


def guest_cell(cell_id: int, vcpus: str, policy: str | None = 'dedicated', **more: object) -> GuestCell:
    """Return a guest cell; under the policy mixed, `pinned` lists the vCPUs to pin."""
    mask = cpuset.parse(vcpus)
    pinned = {'dedicated': mask, 'mixed': cpuset.parse(str(more.pop('pinned', '')))}.get(policy or '', 0)
    memory_mib = int(str(more.pop('memory_mib', 512)))
    return GuestCell(cell_id, mask & ~pinned, pinned, memory_mib, cpu_policy=policy, **more)  # type: ignore[arg-type]


def guest(*cells: GuestCell, emulator: str | None = None) -> Guest:
    """Return a guest of these cells."""
    vcpus = sum(guest_cell.vcpus.bit_count() for guest_cell in cells)
    return Guest(vcpus, sum(guest_cell.memory_mib for guest_cell in cells), cells, emulator_policy=emulator)
