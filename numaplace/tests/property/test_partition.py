# SPDX-License-Identifier: Apache-2.0
"""Laws of automatic vNUMA, and auto mode against brute force over all sets of host cells."""

import itertools
from dataclasses import replace
from fractions import Fraction

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from numaplace import cpuset, exception
from numaplace.model import Guest, Host, Refusal, Wish
from numaplace.model.wish import AUTO_MODE, DISTRIBUTIONS, INTERLEAVE, PIN_TO_CORE, PIN_TO_NODE
from numaplace.partition import divide
from numaplace.partition import place as place_guest
from numaplace.tests.unit.partition.hosts import node


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
    assert set(found.bindings) == {cell.id for cell in host.cells}
    sizes = [part.vcpus.bit_count() for part in parts]
    assert max(sizes) - min(sizes) <= topology.threads * wish.remainder_first


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


def _whole_cores(cell, keep):
    """Return the number of wholly free cores that may be used."""
    cores = sorted(cell.shape.siblings, key=lambda core: core & -core)[keep:]
    return sum(not core & cell.pinned_cpus for core in cores)


def _share(total, weights):
    """Divide by largest remainders."""
    exact = [Fraction(total * weight, sum(weights)) for weight in weights]
    shares = [int(amount) for amount in exact]
    for number in sorted(range(len(weights)), key=lambda number: (shares[number] - exact[number], number)):
        if sum(shares) < total:
            shares[number] += 1
    return shares


def _shares(chosen, guest, threads):
    """Return cores and memory by node, or None where a set does not divide."""
    if guest.vcpus % threads or guest.vcpus // threads < len(chosen):
        return None
    cores = guest.vcpus // threads
    weights = [cell.shape.dedicated_cpus.bit_count() for cell in chosen]
    if len(set(weights)) > 1:
        found = _share(cores, weights)
        even = len(set(found)) == 1
        if not all(found):
            return None
    elif cores % len(chosen):
        return None
    else:
        found, even = [cores // len(chosen)] * len(chosen), True
    if even and guest.memory_mib % len(chosen):
        return None
    return found, _share(guest.memory_mib, found)


def _fits(chosen, guest, threads, keep):
    shares = _shares(chosen, guest, threads)
    return shares is not None and all(
        _whole_cores(cell, keep) >= cores and cell.free_memory_mib >= memory_mib
        for cell, cores, memory_mib in zip(chosen, *shares, strict=True)
    )


def _brute_force(host, guest, threads, keep):
    """Return the ids of the best set by size, distance and ids, over all sets."""
    for number in range(1, len(host.cells) + 1):
        fitting = [
            (sum(dict(one.shape.distances)[other.id] for one, other in itertools.combinations(chosen, 2)), ids)
            for chosen in itertools.combinations(host.cells, number)
            if _fits(chosen, guest, threads, keep)
            for ids in [[cell.id for cell in chosen]]
        ]
        if fitting:
            return min(fitting)[1]
    return None


@settings(max_examples=400)
@given(_hosts(), _GUESTS, st.integers(0, 2))
def test_auto_picks_the_set_that_brute_force_picks(host, guest, keep):
    threads = host.cells[0].shape.threads_per_core
    best = _brute_force(host, guest, threads, keep)
    answer = place(host, guest, Wish(AUTO_MODE, pinning=PIN_TO_CORE, keep=keep))
    if isinstance(answer, Refusal):
        assert best is None
        assert answer.reasons
    else:
        assert best == [cell.host_cell for cell in answer.cells]


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
