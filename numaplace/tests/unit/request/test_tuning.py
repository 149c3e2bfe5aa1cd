# SPDX-License-Identifier: Apache-2.0
"""CPU quotas of a flavor."""

import pytest

from numaplace import exception
from numaplace.request import Flavor, Tuning, tuning


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
    ('specs', 'told'),
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
def test_what_libvirt_would_refuse_is_told_by_key_and_value(specs, told):
    with pytest.raises(exception.InvalidRequest) as caught:
        tuning(_flavor(**specs))
    assert told in str(caught.value)
