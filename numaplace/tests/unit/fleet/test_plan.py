# SPDX-License-Identifier: Apache-2.0
"""A plan as a value: what is written is read again, and what people and shells see of it."""

import json

from numaplace.fleet import nova_script, plan
from numaplace.fleet.plan import Plan, Step, Stuck

STEPS = (
    Step('u1', 'a b', 'live-migration', 'h1', 'h2', 1),
    Step('u2', 'b\x1b[2J', 'migration', 'h2', 'h1', 2),
    Step('u1', 'a b', 'evacuation', 'h2', "h'3", 3),
)
PLAN = Plan('drain h1', STEPS, (Stuck('u3', 'c', 'h1', ('why',)),), 2, {'hosts': (3, 2, 1)})


def test_the_steps_of_a_plan_are_read_as_they_are_written():
    assert STEPS == plan.read_steps(json.loads(json.dumps(plan.plain(PLAN))))


def test_a_plan_for_people_has_groups_bounds_and_what_is_stuck():
    assert [
        'drain h1: 3 moves in 3 groups, at least 2 are needed',
        '  hosts: 3, afterwards 2 (bound: 1)',
        'group 1:',
        '  live a b: h1 -> h2',
        'group 2:',
        '  cold b\\x1b[2J: h2 -> h1',
        'group 3:',
        "  evacuate a b: h2 -> h'3",
        'c (u3) cannot leave h1:',
        '  why',
    ] == list(plan.lines(PLAN))


def test_a_server_that_moves_twice_may_have_made_both_moves():
    assert [("h'3",), (), ()] == [later for _step, later in plan.with_later(STEPS)]
    moves = [line for line in nova_script.lines(PLAN) if line.startswith('move ')]
    assert [
        "move live u1 h1 h2 'h'\"'\"'3'  # a b",
        'move cold u2 h2 h1  # b\\x1b[2J',
        "move evacuate u1 h2 'h'\"'\"'3'  # a b",
    ] == moves


def test_no_name_is_a_command_of_the_script():
    name = 'a\nrm -rf /\r\x1b]0;title\x07$(reboot)'
    step = Step('u1', name, 'migration', '$(reboot)', '; reboot')
    lines = list(nova_script.lines(Plan(f'drain {name}', (step,), (Stuck('u2', name, name, ()),))))
    escaped = r'a\nrm -rf /\r\x1b]0;title\x07$(reboot)'
    assert f"move cold u1 '$(reboot)' '; reboot'  # {escaped}" == lines[-2]
    assert f'# {escaped} (u2) cannot leave {escaped}' == lines[-1]
    assert [f'# drain {escaped}: 1 move'] == [line.partition(',')[0] for line in lines if 'drain' in line]
