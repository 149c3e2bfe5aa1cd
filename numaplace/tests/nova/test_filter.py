# SPDX-License-Identifier: Apache-2.0
"""The filter that a real nova-scheduler loads, with Nova's own objects, handler and unit tests."""

import importlib
import itertools
import logging
import os
import random
import re
import subprocess
import sys
import types
from concurrent import futures

import pytest

from numaplace import fit
from numaplace.tests.nova.made import INSTANCE

pytestmark = pytest.mark.filterwarnings('ignore')  # Nova and what it imports warn of their own deprecations

#: As an operator writes it.
NOVA_CONF = """
[filter_scheduler]
available_filters = nova.scheduler.filters.all_filters
available_filters = numaplace.nova.filter.NUMATopologyFilter
enabled_filters = ComputeFilter,NUMATopologyFilter
"""


@pytest.fixture
def loaded(nova, tmp_path):
    """The filter as Nova finds it by the name in enabled_filters."""
    path = tmp_path / 'nova.conf'
    path.write_text(NOVA_CONF, 'utf-8')
    conf = importlib.import_module('oslo_config.cfg').ConfigOpts()
    importlib.import_module('nova.conf.scheduler').register_opts(conf)
    conf(['--config-file', str(path)], 'nova', default_config_files=[])
    handler = nova.filters.HostFilterHandler()
    by_name = {found.__name__: found for found in handler.get_matching_classes(conf.filter_scheduler.available_filters)}
    return types.SimpleNamespace(handler=handler, by_name=by_name, conf=conf)


@pytest.fixture
def run(nova, loaded, caplog):
    """Filter hosts as nova-scheduler does; returns the names of the hosts and the warnings."""
    caplog.set_level(logging.WARNING, 'numaplace')

    def call(hosts, request):
        caplog.clear()
        numa = loaded.by_name['NUMATopologyFilter']()
        left = loaded.handler.get_filtered_objects([numa], hosts, request)
        return [host.host for host in left], [record.getMessage() for record in caplog.records]

    return call


def test_the_filter_takes_the_place_of_novas_by_its_name(nova, loaded):
    assert nova.ours.NUMATopologyFilter is loaded.by_name['NUMATopologyFilter']
    assert {'ComputeFilter', 'NUMATopologyFilter'} == set(loaded.conf.filter_scheduler.enabled_filters)
    assert 'ComputeFilter' in loaded.by_name


def test_its_import_installs_the_engine():
    script = (
        'from nova.virt import hardware\n'
        'import numaplace.nova.filter\n'
        'assert hardware.numa_fit_instance_to_host.__module__.startswith("numaplace.nova.")\n'
    )
    subprocess.run([sys.executable, '-W', 'ignore', '-c', script], check=True, timeout=120, env=_environment())


def test_its_import_brings_no_objects_of_ours_into_novas_registry_and_no_room_that_needs_an_extra():
    script = (
        'import sys\n'
        'from nova import objects\n'
        'from nova.scheduler import filters, host_manager\n'
        'objects.register_all()\n'
        'registry = objects.base.NovaObjectRegistry.obj_classes\n'
        'before = {name: list(found) for name, found in registry().items()}\n'
        'import numaplace.nova.filter\n'
        'assert before == {name: list(found) for name, found in registry().items()}\n'
        'packages = {name.split(".")[1] for name in sys.modules if name.startswith("numaplace.")}\n'
        'assert not packages & {"cli", "compute", "db", "libvirt", "objects", "scheduler"}, packages\n'
    )
    subprocess.run([sys.executable, '-W', 'ignore', '-c', script], check=True, timeout=120, env=_environment())


def _environment():
    return {**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path), 'LC_ALL': 'C.utf8', 'OS_TEST_TIMEOUT': '60'}


def test_a_guest_that_fits_no_host_is_refused_and_one_line_says_why(make, run):
    left, warned = run([make.host('cn-1', make.free(4, 4, 4))], make.request(1, 1, 6))
    assert [] == left
    assert [
        'NUMA topology fits 0 of 1 host: 1 cpus.dedicated.total; least short: cn-1, 2 dedicated CPUs in cell 0'
    ] == [re.sub(r'^\[instance: .*?\] ', '', line) for line in warned]


def test_a_guest_of_unequal_cells_is_accepted_where_it_fits(make, run):
    assert (['cn-1'], []) == run([make.host('cn-1', make.free(0, 2, 1))], make.request(1, 2))


def test_hosts_are_kept_in_their_order_and_nothing_is_warned_of_while_one_is_left(make, run):
    hosts = [make.host(f'cn-{number}', make.free(free)) for number, free in enumerate((4, 1, 3, 0, 2))]
    assert (['cn-0', 'cn-2', 'cn-4'], []) == run(hosts, make.request(2))


def test_the_summary_counts_every_host_also_those_of_one_name(make, run):
    hosts = [make.host('cn', make.free(1)), make.host('cn', make.free(0)), make.host('cn-3', None)]
    left, (warned,) = run(hosts, make.request(2))
    assert [] == left
    assert 'fits 0 of 3 hosts: 2 cpus.dedicated.free, 1 host.topology; least short: cn, 1 dedicated CPU' in warned


def test_the_warning_bears_the_request_and_the_instance(nova, make, run, caplog):
    log = importlib.import_module('oslo_log.log')
    conf = importlib.import_module('oslo_config.cfg').ConfigOpts()
    log.register_options(conf)
    conf([], 'nova', default_config_files=[])
    context = nova.context.RequestContext('user', 'project', is_admin=False, overwrite=True)
    run([make.host('cn-1', make.free(1))], make.request(2))
    (record,) = caplog.records
    formatter = importlib.import_module('oslo_log.formatters').ContextFormatter(config=conf)
    line = formatter.format(record)
    assert context.request_id in line
    assert f'[instance: {INSTANCE}]' in line
    assert '\n' not in line


def test_each_refusal_is_told_in_full_at_debug(make, run, caplog):
    run([], make.request(2))
    caplog.set_level(logging.DEBUG, 'numaplace')
    run([make.host('cn-\x1b[2J', make.free(1, 0))], make.request(2))
    (record,) = [record for record in caplog.records if 'refuses' in record.getMessage()]
    assert (
        'cn-\\x1b[2J refuses the NUMA topology: guest cell 0 needs 2 free dedicated CPUs: '
        'host cell 0 has 1 (1 short), host cell 1 has 0 (2 short)'
    ) in record.getMessage()


def test_the_limits_of_the_host_are_set_for_the_claim(make, run):
    host, other = make.host('cn-1', make.free(4)), make.host('cn-2', make.free(1))
    networks = make.objects.NetworkMetadata(physnets=set(), tunneled=False)
    run([host, other], make.request(2, network_metadata=networks))
    limits = host.limits['numa_topology']
    assert (4.0, 1.5) == (limits.cpu_allocation_ratio, limits.ram_allocation_ratio)
    assert networks is limits.network_metadata
    assert {} == other.limits


def test_the_networks_of_the_guest_are_near_one_of_its_cells(make, run):
    topology = make.free(4, 4)
    topology.cells[1].network_metadata.physnets = {'lake'}
    topology.cells[1].pinned_cpus = {5, 6, 7}
    networks = make.objects.NetworkMetadata(physnets={'lake'}, tunneled=False)
    assert [] == run([make.host('cn-1', topology)], make.request(2, network_metadata=networks))[0]
    assert ['cn-1'] == run([make.host('cn-1', topology)], make.request(1, network_metadata=networks))[0]


def test_a_guest_without_topology_passes_everywhere(make, run):
    hosts = [make.host('cn-1', None), make.host('cn-2', make.free(0))]
    assert (['cn-1', 'cn-2'], []) == run(hosts, make.request())
    assert [{}, {}] == [host.limits for host in hosts]


def test_a_rebuild_stays_where_it_is(make, run):
    rebuild = make.request(4, scheduler_hints={'_nova_check_type': ['rebuild']})
    assert (['cn-1'], []) == run([make.host('cn-1', make.free(0))], rebuild)


def test_neither_the_request_nor_the_topology_of_the_host_is_changed(make, run):
    request, host = make.request(1, 2), make.host('cn-1', make.free(0, 2, 1))
    before = request.obj_to_primitive(), host.numa_topology.obj_to_primitive()
    asked = request.numa_topology
    run([host], request)
    assert asked is request.numa_topology
    assert before == (request.obj_to_primitive(), host.numa_topology.obj_to_primitive())


def test_what_the_scheduler_consumes_is_what_the_filter_found(make, run):
    """Two guests of one request, one host with room for one of them."""
    request, host = make.request(1, 2), make.host('cn-1', make.free(0, 2, 1))
    assert ['cn-1'] == run([host], request)[0]
    host.consume_from_request(request)
    assert [4, 4, 4] == [len(cell.pinned_cpus) for cell in host.numa_topology.cells]
    assert [] == run([host], request)[0]


def test_candidates_are_kept_whose_devices_are_near(make, run):
    candidates = [{'mappings': {'wish-0': [provider]}} for provider in ('near', 'far', 'near')]
    pools = make.objects.PciDevicePoolList(objects=[make.device(0, 'far'), make.device(1, 'near')])
    host = make.host('cn-1', make.free(1, 4), candidates, pools)
    assert ['cn-1'] == run([host], make.request(2, requests=[make.wish('wish')]))[0]
    assert [candidates[0], candidates[2]] == host.allocation_candidates


def test_without_a_candidate_that_fits_the_host_is_refused(make, run):
    pools = make.objects.PciDevicePoolList(objects=[make.device(0, 'far')])
    host = make.host('cn-1', make.free(1, 4), [{'mappings': {'wish-0': ['far']}}], pools)
    left, (warned,) = run([host], make.request(2, requests=[make.wish('wish')]))
    assert ([], []) == (left, host.allocation_candidates)
    assert '1 pci.affinity' in warned


def test_a_host_without_candidates_is_refused(make, run):
    left, (warned,) = run([make.host('cn-1', make.free(4), ())], make.request(2))
    assert [] == left
    assert '1 candidates.none' in warned


def test_a_host_is_fitted_once_whatever_the_number_of_candidates(nova, make, run, monkeypatch):
    calls = []

    def refusal(*args, **kwargs):
        calls.append(args)
        return fit.refusal(*args, **kwargs)

    monkeypatch.setattr(nova.ours, 'fit', types.SimpleNamespace(refusal=refusal))
    candidates = [{'mappings': {'wish-0': [f'card-{number}']}} for number in range(8)]
    pools = make.objects.PciDevicePoolList(objects=[make.device(number % 2, f'card-{number}') for number in range(8)])
    host = make.host('cn-1', make.free(4, 4), candidates, pools)
    assert ['cn-1'] == run([host], make.request(2, requests=[make.wish('wish')]))[0]
    assert (1, candidates) == (len(calls), host.allocation_candidates)


class Drawn(fit.Devices):
    """Devices that are to be had on the sets of host cells that are drawn."""

    def __init__(self, sets):
        self._sets = sets

    def supports(self, host_cells):
        return host_cells in self._sets


@pytest.mark.parametrize('seed', range(100))
def test_one_search_finds_for_each_candidate_what_a_search_of_its_own_would(nova, make, seed):
    draw = random.Random(seed)
    host = nova.ours.scheduler_request.convert.read_host(make.free(*(draw.randrange(5) for _cell in range(4))))
    guest = nova.ours.scheduler_request.convert.read_guest(make.request(1, 2).numa_topology)
    pairs = [frozenset(pair) for pair in itertools.combinations(range(4), 2)]
    devices = {
        frozenset({('wish', (str(number),))}): Drawn(draw.sample(pairs, draw.randrange(3))) for number in range(4)
    }
    alone = [bool(fit.place(host, guest, devices=each)) for each in devices.values()]
    offers = nova.ours._Offers(devices)
    fit.place(host, guest, devices=offers)
    together = [offers.accepts({'mappings': {'wish': [str(number)]}}) for number in range(4)]
    assert alone == together


def test_threads_share_a_filter_and_keep_their_refusals_apart(nova, make, caplog):
    """Each request meets hosts of its own number, so a mix would show in the counts."""
    caplog.set_level(logging.WARNING, 'numaplace')
    shared = nova.ours.NUMATopologyFilter()
    work = [
        ([make.host(f'cn-{host}', make.free(1)) for host in range(count)], make.request(2)) for count in range(2, 34)
    ]
    with futures.ThreadPoolExecutor(8) as pool:
        assert [[]] * 32 == list(pool.map(lambda item: shared.filter_all(*item), work))
    told = sorted(int(re.search(r'0 of (\d+) hosts: \1 cpus', record.getMessage())[1]) for record in caplog.records)
    assert list(range(2, 34)) == told
    assert {} == vars(shared)
