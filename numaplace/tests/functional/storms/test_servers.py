# SPDX-License-Identifier: Apache-2.0
"""Database servers that are killed under load: clients go on, nothing is lost or handed out twice."""

import random
import time

import pytest
import sqlalchemy as sa

from numaplace.db import api
from numaplace.tests.functional.storms import crew, journal, judge, ledger, servers, worker, world
from numaplace.tests.functional.storms.worker import Worker

KILLS = 5
PROCESSES = 4
#: Longest time that a server runs before it is killed, in seconds.
LONGEST_S = 1.5
#: Seconds in which every client has to get something done after the server is back.
PATIENCE_S = 60


def make_database(server):
    with server.admin.connect() as connection:
        connection.execute(sa.text('CREATE DATABASE numaplace'))
    api.upgrade(server.url)
    with api.connect(server.url) as database:
        world.fill(database)


def await_operations(paths):
    """Wait until every client has done something more."""
    before = {path: path.stat().st_size if path.exists() else 0 for path in paths}
    deadline = time.monotonic() + PATIENCE_S
    while not all(path.exists() and path.stat().st_size > before[path] for path in paths):
        assert time.monotonic() < deadline, f'no client may stand still: {before}'
        time.sleep(0.01)


@pytest.mark.parametrize('kind', [servers.mariadb, servers.postgresql])
def test_clients_go_on_when_the_server_was_killed(kind, tmp_path):
    """Each operation ends as it should, or with one clean fault; no commit that nobody answered is lost or doubled."""
    dice, stop = random.Random(kind.__name__), tmp_path / 'stop'
    paths = [tmp_path / f'journal{number}' for number in range(PROCESSES)]
    with kind() as server:
        make_database(server)
        clients = [
            crew.start(worker.run_until, Worker(server.url, kind.__name__, number, path), stop)
            for number, path in enumerate(paths)
        ]
        await_operations(paths)
        for _ in range(KILLS):
            time.sleep(dice.uniform(0, LONGEST_S))
            server.kill()
            server.start()
            await_operations(paths)
        stop.touch()
        codes = crew.join(clients)
        found, rows = journal.entries(paths), ledger.at(server.url)
    story = journal.summary(found)
    assert codes == [0] * PROCESSES, story
    assert not judge.faults(found, rows, cut_off=True), story
    assert {entry.verb for entry in found if entry.outcome == journal.DONE} >= {'claim', 'finish', 'confirm'}, story
