# SPDX-License-Identifier: Apache-2.0
"""Hosts, and guests placed on them, for hypothesis to think of."""

from hypothesis import strategies as st

from numaplace import cpuset, model

__all__ = ['hosts', 'placements']

_SIZES_KIB = (4, 2048, 1048576)


@st.composite
def _cells(draw: st.DrawFn, cell_id: int, first_cpu: int, threads: int) -> model.HostCell:
    cores = draw(st.integers(1, 4))
    siblings = tuple(
        cpuset.mask(range(first_cpu + core * threads, first_cpu + (core + 1) * threads)) for core in range(cores)
    )
    cpus = cpuset.mask(range(first_cpu, first_cpu + cores * threads))
    dedicated = cpus & draw(st.integers(0, cpus))
    shape = model.CellShape(
        id=cell_id,
        shared_cpus=cpus & ~dedicated,
        dedicated_cpus=dedicated,
        memory_mib=draw(st.sampled_from([512, 4096, 65536])),
        siblings=siblings,
    )
    sizes = draw(st.lists(st.sampled_from(_SIZES_KIB), unique=True))
    pages = tuple(
        model.Pages(size_kib, total=shape.memory_mib * 1024 // size_kib, used=draw(st.integers(0, 9)))
        for size_kib in sizes
    )
    return model.HostCell(
        shape,
        pinned_cpus=dedicated & draw(st.integers(0, dedicated)),
        cpu_usage=draw(st.integers(0, 9)),
        memory_usage_mib=draw(st.integers(0, 4096)),
        pages=pages,
    )


@st.composite
def hosts(draw: st.DrawFn) -> model.Host:
    """Return a host of one to four cells, partly used; ids may have gaps and stand in any order."""
    ids = draw(st.lists(st.integers(0, 7), min_size=1, max_size=4, unique=True))
    threads = draw(st.sampled_from([1, 2, 4]))
    cells = tuple(draw(_cells(cell_id, number * 16, threads)) for number, cell_id in enumerate(ids))
    return model.Host(cells, vcpus_used=draw(st.integers(0, 64)), memory_used_mib=draw(st.integers(0, 65536)))


@st.composite
def placements(draw: st.DrawFn, host: model.Host, *, pinned: bool = False) -> model.Placement:
    """Return a placement that takes only CPUs which are free on the host; several cells may share a host cell.

    :param pinned: it takes a CPU at least, if any is free
    """
    free = {cell.id: cell.free_cpus for cell in host.cells}
    placed = []
    for number, host_cell in enumerate(draw(st.lists(st.sampled_from(host.cells), min_size=int(pinned), max_size=3))):
        taken = free[host_cell.id] & draw(st.integers(0, free[host_cell.id]))
        if pinned:
            taken |= cpuset.first(free[host_cell.id], 1)
        free[host_cell.id] &= ~taken
        guest_cell = model.GuestCell(
            id=number,
            shared_vcpus=draw(st.integers(0, 15)),
            dedicated_vcpus=cpuset.mask(range(32, 32 + taken.bit_count())),
            memory_mib=draw(st.sampled_from([1, 256, 2048])),
        )
        sizes = [pages.size_kib for pages in host_cell.pages]
        placed.append(
            model.CellPlacement(
                guest_cell,
                host_cell.id,
                pagesize_kib=draw(st.sampled_from([None, *sizes])),
                pins=tuple(zip(range(32, 32 + taken.bit_count()), cpuset.ids(taken), strict=True)),
                taken=taken,
            )
        )
    guest = model.Guest(
        vcpus=sum(cell.guest_cell.vcpus.bit_count() for cell in placed),
        memory_mib=sum(cell.guest_cell.memory_mib for cell in placed),
        cells=tuple(cell.guest_cell for cell in placed),
    )
    return model.Placement(guest, tuple(placed))
