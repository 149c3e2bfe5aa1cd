# SPDX-License-Identifier: Apache-2.0
"""A flavor requests automatic vNUMA."""

import re

import pytest

from numaplace import exception, request
from numaplace.model import CpuTopology, Flavor, Wish
from numaplace.model.vnuma import AUTO_MODE, HOST_MODE, NODE_MODE, PIN_TO_CORE, PIN_TO_NODE


def _read(image=None, **specs):
    named = {key.replace('vnuma', 'numaplace:vnuma'): value for key, value in specs.items()}
    named = {key.replace('hw_', 'hw:'): value for key, value in named.items()}
    return request.read(Flavor('f', 8, 4096, extra_specs=named), image or {})


def test_a_flavor_without_the_key_has_no_wish():
    assert _read().wish is None


@pytest.mark.parametrize(
    ('specs', 'expected'),
    [
        ({'vnuma': 'host'}, Wish(HOST_MODE, pinning=PIN_TO_NODE)),
        ({'vnuma': 'auto', 'hw_cpu_policy': 'dedicated'}, Wish(AUTO_MODE, pinning=PIN_TO_CORE)),
        ({'vnuma': 'node', 'vnuma_nodes': '0-3,^2'}, Wish(NODE_MODE, nodes=0b1011)),
        (
            {'vnuma': 'host', 'vnuma_distribution': 'interleave', 'vnuma_cells': '4', 'vnuma_remainder': 'first'},
            Wish(HOST_MODE, 'interleave', cells=4, remainder_first=True),
        ),
        (
            {'vnuma': 'auto', 'vnuma_keep': '0', 'vnuma_tier': '1024', 'hw_mem_page_size': '2048'},
            Wish(AUTO_MODE, keep=0, tier_mib=1024, pagesize_kib=2048),
        ),
    ],
)
def test_the_keys_make_a_wish_and_no_cells(specs, expected):
    guest = _read(**specs)
    assert expected == guest.wish
    assert () == guest.cells


@pytest.mark.parametrize(
    ('specs', 'text'),
    [
        ({'vnuma': 'both'}, "numaplace:vnuma='both': expected host, node or auto"),
        ({'vnuma_cells': '2'}, 'expected numaplace:vnuma with it'),
        (
            {'vnuma': 'host', 'vnuma_cellz': '2'},
            "numaplace:vnuma_cellz='2': there is no such key: expected numaplace:vnuma_cells",
        ),
        ({'vnuma': 'host', 'vnuma_cells': '0'}, 'expected an integer from 1'),
        ({'vnuma': 'host', 'vnuma_cells': '²'}, 'expected an integer from 1'),
        ({'vnuma': 'node'}, 'needs to know in which host cells'),
        ({'vnuma': 'node', 'vnuma_nodes': 'x'}, "numaplace:vnuma_nodes='x': expected ids of host cells"),
        ({'vnuma': 'auto', 'vnuma_cells': '2'}, "numaplace:vnuma_cells='2': cells 2: mode 'auto'"),
        ({'vnuma': 'host', 'vnuma_tier': '512'}, "numaplace:vnuma_tier='512': tier 512 MiB: expected mode 'auto'"),
        ({'vnuma': 'auto', 'vnuma_tier': '4096'}, 'more than none and less than all'),
        ({'vnuma': 'host', 'hw_numa_nodes': '2'}, "hw:numa_nodes='2': expected it without numaplace:vnuma"),
        ({'vnuma': 'host', 'hw_cpu_threads': '2'}, "hw:cpu_threads='2': expected it without numaplace:vnuma"),
        (
            {'vnuma': 'host', 'hw_cpu_policy': 'mixed', 'hw_cpu_dedicated_mask': '0'},
            'expected hw:cpu_policy shared or dedicated',
        ),
    ],
)
def test_impossible_values_are_reported_by_key_and_value(specs, text):
    with pytest.raises(exception.Invalid, match=re.escape(text)) as caught:
        _read(**specs)
    assert text in str(caught.value)
    assert "flavor 'f': " in str(caught.value)


def test_an_image_may_not_decide_what_the_flavor_leaves_to_the_host():
    with pytest.raises(exception.InvalidRequest, match=r"image: hw_numa_nodes='2': expected it without"):
        _read({'hw_numa_nodes': '2'}, vnuma='host')


@pytest.mark.parametrize(
    ('image', 'expected'),
    [({}, CpuTopology(4, 65536, 1)), ({'hw_cpu_max_sockets': '2'}, CpuTopology(2, 65536, 1))],
)
def test_the_most_sockets_cores_and_threads_are_part_of_the_wish(image, expected):
    guest = _read(image, vnuma='host', hw_cpu_max_sockets='4', hw_cpu_max_threads='1')
    assert expected == guest.wish.max_topology
