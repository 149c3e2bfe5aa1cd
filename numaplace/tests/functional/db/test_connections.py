# SPDX-License-Identifier: Apache-2.0
"""Connections that break at any message of a transaction: what was asked for happens once, or is known not to have."""

import logging
from dataclasses import replace

import pytest
import sqlalchemy as sa

from numaplace import exception
from numaplace.compute import audit, claims, resource_tracker
from numaplace.db import api, flavors, retry
from numaplace.model import Flavor
from numaplace.tests import proxy, samples


@pytest.fixture(params=['mysql', 'postgresql'])
def server_url(request, make_tables):
    """URL of an empty database on a server."""
    url = request.getfixturevalue(f'{request.param}_url')
    make_tables(url)
    return url


@pytest.fixture
def wire(server_url):
    """Yield what is between the client and the server."""
    url = sa.make_url(server_url)
    with proxy.Proxy(url.host, url.port) as opened:
        yield opened


@pytest.fixture
def away(server_url, wire):
    """Yield the database on the other side of the wire."""
    url = sa.make_url(server_url).set(host='127.0.0.1', port=wire.port)
    if url.get_backend_name() == 'postgresql':
        url = url.update_query_dict({'sslmode': 'disable'})
    with api.connect(url.render_as_string(hide_password=False)) as database:
        yield database


@pytest.fixture
def database(server_url):
    """Yield the database as others see it."""
    with api.connect(server_url) as database:
        resource_tracker.register(database, samples.host_record())
        yield database


class Losing:
    """Loses one message: the one of a number, or the first that holds a text."""

    def __init__(self, what, *, number=None, text=None):
        self.what, self.number, self.text = what, number, text
        self.messages, self.lost = [], False

    def __call__(self, message):
        self.messages.append(message)
        if self.lost or not (len(self.messages) - 1 == self.number or (self.text and self.text in message)):
            return None
        self.lost = True
        return self.what


def request(name='guest1'):
    return samples.instance_request(samples.guest(), name)


def is_consistent(database):
    record = database.host('host1')
    return record.host == samples.used(record, database.instances())


def messages_of(wire, act):
    """Return how many messages something takes."""
    wire.lose = counting = Losing(None)
    act()
    return len(counting.messages)


@pytest.mark.parametrize('what', [proxy.REQUEST, proxy.ANSWER])
def test_a_claim_happens_once_whichever_message_is_lost(database, away, wire, what):
    claims.instance_claim(away, request(), 'host1').abort()
    number = messages_of(wire, claims.instance_claim(away, request(), 'host1').abort)
    for lost in range(number):
        wire.lose = losing = Losing(what, number=lost)
        asked = request(f'guest{lost}')
        answer = claims.instance_claim(away, asked, 'host1')
        assert losing.lost
        assert [answer.instance] == database.instances()
        assert asked.uuid == answer.instance.uuid
        assert is_consistent(database)
        claims.release(database, asked.uuid)


@pytest.mark.parametrize('what', [proxy.REQUEST, proxy.ANSWER])
def test_a_release_happens_once_whichever_message_is_lost(database, away, wire, what):
    def held():
        return claims.instance_claim(database, request(), 'host1').instance

    claims.release(away, held().uuid)
    first = held()
    for lost in range(messages_of(wire, lambda: claims.release(away, first.uuid))):
        instance = held()
        wire.lose = losing = Losing(what, number=lost)
        assert instance == claims.release(away, instance.uuid)
        assert losing.lost
        assert [] == database.instances()
        assert is_consistent(database)


@pytest.mark.parametrize('what', [proxy.REQUEST, proxy.ANSWER])
def test_a_host_is_refreshed_whichever_message_is_lost(database, away, wire, what):
    def refresh(memory_mib):
        return resource_tracker.refresh(away, 'host1', samples.host(memory_mib=memory_mib)).host

    refresh(4096)
    for lost in range(messages_of(wire, lambda: refresh(4096))):
        wire.lose = losing = Losing(what, number=lost)
        assert refresh(8192 + lost) == database.host('host1').host
        assert losing.lost


@pytest.mark.parametrize('what', [proxy.REQUEST, proxy.ANSWER])
def test_a_reader_goes_on(database, away, wire, what):
    away.hosts()
    for lost in range(messages_of(wire, away.hosts)):
        wire.lose = losing = Losing(what, number=lost)
        assert database.hosts() == away.hosts()
        assert losing.lost


FLAVOR = Flavor('m1', 1, 512, id='m1')
RECORD = samples.host_record('host2')
#: What is done, what undoes it, and what there is of it.
ROWS = {
    'create a flavor': (
        lambda database: database.create_flavor(FLAVOR),
        lambda database: database.delete_flavor('m1'),
        lambda database: database.flavors() == [FLAVOR],
    ),
    'delete a flavor': (
        lambda database: database.delete_flavor('m1'),
        lambda database: database.create_flavor(FLAVOR),
        lambda database: database.flavors() == [],
    ),
    'create a host': (
        lambda database: database.create_host(RECORD),
        lambda database: database.delete_host('host2'),
        lambda database: [record.name for record in database.hosts()] == ['host1', 'host2'],
    ),
    'delete a host': (
        lambda database: database.delete_host('host2'),
        lambda database: database.create_host(RECORD),
        lambda database: [record.name for record in database.hosts()] == ['host1'],
    ),
}


@pytest.mark.parametrize('what', [proxy.REQUEST, proxy.ANSWER])
@pytest.mark.parametrize('action', ROWS)
def test_a_row_is_stored_or_deleted_once_whichever_message_is_lost(database, away, wire, what, action):
    """Whichever message is lost, that of the commit too."""
    act, undo, is_done = ROWS[action]
    if action.startswith('delete'):
        undo(database)
    act(away)
    undo(away)
    number = messages_of(wire, lambda: act(away))
    for lost in range(number):
        undo(database)
        wire.lose = losing = Losing(what, number=lost)
        act(away)
        assert losing.lost
        assert is_done(database)


@pytest.mark.parametrize('other', [replace(FLAVOR, vcpus=2), replace(FLAVOR, id='another')])
def test_a_flavor_that_another_stored_meanwhile_is_not_ours(database, away, wire, other, monkeypatch):
    """The commit never arrived, and when it can be asked about, there is a flavor of that id or name."""
    ask = flavors.is_stored

    def late(connection, flavor):
        database.create_flavor(other)
        return ask(connection, flavor)

    monkeypatch.setattr(flavors, 'is_stored', late)
    wire.lose = Losing(proxy.REQUEST, text=b'COMMIT')
    with pytest.raises(exception.AlreadyExists, match='flavor'):
        away.create_flavor(FLAVOR)
    assert database.flavors() == [other]


CHANGE = {'change': {'hw:numa_nodes': '2'}, 'remove': ['hw:cpu_policy']}


@pytest.mark.parametrize('what', [proxy.REQUEST, proxy.ANSWER])
def test_the_properties_of_a_flavor_change_once_whichever_message_is_lost(database, away, wire, what):
    """Though a property that is gone cannot be removed again."""
    before = replace(FLAVOR, extra_specs={'hw:cpu_policy': 'dedicated'})

    def change():
        return away.change_extra_specs('m1', **CHANGE).extra_specs

    database.create_flavor(before)
    change()
    database.delete_flavor('m1')
    database.create_flavor(before)
    number = messages_of(wire, change)
    for lost in range(number):
        database.delete_flavor('m1')
        database.create_flavor(before)
        wire.lose = losing = Losing(what, number=lost)
        assert {'hw:numa_nodes': '2'} == change() == database.flavor('m1').extra_specs
        assert losing.lost


def test_properties_that_another_changed_meanwhile_are_not_known_to_be_ours(database, away, wire, monkeypatch):
    database.create_flavor(FLAVOR)
    away.flavors()
    ask = flavors.has_become

    def late(*arguments):
        monkeypatch.undo()
        database.change_extra_specs('m1', change={'hw:numa_nodes': '4'})
        return ask(*arguments)

    monkeypatch.setattr(flavors, 'has_become', late)
    wire.lose = Losing(proxy.ANSWER, text=b'COMMIT')
    with pytest.raises(exception.UnknownOutcome, match='others changed the flavor since') as caught:
        away.change_extra_specs('m1', change={'hw:numa_nodes': '2'})
    assert '\n' not in str(caught.value)


def test_a_repair_whose_answer_is_lost_reports_what_it_repaired(database, away, wire):
    idle = resource_tracker.empty(samples.host())
    claims.instance_claim(database, request(), 'host1')
    database.change_host('host1', lambda record, _held: replace(record, host=idle))
    away.hosts()
    wire.lose = losing = Losing(proxy.ANSWER, text=b'COMMIT')
    assert audit.repair(away, 'host1').differences
    assert losing.lost
    assert is_consistent(database)


def test_a_connection_that_breaks_as_a_refusal_is_rolled_back_leaves_the_refusal(database, away, wire, caplog):
    """And leaves no traceback with whoever got an answer."""
    if away._engine.dialect.name == 'postgresql':
        pytest.skip('its driver says nothing then')
    wire.lose = losing = Losing(proxy.REQUEST, text=b'ROLLBACK')
    with caplog.at_level(logging.WARNING), pytest.raises(exception.NotFound, match="there is no host 'nowhere'"):
        claims.instance_claim(away, request(), 'nowhere')
    assert losing.lost
    assert [] == caplog.records
    assert is_consistent(database)


@pytest.mark.parametrize('what', [proxy.REQUEST, proxy.ANSWER])
def test_a_claim_whose_outcome_cannot_be_found_out_is_a_fault(database, away, wire, what, monkeypatch):
    """The server does not come back after the commit."""
    monkeypatch.setattr(retry, '_LOSS_PAUSE_S', 0.001)
    losing = Losing(what, text=b'COMMIT')

    def lose(message):
        if losing(message):
            wire.refuse()
            return what
        return None

    wire.lose = lose
    with pytest.raises(exception.UnknownOutcome, match='whether the change was stored is not known'):
        claims.instance_claim(away, request(), 'host1')
    assert (1 if what == proxy.ANSWER else 0) == len(database.instances())
    assert is_consistent(database)


def test_a_server_that_stays_away_is_given_up_in_one_line(database, away, wire, monkeypatch):
    monkeypatch.setattr(retry, '_LOSS_PAUSE_S', 0.001)
    wire.refuse()
    wire.lose = lambda message: proxy.REQUEST
    with pytest.raises(exception.LostConnection, match=r'given up after 10 attempts$') as caught:
        claims.instance_claim(away, request(), 'host1')
    assert '\n' not in str(caught.value)
    assert f':{wire.port}/' in str(caught.value)
    assert [] == database.instances()
