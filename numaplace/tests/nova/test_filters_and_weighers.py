# SPDX-License-Identifier: Apache-2.0
"""Filters and weighers decide as Nova's own objects, but for the differences that the documentation lists."""

import collections
import importlib
import os
import types

import pytest

from numaplace import exception, plugins
from numaplace.model import Refusal
from numaplace.model.grouping import AFFINITY
from numaplace.scheduler import names
from numaplace.scheduler.weights import weigh
from numaplace.tests.nova import scheduling

pytestmark = pytest.mark.filterwarnings('ignore')  # Nova and what it imports warn of their own deprecations

#: Pairs of a fleet and a request for each filter and weigher.
CASES = int(os.environ.get('NUMAPLACE_FILTER_CASES', '1000'))
#: Compared elsewhere, as is the weigher that Nova does not have: the fit itself, devices, and what Nova forbids
#: before it asks its filters.
ELSEWHERE = {'NUMATopologyFilter', 'PciPassthroughFilter', 'IsolatedAggregatesFilter'}

ERROR = 'error'


@pytest.fixture(scope='module')
def scheduler(theirs):
    """Nova's own filters and weighers, by name, and what they read; its options are put back."""
    modules = ('conf', 'objects', 'scheduler.filters', 'scheduler.host_manager', 'scheduler.weights')
    found = {name.rpartition('.')[2]: importlib.import_module(f'nova.{name}') for name in modules}
    nova = types.SimpleNamespace(**found, timeutils=importlib.import_module('oslo_utils.timeutils'))
    nova.objects.register_all()
    nova.by_name = {kind.__name__: kind for kind in nova.filters.all_filters()}
    nova.weighers_by_name = {kind.__name__: kind for kind in nova.weights.all_weighers()}
    # Heartbeats are as old as the scenes; many scenes take longer than the minute after which a host is down.
    nova.conf.CONF.set_override('service_down_time', 86400)
    yield nova
    nova.conf.CONF.clear_override('service_down_time')
    for option in scheduling.scene(0).options:
        nova.conf.CONF.clear_override(option, 'filter_scheduler')


@pytest.fixture(scope='module')
def scenes(scheduler):
    """All scenes, with Nova's objects of them."""
    found = [scheduling.scene(seed) for seed in range(34_000_000, 34_000_000 + CASES)]
    return [(made, scheduling.host_states(scheduler, made), scheduling.request_spec(scheduler, made)) for made in found]


def configure(scheduler, made):
    for option, value in made.options.items():
        scheduler.conf.CONF.set_override(option, value, 'filter_scheduler')


def answer_of_nova(check, state, spec):
    try:
        return bool(check.host_passes(state, spec))
    except Exception:  # noqa: BLE001 - status 500, whatever it is
        return ERROR


def answer_of_ours(check, host, request):
    try:
        return not isinstance(check.admit(host, request), Refusal)
    except exception.Invalid:
        return ERROR


def numbers(made, host, ours, theirs):
    return 'an operator that Nova fails on' if (ours, theirs) == (False, ERROR) else None


def several_hosts(made, host, ours, theirs):
    group = made.request.group
    own = made.request.instance.uuid
    others = {place for server, places in group.members.items() if server != own for place in places}
    if (ours, theirs) == (False, True) and len(others) > 1 and host.name in others:
        return 'an affinity group on several hosts'
    if (ours, theirs) == (True, False) and group.policy == AFFINITY and own in group.members and not others:
        return 'the only member of an affinity group moves'
    if (ours, theirs) == (False, True) and host.name in group.members.get(own, ()):
        return 'a member that is not with the others'
    return None


def images(made, host, ours, theirs):
    keys = {key for aggregate in host.aggregates for key in aggregate.metadata}
    image = made.request.instance.image_properties
    if 'hw_qemu_guest_agent' in keys & set(image):
        return 'a property that is true or false'
    if (ours, theirs) == (False, True) and 'rack' in keys & set(image):
        return 'a property that Nova does not know'
    if (ours, theirs) == (False, True) and 'hw_vm_mode' in keys & set(image) and image['hw_vm_mode'] == 'hv':
        return 'another spelling of a mode'
    return None


#: Why the two may differ, by filter; each is listed on the page of differences.
EXPLAINED = {
    'AggregateInstanceExtraSpecsFilter': numbers,
    'ComputeCapabilitiesFilter': numbers,
    'ServerGroupAffinityFilter': several_hosts,
    'AggregateImagePropertiesIsolation': images,
}


def test_every_filter_and_weigher_of_nova_is_known(scheduler):
    ours = {*plugins.known(plugins.FILTERS), *names.IDLE_FILTERS}
    assert set() == set(scheduler.by_name) - ours
    weighers = {*plugins.known(plugins.WEIGHTS), *names.IDLE_WEIGHERS}
    assert set() == set(scheduler.weighers_by_name) - weighers


@pytest.mark.parametrize('name', sorted(set(plugins.known(plugins.FILTERS)) - ELSEWHERE))
def test_a_filter_admits_the_hosts_that_novas_own_admits(scheduler, scenes, tally, name):
    if name not in scheduler.by_name:
        assert name in {
            'AggregateCoreFilter',
            'AggregateRamFilter',
            'AvailabilityZoneFilter',
            'CoreFilter',
            'RamFilter',
        }, 'Nova 34 has it no longer'
        return
    (kind,) = plugins.load(plugins.FILTERS, [name], 'test')
    found, answers = [], collections.Counter()
    for made, states, spec in scenes:
        configure(scheduler, made)
        own, check = kind.of(made.group), scheduler.by_name[name]()
        for host, state in zip(made.hosts, states, strict=True):
            ours, theirs = answer_of_ours(own, host, made.request), answer_of_nova(check, state, spec)
            answers[ours] += 1
            if ours != theirs:
                explain = EXPLAINED.get(name)
                reason = explain(made, host, ours, theirs) if explain else None
                tally[f'{name}: {reason}'] += 1
                if reason is None:
                    found.append((host, made.request, made.options, ours, theirs))
    assert [] == found
    assert min(answers[True], answers[False]) > CASES / 20


@pytest.mark.parametrize('name', sorted({*plugins.known(plugins.WEIGHTS)} - {names.PRESERVE}))
def test_a_weigher_weighs_as_novas_own(scheduler, scenes, name):
    (kind,) = plugins.load(plugins.WEIGHTS, [name], 'test')
    compare(scheduler, scenes, {name: kind})


def test_all_weighers_together_weigh_as_novas_own(scheduler, scenes):
    known = [name for name in plugins.known(plugins.WEIGHTS) if name != names.PRESERVE]
    compare(scheduler, scenes, dict(zip(known, plugins.load(plugins.WEIGHTS, known, 'test'), strict=True)))


def compare(scheduler, scenes, kinds):
    handler = scheduler.weights.HostWeightHandler()
    for made, states, spec in scenes:
        configure(scheduler, made)
        theirs = handler.get_weighed_objects([scheduler.weighers_by_name[name]() for name in kinds], states, spec)
        ours = weigh(
            made.hosts, [(kind(), made.options[kind.multiplier_option]) for kind in kinds.values()], made.request
        )
        assert [each.obj.host for each in theirs] == [host.name for host, _ in ours], made
        if len(ours) > 1:  # Nova does not weigh a single host
            assert [each.weight for each in theirs] == pytest.approx([weight for _, weight in ours]), made
