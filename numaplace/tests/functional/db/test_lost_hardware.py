# SPDX-License-Identifier: Apache-2.0
"""Hardware that goes under its servers: each verb takes them away, and nothing that they held stays behind."""

from dataclasses import replace

import pytest

from numaplace.compute import claims, migration, resource_tracker
from numaplace.model import ISOLATE, Flavor, Host
from numaplace.model.records import DOWN, UP
from numaplace.tests import samples
from numaplace.tests.functional.db import moving

#: Each has another amount of memory, by which it is known.
GUESTS = {
    'floating': replace(samples.guest(memory_mib=512), cells=()),
    'shared': samples.guest(memory_mib=510, policy=None),
    'small': samples.guest(vcpus=1, memory_mib=256),
    'pages': samples.guest(memory_mib=508, pagesize_kib=2048),
    'wide': samples.guest(cells=2, vcpus=1, memory_mib=260),
    'isolated': samples.guest(vcpus=1, memory_mib=504, thread_policy=ISOLATE),
}


def _cells(host, change):
    return replace(host, cells=tuple(map(change, host.cells)))


def _shapes(host, **changes):
    return _cells(
        host,
        lambda cell: replace(
            cell, shape=replace(cell.shape, **{name: change(cell.shape) for name, change in changes.items()})
        ),
    )


def _swapped(host):
    first, second = host.cells
    renamed = [replace(cell, shape=replace(cell.shape, id=1 - cell.id)) for cell in (second, first)]
    return replace(host, cells=tuple(renamed))


def _short_of_memory(host):
    few = _shapes(host, memory_mib=lambda _shape: 16)
    return _cells(few, lambda cell: replace(cell, pages=tuple([replace(each, total=3) for each in cell.pages])))


#: What a host is after hardware has gone, from what it was.
LOSSES = {
    'three CPUs of each cell': lambda host: _shapes(
        host, dedicated_cpus=lambda shape: shape.dedicated_cpus & ~(0b111 << 8 * shape.id)
    ),
    'all CPUs': lambda host: _shapes(host, dedicated_cpus=lambda _shape: 0, shared_cpus=lambda _shape: 0),
    'threads': lambda host: _shapes(host, siblings=lambda _shape: ()),
    'the first cell': lambda host: replace(host, cells=host.cells[1:]),
    'all cells': lambda _host: Host(),
    'cells that have changed places': _swapped,
    'memory': _short_of_memory,
    'huge pages': lambda host: _cells(host, lambda cell: replace(cell, pages=cell.pages[:1])),
    'all pages': lambda host: _cells(host, lambda cell: replace(cell, pages=())),
}


def _migrated(database, server):
    claims.resize_claim(database, server, 'b', read=_read)
    migration.finish(database, server)
    migration.confirm(database, server)


def _resized(database, server):
    less = Flavor('less', 1, 128, id='less')
    claims.resize_claim(database, server, 'b', flavor=less, read=lambda *_: samples.guest(vcpus=1, memory_mib=128))
    migration.finish(database, server)
    migration.confirm(database, server)


def _reverted(database, server):
    claims.resize_claim(database, server, 'b', read=_read)
    migration.finish(database, server)
    migration.revert(database, server)
    claims.release(database, server)


def _live(database, server):
    claims.live_migration_claim(database, server, 'b')
    migration.finish(database, server)


def _evacuated(database, server):
    resource_tracker.switch(database, 'a', state=DOWN)
    claims.rebuild_claim(database, server, 'b', read=_read)
    migration.finish(database, server)


def _read(flavor, _image):
    return next(guest for guest in GUESTS.values() if guest.memory_mib == flavor.memory_mib)


VERBS = {
    'migrate': _migrated,
    'migrate, revert and delete': _reverted,
    'resize': _resized,
    'live migrate': _live,
    'evacuate': _evacuated,
    'shelve': migration.shelve,
    'delete': claims.release,
}


@pytest.fixture
def filled(hosts):
    """Servers of each kind on host a."""
    return hosts, {name: moving.place(hosts, guest, name=name) for name, guest in GUESTS.items()}


@pytest.mark.parametrize('loss', LOSSES)
def test_hardware_that_goes_in_the_middle_of_a_move_does_not_stop_it(filled, loss):
    database, servers = filled
    lost = LOSSES[loss](database.host('a').host)
    for uuid in servers.values():
        claims.live_migration_claim(database, uuid, 'b')
    resource_tracker.refresh(database, 'a', lost, force=True)
    stays, *others = servers.values()
    migration.drop_move_claim(database, stays)
    for uuid in others:
        migration.finish(database, uuid)
    claims.release(database, stays)
    assert resource_tracker.empty(lost) == database.host('a').host
    moving.check(database)


@pytest.mark.parametrize('verb', VERBS)
def test_each_verb_takes_the_servers_away_and_leaves_nothing(filled, verb):
    """One after the other; the usage is right after each, and the host is empty at the end."""
    database, servers = filled
    whole = database.host('a').host
    for loss, lose in LOSSES.items():
        lost = lose(whole)
        resource_tracker.refresh(database, 'a', lost, force=True)
        for name, uuid in servers.items():
            VERBS[verb](database, uuid)
            (left,) = [host for host in database.hosts() if host.name == 'a']
            assert left.host == _counted(database, lost), (loss, name)
        assert resource_tracker.empty(lost) == left.host, loss
        for instance in database.instances():
            claims.release(database, instance.uuid)
        resource_tracker.switch(database, 'a', state=UP)
        resource_tracker.refresh(database, 'a', whole)
        servers = {name: moving.place(database, guest, name=name) for name, guest in GUESTS.items()}


def _counted(database, lost):
    """Return host a as a forced refresh counts it."""
    return resource_tracker.refresh(database, 'a', lost, force=True).host
