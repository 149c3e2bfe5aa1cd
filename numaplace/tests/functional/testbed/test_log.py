# SPDX-License-Identifier: Apache-2.0
"""The log of a kernel: which lines are faults."""

import pytest

_PLAIN = """[    0.000000] Linux version 6.1.0
[    0.000000] [Firmware Bug]: TSC doesn't count with P0 frequency!
"""
_LOCKUP = '[   61.000000] watchdog: BUG: soft lockup - CPU#1 stuck for 26s! [sh:1]\n'
_BROKEN = '[    0.000000] BUG: arch topology borken\n[    0.000000]      the SMT domain not a subset of the MC domain\n'


@pytest.mark.parametrize('log', [_PLAIN, _PLAIN + _LOCKUP], ids=['plain', 'on a busy machine'])
def test_a_log_without_faults_passes(testbed, log):
    testbed.log.check(log)


def test_each_fault_is_named_with_the_line_before_it(testbed):
    with pytest.raises(testbed.log.KernelFault, match=r'soft lockup.*\n.*arch topology borken$'):
        testbed.log.check(_PLAIN + _LOCKUP + _BROKEN)
