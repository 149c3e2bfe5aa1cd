# SPDX-License-Identifier: Apache-2.0
"""What the judge of the storms excuses, and what it does not."""

from dataclasses import replace

import pytest

from numaplace.tests.functional.storms import judge
from numaplace.tests.functional.storms.journal import DONE, Entry
from numaplace.tests.functional.storms.ledger import Ledger

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
    host = dict.fromkeys(('vcpus_used', 'memory_mb_used', 'floating_vcpus'), 0) | {'generation': 1, 'cells': {}}
    ledger = Ledger(hosts={'a': host}, servers={}, moves=[], holdings=[])
    found = [fault for fault in judge.faults([FIRST, second], ledger, cut_off=True) if 'two authors' in fault]
    assert is_excused == (not found)
