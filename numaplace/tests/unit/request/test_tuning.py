# SPDX-License-Identifier: Apache-2.0
"""CPU quotas of a flavor."""

import re

import pytest

from numaplace import exception
from numaplace.model import Flavor
from numaplace.request import Tuning, tuning


def _flavor(**specs):
    return Flavor('f', 1, 64, extra_specs={f'quota:cpu_{name}': value for name, value in specs.items()})


@pytest.mark.parametrize(
    ('specs', 'expected'),
    [
        ({}, Tuning()),
        ({'shares': '2048'}, Tuning(shares=2048)),
        ({'quota': '50000', 'period': ' 100000 '}, Tuning(period=100000, quota=50000)),
        ({'quota': '-1', 'shares': ''}, Tuning(quota=-1)),
    ],
)
def test_what_is_set_is_read_and_the_rest_is_left_to_libvirt(specs, expected):
    assert expected == tuning(_flavor(**specs))


@pytest.mark.parametrize(
    ('specs', 'message'),
    [
        ({'shares': '1'}, "flavor 'f': quota:cpu_shares='1': expected an integer from 2 to 262144"),
        ({'period': '-1'}, "quota:cpu_period='-1': expected an integer from 1000 to 1000000"),
        (
            {'quota': '10%'},
            "quota:cpu_quota='10%': expected an integer from 1000 to 17592186044415, or -1 for no limit",
        ),
        ({'quota': '²'}, "quota:cpu_quota='²'"),
    ],
)
def test_what_libvirt_would_refuse_is_reported_by_key_and_value(specs, message):
    with pytest.raises(exception.InvalidRequest, match=re.escape(message)):
        tuning(_flavor(**specs))


@pytest.mark.parametrize(
    ('flavor', 'image', 'expected'),
    [
        (None, None, None),
        ('', '', None),
        ('yes', None, True),
        (None, 'false', False),
        ('true', 'yes', True),
        ('no', 'off', False),
        ('perhaps', None, False),
    ],
)
def test_performance_counters_are_what_flavor_or_image_say(flavor, image, expected):
    specs = {} if flavor is None else {'hw:pmu': flavor}
    properties = {} if image is None else {'hw_pmu': image}
    assert expected is tuning(Flavor('f', 1, 64, extra_specs=specs), properties).pmu


def test_flavor_and_image_agree_about_performance_counters():
    flavor = Flavor('f', 1, 64, extra_specs={'hw:pmu': 'true'})
    with pytest.raises(
        exception.FlavorImageConflict,
        match='^' + re.escape("image: hw_pmu='false': flavor 'f': hw:pmu='true' says otherwise") + '$',
    ):
        tuning(flavor, {'hw_pmu': 'false'})
