# SPDX-License-Identifier: Apache-2.0
"""What a host has without its servers."""

from numaplace import fit
from numaplace.compute import resource_tracker
from numaplace.tests import samples


def test_a_host_without_usage_is_idle_whatever_it_was_before():
    idle = samples.host()
    used = idle.consume(fit.place(idle, samples.guest(pagesize_kib=2048)))
    full = used.consume(fit.place(used, samples.guest(cells=2, policy=None)))
    for before in (idle, used, full):
        assert resource_tracker.empty(before) == idle
