# SPDX-License-Identifier: Apache-2.0
"""A rehearsal sees its own claims, and ends as if nothing had been, on every database."""

from contextlib import suppress

import pytest

from numaplace import exception
from numaplace.compute import claims, migration
from numaplace.tests.functional.db import moving


def _state(database):
    found = database.fleet()
    return found.hosts, found.servers, database.migrations()


def test_what_is_rehearsed_is_seen_until_its_end_and_then_gone(hosts, server):
    before = _state(hosts)
    with hosts.rehearsal():
        other = moving.place(hosts, moving.SMALL_GUEST)
        assert {server, other} == {each.uuid for each in hosts.instances()}
        assert claims.live_migration_claim(hosts, server, 'b')
        assert 'b' == migration.finish(hosts, server).host
        assert before != _state(hosts)
    assert before == _state(hosts)


def test_a_claim_that_fails_leaves_what_was_rehearsed_before(hosts, server):
    before = _state(hosts)
    with hosts.rehearsal():
        other = moving.place(hosts, moving.SMALL_GUEST)
        with pytest.raises(exception.NotFound, match='nowhere'):
            claims.live_migration_claim(hosts, server, 'nowhere')
        assert {server, other} == {each.uuid for each in hosts.instances()}
    assert before == _state(hosts)


def test_an_error_ends_a_rehearsal_and_the_next_claim_is_stored(hosts, server):
    before = _state(hosts)
    with suppress(KeyboardInterrupt), hosts.rehearsal():
        claims.release(hosts, server)
        raise KeyboardInterrupt
    assert before == _state(hosts)
    claims.release(hosts, server)
    assert () == _state(hosts)[1]
