# SPDX-License-Identifier: Apache-2.0
"""What ``preserve`` keeps free: leftovers are filled first, wide places stay whole, and more guests are accepted."""

from dataclasses import replace

import pytest

from numaplace import fit
from numaplace.fit.usefulness import ANY, Mix, losses, price
from numaplace.model.host_devices import HostDevices
from numaplace.model.pci import PciDevice, PciRequest
from numaplace.tests import amount, sequences
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


#: Narrow guests of 1 CPU, and wide ones of two cells with 4 CPUs.
NARROW_AND_WIDE = Mix.of([(1, 1, 512, 9), (2, 4, 2048, 1)])


@pytest.mark.parametrize(
    ('pinned', 'mix', 'chosen'),
    [
        pytest.param(('0-3', '0-2'), NARROW_AND_WIDE, 1, id='a fifth CPU, as a fourth is one of the wide guest'),
        pytest.param(('', '1-7'), ANY, 1, id='of any shape the last CPU, as a whole cell is free beside it'),
        pytest.param(('', '1-3'), Mix.of([(1, 8, 512, 1)]), 1, id='what no guest of the mix can have'),
    ],
)
def test_places_that_nobody_asks_for_are_not_kept(pinned, mix, chosen):
    where = _cells(*pinned)
    assert chosen == fit.place(where, ONE, strategy=fit.preserve(mix)).cells[0].host_cell


def test_the_value_of_a_place_is_its_cpus_times_the_cpus_that_such_guests_ask_for():
    """Two wide places of 8 CPUs become one; of 16 narrow ones 15 are left."""
    where = _cells('', '')
    assert [9 * 1 * 1 + 1 * 8 * 8, 9 * 1 * 1 + 1 * 8 * 8] == losses(where.cells, ONE, NARROW_AND_WIDE)
    assert 20 * 73 + (9 + 8) * 15 == price(where, ONE, NARROW_AND_WIDE)


def test_a_place_needs_the_memory_of_the_guest_of_the_mix():
    """Cell 0 has memory for one more guest of 4 GiB, cell 1 for none: its CPUs are free to use."""
    large, where = Mix.of([(1, 2, 4096, 1)]), _cells('0', '0')
    small = replace(where.cells[0], memory_usage_mib=4096), replace(where.cells[1], memory_usage_mib=4097)
    assert [4, 0] == losses(small, guest(guest_cell(0, '0', memory_mib=64)), large)


def test_cpus_beside_free_devices_are_kept_for_guests_that_request_devices():
    gpu = PciDevice('0000:81:00.0', '10de', '20b5', numa_node=0)
    free, taken = (
        replace(_cells('', '0-7'), devices=HostDevices((gpu,), frozenset(held))) for held in ((), (gpu.address,))
    )
    assert price(free, ONE) > price(taken, ONE)
    assert price(taken, ONE) == price(_cells('', '0-7'), ONE)
    wanting = replace(ONE, pci_requests=(PciRequest(1, ({'vendor_id': '10de'},)),))
    assert price(free, wanting) == price(taken, wanting)


def test_equal_mixes_are_the_same_object_and_none_is_any():
    shapes = ((1, 1, 512, 9), (2, 4, 2048, 1))
    assert Mix.of(list(shapes)) is Mix.of(shapes)
    assert Mix.of(()) is ANY
    assert fit.preserve(ANY) is fit.PRESERVE


def test_it_accepts_as_many_guests_as_spread_and_pack_on_the_average():
    seeds = range(1000 if amount.IS_LONG else 40)
    found = {
        each.name: sum(sequences.accepted(seed, each) for seed in seeds)
        for each in (fit.PRESERVE, fit.PACK, fit.SPREAD)
    }
    assert found['preserve'] >= max(found['pack'], found['spread']), found
