# SPDX-License-Identifier: Apache-2.0
"""The tests of Nova's own that fail with engine and filter in place, each with its reason."""

from typing import NamedTuple

__all__ = ['LISTED', 'Listed', 'expected']


class Listed(NamedTuple):
    """Why a test fails.

    :param why: in a few words
    :param text: a part of its failure; with another text it has failed for another reason
    :param alone: the major version of Nova in which it fails without numaplace, too; None if it passes there
    """

    why: str
    text: str
    alone: int | None = None


_SERVERS = 'nova.tests.functional.libvirt.test_numa_servers'
_FILTER = 'nova.tests.unit.scheduler.filters.test_numa_topology_filters.TestNUMATopologyFilter'
_HARDWARE = 'nova.tests.unit.virt.test_hardware'

_COUNTS_CALLS = 'replaces the fit by a mock and counts a call for each allocation candidate'
_MOCKS_INNER = "replaces an inner function of Nova's fit, which nobody asks any more"

#: By the whole name of the test.
LISTED = {
    f'{_SERVERS}.NUMAServersWithNetworksTest.test_cold_migrate_with_physnet': Listed(
        'when Nova 32.2.1 migrates the guest, its cache of the networks of the guest is empty',
        "Items in expected but not in actual:\n['foo']",
        alone=32,
    ),
    f'{_FILTER}.test_filters_candidates': Listed(_COUNTS_CALLS, 'MismatchError: 3 != 0'),
    f'{_FILTER}.test_filter_fails_if_no_matching_candidate_left': Listed(
        _COUNTS_CALLS, 'AssertionError: True is not false'
    ),
    f'{_HARDWARE}.VirtNUMAHostTopologyTestCase.test_get_fitting_success_limits_with_networks': Listed(
        _MOCKS_INNER, "'_numa_cells_support_network_metadata' to be called once. Called 0 times."
    ),
    f'{_HARDWARE}.VirtNUMAHostTopologyTestCase.test_get_fitting_fails_limits_with_networks': Listed(
        _MOCKS_INNER, 'actual    = InstanceNUMATopology(cells=[InstanceNUMACell(1)]'
    ),
    f'{_HARDWARE}.EmulatorThreadsTestCase.test_isolate_w_isolate_thread_alloc_usage': Listed(
        "asserts pins that Nova's own claim refuses: an isolated emulator beside another guest on one core",
        "'NoneType' object has no attribute 'cells'",
    ),
}


def expected(name: str, major: int, *, alone: bool) -> Listed | None:
    """Return why a test is to fail, None if it is to pass.

    :param major: the version of Nova
    :param alone: without numaplace
    """
    found = LISTED.get(name)
    if found is None or found.alone is None:
        return None if alone else found
    return found if found.alone == major else None
