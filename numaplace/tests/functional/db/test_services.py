# SPDX-License-Identifier: Apache-2.0
"""What the services store: until when a host is up, and what was carried out, on each database."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from numaplace import exception
from numaplace.compute import claims, resource_tracker
from numaplace.db import api
from numaplace.model.records import DOWN, UP, HostRecord
from numaplace.tests import samples


@pytest.fixture
def database(database_url, make_tables):
    """A database with one host."""
    make_tables(database_url)
    with api.connect(database_url) as opened:
        resource_tracker.register(opened, HostRecord('one', samples.host(cells=2)))
        yield opened


def test_a_host_is_down_when_its_agent_is_silent_and_no_write_makes_that_last(database):
    now = datetime.now(UTC)
    assert database.report_up('one', now - timedelta(seconds=5))
    assert DOWN == database.host('one').state
    resource_tracker.refresh(database, 'one', samples.host(cells=2))
    generation = database.host('one').generation
    assert database.report_up('one', now + timedelta(seconds=60))
    assert (UP, generation) == (database.host('one').state, database.host('one').generation)
    resource_tracker.switch(database, 'one', state=DOWN)
    database.report_up('one', now + timedelta(seconds=60))
    assert DOWN == database.host('one').state, 'an operator has the last word'
    database.report_up('one', now - timedelta(seconds=5))
    resource_tracker.switch(database, 'one', state=UP)
    assert UP == database.host('one').state, 'also over an agent that is gone'
    assert not database.report_up('two', now)


def test_a_refresh_that_finds_nothing_new_writes_nothing(database):
    claims.instance_claim(database, samples.instance_request(samples.guest(vcpus=1, memory_mib=16)), 'one')
    before = database.host('one')
    host = samples.host(cells=2)
    assert before == resource_tracker.refresh(database, 'one', host, only_if_changed=True)
    assert before.generation < resource_tracker.refresh(database, 'one', host).generation
    assert (
        before.generation + 1
        < resource_tracker.refresh(database, 'one', samples.host(cells=1), only_if_changed=True, force=True).generation
    )


def test_a_request_is_carried_out_once_even_after_its_server_is_gone(database):
    name, request = str(uuid.uuid4()), samples.instance_request(samples.guest(vcpus=1, memory_mib=16))
    assert claims.instance_claim(database.for_request(name), request, 'one')
    again = claims.instance_claim(database.for_request(name), request, 'one')
    assert request.uuid == again.instance.uuid
    again.abort()
    assert request.uuid == database.instance(request.uuid).uuid, 'it belongs to whoever claimed it'
    assert {request.uuid} == database.for_request(name).was_carried_out([request.uuid, str(uuid.uuid4())])
    claims.release(database, request.uuid)
    with pytest.raises(exception.NotFound, match=request.uuid):
        claims.instance_claim(database.for_request(name), request, 'one')
    assert [] == database.instances()
    database.forget_requests(datetime.now(UTC) + timedelta(days=1))
    assert claims.instance_claim(database.for_request(name), request, 'one')


def test_several_servers_are_read_at_once(database):
    asked = [samples.instance_request(samples.guest(vcpus=1, memory_mib=16), name) for name in ('b', 'a')]
    for request in asked:
        claims.instance_claim(database, request, 'one')
    found = database.instances_of([request.uuid for request in asked] + [str(uuid.uuid4())])
    assert ['b', 'a'] == [server.name for server in found]
