# SPDX-License-Identifier: Apache-2.0
"""A real Nova, and what is counted with it."""

import collections
import importlib
import types
import warnings

import pytest

from numaplace.tests import real, summary
from numaplace.tests.nova import made


@pytest.fixture(scope='session', autouse=True)
def theirs():
    """Nova's own functions; without Nova the test ends."""
    try:
        importlib.import_module('nova')
    except ImportError:
        real.missing('nova')
    return importlib.import_module('numaplace.tests.nova.theirs')


@pytest.fixture
def tally(record_property):
    """Counts by name, which go to the report of the run."""
    counts = collections.Counter()
    yield counts
    record_property(summary.COMPARED_WITH_NOVA, dict(counts))


@pytest.fixture(scope='module')
def nova():
    """Nova's modules with the filter loaded; what the engine replaces is put back, as other tests judge by Nova's."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        names = ('conf', 'context', 'exception', 'objects', 'pci.stats', 'scheduler.filters', 'scheduler.host_manager')
        found = {name.rpartition('.')[2]: importlib.import_module(f'nova.{name}') for name in names}
        hardware = importlib.import_module('nova.virt.hardware')
        state = found['host_manager'].HostState
        replaced = [
            (hardware, 'numa_fit_instance_to_host'),
            (hardware, 'numa_usage_from_instance_numa'),
            (state, '_locked_consume_from_request'),
            (found['objects'].NUMATopology, 'obj_from_db_obj'),
        ]
        originals = [(owner, name, getattr(owner, name)) for owner, name in replaced]
        ours = importlib.import_module('numaplace.nova.filter')
        importlib.import_module('numaplace.nova.engine').install()
    yield types.SimpleNamespace(**found, hardware=hardware, ours=ours)
    for owner, name, original in originals:
        setattr(owner, name, original)


@pytest.fixture
def make(nova):
    """Builders of Nova's objects."""
    return made.Make(nova)


@pytest.fixture(scope='module')
def services(theirs, request):
    """Nova's modules with numaplace in place, and Nova's own functions beside it."""
    own_fit = theirs.hardware.numa_fit_instance_to_host
    own_usage = theirs.hardware.numa_usage_from_instance_numa
    nova = request.getfixturevalue('nova')
    return types.SimpleNamespace(**vars(nova), own_fit=own_fit, own_usage=own_usage)
