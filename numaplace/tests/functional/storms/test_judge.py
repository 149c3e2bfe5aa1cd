# SPDX-License-Identifier: Apache-2.0
"""What the judge of the storms excuses, and what it does not."""

from dataclasses import replace

import pytest

from numaplace.tests.functional.storms import judge
from numaplace.tests.functional.storms.journal import DONE, Entry
from numaplace.tests.functional.storms.ledger import OWN, Holding, Ledger

FIRST = Entry(0, 1, 'confirm', 's', ('s',), begin=1, end=4, outcome=DONE, commits=[{'a': 1}])
SECOND = replace(FIRST, worker=1, begin=2, end=3)
#: A second author of the same generation, and whether it is excused.
SECONDS = {
    'the same change, whose commit nobody answered': (replace(SECOND, answered=False), True),
    'the same change, whose commit was answered': (SECOND, False),
    'another verb': (replace(SECOND, verb='revert', answered=False), False),
    'another server': (replace(SECOND, server='t', answered=False), False),
}


@pytest.mark.parametrize('name', SECONDS)
def test_a_second_author_is_excused_only_for_the_same_change_without_an_answer(name):
    second, is_excused = SECONDS[name]
    host = dict.fromkeys(('vcpus_used', 'memory_mb_used', 'floating_vcpus'), 0) | {
        'generation': 1,
        'cells': {},
        'devices': {},
    }
    ledger = Ledger(hosts={'a': host}, servers={}, moves=[], holdings=[], groups={})
    found = [fault for fault in judge.faults([FIRST, second], ledger, cut_off=True) if 'two authors' in fault]
    assert is_excused == (not found)


def there(server, host, begin, end=None, *, verb='claim', group='g', generation=1, is_gone=False):
    told = [] if is_gone else [Holding(server, OWN, host, 1, 64, ())]
    times = {'begin': begin, 'end': end or begin + 1, 'outcome': DONE, 'group': group}
    return Entry(0, begin, verb, server, (server,), commits=[{host: generation}], told=told, **times)


def gone(server, host, begin, generation):
    return there(server, host, begin, verb='release', group=None, generation=generation, is_gone=True)


#: Policy, rule, what happened to members, and whether the policy was broken.
GROUPED = {
    'two on a host': ('anti-affinity', None, [there('s', 'a', 1), there('t', 'a', 3, generation=2)], True),
    'as many as the rule': ('anti-affinity', 2, [there('s', 'a', 1), there('t', 'a', 3, generation=2)], False),
    'one after the other on a host': (
        'anti-affinity',
        None,
        [there('s', 'a', 1), gone('s', 'a', 3, 2), there('t', 'a', 5, generation=3)],
        False,
    ),
    'two hosts at once': ('affinity', None, [there('s', 'a', 1), there('t', 'b', 3)], True),
    'two hosts, one after the other': (
        'affinity',
        None,
        [there('s', 'a', 1), gone('s', 'a', 3, 2), there('t', 'b', 5)],
        False,
    ),
}


@pytest.mark.parametrize('name', GROUPED)
def test_members_that_their_policy_parts_or_joins_are_found_at_any_time(name):
    """All of them may be gone in the end."""
    policy, rule, entries, is_broken = GROUPED[name]
    host = dict.fromkeys(('vcpus_used', 'memory_mb_used', 'floating_vcpus'), 0) | {
        'generation': 3,
        'cells': {},
        'devices': {},
    }
    groups = {'g': {'name': 'g', 'policy': policy, 'max_server_per_host': rule}}
    found = judge.faults(entries, Ledger({'a': host, 'b': host}, {}, [], [], groups))
    assert is_broken == any('members of g are there' in fault or 'g was on two hosts' in fault for fault in found)


@pytest.mark.parametrize(
    ('policy', 'hosts', 'is_broken'),
    [
        ('affinity', 'ab', True),
        ('affinity', 'aa', False),
        ('anti-affinity', 'ab', False),
        ('anti-affinity', 'aa', True),
    ],
)
def test_rows_that_break_a_policy_are_found(policy, hosts, is_broken):
    holdings = [Holding(server, OWN, host, 1, 64, ()) for server, host in zip('st', hosts, strict=True)]
    servers = {server: {'server_group_uuid': 'g'} for server in 'st'}
    groups = {'g': {'name': 'g', 'policy': policy, 'max_server_per_host': None}}
    found = Ledger({}, servers, [], holdings, groups).faults()
    assert is_broken == any('affinity group g' in fault for fault in found)


ROWS = {
    '05:00.0': {'parent_addr': None, 'status': 'unavailable', 'instance_uuid': None},
    '05:02.0': {'parent_addr': '05:00.0', 'status': 'allocated', 'instance_uuid': 's'},
    '05:02.1': {'parent_addr': '05:00.0', 'status': 'available', 'instance_uuid': None},
    '01:00.0': {'parent_addr': None, 'status': 'available', 'instance_uuid': None},
}
HELD = {'s': ('05:02.0',)}
#: What differs from those rows and holdings, and what is said of it.
PLANTED = {
    'nothing': ({}, {}, None),
    'given twice': ({}, {'t': ('05:02.0',)}, "PCI devices ['05:02.0'] are handed out twice"),
    'taken without a row': ({}, {'t': ('01:00.0',)}, 'PCI device 01:00.0 is available, None; it should be'),
    'half taken': (
        {'05:02.0': {'instance_uuid': None}},
        {},
        "05:02.0 is allocated, None; it should be ('allocated', 's')",
    ),
    'never given back': ({'05:02.1': {'status': 'allocated', 'instance_uuid': 't'}}, {}, '05:02.1 is allocated, t'),
    'a PF with its VF': ({}, {'t': ('05:00.0',)}, "PFs ['05:00.0'] are handed out with their VFs"),
    'a PF left available': ({'05:00.0': {'status': 'available'}}, {}, '05:00.0 is available, None'),
    'one that is not there': ({}, {'t': ('09:00.0',)}, "PCI devices ['09:00.0'] are not there"),
}


@pytest.mark.parametrize('name', PLANTED)
def test_planted_faults_of_devices_are_found(name):
    changed, more, told = PLANTED[name]
    rows = {address: row | changed.get(address, {}) for address, row in ROWS.items()}
    held = {server: HELD.get(server, ()) + more.get(server, ()) for server in {**HELD, **more}}
    holdings = [Holding(server, OWN, 'a', 1, 64, (), devices) for server, devices in held.items()]
    usage = {'vcpus_used': len(held), 'memory_mb_used': 64 * len(held), 'floating_vcpus': len(held)}
    found = Ledger({'a': usage | {'cells': {}, 'devices': rows}}, {}, [], holdings, {}).faults()
    assert bool(told) == bool(found)
    assert told is None or any(told in fault for fault in found), found


def test_a_device_that_two_had_at_once_is_found_when_both_are_gone():
    one, other = (
        replace(
            there(server, 'a', begin, group=None, generation=begin),
            told=[Holding(server, OWN, 'a', 1, 64, (), ('05:02.0',))],
        )
        for server, begin in (('s', 1), ('t', 2))
    )
    host = dict.fromkeys(('vcpus_used', 'memory_mb_used', 'floating_vcpus'), 0) | {'generation': 4, 'cells': {}}
    rows = {'05:02.0': {'parent_addr': None, 'status': 'available', 'instance_uuid': None}}
    entries = [one, other, gone('s', 'a', 3, 3), gone('t', 'a', 4, 4)]
    found = judge.faults(entries, Ledger({'a': host | {'devices': rows}}, {}, [], [], {}))
    assert any("PCI devices ['05:02.0'] are handed out twice" in fault for fault in found)
