# SPDX-License-Identifier: Apache-2.0
"""The verbs as a table: what may be done with a server in which state, and how it is told afterwards."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import sqlalchemy as sa

from numaplace import exception
from numaplace.compute import claims, hotplug_claims, migration, resource_tracker
from numaplace.db import api
from numaplace.db.records import InstanceRequest
from numaplace.db.retry import retry
from numaplace.model import Flavor, Guest, MemoryModule, Placement, Reason, Refusal
from numaplace.model.records import DOWN, UP, InstanceRecord
from numaplace.tests.functional.storms import world
from numaplace.tests.functional.storms.ledger import ENDED, NEW, OLD, OWN, Cell, Holding

__all__ = ['Operation', 'Seen', 'choose', 'choose_move', 'claim', 'claimed', 'look', 'place', 'told']


#: The share of new servers that are in a group.
_MEMBERS = 0.5


class Seen(NamedTuple):
    """A server as a glance at the rows shows it.

    :param host: None for one that is shelved
    :param state: a key of the table of verbs
    """

    uuid: str
    host: str | None
    state: str


class Operation(NamedTuple):
    """Something to do.

    :param about: the server and the hosts that others may change in the meantime
    :param group: UUID of the group of a new server, or None
    """

    verb: str
    server: str
    about: tuple[str, ...]
    act: Callable[[], list[Holding] | Refusal]
    group: str | None = None


def look(connection: sa.Connection) -> list[Seen]:
    """Return all servers, the oldest first."""
    return [Seen(uuid, host, state) for uuid, host, state in connection.execute(_LOOK)]


_LOOK = sa.text(f"""
    SELECT uuid, instances.host, CASE
        WHEN vm_state = 'active' AND uuid IN (SELECT instance_uuid FROM migrations WHERE status NOT IN {ENDED})
        THEN 'moving'
        WHEN vm_state = 'active' AND host IN (SELECT host FROM compute_nodes WHERE state = '{DOWN}')
        THEN 'stranded'
        ELSE vm_state END
    FROM instances ORDER BY id
""")


def told(instance: InstanceRecord) -> list[Holding]:
    """Return what a server holds, as its record says."""
    if instance.move is not None:
        sides = {OLD: instance.move.old, NEW: instance.move.new}
        return [_holding(instance.uuid, role, side.host, side.placement) for role, side in sides.items()]
    return [_holding(instance.uuid, OWN, instance.host, instance.placement)] if instance.host else []


def _holding(server: str, role: str, host: str, placement: Placement) -> Holding:
    cells = []
    for cell in placement.cells:
        cpus = tuple(cpu for cpu in range(cell.taken.bit_length()) if cell.taken >> cpu & 1)
        asked = cell.guest_cell
        cells.append(
            Cell(cell.host_cell, cpus, asked.shared_vcpus.bit_count(), asked.memory_mib, cell.pagesize_kib or 4)
        )
    devices = tuple(sorted(granted.device.address for granted in placement.devices))
    return Holding(server, role, host, placement.guest.vcpus, placement.guest.memory_mib, tuple(cells), devices)


# --- what makes and removes servers


def claim(database: api.Database, dice: random.Random) -> Operation:
    """Create a server somewhere, often as a member of a group."""
    host = dice.choice(world.HOSTS)
    return place(dice, lambda asked: claims.instance_claim(database, asked, host, limits=world.LIMITS))


def place(dice: random.Random, find: Callable[[InstanceRequest], claims.Claim | Refusal]) -> Operation:
    """Create a server where a function claims a place for it."""
    group = dice.choice(sorted(world.GROUPS)) if dice.random() < _MEMBERS else None
    asked = world.request(dice, dice.choice(sorted(world.GUESTS)), group)
    return Operation('claim', asked.uuid, (asked.uuid,), lambda: claimed(find(asked)), group)


def release(database: api.Database, dice: random.Random, server: Seen) -> Operation:
    """Delete a server."""

    def act() -> list[Holding]:
        claims.release(database, server.uuid)
        return []

    return _operation('release', server, act)


# --- what moves them


def _elsewhere(dice: random.Random, server: Seen) -> str:
    return dice.choice([name for name in world.HOSTS if name != server.host])


def claimed(answer: claims.Claim | Refusal) -> list[Holding] | Refusal:
    """Return what a claim holds, as its record says, or its refusal."""
    return answer if isinstance(answer, Refusal) else told(answer.instance)


def _read(flavor: Flavor, _image: object) -> Guest:
    return world.GUESTS[flavor.name]


def resize(database: api.Database, dice: random.Random, server: Seen) -> Operation:
    """Claim a place for another flavor, on any host."""
    host, flavor = dice.choice(world.HOSTS), world.flavor(dice.choice(sorted(world.GUESTS)))
    return _operation(
        'resize',
        server,
        lambda: claimed(
            claims.resize_claim(database, server.uuid, host, flavor=flavor, read=_read, limits=world.LIMITS)
        ),
    )


def migrate(database: api.Database, dice: random.Random, server: Seen) -> Operation:
    """Claim a place for the same flavor on another host."""
    host = _elsewhere(dice, server)
    return _operation(
        'migrate',
        server,
        lambda: claimed(claims.resize_claim(database, server.uuid, host, read=_read, limits=world.LIMITS)),
    )


def live_migrate(database: api.Database, dice: random.Random, server: Seen) -> Operation:
    """Claim a place for the running guest on another host."""
    host = _elsewhere(dice, server)
    return _operation(
        'live-migrate',
        server,
        lambda: claimed(claims.live_migration_claim(database, server.uuid, host, read=_read, limits=world.LIMITS)),
    )


def evacuate(database: api.Database, dice: random.Random, server: Seen) -> Operation:
    """Claim a place for a guest of a host that is down."""
    host = _elsewhere(dice, server)
    return _operation(
        'evacuate',
        server,
        lambda: claimed(claims.rebuild_claim(database, server.uuid, host, read=_read, limits=world.LIMITS)),
    )


def unshelve(database: api.Database, dice: random.Random, server: Seen) -> Operation:
    """Claim a place for a guest that is on no host."""
    host = dice.choice(world.HOSTS)
    return _operation(
        'unshelve',
        server,
        lambda: claimed(claims.unshelve_claim(database, server.uuid, host, read=_read, limits=world.LIMITS)),
    )


def rebuild(database: api.Database, dice: random.Random, server: Seen) -> Operation:
    """Give a server another image that requests the same."""
    image = {'os_distro': f'release{dice.randrange(9)}'}
    return _operation('rebuild', server, lambda: told(claims.rebuild(database, server.uuid, image, read=_read)))


def set_vcpus(database: api.Database, dice: random.Random, server: Seen) -> Operation:
    """Let some vCPUs be on, where there are so many."""
    number = dice.randint(1, 4)
    return _hot_change(
        'set-vcpus', server, lambda: hotplug_claims.set_vcpus(database, server.uuid, number, limits=world.LIMITS)
    )


def attach_memory(database: api.Database, dice: random.Random, server: Seen) -> Operation:
    """Plug memory into a cell, where there is one."""
    module = MemoryModule(dice.choice((64, 256)), dice.randrange(2))
    return _hot_change(
        'attach-memory',
        server,
        lambda: hotplug_claims.attach_memory(database, server.uuid, module, limits=world.LIMITS),
    )


def detach_memory(database: api.Database, dice: random.Random, server: Seen) -> Operation:
    """Pull memory out, where there is any."""
    return _hot_change(
        'detach-memory', server, lambda: hotplug_claims.detach_memory(database, server.uuid, dice.randrange(2))
    )


def _hot_change(verb: str, server: Seen, change: Callable[[], InstanceRecord | Refusal]) -> Operation:
    def act() -> list[Holding] | Refusal:
        try:
            answer = change()
        except exception.InstanceInvalidState:
            raise
        except (exception.Invalid, exception.NotFound, exception.Conflict) as error:
            if isinstance(error, exception.InstanceNotFound):
                raise
            return Refusal.of(Reason('hotplug', subject=str(error)))  # it has no such vCPU, cell, slot or module
        return answer if isinstance(answer, Refusal) else told(answer)

    return _operation(verb, server, act)


def _step(function: Callable[[api.Database, str], InstanceRecord]) -> Callable[..., Operation]:
    def step(database: api.Database, dice: random.Random, server: Seen) -> Operation:
        return _operation(function.__name__, server, lambda: told(function(database, server.uuid)))

    return step


def _operation(verb: str, server: Seen, act: Callable[[], list[Holding] | Refusal]) -> Operation:
    return Operation(verb, server.uuid, (server.uuid, world.HOSTS[-1]), act)


# --- what is done to hosts


def refresh(database: api.Database, dice: random.Random) -> Operation:
    """Report again what a host has, as its agent does."""
    name = dice.choice(world.HOSTS)

    def act() -> list[Holding]:
        resource_tracker.refresh(database, name, database.host(name).host)
        return []

    return Operation('refresh', name, (), act)


def toggle(database: api.Database, dice: random.Random) -> Operation:
    """Let the last host fail, or come back."""
    name, state = world.HOSTS[-1], dice.choice((UP, DOWN))

    def act() -> list[Holding]:
        retry(lambda: database.change_host(name, lambda record, _held: replace(record, state=state)))
        return []

    return Operation('toggle', name, (), act)


_FINISH = _step(migration.finish)
_DROP = _step(migration.drop_move_claim)
_CONFIRM = _step(migration.confirm)
_REVERT = _step(migration.revert)
_SHELVE = _step(migration.shelve)

#: Verbs by the state of the server, and how often they are chosen.
_BY_STATE: dict[str, dict[Callable[..., Operation], int]] = {
    'active': dict.fromkeys((release, resize, live_migrate, set_vcpus), 4)
    | {migrate: 3, attach_memory: 2, detach_memory: 1, _SHELVE: 1, rebuild: 1},
    'stranded': {release: 1, evacuate: 3},
    'moving': {release: 1, _FINISH: 6, _DROP: 3},
    'resized': {release: 1, _CONFIRM: 5, _REVERT: 4},
    'shelved_offloaded': {release: 1, unshelve: 4},
}
_WITHOUT_SERVER: dict[Callable[..., Operation], int] = {claim: 20, refresh: 1, toggle: 1}
#: So many servers are enough.
_CROWD = 28


def choose(database: api.Database, dice: random.Random, seen: list[Seen]) -> Operation:
    """Return what to do next; often it is about one of the newest servers, on which others fall as well."""
    if not seen or dice.random() > 0.3 + 0.4 * len(seen) / _CROWD:
        return _pick(dice, _WITHOUT_SERVER)(database, dice)
    return _do(database, dice, dice.choice(seen[-4:] if dice.random() < 0.4 else seen))


def choose_move(database: api.Database, dice: random.Random, seen: list[Seen]) -> Operation:
    """Return what to do next where most of it shall be moves: servers that are in one come first."""
    under_way = [server for server in seen if server.state != 'active']
    if len(seen) < _CROWD // 2 or dice.random() < 0.2:
        return claim(database, dice)
    return _do(database, dice, dice.choice(under_way if under_way and dice.random() < 0.6 else seen))


def _do(database: api.Database, dice: random.Random, server: Seen) -> Operation:
    return _pick(dice, _BY_STATE[server.state])(database, dice, server)


def _pick(dice: random.Random, table: dict[Callable[..., Operation], int]) -> Any:
    return dice.choices(list(table), list(table.values()))[0]
