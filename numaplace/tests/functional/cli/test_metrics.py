# SPDX-License-Identifier: Apache-2.0
"""The figures of a fleet for Prometheus."""

import json
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from numaplace.compute import resource_tracker
from numaplace.db import api
from numaplace.model import HostDevices, PciDevice

GPUS = tuple(PciDevice(f'0000:0{cell + 1}:00.0', '10de', '20b0', numa_node=cell) for cell in (0, 1))
ALIAS = json.dumps({'name': 'gpu', 'vendor_id': '10de', 'product_id': '20b0', 'numa_policy': 'required'})


class Written:
    """The metrics of a text, as prometheus_client collects them."""

    def __init__(self, text):
        self._text = text

    def collect(self):
        return text_string_to_metric_families(self._text)


def figures(text):
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_figures_are_those_of_the_hosts_and_of_what_fits(prepared):
    found = figures(prepared('metrics --hosts'))
    (host,) = prepared.json('host list')
    cpus = [value for (name, *_), value in found.items() if name == 'numaplace_cell_dedicated_cpus_free']
    assert host['CPUs Free'] == sum(cpus)
    (counted,) = prepared.json('fleet capacity --flavor m1.numa')
    assert counted['at_least'] == found['numaplace_flavor_fits', ('flavor', 'm1.numa'), ('host', '')]
    assert counted['at_least'] == found['numaplace_flavor_fits', ('flavor', 'm1.numa'), ('host', 'seed3')]
    assert 1 == found['numaplace_hosts', ('state', 'up'), ('status', 'enabled')]


def test_they_are_written_as_prometheus_client_writes_them(prepared):
    prepared('flavor create --ram 512 --disk 1 --vcpus 1', 'm1."evil"\\')
    text = prepared('metrics --hosts')
    registry = CollectorRegistry()
    registry.register(Written(text))
    assert generate_latest(registry).decode() == text


def test_they_are_written_to_a_file_as_a_whole_and_names_are_escaped(prepared):
    name = 'm1."evil"\\'
    prepared('flavor create --ram 512 --disk 1 --vcpus 1', name)
    target = prepared.directory / 'numaplace.prom'
    assert '' == prepared('metrics --output', str(target))
    assert ('numaplace_flavor_fits', ('flavor', name), ('host', '')) in figures(target.read_text())
    assert ['numaplace.prom'] == [path.name for path in prepared.directory.glob('*.prom*')]


def test_a_file_that_cannot_be_written_and_an_unknown_flavor_are_one_line(refused):
    assert '--output' in refused(1, 'metrics', '--output', '/nowhere/numaplace.prom')
    assert "--flavor 'x'" in refused(1, 'metrics', '--flavor', 'x')


@pytest.fixture
def busy(prepared):
    """The program with servers of every kind: in a group, with a device, in a move, offloaded."""
    with api.connect(f'sqlite:///{prepared.database}') as database:
        host = database.host('seed3').host
        resource_tracker.refresh(database, 'seed3', replace(host, devices=HostDevices(GPUS)))
    filters = 'NumInstancesFilter,ServerGroupAntiAffinityFilter,PciPassthroughFilter,NUMATopologyFilter'
    more = f'[filter_scheduler]\nenabled_filters = {filters}\nmax_instances_per_host = 3\n[pci]\nalias = {ALIAS}\n'
    prepared.configure(more=more)
    prepared(f'host import compute1 --capabilities {prepared.fixture("seed3")}')
    prepared('aggregate create --zone az1 rack')
    prepared('aggregate add host rack compute1')
    prepared('flavor create --ram 512 --vcpus 2 --property hw:cpu_policy=dedicated m1.pinned')
    prepared('flavor create --ram 512 --vcpus 1 --property hw:numa_nodes=1 m1.gpu')
    prepared('flavor set --property pci_passthrough:alias=gpu:1 m1.gpu')
    prepared('server group create --policy anti-affinity web')
    prepared('server create --flavor m1.gpu --host seed3 gpu1')
    prepared('server create --flavor m1.tiny --host seed3 --hint group=web web1')
    prepared('server create --flavor m1.pinned --host compute1 moving')
    prepared('server migrate moving')
    prepared('server create --flavor m1.pinned --host compute1 away')
    prepared('server shelve away')
    return prepared


def change(program, statement):
    """Write to the database behind the program's back."""
    with closing(sqlite3.connect(program.database)) as connection, connection:
        connection.execute(statement)


def test_the_figures_are_those_of_a_file_with_all_servers(busy):
    busy('fleet export fleet.json')
    for command in ('metrics --hosts', 'fleet capacity --flavor m1.tiny m1.gpu --hosts', 'flavor lint -f json'):
        assert busy(command) == busy(f'{command} --from fleet.json')
    found = figures(busy('metrics --hosts'))
    assert 4 == found['numaplace_servers',]
    fits = {
        name: found['numaplace_flavor_fits', ('flavor', 'm1.tiny'), ('host', name)] for name in ('seed3', 'compute1')
    }
    assert {'seed3': 0, 'compute1': 2} == fits


@pytest.mark.parametrize(
    'statement',
    [
        "UPDATE instances SET flavor = '{' WHERE display_name = 'web1'",
        "UPDATE instance_extra SET guest_details = '{' WHERE id = 1",
        "UPDATE instance_extra SET numa_topology = 'nothing'",
        "UPDATE instance_extra SET migration_context = '{' WHERE migration_context IS NOT NULL",
    ],
)
def test_what_is_damaged_of_a_server_and_changes_no_figure_is_left_to_the_audit(busy, statement):
    before = busy('metrics --hosts')
    change(busy, statement)
    assert before == busy('metrics --hosts')
    assert 'row.unreadable' in busy.run('fleet', 'audit', '-f', 'json').stdout


@pytest.mark.parametrize(
    ('statement', 'rows'),
    [
        ("UPDATE instances SET host = 'nowhere' WHERE display_name = 'web1'", 1),
        ("UPDATE instances SET host = NULL WHERE display_name = 'web1'", 1),
        ('DELETE FROM instance_extra WHERE numa_topology IS NULL AND id = 2', 1),
        ("UPDATE migrations SET dest_compute = 'nowhere'", 3),
    ],
)
def test_a_server_that_may_hold_something_anywhere_is_counted_as_unread_and_stops_nothing(busy, statement, rows):
    before = figures(busy('metrics --hosts'))
    change(busy, statement)
    after = figures(busy('metrics --hosts'))
    assert (3, rows) == (after['numaplace_servers',], after['numaplace_unread_rows',])
    cells = {key: value for key, value in before.items() if key[0].startswith('numaplace_cell')}
    assert cells.items() <= after.items()


def test_a_host_that_cannot_be_read_is_counted_and_the_others_are_shown(busy):
    change(busy, "UPDATE compute_nodes SET numa_topology = '{' WHERE host = 'seed3'")
    found = figures(busy('metrics --hosts'))
    assert (4, 1) == (found['numaplace_servers',], found['numaplace_unread_rows',])
    assert {'compute1'} == {dict(labels).get('host') for name, *labels in found if name.startswith('numaplace_cell')}
