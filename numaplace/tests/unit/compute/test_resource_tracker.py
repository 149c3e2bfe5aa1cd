# SPDX-License-Identifier: Apache-2.0
"""Usage follows from guests alone."""

import pytest

from numaplace import exception, fit
from numaplace.compute import resource_tracker
from numaplace.tests import samples


def test_usage_is_the_sum_of_the_guests_whatever_it_was_before():
    idle = samples.host()
    first = fit.place(idle, samples.guest(pagesize_kib=2048))
    used = idle.consume(first)
    second = fit.place(used, samples.guest(cells=2, policy=None))
    expected = used.consume(second)
    for before in (idle, used, expected):
        assert resource_tracker.usage(before, [first, second]) == expected
        assert resource_tracker.usage(before, []) == resource_tracker.empty(before) == idle


def test_guests_that_hold_the_same_cpus_are_a_fault():
    idle = samples.host()
    placement = fit.place(idle, samples.guest())
    with pytest.raises(exception.CPUPinningInvalid, match='are pinned already'):
        resource_tracker.usage(idle, [placement, placement])
