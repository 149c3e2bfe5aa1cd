# SPDX-License-Identifier: Apache-2.0
"""Read placement beside the cells of a Nova that goes on meanwhile: what comes and goes is no finding."""

from dataclasses import replace

import pytest
import sqlalchemy as sa

from numaplace.fleet.audit import audit
from numaplace.novadb import reading
from numaplace.tests import nova_rows
from numaplace.tests.nova.databases import Databases, healthy, scratch, uuid_of
from numaplace.tests.unit.fleet import fleets

LATE = uuid_of('late')


@pytest.fixture
def nova(tmp_path):
    """The databases of a healthy Nova with its placement."""
    with scratch('sqlite', tmp_path, 4) as urls:
        databases = Databases(urls)
        databases.store(fleets.placed(healthy()))
        yield databases


def _allocate(nova, consumer):
    with nova.placement.begin() as connection:
        nova_rows.store_allocation(connection, 1, consumer, {'PCPU': 2})


def _free(nova, consumer):
    with nova.placement.begin() as connection:
        connection.execute(sa.text('DELETE FROM allocations WHERE consumer_id = :uuid'), {'uuid': consumer})


def _request(nova):
    with nova.api.begin() as connection:
        nova_rows.Tables(connection).insert('build_requests', [{'project_id': 'p', 'instance_uuid': LATE}])


def _nothing(nova):
    pass


#: What happens before everything is read, and what after the cells are; the findings, and whom they concern.
CASES = {
    'nothing': (_nothing, _nothing, []),
    'a server is created': (_nothing, lambda nova: _allocate(nova, LATE), []),
    'a server is being created': (lambda nova: (_allocate(nova, LATE), _request(nova)), _nothing, []),
    'a server that was deleted loses its allocations': (
        lambda nova: _allocate(nova, LATE),
        lambda nova: _free(nova, LATE),
        [],
    ),
    'a server is deleted': (_nothing, lambda nova: _free(nova, uuid_of('s1')), []),
    'allocations of a server that is gone': (
        lambda nova: _allocate(nova, LATE),
        _nothing,
        [('allocation.orphan', LATE)],
    ),
    'a server without allocations': (
        lambda nova: _free(nova, uuid_of('s1')),
        _nothing,
        [('allocation.missing', uuid_of('s1'))],
    ),
}


@pytest.mark.parametrize('case', CASES)
def test_only_what_stays_is_found(nova, monkeypatch, case):
    before, meanwhile, expected = CASES[case]
    read_cell = reading.read_cell

    def read_and_go_on(connection, name, now, **more):
        found = read_cell(connection, name, now, **more)
        if name == 'cell1':
            meanwhile(nova)
        return found

    monkeypatch.setattr(reading, 'read_cell', read_and_go_on)
    before(nova)
    found = audit(nova.read(), now=fleets.NOW)
    assert expected == [(finding.code, finding.server or finding.subject) for finding in found]


def test_a_host_that_two_cells_have_is_one_finding_whatever_placement_has(nova):
    """Which of the two has a server is not known, and so not which provider has its allocations."""
    with nova.cell0.begin() as connection:
        other = healthy()
        hosts = [replace(other.hosts[0], uuid=uuid_of('h1 of another cell'))]
        nova_rows.store_cell(connection, replace(other, hosts=tuple(hosts), servers=()))
    _allocate(nova, LATE)
    assert [('host.twice', 'h1')] == [(one.code, one.host) for one in audit(nova.read(), now=fleets.NOW)]


def test_a_placement_that_cannot_be_read_is_one_finding(nova):
    with nova.placement.begin() as connection:
        connection.exec_driver_sql('DROP TABLE allocations')
    (finding,) = audit(nova.read(), now=fleets.NOW)
    assert ('cell.unreachable', 'placement_database placement') == (finding.code, finding.subject)
