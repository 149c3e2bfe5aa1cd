# SPDX-License-Identifier: Apache-2.0
"""What a host counts when a guest comes and goes, and what it refuses to count."""

from dataclasses import FrozenInstanceError, replace

import pytest

from numaplace import cpuset, exception, model

#: Two cells of four CPUs each: CPUs 0 and 4 are shared, the cores are 0-1, 2-3, 4-5 and 6-7.
CELLS = tuple(
    model.HostCell(
        model.CellShape(
            id=number,
            shared_cpus=cpuset.mask([first]),
            dedicated_cpus=cpuset.mask(range(first + 1, first + 4)),
            memory_mib=4096,
            siblings=(0b11 << first, 0b1100 << first),
        ),
        pages=(model.Pages(2048, total=512, reserved=12), model.Pages(4, total=786432)),
    )
    for number, first in ((0, 0), (3, 4))
)
HOST = model.Host(CELLS)


def placement(*, host_cell: int = 0, taken: str = '', shared: int = 0, memory_mib: int = 1024, pagesize_kib=None):
    """Return the placement of a guest of one cell."""
    cpus = cpuset.parse(taken)
    number = cpus.bit_count()
    guest_cell = model.GuestCell(
        id=0,
        shared_vcpus=cpuset.mask(range(number, number + shared)),
        dedicated_vcpus=cpuset.mask(range(number)),
        memory_mib=memory_mib,
    )
    placed = model.CellPlacement(
        guest_cell, host_cell, pagesize_kib, pins=tuple(enumerate(cpuset.ids(cpus))), taken=cpus
    )
    return model.Placement(model.Guest(number + shared, memory_mib, (guest_cell,)), (placed,))


def test_a_guest_is_counted_in_its_host_cell_alone():
    after = HOST.consume(placement(host_cell=3, taken='5-6', shared=1))
    cell = after.cell(3)
    assert HOST.cell(0) == after.cell(0)
    assert (cpuset.mask([5, 6]), 1, 1024) == (cell.pinned_cpus, cell.cpu_usage, cell.memory_usage_mib)
    assert (3, 1024) == (after.vcpus_used, after.memory_used_mib)


def test_the_host_that_was_asked_stays_as_it_was():
    before = replace(HOST)
    HOST.consume(placement(taken='1'))
    assert before == HOST


@pytest.mark.parametrize(
    ('pagesize_kib', 'used'),
    [(2048, {2048: 512, 4: 0}), (4, {2048: 0, 4: 262144}), (None, {2048: 0, 4: 262144})],
    ids=['pages that the guest asked for', 'small pages asked for', 'smallest pages where it asked for none'],
)
def test_pages_are_counted_by_the_size_that_backs_the_guest(pagesize_kib, used):
    cell = HOST.consume(placement(pagesize_kib=pagesize_kib)).cell(0)
    assert used == {pages.size_kib: pages.used for pages in cell.pages}


def test_reserved_pages_are_not_free():
    assert HOST.cell(0).pages[0].free == 500


def test_a_host_without_pages_counts_memory_alone():
    host = model.Host((model.HostCell(CELLS[0].shape),))
    cell = host.consume(placement()).cell(0)
    assert ((), 1024) == (cell.pages, cell.memory_usage_mib)


def test_a_guest_without_cells_is_counted_on_the_whole_host():
    after = HOST.consume(model.Placement(model.Guest(2, 512)))
    assert (HOST.cells, 2, 512) == (after.cells, after.vcpus_used, after.memory_used_mib)


USED = HOST.consume(placement(taken='1-2', shared=1))

FAULTS = {
    'pinning a CPU twice': (USED.consume, placement(taken='2-3'), exception.CPUPinningInvalid, 'CPUs 2 are pinned'),
    'pinning a shared CPU': (HOST.consume, placement(taken='0-1'), exception.CPUPinningUnknown, 'CPUs 0 to pin'),
    "pinning another cell's CPU": (HOST.consume, placement(taken='5'), exception.CPUPinningUnknown, 'CPUs 5 to pin'),
    'unpinning a free CPU': (USED.release, placement(taken='1,3'), exception.CPUUnpinningInvalid, 'CPUs 3 to unpin'),
    'unpinning a shared CPU': (USED.release, placement(taken='0'), exception.CPUUnpinningUnknown, 'CPUs 0 to unpin'),
    'more memory than is used': (USED.release, placement(memory_mib=1025), exception.UsageInvalid, '1025 MiB'),
    'more shared vCPUs than are used': (USED.release, placement(shared=2), exception.UsageInvalid, '2 shared vCPUs'),
    'pages that are not used': (USED.release, placement(pagesize_kib=2048), exception.UsageInvalid, '2048 KiB'),
    'a host cell that is not there': (HOST.consume, placement(host_cell=1), exception.UsageInvalid, 'no host cell 1'),
    'a floating guest that was never there': (
        HOST.release,
        model.Placement(model.Guest(1, 1)),
        exception.UsageInvalid,
        'below zero',
    ),
}


@pytest.mark.parametrize(('count', 'placed', 'fault', 'message'), FAULTS.values(), ids=FAULTS)
def test_usage_that_cannot_be_counted_is_an_error_that_names_it(count, placed, fault, message):
    with pytest.raises(fault, match=message):
        count(placed)


def test_two_guest_cells_on_one_host_cell_are_both_counted():
    one, other = placement(taken='1'), placement(taken='2')
    both = model.Placement(model.Guest(2, 2048), one.cells + other.cells)
    assert HOST.consume(one).consume(other) == HOST.consume(both)


def test_a_host_adds_its_cells_up():
    assert (8192, '0,4', '1-3,5-7') == (
        HOST.memory_mib,
        cpuset.text(HOST.shared_cpus),
        cpuset.text(HOST.dedicated_cpus),
    )


def _without_cpus(**shape):
    return model.HostCell(model.CellShape(7, 0, 0, 1000, **shape), memory_usage_mib=300)


_MEMORY = {
    'of a cell without CPUs': ({}, 'unknown', False),
    'of a known kind': ({'memory_kind': 'gpu'}, 'gpu', False),
    'that the operator counts': ({'memory_kind': 'cxl', 'counts_as_general': True}, 'cxl', True),
    'of CPUs in neither set': ({'online_cpus': 0b11}, 'general', True),
    'of CPUs that are offline': ({'memory_kind': 'general'}, 'general', True),
}


@pytest.mark.parametrize(('shape', 'kind', 'is_general'), _MEMORY.values(), ids=_MEMORY)
def test_general_memory_and_what_is_used_of_it_is_counted_apart(shape, kind, is_general):
    """The other cells have 8192 MiB, of which other guests have 1500 and this one has 300."""
    host = model.Host((*CELLS, _without_cpus(**shape)), memory_used_mib=1800)
    assert (kind, is_general) == (host.cells[-1].shape.kind, host.cells[-1].shape.is_general)
    expected = (9192, 1800, 7392) if is_general else (8192, 1500, 6692)
    assert expected == (host.memory_mib, host.general_memory_used_mib, host.free_memory_mib)


@pytest.mark.parametrize(('siblings', 'threads'), [((), 1), ((0b1, 0b10), 1), ((0b11, 0b100), 2), ((0,), 1)])
def test_the_widest_core_counts_the_threads(siblings, threads):
    shape = replace(CELLS[0].shape, siblings=siblings)
    assert threads == shape.threads_per_core


def test_a_cpu_without_known_siblings_is_a_core_of_its_own():
    shape = replace(CELLS[0].shape, siblings=(0b1100,))
    assert shape.cores == (0b10, 0b1100)


def test_free_cores_are_counted_by_width():
    free = HOST.cell(0).free_cores
    assert free.cores == (0b10, 0b1100)
    assert free.at_least == (2, 2, 1)
    assert HOST.cell(0).whole_cores == [0b1100]


def test_whole_cores_are_found_around_cpus():
    assert cpuset.parse('0-1') == CELLS[0].shape.with_siblings(cpuset.parse('1'))


def test_equal_shapes_are_kept_once():
    one, other = (model.intern_shape(replace(CELLS[0].shape, memory_mib=77)) for _ in range(2))
    assert one is other


@pytest.mark.parametrize('value', [HOST, CELLS[0], CELLS[0].shape, CELLS[0].pages[0]], ids=lambda v: type(v).__name__)
def test_values_cannot_be_changed(value):
    with pytest.raises((FrozenInstanceError, TypeError), match=r'cannot assign to field|super\(type, obj\)'):
        setattr(value, next(iter(type(value).__dataclass_fields__)), 1)
