# SPDX-License-Identifier: Apache-2.0
"""Lint of flavors against Nova itself: its databases, and what it reads of keys that are told as idle."""

from dataclasses import replace

import pytest

from numaplace import request
from numaplace.fleet.lint import lint
from numaplace.model import Flavor
from numaplace.request.idle_keys import idle_keys
from numaplace.tests.nova import theirs
from numaplace.tests.nova.databases import Databases, healthy, scratch
from numaplace.tests.unit.request.test_idle_keys import IDLE


def _theirs(extra_specs):
    return theirs.constraints({'vcpus': 4, 'memory_mb': 1024, 'extra_specs': extra_specs}, {})


@pytest.mark.parametrize('extra_specs', [case[0] for case in IDLE.values()], ids=IDLE)
def test_nova_reads_the_same_without_the_keys_that_are_told_as_idle(extra_specs):
    flavor = Flavor('f', 4, 1024, extra_specs=extra_specs)
    idle = dict(idle_keys(flavor, request.read(flavor)))
    found = _theirs(extra_specs)
    assert found.error is None
    assert found == _theirs({key: value for key, value in extra_specs.items() if key not in idle})


def test_the_flavors_of_a_nova_are_compared_with_its_hosts(tmp_path):
    known = healthy()
    extra = (
        Flavor('m2', 4, 1024, 1, {'hw:cpu_maxsockets': '2', 'hw:tpm_version': '2.0'}, 'm2'),
        Flavor('m3', 4, 1024, 1, {'hw:mem_page_size': '1GB'}, 'm3'),
        Flavor('m4', 4, 1024, 1, {'hw:numa_nodes': '4'}, 'm4'),
    )
    with scratch('sqlite', tmp_path) as urls:
        databases = Databases(urls)
        databases.store(replace(known, flavors=(*known.flavors, *extra)))
        read = databases.read()
    assert [
        ('key.unknown', 'm2'),
        ('pages.missing', 'm3'),
        ('flavor.unplaceable', 'm4'),
    ] == [(each.code, each.flavor) for each in lint(read.flavors, read.hosts, in_nova=True)]
