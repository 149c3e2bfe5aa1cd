# SPDX-License-Identifier: Apache-2.0
"""Connections that break in the middle of a move: each step happens once, or is known not to have."""

import pytest

from numaplace import exception
from numaplace.compute import claims, migration
from numaplace.db import api, servers
from numaplace.tests import proxy
from numaplace.tests.functional.db.moving import SMALL_GUEST, check, place, read, resize
from numaplace.tests.functional.db.test_connections import Losing, away, messages_of, server_url, wire

__all__ = ['away', 'server_url', 'wire']


@pytest.fixture
def database(server_url):
    """Yield the database as others see it, which is on a server."""
    with api.connect(server_url) as opened:
        yield opened


def ready(database):
    return place(database, SMALL_GUEST)


def resizing(database):
    server = ready(database)
    resize(database, server)
    return server


def resized(database):
    server = resizing(database)
    migration.finish(database, server)
    return server


def shelved(database):
    server = ready(database)
    migration.shelve(database, server)
    return server


#: What is done, to what, and what the server is after it.
STEPS = {
    'resize': (ready, lambda database, server: resize(database, server).instance, 'RESIZE'),
    'finish': (resizing, migration.finish, 'VERIFY_RESIZE'),
    'confirm': (resized, migration.confirm, 'ACTIVE'),
    'revert': (resized, migration.revert, 'ACTIVE'),
    'shelve': (ready, migration.shelve, 'SHELVED_OFFLOADED'),
    'unshelve': (
        shelved,
        lambda database, server: claims.unshelve_claim(database, server, 'b', read=read).instance,
        'ACTIVE',
    ),
}


@pytest.mark.parametrize('step', STEPS)
def test_a_step_happens_once_whichever_message_is_lost(hosts, away, wire, step):
    prepare, act, status = STEPS[step]
    for server in (prepare(hosts), prepare(hosts)):  # the first one opens the connection
        number = messages_of(wire, lambda server=server: act(away, server))
        claims.release(hosts, server)
    for what in (proxy.REQUEST, proxy.ANSWER):
        for lost in range(number):
            server = prepare(hosts)
            wire.lose = losing = Losing(what, number=lost)
            answer = act(away, server)
            assert losing.lost
            assert answer == hosts.instance(server)
            assert answer.status == status
            check(hosts)
            claims.release(hosts, server)


def test_an_outcome_that_others_changed_is_not_known(hosts, away, wire, monkeypatch):
    """The commit was not answered, and the server is another one when it can be asked about."""
    server = resized(hosts)
    ask = servers.has_become

    def late(*args):
        monkeypatch.undo()
        claims.rebuild(hosts, server, {}, read=read)
        return ask(*args)

    monkeypatch.setattr(servers, 'has_become', late)
    wire.lose = Losing(proxy.ANSWER, text=b'COMMIT')
    with pytest.raises(exception.UnknownOutcome, match='others changed the server since') as caught:
        migration.confirm(away, server)
    assert '\n' not in str(caught.value)
    assert hosts.instance(server).status == 'ACTIVE'


@pytest.mark.parametrize('verb', [migration.confirm, migration.revert])
def test_a_lost_commit_that_another_process_made_alike_counts_as_done(hosts, away, wire, monkeypatch, verb):
    """The commit never arrived; when it can be asked about, another process has stored the very same rows."""
    server = resized(hosts)
    ask, others = servers.has_become, []

    def late(*args):
        monkeypatch.undo()
        others.append(verb(hosts, server))
        return ask(*args)

    monkeypatch.setattr(servers, 'has_become', late)
    wire.lose = losing = Losing(proxy.REQUEST, text=b'COMMIT')
    assert [verb(away, server)] == others == [hosts.instance(server)]
    assert losing.lost
    check(hosts)
