# SPDX-License-Identifier: Apache-2.0
"""The audit of shadow mode: what is wrong with a placement, one fault at a time, and nothing with a sound one."""

import pytest

from numaplace import cpuset, model
from numaplace.nova import placement_audit


def _host():
    """Return two cells of two cores with two threads; in cell 1 CPU 7 is in use, and 3 of 4 pages of 2 MiB are free."""
    cells = []
    for number, pinned in ((0, ''), (1, '7')):
        cpus = cpuset.parse(f'{4 * number}-{4 * number + 3}')
        cores = tuple(cpuset.parse(text) for text in (('0-1', '2-3'), ('4-5', '6-7'))[number])
        shape = model.CellShape(number, cpus, cpus, 4096, cores)
        pages = (model.Pages(4, 1 << 20), model.Pages(2048, 4, used=1))
        cells.append(model.HostCell(shape, cpuset.parse(pinned), 0, 0, pages))
    return model.Host(tuple(cells))


def _placed(pins, host_cell, *, pages=None, size=None, emulator='', taken=None, policy='dedicated', mib=4):
    """Return a guest cell with vCPUs 0-1, and its placement; it takes the CPUs that it is pinned to by default."""
    shared, dedicated = (0, 0b11) if policy == 'dedicated' else (0b11, 0)
    cell = model.GuestCell(0, shared, dedicated, mib, pages, policy)
    reserved = cpuset.parse(emulator)
    holds = cpuset.parse(taken) if taken is not None else cpuset.mask(cpu for _vcpu, cpu in pins) | reserved
    return cell, model.CellPlacement(cell, host_cell, size, tuple(pins), reserved, holds)


BOTH = ((0, 0), (1, 1))

CASES = {
    'sound': (_placed(BOTH, 0), None, []),
    'sound, with pages': (_placed(BOTH, 0, pages=model.PAGES_LARGE, size=2048), None, []),
    'sound, with a CPU for the emulator': (_placed(BOTH, 0, emulator='2'), 'isolate', []),
    'shared vCPUs need no pins': (_placed((), 0, policy=None), None, []),
    'no pins at all': (_placed((), 0), None, ['guest cell 0: vCPUs 0-1 are pinned to nothing']),
    'a vCPU without a pin': (_placed(BOTH[:1], 0), None, ['guest cell 0: vCPU 1 is pinned to nothing']),
    'a CPU for two vCPUs': (_placed(((0, 2), (1, 2)), 0), None, ['guest cell 0: CPU 2 is given out twice']),
    'a CPU for the emulator and a vCPU': (
        _placed(BOTH, 0, emulator='1'),
        'isolate',
        ['guest cell 0: CPU 1 is given out twice'],
    ),
    'no CPU for the emulator': (
        _placed(BOTH, 0),
        'isolate',
        ["guest cell 0: no CPU is kept for the emulator's threads"],
    ),
    'a CPU in use': (_placed(((0, 6), (1, 7)), 1), None, ['guest cell 0: CPU 7 is not free in host cell 1']),
    'CPUs of another cell': (_placed(BOTH, 1), None, ['guest cell 0: CPUs 0-1 are not free in host cell 1']),
    'a sibling in use under isolate': (
        _placed(((0, 4), (1, 6)), 1, taken='4-7'),
        None,
        ['guest cell 0: CPU 7 is not free in host cell 1'],
    ),
    'a host cell that is not there': (_placed(BOTH, 2), None, ['guest cell 0 is on host cell 2, which it cannot have']),
    'a size that was never chosen': (
        _placed(BOTH, 0, pages=model.PAGES_LARGE, size=model.PAGES_LARGE),
        None,
        ['guest cell 0: no size of pages was chosen'],
    ),
    'too few pages': (
        _placed(BOTH, 0, pages=model.PAGES_LARGE, size=2048, mib=8),
        None,
        ['guest cell 0: 8 MiB cannot be had in pages of 2M, of which host cell 0 has 3 free'],
    ),
    'memory that is not a whole number of pages': (
        _placed(BOTH, 0, pages=model.PAGES_LARGE, size=2048, mib=3),
        None,
        ['guest cell 0: 3 MiB cannot be had in pages of 2M, of which host cell 0 has 3 free'],
    ),
    'pages that the host cell does not have': (
        _placed(BOTH, 0, pages=1048576, size=1048576, mib=1024),
        None,
        ['guest cell 0: 1024 MiB cannot be had in pages of 1G, of which host cell 0 has 0 free'],
    ),
}


@pytest.mark.parametrize(('pair', 'emulator', 'expected'), CASES.values(), ids=CASES)
def test_each_fault_is_reported_by_guest_cell(pair, emulator, expected):
    cell, placed = pair
    guest = model.Guest(2, cell.memory_mib, (cell,), emulator)
    assert expected == placement_audit.faults(_host(), guest, model.Placement(guest, (placed,)))


def test_two_guest_cells_on_one_host_cell_are_reported():
    pairs = [_placed(BOTH, 0), _placed(((0, 2), (1, 3)), 0)]
    guest = model.Guest(4, 8, tuple(cell for cell, _placed in pairs))
    placement = model.Placement(guest, tuple(placed for _cell, placed in pairs))
    assert ['guest cell 1 is on host cell 0, which it cannot have'] == placement_audit.faults(_host(), guest, placement)
