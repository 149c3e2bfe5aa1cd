# SPDX-License-Identifier: Apache-2.0
"""What a host has and how much of it is used, as frozen values; only `HostCell` carries caches."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from numaplace import cpuset, exception
from numaplace.memory_kinds import GENERAL, UNKNOWN
from numaplace.model.hardware import Cache, MemoryAccess
from numaplace.model.host_devices import NO_DEVICES, HostDevices
from numaplace.model.host_resources import NO_RESOURCES, HostResources
from numaplace.units import KIB_PER_MIB

if TYPE_CHECKING:
    from numaplace.model.placement import CellPlacement, Placement

__all__ = ['CellShape', 'Host', 'HostCell', 'Pages', 'intern_shape']


@dataclass(frozen=True, slots=True)
class Pages:
    """Memory pages of one size in a host cell; counts are pages.

    :param size_kib: size of a page
    :param reserved: pages that the operator reserves (``reserved_huge_pages``)
    :param held: pages that domains hold which numaplace does not manage
    """

    size_kib: int
    total: int
    used: int = 0
    reserved: int = 0
    held: int = 0

    @property
    def free(self) -> int:
        """Pages that guests can still use; below zero where the host is over-used."""
        return self.total - self.used - self.reserved - self.held


@dataclass(frozen=True, slots=True)
class CellShape:
    """What a host cell is, apart from its usage; CPU sets are masks.

    :param shared_cpus: CPUs for shared vCPUs (``cpu_shared_set``, Nova's ``cpuset``)
    :param dedicated_cpus: CPUs for pinned vCPUs (``cpu_dedicated_set``, Nova's ``pcpuset``)
    :param siblings: one mask for each core, in the order of the source; a CPU whose core is not known is in none
    :param socket: physical package, or None where the cell spans several or it is not known
    :param physnets: physical networks with affinity to this cell
    :param tunneled: tunnelled networks have affinity to this cell
    :param distances: ``(host cell id, distance)`` pairs as in the ACPI SLIT (10 is local), or empty
    :param online_cpus: all CPUs of the cell that are online, including those in neither set; 0 where they are not
        known, and in a cell whose CPUs are all off: see :attr:`Host.offline_cpus`
    :param dies: masks of its CPUs by die, where its package has several
    :param clusters: masks of its CPUs by cluster, where a cluster is more than a core and less than a die
    :param caches: banks of level 3 and above that its CPUs share
    :param accesses: how fast CPUs reach its memory, where the firmware reports it
    :param memory_kind: kind of its memory, one of ``numaplace.memory_kinds``; None where no source
        reports it, as in Nova's rows: then its CPUs decide
    :param counts_as_general: the operator counts its memory of another kind as general (``general_memory``)
    """

    id: int
    shared_cpus: int
    dedicated_cpus: int
    memory_mib: int
    siblings: tuple[int, ...] = ()
    socket: int | None = None
    physnets: frozenset[str] = frozenset()
    tunneled: bool = False
    distances: tuple[tuple[int, int], ...] = ()
    online_cpus: int = 0
    dies: tuple[int, ...] = ()
    clusters: tuple[int, ...] = ()
    caches: tuple[Cache, ...] = ()
    accesses: tuple[MemoryAccess, ...] = ()
    memory_kind: str | None = None
    counts_as_general: bool = False
    _cores: tuple[int, ...] | None = field(default=None, init=False, repr=False, compare=False)
    _width: int | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def kind(self) -> str:
        """Kind of its memory: general where the cell has CPUs, whatever sets they are in, if any."""
        if self.memory_kind is not None:
            return self.memory_kind
        known = self.online_cpus | self.shared_cpus | self.dedicated_cpus
        return GENERAL if known or any(self.siblings) else UNKNOWN

    @property
    def is_general(self) -> bool:
        """Whether guests without cells may use its memory, and the host's total counts it."""
        # The usual answer first: totals of hosts ask each cell.
        if self.memory_kind is None and (self.shared_cpus or self.dedicated_cpus):
            return True
        return self.counts_as_general or self.kind == GENERAL

    @property
    def cores(self) -> tuple[int, ...]:
        """Masks of the dedicated CPUs' cores by lowest CPU; a CPU without known siblings is a core."""
        if self._cores is None:
            object.__setattr__(self, '_cores', self._find_cores())
        return self._cores  # type: ignore[return-value]

    def _find_cores(self) -> tuple[int, ...]:
        named = lowest = 0
        for core in self.siblings:
            if core & named or core & -core <= lowest:
                break
            named |= core
            lowest = core & -core
        else:
            if not self.dedicated_cpus & ~named:
                return self.siblings  # as nearly every source lists them
        return self._sort_cores()

    def _sort_cores(self) -> tuple[int, ...]:
        named, cores = 0, []
        for core in self.siblings:
            if core & ~named:  # a record that names a CPU twice does not make it two
                cores.append(core & ~named)
            named |= core
        cores.extend(1 << cpu for cpu in cpuset.ids(self.dedicated_cpus & ~named))
        return tuple(sorted(cores, key=lambda core: core & -core))

    @property
    def threads_per_core(self) -> int:
        """Number of threads of the widest core, at least 1."""
        if self._width is None:
            object.__setattr__(self, '_width', max([core.bit_count() for core in self.siblings], default=1) or 1)
        return self._width  # type: ignore[return-value]

    def with_siblings(self, cpus: int) -> int:
        """Return the mask of the whole cores that contain any of these CPUs."""
        whole = cpus
        for core in self.siblings:
            if core & cpus:
                whole |= core
        return whole


@lru_cache(maxsize=65536)
def intern_shape(shape: CellShape) -> CellShape:
    """Return the shared shape equal to this one, so that derived values are computed once."""
    return shape


class FreeCores(NamedTuple):
    """Free dedicated CPUs by core.

    :param cores: masks of the free CPUs of each core that has any, by lowest CPU of the core
    :param at_least: ``at_least[n]`` is the number of cores with n or more free threads, up to the widest core's
    """

    cores: tuple[int, ...]
    at_least: tuple[int, ...]

    @classmethod
    def of(cls, cores: Iterable[int], width: int) -> FreeCores:
        """Count free CPUs by core.

        :param cores: masks, none of them empty
        :param width: number of threads of the widest core, free or not
        """
        found = tuple(cores)
        at_least = [0] * (width + 1)
        for core in found:
            at_least[core.bit_count()] += 1
        for threads in range(width - 1, -1, -1):
            at_least[threads] += at_least[threads + 1]
        return cls(found, tuple(at_least))


@dataclass(frozen=True, slots=True)
class HostCell:
    """One NUMA cell of a host: a shape and its usage.

    :param pinned_cpus: mask of the dedicated CPUs that guests hold
    :param cpu_usage: number of shared vCPUs placed here
    :param memory_usage_mib: memory of all guest cells placed here
    :param pages: by page size as the source lists them; empty where the host lists none
    :param held_cpus: mask of the dedicated CPUs that domains hold which numaplace does not manage; see
        ``numaplace.model.held.hold``
    :param held_mib: memory that they may have here
    :param withheld_cpus: mask of free dedicated CPUs that one fit may not use: the guest requests that their cores
        stay free, or needs cores that are wholly free
    :param memo: cache of what other modules derive from this value, by their keys; it lives as long as the value
    """

    shape: CellShape
    pinned_cpus: int = 0
    cpu_usage: int = 0
    memory_usage_mib: int = 0
    pages: tuple[Pages, ...] = ()
    held_cpus: int = 0
    held_mib: int = 0
    withheld_cpus: int = 0
    memo: dict[Any, Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    _free_cores: FreeCores | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def id(self) -> int:
        """The host's number of this cell."""
        return self.shape.id

    @property
    def taken_cpus(self) -> int:
        """Mask of the dedicated CPUs that guests or domains hold."""
        return self.pinned_cpus | self.held_cpus

    @property
    def free_cpus(self) -> int:
        """Mask of the dedicated CPUs that nobody holds, less those that are withheld."""
        return self.shape.dedicated_cpus & ~(self.pinned_cpus | self.held_cpus | self.withheld_cpus)

    @property
    def free_memory_mib(self) -> int:
        """Memory less that of the guest cells and domains here; below zero where overcommitted."""
        return self.shape.memory_mib - self.memory_usage_mib - self.held_mib

    @property
    def smallest_pages(self) -> Pages | None:
        """The pages of the smallest size, or None where the host lists no pages."""
        smallest = None
        for pages in self.pages:
            if smallest is None or pages.size_kib < smallest.size_kib:
                smallest = pages
        return smallest

    @property
    def whole_cores(self) -> list[int]:
        """Masks of the cores whose threads are all dedicated and free, by lowest CPU."""
        free = self.free_cpus
        return [core for core in self.shape.cores if core & free == core]

    @property
    def free_cores(self) -> FreeCores:
        """Free dedicated CPUs by core; derived once, in time linear in the number of cores."""
        if self._free_cores is None:
            free = self.free_cpus
            cores = [left for core in self.shape.cores if (left := core & free)]
            object.__setattr__(self, '_free_cores', FreeCores.of(cores, self.shape.threads_per_core))
        return self._free_cores  # type: ignore[return-value]

    def consume(self, placed: CellPlacement) -> HostCell:
        """Return this cell with the usage of a guest cell added.

        :raises: :class:`~numaplace.exception.CPUPinningUnknown` if a CPU is not dedicated here,
            :class:`~numaplace.exception.CPUPinningInvalid` if a guest holds it already
        """
        if unknown := placed.taken & ~self.shape.dedicated_cpus:
            raise exception.CPUPinningUnknown(
                f'host cell {self.id}: CPUs {cpuset.text(unknown)} to pin are not among its '
                f'dedicated CPUs {cpuset.text(self.shape.dedicated_cpus) or "(none)"}'
            )
        if twice := placed.taken & self.pinned_cpus:
            raise exception.CPUPinningInvalid(
                f'host cell {self.id}: CPUs {cpuset.text(twice)} are pinned already; free are '
                f'{cpuset.text(self.free_cpus) or "none"}'
            )
        return self._count(placed, 1, self.pinned_cpus | placed.taken)

    def release(self, placed: CellPlacement) -> HostCell:
        """Return this cell with the usage of a guest cell removed: the inverse of :meth:`consume`.

        :raises: :class:`~numaplace.exception.CPUUnpinningUnknown`, :class:`~numaplace.exception.CPUUnpinningInvalid`
            or :class:`~numaplace.exception.UsageInvalid` if it was not counted here
        """
        if unknown := placed.taken & ~self.shape.dedicated_cpus:
            raise exception.CPUUnpinningUnknown(
                f'host cell {self.id}: CPUs {cpuset.text(unknown)} to unpin are not among its '
                f'dedicated CPUs {cpuset.text(self.shape.dedicated_cpus) or "(none)"}'
            )
        if loose := placed.taken & ~self.pinned_cpus:
            raise exception.CPUUnpinningInvalid(
                f'host cell {self.id}: CPUs {cpuset.text(loose)} to unpin are not pinned'
            )
        return self._count(placed, -1, self.pinned_cpus & ~placed.taken)

    def _count(self, placed: CellPlacement, sign: int, pinned: int) -> HostCell:
        memory_mib = placed.guest_cell.memory_mib
        usage_mib = self.memory_usage_mib + sign * memory_mib
        cpu_usage = self.cpu_usage + sign * placed.guest_cell.shared_vcpus.bit_count()
        if usage_mib < 0 or cpu_usage < 0:
            raise exception.UsageInvalid(
                f'host cell {self.id}: releasing {memory_mib} MiB and '
                f'{placed.guest_cell.shared_vcpus.bit_count()} shared vCPUs takes its usage below zero'
            )
        pages = self._count_pages(placed, sign)
        return HostCell(self.shape, pinned, cpu_usage, usage_mib, pages, self.held_cpus, self.held_mib)

    def _count_pages(self, placed: CellPlacement, sign: int) -> tuple[Pages, ...]:
        smallest = self.smallest_pages
        if smallest is None:
            return ()
        size_kib = placed.pagesize_kib or smallest.size_kib
        number = placed.guest_cell.memory_mib * KIB_PER_MIB // size_kib
        counted = []
        for pages in self.pages:
            if pages.size_kib == size_kib:
                if pages.used + sign * number < 0:
                    raise exception.UsageInvalid(
                        f'host cell {self.id}: releasing {number} pages of {size_kib} KiB takes their usage below zero'
                    )
                pages = Pages(size_kib, pages.total, pages.used + sign * number, pages.reserved, pages.held)
            counted.append(pages)
        return tuple(counted)


@dataclass(frozen=True, slots=True)
class Host:
    """A host's NUMA cells, and how much of the whole host its guests use.

    :param cells: in the order of the source; ids may have gaps
    :param vcpus_used: vCPUs of all guests, with and without a NUMA topology
    :param memory_used_mib: memory of all guests, of any kind
    :param floating_vcpus: vCPUs of the guests without a NUMA topology, which no cell counts
    :param held_vcpus: vCPUs that float, of domains that numaplace does not manage; see
        ``numaplace.model.held.hold``
    :param held_mib: general memory of these domains
    :param devices: its PCI devices
    :param resources: its memory encryption and its persistent memory
    """

    cells: tuple[HostCell, ...] = ()
    vcpus_used: int = 0
    memory_used_mib: int = 0
    floating_vcpus: int = 0
    held_vcpus: int = 0
    held_mib: int = 0
    devices: HostDevices = NO_DEVICES
    resources: HostResources = NO_RESOURCES

    @property
    def memory_mib(self) -> int:
        """General memory of all cells: what any guest may use without requesting a kind of memory."""
        return sum([cell.shape.memory_mib for cell in self.cells if cell.shape.is_general])

    @property
    def general_memory_used_mib(self) -> int:
        """General memory that guests use; memory of other kinds is counted only in cells."""
        return self.memory_used_mib - sum([cell.memory_usage_mib for cell in self.cells if not cell.shape.is_general])

    @property
    def free_memory_mib(self) -> int:
        """General memory less that of all guests and domains; below zero where overcommitted."""
        return self.memory_mib - self.general_memory_used_mib - self.held_mib

    @property
    def shared_cpus(self) -> int:
        """Mask of the CPUs for shared vCPUs, of all cells."""
        return self._union('shared_cpus')

    @property
    def dedicated_cpus(self) -> int:
        """Mask of the CPUs for pinned vCPUs, of all cells."""
        return self._union('dedicated_cpus')

    @property
    def cpu_count(self) -> int:
        """Number of the CPUs for vCPUs of any kind."""
        return (self.shared_cpus | self.dedicated_cpus).bit_count()

    @property
    def online_cpus(self) -> int:
        """Mask of all online CPUs of all cells, or 0 where they are not known."""
        return self._union('online_cpus')

    @property
    def offline_cpus(self) -> int:
        """Mask of the CPUs for pinned vCPUs that power management has switched off, or 0 where that is not known."""
        online = self.online_cpus
        return self.dedicated_cpus & ~online if online else 0

    @property
    def free_cpus(self) -> int:
        """Mask of the dedicated CPUs that no guest holds, of all cells."""
        return cpuset.union([cell.free_cpus for cell in self.cells])

    @property
    def free_huge_pages(self) -> dict[int, int]:
        """Number of the free pages of each size but the smallest, of all cells, by size in KiB."""
        free: dict[int, int] = {}
        for cell in self.cells:
            for pages in cell.pages:
                if pages.total and pages is not cell.smallest_pages:
                    free[pages.size_kib] = free.get(pages.size_kib, 0) + pages.free
        return free

    @property
    def shared_vcpus_used(self) -> int:
        """Number of vCPUs on the shared CPUs: those that float, and pinned ones where both sets are the same."""
        shared = self.shared_cpus
        in_cells = sum([cell.cpu_usage + (cell.taken_cpus & shared).bit_count() for cell in self.cells])
        return self.floating_vcpus + self.held_vcpus + in_cells

    def _union(self, name: str) -> int:
        cpus = 0
        for cell in self.cells:
            cpus |= getattr(cell.shape, name)
        return cpus

    def cell(self, cell_id: int) -> HostCell:
        """Return the cell with that id.

        :raises: :class:`~numaplace.exception.UsageInvalid` if there is none
        """
        for cell in self.cells:
            if cell.shape.id == cell_id:
                return cell
        raise exception.UsageInvalid(f'there is no host cell {cell_id}')

    def consume(self, placement: Placement) -> Host:
        """Return this host with the usage of a placed guest added; it raises as :meth:`HostCell.consume` does."""
        return self._count(placement, 1)

    def release(self, placement: Placement) -> Host:
        """Return this host with the usage of a placed guest removed; below zero is an error, never clamped."""
        return self._count(placement, -1)

    def _count(self, placement: Placement, sign: int) -> Host:
        changed: dict[int, HostCell] = {}
        for placed in placement.cells:
            cell = changed.get(placed.host_cell) or self.cell(placed.host_cell)
            changed[placed.host_cell] = cell.consume(placed) if sign > 0 else cell.release(placed)
        vcpus_used = self.vcpus_used + sign * placement.guest.vcpus
        memory_used_mib = self.memory_used_mib + sign * placement.guest.memory_mib
        floating_vcpus = self.floating_vcpus + sign * (0 if placement.cells else placement.guest.vcpus)
        if min(vcpus_used, memory_used_mib, floating_vcpus) < 0:
            raise exception.UsageInvalid(
                f'releasing {placement.guest.vcpus} vCPUs and {placement.guest.memory_mib} MiB '
                "takes the host's usage below zero"
            )
        cells = tuple(changed.get(cell.id, cell) for cell in self.cells)
        devices, resources = self.devices, self.resources
        if placement.devices:
            devices = devices.take(placement.devices) if sign > 0 else devices.give_back(placement.devices)
        if names := placement.resources:
            resources = resources.take(names) if sign > 0 else resources.give_back(names)
        held = self.held_vcpus, self.held_mib
        return Host(cells, vcpus_used, memory_used_mib, floating_vcpus, *held, devices, resources)
