# SPDX-License-Identifier: Apache-2.0
"""What Nova forbids before it asks its filters is what numaplace's filters of the same options refuse."""

import json
import random
import subprocess
import sys
from dataclasses import replace

from numaplace import plugins
from numaplace.model.fleet import Aggregate, Fleet
from numaplace.scheduler.filters import Request
from numaplace.tests import nova_rows, samples
from numaplace.tests.nova import databases

TRAITS = ('HW_CPU_X86_VMX', 'CUSTOM_A', 'CUSTOM_B')


def forbidden(url, requests):
    """Return the UUIDs of the aggregates that Nova forbids to each request, of extra specs and properties."""
    words = [sys.executable, '-m', 'numaplace.tests.nova.request_filters', url]
    done = subprocess.run(words, input=json.dumps(requests), capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr
    return [set(found) for found in json.loads(done.stdout)]


def properties(chosen, *scopes):
    """Return a few properties, some of which require a trait, and some nearly."""
    keys = [f'{scope}:{trait}' for scope in scopes for trait in TRAITS]
    values = ('required', 'required', 'forbidden', 'Required')
    return {key: chosen.choice(values) for key in chosen.sample(keys, chosen.randint(0, 3))}


def test_aggregates_with_traits_are_isolated_as_by_nova(tmp_path):
    chosen = random.Random(34)
    aggregates = tuple(Aggregate(f'a{number}', properties(chosen, 'trait', 'rack')) for number in range(40))
    requests = [
        (properties(chosen, 'trait', 'trait1', 'trait_a-b', 'traits', 'x:trait'), properties(chosen, 'trait', 'trait1'))
        for _ in range(200)
    ]
    with databases.scratch('sqlite', tmp_path, 1) as (url,):
        with databases.create(url, 'api').begin() as connection:
            nova_rows.store_api(connection, Fleet(aggregates=aggregates), {})
        theirs = forbidden(url, requests)
    (kind,) = plugins.load(plugins.FILTERS, ['IsolatedAggregatesFilter'], 'test')
    ours = []
    for extra_specs, image_properties in requests:
        instance = samples.instance_request(samples.guest())
        flavor = replace(instance.flavor, extra_specs=extra_specs)
        request = Request(replace(instance, flavor=flavor, image_properties=image_properties))
        hosts = [replace(samples.host_record(), aggregates=(aggregate,)) for aggregate in aggregates]
        refused = [number for number, host in enumerate(hosts, 1) if kind().admit(host, request) is not True]
        ours.append({f'{number:036}' for number in refused})
    assert theirs == ours
    assert len({frozenset(found) for found in theirs}) > 5
