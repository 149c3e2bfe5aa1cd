# SPDX-License-Identifier: Apache-2.0
"""Traces: two forms of files, and made ones."""

import random
from collections import Counter

import pytest

from numaplace import exception
from numaplace.fleet.traces import Event, Kind, generate, read

GUESTS = ['time_s,batch,vcpus,memory_gib,lifetime_s_low,censored', '10,0,8,14.0,300,0', '20,1,1,0.75,60,1']
EVENTS = ['vmid,cpu,memory,time,type', 'a,1,2,0,0', 'a,1,2,5,1', 'b,4,8,5,0']


def test_a_line_for_each_guest_says_when_it_departs_unless_the_trace_ends_first():
    assert (
        Event(10.0, '2', Kind(8, 14336), '10:0'),
        Event(20.0, '3', Kind(1, 768), '20:1'),
        Event(310.0, '2'),
        Event(400.0, '4', Kind(1, 768), '400:2'),
    ) == read([*GUESTS, '400,2,1,0.75,60,0'], random.Random(1).random, {}, 'x')


def test_at_the_same_time_a_guest_arrives_before_it_and_others_depart():
    lines = [GUESTS[0], '0,0,8,14.0,300,0', '300,1,1,0.75,0,0']
    found = read(lines, random.Random(1).random, {}, 'x')
    assert [('2', False), ('3', False), ('2', True), ('3', True)] == [
        (event.guest, event.kind is None) for event in found
    ]


def test_a_line_for_each_event_has_the_guest_by_its_name_in_the_order_of_the_file():
    assert (Event(0.0, 'a', Kind(1, 2048)), Event(5.0, 'a'), Event(5.0, 'b', Kind(4, 8192))) == read(
        EVENTS, random.Random(1).random, {}, 'x'
    )


def test_guests_are_doubled_into_two_cells_by_their_share():
    assert Kind(16, 28672, 2) == read(GUESTS, random.Random(1).random, {8: 1.0}, 'x')[0].kind
    assert Kind(8, 14336) == read(GUESTS, random.Random(1).random, {8: 0.0}, 'x')[0].kind


@pytest.mark.parametrize(
    ('lines', 'words'),
    [
        ([], 'line 1: expected time_s,'),
        (['a,b'], 'line 1: expected time_s,'),
        ([GUESTS[0], '10,0,8'], "line 2: '10,0,8': expected numbers"),
        ([GUESTS[0], '10,0,0,1,1,0'], 'line 2: '),
        ([GUESTS[0], '10,0,one,1,1,0'], 'line 2: '),
        ([EVENTS[0], EVENTS[1], 'b,4,8,5,2'], "line 3: 'b,4,8,5,2': expected numbers"),
    ],
)
def test_what_is_no_trace_is_refused_with_its_line(lines, words):
    with pytest.raises(exception.Invalid, match=f'^x: {words}'):
        read(lines, random.Random(1).random, {}, 'x')


def test_a_made_trace_has_the_published_shares_the_load_and_is_the_same_for_a_seed():
    events = generate(20_000, 1000, 0.9, random.Random(1).random)
    assert events == generate(20_000, 1000, 0.9, random.Random(1).random)
    assert sorted(events, key=lambda event: event.time_s) == list(events)
    kinds = Counter(event.kind for event in events if event.kind)
    small = sum(number for kind, number in kinds.items() if kind.vcpus == 1)
    assert 20_000 == kinds.total()
    assert 0.67 == pytest.approx(small / 20_000, abs=0.01)
    arrived = {event.guest: event for event in events if event.kind}
    used = sum(event.kind.vcpus for event in arrived.values())
    for event in events:
        if event.kind is None:
            assert arrived[event.guest].time_s <= event.time_s
            used -= arrived[event.guest].kind.vcpus
    assert 900 == pytest.approx(used, rel=0.15)
