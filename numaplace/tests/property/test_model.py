# SPDX-License-Identifier: Apache-2.0
"""Counting a guest in and out keeps its laws, whatever host and guest are."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from numaplace import exception
from numaplace.tests.property import worlds


@given(st.data())
def test_release_after_consume_is_the_identity(data):
    host = data.draw(worlds.hosts())
    placement = data.draw(worlds.placements(host))
    assert host == host.consume(placement).release(placement)


@given(st.data())
def test_the_order_of_guests_makes_no_difference(data):
    host = data.draw(worlds.hosts())
    one = data.draw(worlds.placements(host))
    other = data.draw(worlds.placements(host.consume(one)))
    assert host.consume(one).consume(other) == host.consume(other).consume(one)
    assert host.consume(one).consume(other).release(one) == host.consume(other)


@given(st.data())
def test_a_guest_takes_exactly_its_cpus_and_memory(data):
    host = data.draw(worlds.hosts())
    placement = data.draw(worlds.placements(host))
    after = host.consume(placement)
    for before, cell in zip(host.cells, after.cells, strict=True):
        here = [placed for placed in placement.cells if placed.host_cell == cell.id]
        taken = 0
        for placed in here:
            taken |= placed.taken
        assert before.free_cpus & ~taken == cell.free_cpus
        assert before.free_memory_mib - sum(placed.guest_cell.memory_mib for placed in here) == cell.free_memory_mib
        assert before.shape is cell.shape


@given(st.data())
def test_no_cpu_is_handed_out_twice(data):
    host = data.draw(worlds.hosts())
    placement = data.draw(worlds.placements(host, pinned=True))
    assume(any(placed.taken for placed in placement.cells))
    with pytest.raises(exception.CPUPinningInvalid, match='are pinned already'):
        host.consume(placement).consume(placement)


@given(st.data())
def test_no_guest_is_given_back_twice(data):
    host = data.draw(worlds.hosts())
    placement = data.draw(worlds.placements(host, pinned=True))
    assume(any(placed.taken for placed in placement.cells))
    with pytest.raises((exception.CPUUnpinningInvalid, exception.UsageInvalid), match=r'are not pinned|below zero'):
        host.release(placement)


@given(worlds.hosts())
def test_free_cores_are_the_free_cpus_by_core(host):
    for cell in host.cells:
        together = 0
        for core in cell.free_cores.cores:
            assert not core & together
            together |= core
        assert cell.free_cpus == together
        for threads in range(1, cell.shape.threads_per_core + 1):
            wide_enough = sum(core.bit_count() >= threads for core in cell.free_cores.cores)
            assert wide_enough == cell.free_cores.at_least[threads]
        for core in cell.whole_cores:
            assert core in cell.shape.cores
            assert core == core & cell.free_cpus


@given(worlds.hosts(), st.integers(0, 2**64 - 1))
def test_whole_cores_around_whole_cores_are_themselves(host, cpus):
    for cell in host.cells:
        whole = cell.shape.with_siblings(cpus)
        assert cpus == cpus & whole
        assert whole == cell.shape.with_siblings(whole)
