# SPDX-License-Identifier: Apache-2.0
"""Every verb with a state of the database from which it does something."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

from numaplace.compute import claims, hotplug_claims, migration, resource_tracker
from numaplace.db import api
from numaplace.model import Flavor, Guest, MemoryModule
from numaplace.model.records import DOWN
from numaplace.tests.functional.storms import world

__all__ = ['CLAIM_MORE', 'SCENES', 'Scene', 'set_up']

#: Takes the database and the UUID of the server in it.
Act = Callable[[api.Database, str], object]
Scene = tuple[Act, ...]

#: The kinds of guest before and after a resize.
_KIND, _OTHER_KIND = 'wide', 'gpu'


def read(flavor: Flavor, _image: object) -> Guest:
    """Return what a flavor of the world requests."""
    return world.GUESTS[flavor.name]


def _claim(database: api.Database, _uuid: str) -> object:
    return claims.instance_claim(database, world.request(random.Random(1), 'pinned'), 'host0', limits=world.LIMITS)


def _resize_to(host: str) -> Act:
    flavor = world.flavor(_OTHER_KIND)
    return lambda database, uuid: claims.resize_claim(database, uuid, host, flavor=flavor, read=read)


def _migrate(database: api.Database, uuid: str) -> object:
    return claims.resize_claim(database, uuid, 'host1', read=read)


def _live_migrate(database: api.Database, uuid: str) -> object:
    return claims.live_migration_claim(database, uuid, 'host1', read=read)


def _evacuate(database: api.Database, uuid: str) -> object:
    return claims.rebuild_claim(database, uuid, 'host1', read=read)


def _unshelve(database: api.Database, uuid: str) -> object:
    return claims.unshelve_claim(database, uuid, 'host1', read=read)


def _rebuild(database: api.Database, uuid: str) -> object:
    return claims.rebuild(database, uuid, {'os_distro': 'debian'}, read=read)


def _fewer(database: api.Database, uuid: str) -> object:
    return hotplug_claims.set_vcpus(database, uuid, 2)


def _more(database: api.Database, uuid: str) -> object:
    return hotplug_claims.set_vcpus(database, uuid, 4, limits=world.LIMITS)


def _attach(database: api.Database, uuid: str) -> object:
    return hotplug_claims.attach_memory(database, uuid, MemoryModule(256, 1), limits=world.LIMITS)


def _detach(database: api.Database, uuid: str) -> object:
    return hotplug_claims.detach_memory(database, uuid, 0)


def _fail(database: api.Database, _uuid: str) -> object:
    return database.change_host('host0', lambda record, _held: replace(record, state=DOWN))


def _refresh(database: api.Database, _uuid: str) -> object:
    return resource_tracker.refresh(database, 'host0', world.host(apart=True))


#: The last of each is the verb, what stands before it leads there.
SCENES: dict[str, Scene] = {
    'claim': (_claim,),
    'release': (claims.release,),
    'release of a move': (_migrate, claims.release),
    'resize': (_resize_to('host1'),),
    'resize on the same host': (_resize_to('host0'),),
    'migrate': (_migrate,),
    'live-migrate': (_live_migrate,),
    'evacuate': (_fail, _evacuate),
    'finish of a resize': (_resize_to('host1'), migration.finish),
    'finish of a live migration': (_live_migrate, migration.finish),
    'finish of an evacuation': (_fail, _evacuate, migration.finish),
    'confirm': (_resize_to('host1'), migration.finish, migration.confirm),
    'confirm on the same host': (_resize_to('host0'), migration.finish, migration.confirm),
    'revert': (_resize_to('host1'), migration.finish, migration.revert),
    'drop': (_migrate, migration.drop_move_claim),
    'shelve': (migration.shelve,),
    'unshelve': (migration.shelve, _unshelve),
    'rebuild': (_rebuild,),
    'fewer vCPUs': (_fewer,),
    'more vCPUs': (_fewer, _more),
    'attach': (_attach,),
    'detach': (_attach, _detach),
    'live-migrate what was changed': (_fewer, _attach, _live_migrate),
    'refresh': (_refresh,),
}

#: Those that claim more for a server that runs.
CLAIM_MORE = ('more vCPUs', 'attach')


def set_up(database: api.Database, scene: Scene) -> str:
    """Bring a database with the hosts alone into the state before the last verb of a scene; return the server."""
    dice = random.Random(0)
    asked = world.request(dice, _KIND)
    assert claims.instance_claim(database, asked, 'host0', limits=world.LIMITS)
    assert claims.instance_claim(database, world.request(dice, 'shared'), 'host1', limits=world.LIMITS)
    for act in scene[:-1]:
        act(database, asked.uuid)
    return asked.uuid
