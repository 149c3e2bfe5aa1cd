# SPDX-License-Identifier: Apache-2.0
"""Keys that do nothing where they stand, told because what they need is missing."""

import pytest

from numaplace import request
from numaplace.model import Flavor
from numaplace.request.idle_keys import idle_keys

HALVES = {'hw:numa_cpus.0': '0,1', 'hw:numa_cpus.1': '2,3', 'hw:numa_mem.0': '512', 'hw:numa_mem.1': '512'}

IDLE = {
    'lists of cells without cells': (HALVES, dict.fromkeys(HALVES, 'nothing requests guest cells')),
    'a list after a gap': (
        HALVES | {'hw:numa_nodes': '2', 'hw:numa_cpus.3': '1'},
        {'hw:numa_cpus.3': 'hw:numa_cpus.2 is not set'},
    ),
    'lists that begin with 1': (
        {'hw:numa_nodes': '2', 'hw:numa_mem.1': '512'},
        {'hw:numa_mem.1': 'hw:numa_mem.0 is not set'},
    ),
    'emulator threads of a guest without cells': (
        {'hw:emulator_threads_policy': 'share'},
        {'hw:emulator_threads_policy': 'nothing requests guest cells'},
    ),
    'a realtime mask without realtime': (
        {'hw:cpu_policy': 'dedicated', 'hw:cpu_realtime_mask': '^0', 'hw:cpu_realtime': 'no'},
        {'hw:cpu_realtime_mask': 'hw:cpu_realtime is not true'},
    ),
    'lists of cells': (HALVES | {'hw:numa_nodes': '2'}, {}),
    'emulator threads of a guest of cells': ({'hw:emulator_threads_policy': 'share', 'hw:numa_nodes': '1'}, {}),
    'a realtime mask': (
        {'hw:cpu_policy': 'dedicated', 'hw:cpu_realtime_mask': '^0', 'hw:cpu_realtime': 'yes'},
        {},
    ),
    'keys of others': ({'vmware:numa_cpus.0': '1', 'x': '1', 'hw:numa_cpus': '0'}, {}),
}


@pytest.mark.parametrize(('extra_specs', 'expected'), IDLE.values(), ids=IDLE)
def test_which_keys_do_nothing_and_why(extra_specs, expected):
    flavor = Flavor('f', 4, 1024, extra_specs=extra_specs)
    found = dict(idle_keys(flavor, request.read(flavor)))
    assert list(expected) == list(found)
    for key, reason in expected.items():
        assert found[key].startswith(f"flavor 'f': {key}={extra_specs[key]!r}: it does nothing: ")
        assert reason in found[key]


@pytest.mark.parametrize('key', ['hw:numa_cpus.0', 'hw:numa_mem.0', 'hw:cpu_realtime_mask'])
def test_a_guest_without_the_key_is_the_same(key):
    """It is what "does nothing" means."""
    with_key = Flavor('f', 4, 1024, extra_specs={key: '1'})
    assert [key] == [each for each, _ in idle_keys(with_key, request.read(with_key))]
    assert request.read(with_key) == request.read(Flavor('f', 4, 1024))
