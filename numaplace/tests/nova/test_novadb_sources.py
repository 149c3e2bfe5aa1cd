# SPDX-License-Identifier: Apache-2.0
"""A fleet gets the same answers from the databases of a Nova, from that of numaplace, and from a file."""

from dataclasses import replace

from hypothesis import given, settings

from numaplace.db import api
from numaplace.tests import own_rows
from numaplace.tests.nova.databases import Databases, scratch, uuid_of
from numaplace.tests.property.test_fleet_sources import answers, exported, miscounted
from numaplace.tests.unit.fleet.fleets import seen


def _with_uuids(fleet):
    """Return a fleet with UUIDs that Nova's columns hold."""
    servers = [
        replace(s, uuid=uuid_of(s.uuid), move=s.move and replace(s.move, uuid=uuid_of(s.move.uuid)))
        for s in fleet.servers
    ]
    hosts = [replace(record, uuid=uuid_of(record.uuid)) for record in fleet.hosts]
    return replace(fleet, hosts=tuple(hosts), servers=tuple(servers))


def test_all_sources_give_the_same_answers(tmp_path_factory):
    @given(miscounted())
    @settings(max_examples=25, deadline=None)
    def check(drawn):
        fleet = _with_uuids(drawn)
        directory = tmp_path_factory.mktemp('nova')
        with scratch('sqlite', directory) as urls:
            nova = Databases(urls)
            nova.store(fleet)
            read, unlisted = nova.read(), nova.read(lists_servers=False)
        assert seen(read) == seen(unlisted)
        url = f'sqlite:///{directory}/own.sqlite'
        api.upgrade(url)
        with api.connect(url) as database:
            own_rows.store(database, fleet)
            own = database.fleet()
        assert answers(own) == answers(read) == answers(exported(own)) == answers(exported(read))

    check()
