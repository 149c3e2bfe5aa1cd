# SPDX-License-Identifier: Apache-2.0
"""What domains hold that numaplace does not manage is not free, and stays apart from what servers use."""

from dataclasses import replace

import pytest

from numaplace import explain, fit
from numaplace.model import SHARED, Guest, Host, Limits, Refusal
from numaplace.model.held import hold, name_taken, named
from numaplace.model.holding import Holding
from numaplace.tests import samples

HOST = samples.host(cells=2, cpus=8, memory_mib=4096)
BOTH, FIRST = frozenset({0, 1}), frozenset({0})


def domain(name='stranger', **keys) -> Holding:
    return Holding(name, f'uuid-of-{name}', **keys)


def text(refusal: Refusal) -> str:
    return '\n'.join(explain.lines(refusal))


def test_a_held_cpu_is_not_given_to_a_guest():
    host = hold(HOST, [domain(dedicated=frozenset({0, 1, 9}))])
    placed = fit.place(host, samples.guest(cells=2, vcpus=6))
    assert placed
    assert {0, 1, 9}.isdisjoint(cpu for cell in placed.cells for _vcpu, cpu in cell.pins)


def test_a_refusal_names_how_much_is_held():
    host = hold(HOST, [domain(dedicated=frozenset({0, 1})), domain('other', dedicated=frozenset({2, 3}))])
    found = text(fit.place(host, samples.guest(vcpus=8), host_cell_ids=[0]))
    assert 'host cell 0 has 4 (4 short), 4 held by domains that numaplace does not manage' in found


def test_a_refusal_that_stays_without_the_domains_does_not_name_them():
    host = hold(HOST, [domain(dedicated=frozenset({0}))])
    assert 'held' not in text(fit.place(host, samples.guest(vcpus=9)))


@pytest.mark.parametrize(
    ('guest', 'expected'),
    [
        (samples.guest(memory_mib=2000, pagesize_kib=2048), '900 held'),
        (samples.guest(memory_mib=400), '1800 held'),
        (samples.guest(thread_policy='isolate', vcpus=4), '1 held'),
    ],
    ids=['huge pages', 'memory', 'cores'],
)
def test_the_unit_of_what_is_held_is_that_of_the_reason(guest, expected):
    held = domain(dedicated=frozenset({3}), memory=((FIRST, 1800),), pages=((FIRST, 2048, 900),))
    held = replace(held, pages=()) if expected == '1800 held' else held
    assert expected in text(fit.place(hold(HOST, [held]), guest, host_cell_ids=[0]))


def test_memory_over_several_host_cells_counts_in_each_and_once_for_the_whole_host():
    host = hold(HOST, [domain(memory=((BOTH, 1500),))])
    assert [(cell.held_mib, cell.free_memory_mib) for cell in host.cells] == [(1500, 2596), (1500, 2596)]
    assert (host.held_mib, host.free_memory_mib) == (1500, 2 * 4096 - 1500)


def test_whatever_the_split_is_what_is_placed_beside_it_fits():
    """The same guests, placed where the memory is in truth wherever the domain has put it, still fit."""
    spread = domain(memory=((BOTH, 1000),))
    beside = fit.place(hold(HOST, [spread]), samples.guest(cells=2, memory_mib=1000))
    assert beside
    for first in range(0, 1001, 250):
        split = domain(memory=((frozenset({0}), first), (frozenset({1}), 1000 - first)))
        host = hold(HOST, [split]).consume(beside)
        assert all(pages.free >= 0 for cell in host.cells for pages in cell.pages)
        assert all(cell.free_memory_mib >= 0 for cell in host.cells)


def test_huge_pages_are_held_by_size_and_the_rest_is_in_small_ones():
    host = hold(HOST, [domain(memory=((FIRST, 1024),), pages=((FIRST, 2048, 256),))])
    assert [pages.held for pages in host.cells[0].pages] == [512 * 256, 256]
    assert [pages.held for pages in host.cells[1].pages] == [0, 0]


def test_vcpus_that_float_count_against_the_shared_cpus_of_the_whole_host():
    host = hold(HOST, [domain(floating=12)])
    limits = Limits(cpu_allocation_ratio=1.0, ram_allocation_ratio=1.0)
    assert fit.place(host, Guest(4, 64), limits=limits)
    refusal = fit.place(host, Guest(5, 64), limits=limits)
    assert 'room for 4 (1 short), 12 held by domains that numaplace does not manage' in text(refusal)
    assert not fit.place(host, samples.guest(vcpus=6, policy=SHARED), limits=limits)


def test_servers_are_counted_beside_what_is_held():
    placed = fit.place(HOST, samples.guest(vcpus=2, memory_mib=512))
    held = [domain(dedicated=frozenset({0, 1}), memory=((BOTH, 100),), floating=3)]
    host = hold(HOST, held).consume(placed)
    assert host == hold(HOST.consume(placed), held)
    assert hold(host.release(placed), []) == HOST


def test_domains_that_are_gone_hold_nothing():
    held = hold(HOST, [domain(dedicated=frozenset({0}), memory=((BOTH, 7),), pages=((FIRST, 2048, 1),), floating=1)])
    assert hold(held, []) == HOST == hold(HOST, [])
    assert hold(HOST, [named(domain(dedicated=frozenset({0})))]) == HOST


def test_what_is_held_on_cells_and_cpus_that_the_host_does_not_have_is_of_no_concern():
    assert hold(HOST, [domain(dedicated=frozenset({99}))]) == HOST
    assert hold(Host(), [domain(memory=((BOTH, 7),))]).free_memory_mib == 0


def test_a_name_is_taken_by_another_domain_alone():
    there = [domain('web')]
    assert [reason.subject for reason in name_taken(there, 'mine', 'web').reasons] == ['web']
    assert name_taken(there, 'mine', 'db', 'instance-00000001') is None
    assert name_taken(there, there[0].uuid, 'web') is None
