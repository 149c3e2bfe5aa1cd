# SPDX-License-Identifier: Apache-2.0
"""Where guests go: pins, page sizes, the emulator's CPU, and the choice of host cells."""

import pytest

from numaplace import cpuset, fit
from numaplace.model import PAGES_ANY, PAGES_LARGE, PAGES_SMALL, Networks
from numaplace.tests.unit.fit.builders import cell, guest, guest_cell, host, pages

SMT = '0-1 2-3 4-5 6-7'
SIZES = (pages(4, 262144), pages(2048, 512), pages(1048576, 1))

# name: host cell, guest cell, emulator policy, CPUs in the order of the vCPUs, emulator CPUs, all CPUs taken
PINS = {
    'whole cores first': (cell(cpus='0-7', siblings=SMT), guest_cell(0, '0-3'), None, [0, 1, 2, 3], '', '0-3'),
    'a core that is partly used comes last': (
        cell(cpus='0-7', siblings=SMT, pinned='0'),
        guest_cell(0, '0-3'),
        None,
        [2, 3, 4, 5],
        '',
        '2-5',
    ),
    'one thread a core where pairs do not suffice': (
        cell(cpus='0-7', siblings=SMT, pinned='0,2,5'),
        guest_cell(0, '0-3'),
        None,
        [1, 3, 4, 6],
        '',
        '1,3-4,6',
    ),
    'every free thread where no even share suffices': (
        cell(cpus='0-7', siblings=SMT, pinned='0,2,5'),
        guest_cell(0, '0-4'),
        None,
        [1, 3, 4, 6, 7],
        '',
        '1,3-4,6-7',
    ),
    'siblings with a gap between': (
        cell(cpus='0-3', siblings='0,2 1,3'),
        guest_cell(0, '0-1'),
        None,
        [0, 2],
        '',
        '0,2',
    ),
    'no siblings are cores of one thread': (cell(pinned='0'), guest_cell(0, '0-1'), None, [1, 2], '', '1-2'),
    'require leaves the odd thread alone': (
        cell(cpus='0-7', siblings=SMT, pinned='0'),
        guest_cell(0, '0-2', thread_policy='require'),
        None,
        [2, 3, 4],
        '',
        '2-4',
    ),
    'isolate takes whole cores': (
        cell(cpus='0-7', siblings=SMT, pinned='0'),
        guest_cell(0, '0-1', thread_policy='isolate'),
        None,
        [2, 4],
        '',
        '2-5',
    ),
    'an emulator with isolate takes a whole core': (
        cell(cpus='0-7', siblings=SMT, pinned='0'),
        guest_cell(0, '0-1', thread_policy='isolate'),
        'isolate',
        [2, 4],
        '6',
        '2-7',
    ),
    'an emulator takes the first CPU that is left': (
        cell(cpus='0-7', siblings=SMT),
        guest_cell(0, '0-2'),
        'isolate',
        [0, 1, 2],
        '3',
        '0-3',
    ),
    'a shared emulator takes none': (cell(), guest_cell(0, '0-1'), 'share', [0, 1], '', '0-1'),
    'mixed pins what is dedicated': (cell(), guest_cell(0, '0-3', 'mixed', pinned='1,3'), None, [0, 1], '', '0-1'),
    'shared pins nothing': (cell(), guest_cell(0, '0-3', 'shared'), None, [], '', ''),
}


@pytest.mark.parametrize('name', PINS)
def test_pins(name):
    host_cell, asked, emulator, cpus, emulator_cpus, taken = PINS[name]
    (placed,) = fit.place(host(host_cell), guest(asked, emulator=emulator)).cells
    assert list(zip(cpuset.ids(asked.dedicated_vcpus), cpus, strict=True)) == list(placed.pins)
    assert (emulator_cpus, taken) == (cpuset.text(placed.emulator_cpus), cpuset.text(placed.taken))


@pytest.mark.parametrize(
    ('asked', 'memory_mib', 'expected'),
    [
        (None, 512, None),
        (PAGES_SMALL, 512, 4),
        (PAGES_LARGE, 512, 2048),
        (PAGES_LARGE, 1024, 1048576),
        (PAGES_ANY, 513, 4),
        (PAGES_ANY, 514, 2048),
        (2048, 1024, 2048),
    ],
)
def test_the_largest_page_that_divides_the_memory_backs_it(asked, memory_mib, expected):
    wanted = guest_cell(0, '0', memory_mib=memory_mib, pagesize_kib=asked)
    (placed,) = fit.place(host(cell(sizes=SIZES)), guest(wanted)).cells
    assert expected == placed.pagesize_kib


def _chosen(placement):
    return [placed.host_cell for placed in placement.cells]


def test_the_page_size_of_one_host_cell_does_not_stick_to_the_next():
    """Host cell 0 has a page of 1 GiB but no core left for require; host cell 1 has pages of 2 MiB."""
    full = cell(0, '0-3', siblings='0-1 2-3', pinned='0,2', sizes=(pages(4, 1), pages(1048576, 4)), memory_mib=8192)
    good = cell(1, '4-7', siblings='4-5 6-7', sizes=(pages(4, 1), pages(2048, 2048)))
    wanted = guest_cell(0, '0-1', memory_mib=1024, pagesize_kib=PAGES_LARGE, thread_policy='require')
    placement = fit.place(host(full, good), guest(wanted), strategy=fit.LINEAR)
    assert (1, 2048) == (placement.cells[0].host_cell, placement.cells[0].pagesize_kib)


@pytest.mark.parametrize('names', [(0, 1), (1, 0)])
def test_unequal_guest_cells_fit_in_either_order(names):
    """Free CPUs 0, 2 and 1: a guest of 1 and 2 vCPUs has exactly two places."""
    cells = cell(0, '0-1', pinned='0-1'), cell(1, '2-3'), cell(2, '4-5', pinned='4')
    wanted = [guest_cell(0, '0'), guest_cell(0, '1-2')]
    placement = fit.place(host(*cells), guest(*(wanted[name] for name in names)), strategy=fit.LINEAR)
    assert _chosen(placement) == [2, 1] if names == (0, 1) else [1, 2]


def test_a_guest_cell_makes_way_for_one_with_fewer_choices():
    big = [cell(number, f'{number * 8}-{number * 8 + 3 + 4 * (number == 0)}') for number in range(3)]
    placement = fit.place(
        host(*big), guest(guest_cell(0, '0-3'), guest_cell(1, '4-7'), guest_cell(2, '8-15')), strategy=fit.LINEAR
    )
    assert _chosen(placement) == [1, 2, 0]


def test_a_network_draws_the_guest_to_its_host_cell():
    cells = [cell(number, f'{number}', physnets='lake' * (number == 2)) for number in range(3)]
    one = guest(guest_cell(0, '0'))
    two = guest(guest_cell(0, '0'), guest_cell(1, '1'))
    near = Networks(frozenset({'lake', 'known nowhere'}))
    assert [0] == _chosen(fit.place(host(*cells), one, strategy=fit.LINEAR))
    assert [2] == _chosen(fit.place(host(*cells), one, networks=near, strategy=fit.LINEAR))
    assert [0, 2] == _chosen(fit.place(host(*cells), two, networks=near, strategy=fit.LINEAR))


ROOMY = cell(3, '0-3', memory_mib=8192)
BUSY = cell(1, '4-7', pinned='4', cpu_usage=2, used_mib=512)
LEAN = cell(2, '8-11', memory_mib=2048)


@pytest.mark.parametrize(
    ('strategy', 'policy', 'expected'),
    [
        (fit.LINEAR, 'dedicated', [1, 2, 3]),
        (fit.SPREAD, 'dedicated', [3, 2, 1]),
        (fit.PACK, 'dedicated', [1, 2, 3]),
        (fit.SPREAD, 'shared', [3, 2, 1]),
        (fit.PACK, 'shared', [1, 2, 3]),
    ],
)
def test_a_strategy_orders_by_free_cpus_then_memory_then_id(strategy, policy, expected):
    order = strategy.order(host(ROOMY, LEAN, BUSY), guest(guest_cell(0, '0', policy)))
    assert expected == [host_cell.id for host_cell in order]


@pytest.mark.parametrize('strategy', [fit.LINEAR, fit.SPREAD, fit.PACK])
def test_a_guest_that_needs_every_host_cell_gets_them_by_id(strategy):
    order = strategy.order(host(ROOMY, BUSY), guest(guest_cell(0, '0'), guest_cell(1, '1')))
    assert [1, 3] == [host_cell.id for host_cell in order]


def _two_sockets(known, pinned=()):
    """Return a host of two sockets with three cells each; who is pinned has one CPU less."""
    socket = {number: number // 3 for number in range(6)}

    def row(one):
        near = {other: 12 if socket[one] == socket[other] else 21 for other in socket}
        return tuple((near | {one: 10}).items())

    return host(
        *(
            cell(
                number,
                f'{4 * number}-{4 * number + 3}',
                pinned=str(4 * number) if number in pinned else '',
                socket=socket[number] if known == 'sockets' else None,
                distances=row(number) if known == 'distances' else (),
            )
            for number in socket
        )
    )


@pytest.mark.parametrize('known', ['distances', 'sockets'])
@pytest.mark.parametrize(
    ('cells', 'pinned', 'expected'),
    [
        (3, (), [0, 1, 2]),
        (3, (0, 1, 2), [3, 4, 5]),
        (3, (1,), [3, 4, 5]),
        (2, (0, 1, 2, 3), [4, 5]),
        (2, (0, 1), [3, 4]),
        (4, (1,), [0, 3, 4, 5]),
        (1, (0, 1, 2, 3), [4]),
    ],
)
def test_closest_takes_the_cells_of_a_socket_and_of_equal_ones_the_emptiest(known, cells, pinned, expected):
    wanted = guest(*(guest_cell(number, str(number)) for number in range(cells)))
    answer = fit.place(_two_sockets(known, pinned), wanted, strategy=fit.CLOSEST)
    assert expected == sorted(_chosen(answer))


def test_without_distances_and_sockets_closest_is_spread():
    wanted = guest(guest_cell(0, '0'), guest_cell(1, '1'))
    near, spread = (
        fit.place(_two_sockets('nothing', (0, 1, 3)), wanted, strategy=each) for each in (fit.CLOSEST, fit.SPREAD)
    )
    assert _chosen(spread) == _chosen(near) == [2, 4]
