# SPDX-License-Identifier: Apache-2.0
"""Rows in the formats of old releases of Nova: read, reported, and rewritten by whatever writes them."""

import json
from importlib import resources

import pytest
import sqlalchemy as sa

from numaplace import exception, wire
from numaplace.compute import claims, resource_tracker, topologies
from numaplace.fleet.audit import audit
from numaplace.tests import samples
from numaplace.tests.functional.db import moving

GUEST = samples.guest(cells=2, vcpus=2, policy=None)


def row(name):
    return resources.files('numaplace.tests.data.seed').joinpath(f'{name}.json').read_text('utf-8')


def _set(database, table, text, key):
    name = 'host' if table == 'compute_nodes' else 'instance_uuid'
    with database._transaction() as connection:
        query = sa.text(f'UPDATE {table} SET numa_topology = :text WHERE {name} = :key')
        assert 1 == connection.execute(query, {'text': text, 'key': key}).rowcount


def _versions(database, table):
    """Return the versions of the stored cells, row by row."""
    with database._transaction() as connection:
        texts = connection.scalars(sa.text(f'SELECT numa_topology FROM {table} ORDER BY id')).all()
    return [[cell['nova_object.version'] for cell in json.loads(text)['nova_object.data']['cells']] for text in texts]


def _old_host(host, version):
    """Return a host in an older version of its cells."""
    topology = wire.write_host(host)
    for cell in topology['nova_object.data']['cells']:
        wire.take_back('NUMACell', cell['nova_object.data'], version)
        cell['nova_object.version'] = version
    return wire.dumps(topology)


@pytest.fixture
def guest(hosts):
    """The UUID of a server with two cells of two shared vCPUs on host a, whose row is that of a page of 2017."""
    uuid = moving.place(hosts, GUEST)
    _set(hosts, 'instance_extra', row('older-two-cell-guest'), uuid)
    return uuid


@pytest.fixture
def old_host(hosts):
    """The database, with host b in a version without sockets."""
    _set(hosts, 'compute_nodes', _old_host(hosts.host('b').host, '1.4'), 'b')
    return hosts


def _findings(database):
    return [(finding.code, finding.host, finding.server, finding.found) for finding in audit(database.fleet())]


def test_old_rows_are_read_and_are_findings(old_host, guest):
    assert {
        ('row.old', 'a', guest, 'InstanceNUMATopology without a version'),
        ('row.old', 'b', None, 'NUMACell 1.4'),
    } == set(_findings(old_host))


def test_a_migration_rewrites_them_once_and_changes_nothing_else(old_host, guest):
    before = old_host.fleet()
    expected = [
        topologies.Migrated('compute_nodes', 'b', 'NUMACell 1.4'),
        topologies.Migrated('instances', guest, 'InstanceNUMATopology without a version'),
    ]
    assert expected == list(topologies.migrate(old_host, dry_run=True))
    assert before == old_host.fleet()
    assert expected == list(topologies.migrate(old_host))
    assert ([['1.5', '1.5']] * 2, [['1.6', '1.6']]) == (
        _versions(old_host, 'compute_nodes'),
        _versions(old_host, 'instance_extra'),
    )
    after = old_host.fleet()
    assert before.hosts[0].host.cells == after.hosts[0].host.cells
    assert [server.placement for server in before.servers] == [server.placement for server in after.servers]
    assert [] == list(topologies.migrate(old_host))
    assert [] == _findings(old_host)
    moving.check(old_host)


def test_a_claim_rewrites_the_host_and_a_change_the_server(old_host, guest):
    moving.place(old_host, GUEST, 'b', 'guest2')
    claims.release(old_host, moving.place(old_host, GUEST, 'a', 'guest3'))
    assert [('row.old', 'a', guest)] == [finding[:3] for finding in _findings(old_host)]
    old_host.change_instance(guest, lambda server, _hosts: server)
    assert [] == _findings(old_host)


def test_a_host_that_does_not_name_its_dedicated_cpus_is_refused_until_its_capabilities_are_read(hosts, guest):
    known = hosts.host('a').host
    _set(hosts, 'compute_nodes', row('older-three-cell-host'), 'a')
    with pytest.raises(exception.IncompatibleObjectVersion, match='does not name the dedicated CPUs'):
        hosts.host('a')
    found = {row.key: row.fault for row in topologies.migrate(hosts)}
    assert {'a', guest} == set(found)
    assert all('does not name the dedicated CPUs' in fault for fault in found.values())
    assert known == resource_tracker.refresh(hosts, 'a', resource_tracker.empty(known)).host
    assert [guest] == [row.key for row in topologies.migrate(hosts)]
    assert [] == _findings(hosts)
    moving.check(hosts)


def test_a_row_that_somebody_else_changes_or_deletes_meanwhile_is_no_fault(old_host, guest, monkeypatch):
    fleet = old_host.fleet()
    monkeypatch.setattr(old_host, 'fleet', lambda: fleet)
    claims.release(old_host, guest)
    resource_tracker.switch(old_host, 'b', status='disabled')
    assert ['', ''] == [row.fault for row in topologies.migrate(old_host)]
    assert 'disabled' == old_host.host('b').status
