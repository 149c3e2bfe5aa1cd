# SPDX-License-Identifier: Apache-2.0
"""Small fleets in a database, and the fewest moves to a goal by trying every sequence of moves."""

import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache

from numaplace import conf, request
from numaplace.cli.fleet_asking import asking
from numaplace.compute import claims, resource_tracker
from numaplace.db.api import Database
from numaplace.db.records import InstanceRequest
from numaplace.explain import HostRefusal
from numaplace.model import Flavor, Placement
from numaplace.model.fleet import Fleet
from numaplace.model.records import ACTIVE, DOWN, InstanceRecord
from numaplace.planning.state import NEW, State
from numaplace.scheduler import select
from numaplace.scheduler.limits import limits
from numaplace.tests import samples

__all__ = ['CONF', 'FLAVORS', 'fewest', 'fill', 'homeless', 'new', 'room', 'state']


def _flavor(name: str, vcpus: int, cells: int = 1, memory_mib: int = 64, **more: str) -> Flavor:
    specs = {'hw:cpu_policy': 'dedicated', 'hw:numa_nodes': str(cells)}
    specs.update({key.replace('__', ':'): value for key, value in more.items()})
    return Flavor(name, vcpus, memory_mib, 1, specs, name)


#: Pinned guests of several sizes, one that spans cells, one that wants whole cores, and one that floats.
FLAVORS = (
    _flavor('one', 1),
    _flavor('two', 2),
    _flavor('three', 3),
    _flavor('four', 4),
    _flavor('wide', 4, 2),
    _flavor('cores', 2, hw__cpu_thread_policy='require'),
    _flavor('fat', 1, memory_mib=1024),
    Flavor('floating', 2, 256, 1, id='floating'),
)


@cache
def _conf() -> object:
    return conf.load([])


CONF = _conf()


def fill(dice: random.Random, database: Database, hosts: int = 3, least: int = 2, most: int = 6) -> None:
    """Register small hosts, and create servers where they fit; some hosts get more than others."""
    for number in range(hosts):
        cells = dice.choice((1, 2, 2))
        resource_tracker.register(
            database, samples.host_record(f'h{number}', cells=cells, cpus=4 * cells, memory_mib=2048 * cells)
        )
    for flavor in FLAVORS:
        database.create_flavor(flavor)
    for number in range(dice.randint(least, most)):
        flavor = dice.choice(FLAVORS)
        asked = InstanceRequest(f's{number}', flavor, request.read(flavor, {}), {}, None)
        host = database.host(f'h{dice.randrange(hosts)}')
        claims.instance_claim(database, asked, host.name, limits=limits(host), strategy=select.strategy(CONF, flavor))


def state(fleet: Fleet, **keys: object) -> State:
    """Return a fleet that is asked with the default configuration."""
    return State.of(fleet, asking(CONF, fleet), **keys)


def fewest(start: State, measure: Callable[[State], int], movable: Iterable[str], most: int = 4) -> tuple[int, int]:
    """Return the smallest measure that moves can reach, and the fewest moves to it; each server moves once at most.

    :param movable: UUIDs of the servers that may move
    :param most: number of moves at most
    """
    best = measure(start), 0
    level = [(start, frozenset(movable))]
    for moves in range(1, most + 1):
        after = [each for state, left in level for each in _moved(state, left)]
        level = list({_signature(state): (state, left) for state, left in after}.values())
        if level:
            best = min([best, *((measure(state), moves) for state, _left in level)])
    return best


def new(flavor: Flavor, number: int) -> list[InstanceRecord]:
    """Return new servers of a flavor that are on no host."""
    placed = Placement(request.read(flavor, {}))
    return [
        InstanceRecord(f'new-{one}', f'new {one}', 0, None, flavor, {}, placed, None, ACTIVE, datetime.now(UTC))
        for one in range(number)
    ]


def room(state: State, wanted: Iterable[InstanceRecord]) -> int:
    """Return how many of some new servers that are alike fit at once, by trying every host for each."""
    left = list(wanted)
    if not left:
        return 0
    state = state.copy()
    state.servers[left[0].uuid] = left[0]
    return max([1 + room(after, left[1:]) for after in _placed(state, left[0].uuid, (NEW,))], default=0)


def homeless(state: State, host: str, uuids: list[str]) -> int:
    """Return how many servers of a host that dies find none, by trying every host for each in every order."""
    state = state.copy()
    state.closed = state.closed | {host}
    state.hosts[host] = replace(state.hosts[host], state=DOWN)
    return _left(state, frozenset(uuids))


def _left(state: State, uuids: frozenset[str]) -> int:
    least = len(uuids)
    for uuid in sorted(uuids):
        for after in _placed(state, uuid, state.kinds(state.servers[uuid])[0]):
            least = min(least, _left(after, uuids - {uuid}))
            if not least:
                return 0
    return least


def _placed(state: State, uuid: str, kinds: Iterable[str]) -> Iterable[State]:
    """Yield the state after a server has gone to each host that takes it."""
    for host in state.open_hosts():
        answer = state.offer(uuid, kinds, host)
        if host != state.servers[uuid].host and not isinstance(answer, HostRefusal):
            after = state.copy()
            after.claim(uuid, answer[0], host, answer[1])
            yield after


def _moved(state: State, left: frozenset[str]) -> Iterable[tuple[State, frozenset[str]]]:
    for uuid in sorted(left):
        server = state.servers[uuid]
        kinds, _reason = state.kinds(server)
        for host in state.open_hosts():
            if host == server.host or not kinds:
                continue
            answer = state.offer(uuid, kinds, host)
            if not isinstance(answer, HostRefusal):
                after = state.copy()
                after.claim(uuid, answer[0], host, answer[1])
                after.release(uuid)
                yield after, left - {uuid}


def _signature(state: State) -> object:
    return tuple(sorted((uuid, server.host, server.placement.cells) for uuid, server in state.servers.items()))
