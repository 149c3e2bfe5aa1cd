# SPDX-License-Identifier: Apache-2.0
"""Changes of a fleet that are only imagined, and what is said about both states."""

from dataclasses import replace

import pytest

from numaplace import exception
from numaplace.fleet import comparison, what_if
from numaplace.fleet.audit import audit
from numaplace.fleet.capacity import Capacity
from numaplace.fleet.findings import Finding
from numaplace.fleet.usage import count
from numaplace.fleet.what_if import HostOptions
from numaplace.model.fleet import Aggregate, Inventory, Remark, Unread
from numaplace.model.held import hold
from numaplace.model.holding import Holding
from numaplace.model.records import DISABLED
from numaplace.tests import samples
from numaplace.tests.unit.fleet import fleets
from numaplace.tests.unit.fleet.fleets import FLAVOR, placed, recounted, with_server


@pytest.fixture
def fleet():
    """Two hosts in an aggregate, known to placement, with servers that are all counted."""
    found = placed(placed(fleets.fleet()), 'h1')
    return replace(found, aggregates=(Aggregate('rack', {'availability_zone': 'west'}, ('h1', 'h2')),))


def _codes(found):
    return [(finding.code, finding.host, finding.server) for finding in found]


def _new(before, after):
    new, gone = comparison.new_and_gone(audit(before), audit(after))
    return _codes(new), _codes(gone)


def _record(fleet, name):
    return next(record for record in fleet.hosts if record.name == name)


def _provider(fleet, name):
    return next(provider for provider in fleet.providers if provider.host == name)


# --- hosts


def test_servers_of_a_host_that_is_removed_are_findings_and_the_host_is_nowhere(fleet):
    left = what_if.remove_host(fleet, 'h1')
    assert (['h2'], ['h2']) == ([host.name for host in left.hosts], [each.host for each in left.providers])
    assert ('h2',) == left.aggregates[0].hosts
    assert left.servers == fleet.servers
    new, _gone = _new(fleet, left)
    assert [('server.host', 'h1', name) for name in ('s1', 's2', 's3', 's4')] == new


def test_what_was_not_read_of_a_host_that_is_removed_goes_and_its_servers_stay_unread(fleet):
    rows = Unread('row.unreadable', 'x', 'k', 'bad', 'h1'), Unread('row.unreadable', 'x', 's9', 'bad', 'h1', 's9')
    remarks = Remark('server.host', 'h1'), Remark('server.host', 'h1', 's1')
    left = what_if.remove_host(replace(fleet, unread=rows, remarks=remarks), 'h1')
    assert (replace(rows[1], host=None),) == left.unread
    assert remarks[1:] == left.remarks
    assert ('server.host', 'h1', 's1') in _new(fleet, left)[0]


def test_a_host_that_is_added_is_empty_enabled_and_in_the_same_places(fleet):
    disabled = replace(fleet, hosts=(replace(fleet.hosts[0], status=DISABLED, number=7), fleet.hosts[1]))
    grown = what_if.add_host(disabled, 'a', 'h1')
    new = _record(grown, 'a')
    assert ['a', 'h1', 'h2'] == [host.name for host in grown.hosts]
    assert count(fleet.hosts[0].host, ()) == new.host
    assert (0, 0, 'enabled', None) == (new.host.vcpus_used, new.host.cells[0].pinned_cpus, new.status, new.number)
    assert ('h1', 'h2', 'a') == grown.aggregates[0].hosts
    provider = _provider(grown, 'a')
    assert ({}, _provider(fleet, 'h1').inventories) == (provider.allocations, provider.inventories)
    assert ([], []) == _new(disabled, grown)


def test_a_host_that_is_added_has_none_of_the_domains_of_the_other(fleet):
    record = fleet.hosts[1]
    domains = (Holding('other', 'u', 2, dedicated=frozenset({4}), floating=1, memory=((frozenset({0}), 64),)),)
    held = replace(record, host=hold(record.host, domains), unmanaged=domains)
    assert held.host.held_mib == 64
    grown = what_if.add_host(replace(fleet, hosts=(fleet.hosts[0], held)), 'h3', 'h2')
    assert count(record.host, ()) == _record(grown, 'h3').host
    assert () == _record(grown, 'h3').unmanaged


def test_adding_and_removing_a_host_is_no_change(fleet):
    assert fleet == what_if.remove_host(what_if.add_host(fleet, 'h3', 'h1'), 'h3')


@pytest.mark.parametrize(
    ('change', 'error', 'text'),
    [
        (lambda fleet: what_if.remove_host(fleet, 'x'), exception.NotFound, "no host 'x'; known hosts: h1, h2"),
        (lambda fleet: what_if.add_host(fleet, 'h3', 'x'), exception.NotFound, "no host 'x'; known hosts: h1, h2"),
        (lambda fleet: what_if.set_hosts(fleet, {'x': HostOptions()}), exception.NotFound, "no host 'x'"),
        (lambda fleet: what_if.add_host(fleet, 'h2', 'h1'), exception.AlreadyExists, "a host 'h2' already"),
    ],
)
def test_a_host_that_does_not_exist_or_exists_is_named(fleet, change, error, text):
    with pytest.raises(error, match=text):
        change(fleet)


# --- options of hosts


def test_cpu_sets_change_cells_and_inventories_and_pins_outside_are_findings(fleet):
    assert (0x0303, 0xFCFC) == (fleet.hosts[0].host.shared_cpus, fleet.hosts[0].host.dedicated_cpus)
    options = HostOptions(dedicated_cpus=0xFCF0, shared_cpus=0x0303)
    changed = what_if.set_hosts(fleet, {'h1': options})
    host = _record(changed, 'h1').host
    assert [(0x03, 0xF0), (0x300, 0xFC00)] == [(c.shape.shared_cpus, c.shape.dedicated_cpus) for c in host.cells]
    assert [cell.pinned_cpus for cell in fleet.hosts[0].host.cells] == [cell.pinned_cpus for cell in host.cells]
    inventories = _provider(changed, 'h1').inventories
    assert (4, 10) == (inventories['VCPU'].total, inventories['PCPU'].total)
    assert fleet.hosts[1] == _record(changed, 'h2')
    # Pins on CPUs that are in no set any more: whether they are online is not known.
    assert ([('cpus.missing', 'h1', 's1')], []) == _new(fleet, changed)


def test_the_other_set_is_empty_where_neither_was_set(fleet):
    both = replace(fleet.hosts[1], host=samples.host())
    alone = replace(fleet, hosts=(fleet.hosts[0], both))
    for options, expected in (
        (HostOptions(dedicated_cpus=0xF0F0), (0, 0xF0F0)),
        (HostOptions(shared_cpus=0x0F0F), (0x0F0F, 0)),
        (HostOptions(cpu_allocation_ratio=2.0), (0xFFFF, 0xFFFF)),
    ):
        host = _record(what_if.set_hosts(alone, {'h2': options}), 'h2').host
        assert expected == (host.shared_cpus, host.dedicated_cpus)


def test_ratios_change_the_host_and_its_inventories(fleet):
    provider = replace(
        _provider(fleet, 'h1'),
        inventories={'VCPU': Inventory(4), 'MEMORY_MB': Inventory(8192, 512), 'PCPU': Inventory(12)},
    )
    fleet = replace(fleet, providers=(provider, *fleet.providers[1:]))
    changed = what_if.set_hosts(fleet, {'h1': HostOptions(cpu_allocation_ratio=8.0, ram_allocation_ratio=1.5)})
    record = _record(changed, 'h1')
    assert (8.0, 1.5) == (record.cpu_allocation_ratio, record.ram_allocation_ratio)
    assert {
        'VCPU': Inventory(4, 0, 8.0),
        'MEMORY_MB': Inventory(8192, 512, 1.5),
        'PCPU': Inventory(12),
    } == _provider(changed, 'h1').inventories
    assert fleet.hosts[0].host == record.host


def test_reserved_pages_change_one_size_in_one_cell_and_too_many_are_findings(fleet):
    (number,) = [cell.id for cell in fleet.hosts[0].host.cells if cell.pages[1].used]
    total = fleet.hosts[0].host.cells[number].pages[1].total
    changed = what_if.set_hosts(fleet, {'h1': HostOptions(reserved={(number, 2048): total})})
    reserved = [[pages.reserved for pages in cell.pages] for cell in _record(changed, 'h1').host.cells]
    assert [[0, total if cell == number else 2] for cell in (0, 1)] == reserved
    assert ([('pages.overdrawn', 'h1', None)], []) == _new(fleet, changed)


def test_no_options_are_no_change(fleet):
    assert fleet == what_if.set_hosts(fleet, {'h1': HostOptions()})


@pytest.mark.parametrize(
    ('options', 'text'),
    [
        (HostOptions(dedicated_cpus=1 << 16), 'cpu_dedicated_set = 16: CPUs 16 are not known there: .* some of 0-15'),
        (HostOptions(shared_cpus=0b111), 'cpu_shared_set = 0-2 and cpu_dedicated_set = .* both hold CPUs 2'),
        (HostOptions(reserved={(2, 2048): 1}), 'node:2,size:2048,...: there are no such pages; expected one of node:0'),
        (HostOptions(reserved={(0, 2048): 10**6}), 'node:0,size:2048,count:1000000: expected 0 to 1024'),
    ],
)
def test_options_that_a_host_cannot_have_are_named(fleet, options, text):
    with pytest.raises(exception.Invalid, match=f"^host 'h1': .*{text}"):
        what_if.set_hosts(fleet, {'h1': options})


# --- servers and flavors


@pytest.mark.parametrize('name', ['s1', 's2', 's3', 's4', 's5'])
def test_a_fleet_without_a_server_is_the_one_that_never_had_it(fleet, name):
    server = next(each for each in fleet.servers if each.name == name)
    left = what_if.delete_server(fleet, server)
    never = recounted(replace(fleet, servers=tuple([each for each in fleet.servers if each.name != name])))
    assert (never.hosts, never.servers) == (left.hosts, left.servers)
    gone = {server.uuid, server.move.uuid if server.move else server.uuid}
    assert all(not gone & set(provider.allocations) for provider in left.providers)


def test_what_is_not_counted_for_a_server_stays_when_it_is_deleted(fleet):
    wrong = with_server(fleet, 's1', host='h2')
    server = next(each for each in wrong.servers if each.name == 's1')
    left = what_if.delete_server(wrong, server)
    assert wrong.hosts == left.hosts
    assert {'cpus.leaked', 'usage.host'} <= {finding.code for finding in audit(left)}


def test_a_property_changes_the_flavor_and_not_the_servers(fleet):
    changed = what_if.set_property(fleet, fleet.flavors[0], 'hw:numa_nodes', '3')
    assert [{**FLAVOR.extra_specs, 'hw:numa_nodes': '3'}] == [flavor.extra_specs for flavor in changed.flavors]
    assert fleet.servers == changed.servers
    assert '2' == FLAVOR.extra_specs['hw:numa_nodes']
    assert [('flavor.invalid', None, None)] == _new(fleet, changed)[0]


# --- both states


def _number(flavor, host, least, most=None):
    return Capacity(flavor, host, least, least if most is None else most, '')


def test_numbers_stand_beside_each_other_and_differences_have_bounds():
    before = [_number('b', None, 5), _number('b', 'h1', 5), _number('a', None, 10, 12)]
    after = [_number('b', None, 9), _number('b', 'h0', 4), _number('b', 'h1', 5), _number('a', None, 11, 15)]
    found = comparison.compare(before, after)
    assert [
        ('b', None, (5, 5), (9, 9), (4, 4)),
        ('b', 'h0', (0, 0), (4, 4), (4, 4)),
        ('b', 'h1', (5, 5), (5, 5), (0, 0)),
        ('a', None, (10, 12), (11, 15), (-1, 5)),
    ] == [(one.flavor, one.host, one.before, one.after, one.bounds) for one in found]
    told = [line.split() for line in comparison.lines(found, [], [])]
    assert ['before', 'after', 'difference'] == told[0]
    assert ['b', '5', '9', '+4'] == told[1]
    assert ['h1', '5', '5', '0'] == told[3]
    assert 'a at least 10, at most 12 at least 11, at most 15 at least -1, at most +5' == ' '.join(told[4])
    assert 'findings that are new: none' == ' '.join(told[5])


def test_findings_that_stay_are_left_out_however_often_they_are_there():
    stays, goes, comes = (Finding('server.host', 'h', name, found='h') for name in ('s1', 's2', 's3\x1b'))
    new, gone = comparison.new_and_gone([stays, stays, goes], [stays, comes])
    assert ([comes], [stays, goes]) == (new, gone)
    told = list(comparison.lines([], new, gone))
    assert ('findings that are new: 1', 'findings that are gone: 2') == (told[0], told[2])
    assert told[1].startswith('  error: h: s3\\x1b: the server is on host h, which does not exist; ')
    assert told[1].endswith(' (server.host)')
