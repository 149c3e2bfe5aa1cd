# SPDX-License-Identifier: Apache-2.0
"""What ``preserve`` keeps free: leftovers are filled first, wide places stay whole, and more guests are accepted."""

import random

import pytest

from numaplace import fit
from numaplace.fit.usefulness import losses, price
from numaplace.tests import amount
from numaplace.tests.unit.fit.builders import cell, guest, guest_cell, host, pages

ONE = guest(guest_cell(0, '0'))
TWO_CELLS = guest(guest_cell(0, '0-1'), guest_cell(1, '2-3'))


def _cells(*pinned, **more):
    return host(*(cell(number, '0-7', memory_mib=8192, pinned=each, **more) for number, each in enumerate(pinned)))


@pytest.mark.parametrize(
    ('wanted', 'where', 'chosen'),
    [
        pytest.param(ONE, _cells('', '0'), 1, id='a leftover before a whole cell'),
        pytest.param(ONE, _cells('0-3', '0'), 1, id='an odd CPU before a place of four'),
        pytest.param(
            guest(guest_cell(0, '0', memory_mib=512)),
            host(
                cell(0, '0-7', memory_mib=8192, sizes=(pages(4, 1 << 20), pages(2048, 2048))),
                cell(1, '0-7', memory_mib=8192, sizes=(pages(4, 1 << 20), pages(2048, 2048, 2048))),
            ),
            1,
            id='a cell without large pages before one with them',
        ),
    ],
)
def test_the_cell_is_the_one_that_loses_least(wanted, where, chosen):
    lost = losses(where.cells, wanted)
    assert min(lost) == lost[chosen]
    assert chosen == fit.place(where, wanted, strategy=fit.PRESERVE).cells[0].host_cell


def test_a_cell_that_takes_no_guest_cell_loses_all():
    where = _cells('0-7', '')
    assert max(losses(where.cells, ONE)) == losses(where.cells, ONE)[0]


@pytest.mark.parametrize('wanted', [ONE, TWO_CELLS])
def test_of_two_hosts_the_fuller_one_costs_less(wanted):
    assert price(_cells('0-3', '0-3'), wanted) < price(_cells('', ''), wanted)


def test_a_guest_without_cells_goes_where_least_is_left():
    floating = guest()
    assert price(_cells('0-5', ''), floating) < price(_cells('0-3', ''), floating)


def _accepted(seed, strategy):
    """Return how many of 60 guests a small host takes one after the other, while others leave."""
    rng = random.Random(seed)
    where = host(*(cell(each, '0-7', memory_mib=8192) for each in range(rng.choice((2, 3, 4)))))
    held, accepted = [], 0
    for _ in range(60):
        vcpus, number = rng.choice((1, 1, 2, 2, 3, 4, 6, 8)), rng.choice((1, 1, 1, 2))
        memory_mib = 1024 * rng.choice((1, vcpus, 2 * vcpus))
        last = vcpus - 1
        wanted = guest(
            *(
                guest_cell(each, f'{each * 8}-{each * 8 + last}', memory_mib=min(memory_mib, 8192))
                for each in range(number)
            )
        )
        leaves = [rng.random() for _ in range(60)]
        for place, share in zip(list(held), leaves, strict=False):
            if share < 0.1:
                where = where.release(place)
                held.remove(place)
        placed = fit.place(where, wanted, strategy=strategy)
        if placed:
            where = where.consume(placed)
            held.append(placed)
            accepted += 1
    return accepted


def test_it_accepts_as_many_guests_as_spread_and_pack_on_the_average():
    seeds = range(1000 if amount.IS_LONG else 40)
    found = {each.name: sum(_accepted(seed, each) for seed in seeds) for each in (fit.PRESERVE, fit.PACK, fit.SPREAD)}
    assert found['preserve'] >= max(found['pack'], found['spread']), found
