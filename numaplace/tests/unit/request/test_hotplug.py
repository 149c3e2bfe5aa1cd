# SPDX-License-Identifier: Apache-2.0
"""What of a guest may change while it runs, by its flavor."""

import re

import pytest

from numaplace import exception
from numaplace.model import Flavor
from numaplace.request import Hotplug, hotplug, read


def _flavor(**specs):
    return Flavor('f', 4, 1024, extra_specs={f'numaplace:{name}': value for name, value in specs.items()})


@pytest.mark.parametrize(
    ('specs', 'expected'),
    [
        ({}, Hotplug()),
        ({'vcpu_hotplug': 'true'}, Hotplug(vcpus=True)),
        ({'vcpu_hotplug': 'false', 'memory_slots': ''}, Hotplug()),
        ({'memory_slots': '16', 'max_memory': ' 1025 '}, Hotplug(slots=16, max_memory_mib=1025)),
    ],
)
def test_a_guest_stays_as_it_is_unless_its_flavor_says_otherwise(specs, expected):
    assert expected == hotplug(_flavor(**specs))


@pytest.mark.parametrize(
    ('specs', 'message'),
    [
        ({'vcpu_hotplug': 'maybe'}, "flavor 'f': numaplace:vcpu_hotplug='maybe': expected true or false"),
        ({'memory_slots': '2'}, "numaplace:memory_slots='2': expected numaplace:max_memory with it"),
        ({'max_memory': '4096'}, "numaplace:max_memory='4096': expected numaplace:memory_slots with it"),
        (
            {'max_memory': '1024', 'memory_slots': '2'},
            "numaplace:max_memory='1024': expected an integer from 1025 to 4294967296 MiB, more than the "
            'memory of the flavor',
        ),
        (
            {'max_memory': '2048', 'memory_slots': '257'},
            "numaplace:memory_slots='257': expected an integer from 1 to 256",
        ),
        ({'max_memory': '²', 'memory_slots': '1'}, "numaplace:max_memory='²'"),
        ({'max_memory': '2048', 'memory_slots': '0000000000019'}, "numaplace:memory_slots='0000000000019'"),
        ({'max_memory': '9' * 5000, 'memory_slots': '1'}, "numaplace:max_memory='999"),
    ],
)
def test_impossible_values_are_reported_by_key_and_value(specs, message):
    with pytest.raises(exception.InvalidRequest, match=re.escape(message)):
        hotplug(_flavor(**specs))
    with pytest.raises(exception.InvalidRequest, match=re.escape(message)):
        read(_flavor(**specs))
