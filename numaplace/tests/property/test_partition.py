# SPDX-License-Identifier: Apache-2.0
"""Laws of automatic vNUMA, and auto mode against a search that tries everything."""

import itertools
import os
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from numaplace import cpuset, exception
from numaplace.model import Guest, Host, Wish
from numaplace.model.vnuma import AUTO_MODE, DISTRIBUTIONS, INTERLEAVE, PIN_TO_CORE, PIN_TO_NODE
from numaplace.partition import amounts, auto, divide, division
from numaplace.partition import place as place_guest
from numaplace.tests.property import sweep
from numaplace.tests.unit.partition.hosts import node

#: Cases of the sweep; ``python -m numaplace.tests.property.sweep --auto`` is its long form.
SWEEP = min(int(os.environ.get('NUMAPLACE_SWEEP', '20000')) // 10, 20_000)
_SHARES = 4


def place(host, guest, wish):
    """Place a guest that wishes to be divided."""
    return place_guest(host, replace(guest, wish=wish))


@st.composite
def _hosts(draw):
    """Draw a host of up to five nodes; CPUs are numbered by node, siblings by thread."""
    threads = draw(st.sampled_from((1, 2, 2, 4)))
    widths = draw(st.lists(st.integers(1, 5), min_size=1, max_size=5))
    if draw(st.booleans()):
        widths = widths[:1] * len(widths)
    total = sum(widths)
    places = range(len(widths))
    between = {pair: draw(st.sampled_from((11, 12, 16, 21))) for pair in itertools.combinations(places, 2)}
    cells, first = [], 0
    for number, width in enumerate(widths):
        cores = [[thread * total + first + core for thread in range(threads)] for core in range(width)]
        distances = [(other, between.get((min(number, other), max(number, other)), 10)) for other in places]
        pinned = draw(st.sets(st.sampled_from([cpu for core in cores for cpu in core]), max_size=3))
        memory_mib = draw(st.sampled_from((600, 1200, 4800)))
        cells.append(replace(node(number, cores, memory_mib, distances), pinned_cpus=sum(1 << cpu for cpu in pinned)))
        first += width
    return Host(tuple(cells))


_GUESTS = st.builds(Guest, st.integers(1, 24), st.sampled_from((60, 240, 1200, 2400)))
_WISHES = st.builds(
    Wish,
    distribution=st.sampled_from(DISTRIBUTIONS),
    remainder_first=st.booleans(),
    pinning=st.sampled_from((PIN_TO_NODE, PIN_TO_CORE)),
    keep=st.integers(0, 2),
)


@given(_hosts(), _GUESTS, _WISHES, st.one_of(st.none(), st.integers(1, 8)))
def test_a_division_loses_nothing_and_splits_no_core(host, guest, wish, cells):
    try:
        found = divide(host, guest, replace(wish, cells=cells))
    except exception.InvalidPartition:
        assume(False)
    parts = found.guest.cells
    assert list(range(guest.vcpus)) == sorted(vcpu for part in parts for vcpu in cpuset.ids(part.vcpus))
    assert guest.memory_mib == sum(part.memory_mib for part in parts)
    assert all(part.vcpus and part.memory_mib for part in parts)
    topology = found.guest.cpu_topology
    assert guest.vcpus == topology.sockets * topology.cores * topology.threads
    for part in parts:
        assert all(part.vcpus >> vcpu // topology.threads * topology.threads & 1 for vcpu in cpuset.ids(part.vcpus))
    assert topology.sockets == min(_numbers_of_sockets(found.guest))
    assert set(found.host_cell_ids) == {cell.id for cell in host.cells}
    sizes = [part.vcpus.bit_count() for part in parts]
    assert max(sizes) - min(sizes) <= topology.threads * wish.remainder_first


def _numbers_of_sockets(guest):
    """Yield each number of equal sockets of whole cores of which none lies in two cells."""
    for sockets in range(1, guest.vcpus + 1):
        size, rest = divmod(guest.vcpus, sockets)
        blocks = [cpuset.mask(range(first, first + size)) for first in range(0, guest.vcpus, size)]
        whole = not rest and not size % guest.cpu_topology.threads
        if whole and all(any(block & cell.vcpus == block for cell in guest.cells) for block in blocks):
            yield sockets


@settings(suppress_health_check=[HealthCheck.filter_too_much])
@given(_hosts(), st.builds(Guest, st.integers(1, 8), st.just(240)), _WISHES)
def test_a_core_of_the_guest_lies_on_a_core_of_the_host(host, guest, wish):
    wish = replace(wish, pinning=PIN_TO_CORE, keep=min(wish.keep, 1))
    placement = place(host, guest, wish)
    assume(placement)
    kept = {core for cell in host.cells for core in cell.shape.cores[: wish.keep]}
    pins = dict(pin for cell in placement.cells for pin in cell.pins)
    assert guest.vcpus == len(set(pins.values()))
    threads = placement.guest.cpu_topology.threads
    for cell in placement.cells:
        cores = host.cell(cell.host_cell).shape.cores
        for start in range(0, guest.vcpus, threads):
            cpus = cpuset.mask(pins[vcpu] for vcpu in range(start, start + threads))
            if cell.guest_cell.vcpus >> start & 1:
                holding = [core for core in cores if core & cpus]
                assert holding
                assert len(holding) == 1
                assert not set(holding) & kept
    assert host.consume(placement).release(placement) == host


@pytest.mark.parametrize('share', range(_SHARES))
def test_auto_mode_answers_as_a_search_that_tries_everything(share):
    """Whether it fits, on which host cells, and the laws of each placement."""
    count = SWEEP // _SHARES
    report = sweep.run(count, seed=share * count, kind='auto')
    assert [] == report.faulty
    assert count == report.cases
    assert count < 200 or count // 10 < report.fitting < count


@pytest.mark.parametrize(
    ('module', 'name', 'wrong'),
    [
        (auto, 'distances', lambda cells: {one.id: {other.id: 20 for other in cells} for one in cells}),
        (division, 'available_cell', lambda cell, _wish, _threads: cell),
        (amounts, 'most_memory', lambda _cell, _unit, most, _limits, **_pinned: most),
    ],
    ids=['distances', 'available', 'memory'],
)
def test_the_sweep_finds_a_faulty_search(monkeypatch, module, name, wrong):
    monkeypatch.setattr(module, name, wrong)
    assert sweep.run(1000, kind='auto').faulty


@given(_hosts(), _GUESTS, _WISHES)
def test_auto_never_takes_more_nodes_than_it_needs(host, guest, wish):
    wish = replace(wish, mode=AUTO_MODE, distribution=INTERLEAVE)
    answer = place(host, guest, wish)
    assume(answer)
    used = cpuset.mask(cell.host_cell for cell in answer.cells)
    for cell in answer.cells:
        if used.bit_count() > 1:
            fewer = place(host, guest, replace(wish, nodes=used & ~(1 << cell.host_cell)))
            assert not fewer
