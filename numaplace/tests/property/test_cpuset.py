# SPDX-License-Identifier: Apache-2.0
"""CPU sets keep the laws of sets, and what is written is read again."""

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from numaplace import cpuset, exception

SETS = st.frozensets(st.integers(0, 300), max_size=40)


@given(SETS)
def test_a_set_survives_the_mask(cpus):
    assert sorted(cpus) == list(cpuset.ids(cpuset.mask(cpus)))


@given(SETS, st.booleans())
def test_a_mask_survives_the_list(cpus, ranges):
    mask = cpuset.mask(cpus)
    assert mask == cpuset.parse(cpuset.text(mask, ranges=ranges))


@given(SETS)
def test_the_list_with_ranges_is_the_shortest(cpus):
    runs = sum(cpu - 1 not in cpus for cpu in cpus)
    written = cpuset.text(cpuset.mask(cpus))
    assert runs == len(written.split(',') if written else [])


@given(SETS, SETS)
def test_union_intersection_and_difference_are_those_of_sets(one, other):
    mask, rest = cpuset.mask(one), cpuset.mask(other)
    assert cpuset.mask(one | other) == mask | rest
    assert cpuset.mask(one & other) == mask & rest
    assert cpuset.mask(one - other) == mask & ~rest


@given(SETS, st.integers(0, 50))
def test_first_is_the_head_of_the_sorted_set(cpus, number):
    assert sorted(cpus)[:number] == list(cpuset.ids(cpuset.first(cpuset.mask(cpus), number)))


@given(SETS, SETS)
def test_exclusions_are_a_difference_wherever_they_stand(taken, rejected):
    words = [*map(str, sorted(taken)), *(f'^{cpu}' for cpu in sorted(rejected))]
    assert cpuset.mask(taken - rejected) == cpuset.parse(','.join(words))
    assert cpuset.mask(taken - rejected) == cpuset.parse(','.join(reversed(words)))


@given(st.text(alphabet='0123456789-,^ x', max_size=20))
def test_any_text_is_a_mask_or_a_fault(text):
    with contextlib.suppress(exception.Invalid):
        assert cpuset.parse(text) >= 0
