# SPDX-License-Identifier: Apache-2.0
"""NUMAPreserveWeigher among Nova's own objects: its order, its multiplier, and what it does about odd hosts."""

import importlib
import random
import types

import pytest

from numaplace import wire
from numaplace.db.records import InstanceRequest
from numaplace.fit.usefulness import Mix
from numaplace.model import Flavor
from numaplace.model.records import HostRecord
from numaplace.scheduler.filters import Request
from numaplace.scheduler.weights import weigh
from numaplace.scheduler.weights.numa_preserve import NUMAPreserveWeigher
from numaplace.tests import nova_requests
from numaplace.tests.unit.fit.builders import cell, guest, guest_cell, host

pytestmark = pytest.mark.filterwarnings('ignore')  # Nova and what it imports warn of their own deprecations

OPTION = 'numa_preserve_weight_multiplier'
WIDE = guest(guest_cell(0, '0-3'), guest_cell(1, '4-7'))
NARROW = guest(guest_cell(0, '0'))
MIX = ((1, 1, 512, 9), (2, 4, 1024, 1))


@pytest.fixture
def nova(theirs):
    modules = ('conf', 'objects', 'scheduler.host_manager', 'scheduler.weights')
    found = {name.rpartition('.')[2]: importlib.import_module(f'nova.{name}') for name in modules}
    found['objects'].register_all()
    (kind,) = found['weights'].HostWeightHandler().get_matching_classes(['numaplace.nova.weigher.NUMAPreserveWeigher'])
    yield types.SimpleNamespace(**found, weigher=kind, theirs=theirs)
    found['conf'].CONF.clear_override(OPTION, 'filter_scheduler')
    found['conf'].CONF.clear_override('preserve_mix', 'numaplace')


def _hosts(seed):
    rng = random.Random(seed)
    pinned = [[','.join(map(str, rng.sample(range(8), rng.randrange(9)))) for _ in range(2)] for _ in range(6)]
    return [
        HostRecord(f'host{number}', host(*(cell(place, '0-7', pinned=cpus) for place, cpus in enumerate(each))))
        for number, each in enumerate(pinned)
    ]


def _states(nova, records):
    found = []
    for record in records:
        state = nova.host_manager.HostState(record.name, record.name, None)
        state.numa_topology, state.aggregates = nova.theirs.read_host(wire.write_host(record.host)), []
        found.append(state)
    return found


def _weighed(nova, states, wanted):
    topology = nova.theirs.read_guest(nova_requests.write_guest(wanted))
    spec = nova.objects.RequestSpec(numa_topology=topology)
    return nova.weights.HostWeightHandler().get_weighed_objects([nova.weigher()], states, spec)


@pytest.mark.parametrize('mix', [(), MIX], ids=['any', 'mix'])
@pytest.mark.parametrize('wanted', [WIDE, NARROW], ids=['wide', 'narrow'])
def test_hosts_weigh_as_in_the_scheduler_of_numaplace(nova, wanted, mix):
    nova.conf.CONF.set_override('preserve_mix', mix, 'numaplace')
    request = Request(InstanceRequest('one', Flavor('f', 1, 512, 0, {}, 'f'), wanted))
    for seed in range(50):
        records = _hosts(seed)
        theirs = _weighed(nova, _states(nova, records), wanted)
        ours = weigh(records, [(NUMAPreserveWeigher(Mix.of(mix)), 1.0)], request)
        assert [weight for _, weight in ours] == pytest.approx([each.weight for each in theirs])


def test_the_fuller_host_comes_first_and_with_a_negative_multiplier_last(nova):
    full, empty = cell(0, '0-7', pinned='0-3'), cell(0, '0-7')
    states = _states(nova, [HostRecord('empty', host(empty)), HostRecord('full', host(full))])
    assert ['full', 'empty'] == [each.obj.host for each in _weighed(nova, states, NARROW)]
    nova.conf.CONF.set_override(OPTION, -1.0, 'filter_scheduler')
    assert ['empty', 'full'] == [each.obj.host for each in _weighed(nova, states, NARROW)]
    states[1].aggregates = [nova.objects.Aggregate(metadata={OPTION: '5'})]
    assert ['full', 'empty'] == [each.obj.host for each in _weighed(nova, states, NARROW)]


def test_hosts_without_cells_and_guests_without_a_topology_are_weighed_too(nova):
    states = _states(nova, _hosts(1))
    states[0].numa_topology = None
    spec = nova.objects.RequestSpec(numa_topology=None)
    weighed = nova.weights.HostWeightHandler().get_weighed_objects([nova.weigher()], states, spec)
    assert 'host0' == weighed[0].obj.host
