# SPDX-License-Identifier: Apache-2.0
"""Whatever is done in whatever order, the database holds what a simple model says, and refuses what has no place."""

import contextlib
import random
import shutil
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from numaplace import exception
from numaplace.compute import claims, hotplug_claims, migration, resource_tracker
from numaplace.db import api
from numaplace.model import MemoryModule, Refusal
from numaplace.model.records import DOWN, UP
from numaplace.tests.functional.storms import amount, ledger, scenes, verbs, world
from numaplace.tests.functional.storms.model import ACTIVE, RESIZED, SHELVED, Model, Move, Server, Shape

KINDS = st.sampled_from(sorted(world.GUESTS))
HOSTS = st.sampled_from(world.HOSTS)
TERMS = {'limits': world.LIMITS}
#: Verbs that need nothing but the server, and for which it must be ready.
READY = {
    migration.finish: lambda server: server.is_on_its_way,
    migration.confirm: lambda server: server.state == RESIZED,
    migration.revert: lambda server: server.state == RESIZED,
    migration.drop_move_claim: lambda server: server.is_on_its_way,
    migration.shelve: lambda server: server.is_idle,
}
#: What they do to it.
EFFECTS = {
    migration.finish: Server.arrive,
    migration.confirm: lambda server: server.end_at(server.move.new),
    migration.revert: lambda server: server.end_at(server.move.old),
    migration.drop_move_claim: lambda server: server.end_at(server.move.old),
    migration.shelve: Server.shelve,
}
#: The claims of moves, and what they are told, by Nova's words for the moves.
MOVES = {
    'resize': lambda kind: (claims.resize_claim, {'flavor': world.flavor(kind), 'read': scenes.read}),
    'migration': lambda kind: (claims.resize_claim, {'read': scenes.read}),
    'live-migration': lambda kind: (claims.live_migration_claim, {'read': scenes.read}),
    'evacuation': lambda kind: (claims.rebuild_claim, {'read': scenes.read}),
}
VERBS = st.sampled_from(sorted(MOVES))
#: The file that every storm begins with.
TEMPLATE = []
#: The explanation of a failure takes longer than everything else.
PHASES = [hypothesis.Phase.generate, hypothesis.Phase.shrink]
#: How often each verb did something.
DONE = Counter()


class Storm(RuleBasedStateMachine):
    """All verbs on servers in any state; `gone` are those that were deleted."""

    servers = Bundle('servers')
    gone = Bundle('gone')

    def __init__(self):
        super().__init__()
        self.model = Model()
        self.dice = random.Random(0)
        self.directory = Path(tempfile.mkdtemp(prefix='numaplace-'))
        self.url = f'sqlite:///{self.directory / "db"}'
        shutil.copy(TEMPLATE[0], self.directory / 'db')
        self.database = api.connect(self.url)

    def teardown(self):
        self.database.close()
        shutil.rmtree(self.directory)

    def expect(self, fault, act, *arguments, **keys):
        """Do something, and return what it answers, or None if it fails as it should."""
        with pytest.raises(fault, match=r'\S') if fault else contextlib.nullcontext():
            answer = act(self.database, *arguments, **keys)
            DONE[act.__name__] += bool(answer)
            return answer
        return None

    def placed(self, answer, shape, host):
        """Check a claim against brute force, and return what it holds there, or None."""
        if answer is None:
            return None
        assert bool(answer) == self.model.fits(shape, host), f'{answer}, brute force thinks otherwise'
        if isinstance(answer, Refusal):
            assert answer.reasons
            return None
        return verbs.told(answer.instance)[-1]

    def new_server(self, kind, host):
        asked = world.request(self.dice, kind)
        place = self.placed(self.expect(None, claims.instance_claim, asked, host, **TERMS), Shape(kind), host)
        if place is None:
            return multiple()
        self.model.servers[asked.uuid] = Server(Shape(kind), place)
        return asked.uuid

    # --- new servers and the end of them

    @initialize(target=servers, kinds=st.lists(st.tuples(KINDS, KINDS, VERBS), min_size=6, max_size=12))
    def begin(self, kinds):
        """Let there be servers, of which most are in a move."""
        uuids = [(self.new_server(kind, world.HOSTS[0]), new_kind, verb) for kind, new_kind, verb in kinds]
        known = [(uuid, kind, verb) for uuid, kind, verb in uuids if isinstance(uuid, str)]
        for uuid, kind, verb in known:
            self.move(uuid, world.HOSTS[1], kind, verb)
        return multiple(*(uuid for uuid, _kind, _verb in known))

    @rule(target=servers, kind=KINDS, host=HOSTS)
    def claim(self, kind, host):
        return self.new_server(kind, host)

    @rule(target=gone, uuid=consumes(servers))
    def release(self, uuid):
        self.expect(None, claims.release, uuid)
        del self.model.servers[uuid]
        return uuid

    @rule(uuid=gone, verb=st.sampled_from([claims.release, *READY]))
    def do_something_to_a_server_that_is_gone(self, uuid, verb):
        self.expect(exception.InstanceNotFound, verb, uuid)

    # --- moves

    @rule(uuid=servers, host=HOSTS, kind=KINDS, verb=VERBS)
    def move(self, uuid, host, kind, verb):
        server = self.model.servers[uuid]
        anew = Shape(kind if verb == 'resize' else server.shape.kind)
        shape = server.shape if verb == 'live-migration' else anew
        claim, keys = MOVES[verb](shape.kind)
        answer = self.expect(self.cannot(server, verb, host), claim, uuid, host, **keys, **TERMS)
        if new := self.placed(answer, shape, host):
            server.move = Move(verb, (server.shape, server.place), (shape, new))

    @rule(uuid=servers, host=HOSTS)
    def lose_the_host_of(self, uuid, host):
        """Let the host of a server fail, and evacuate it."""
        source = self.model.servers[uuid].place
        if source:
            self.turn(source.host, DOWN)
            self.move(uuid, host, '', 'evacuation')

    def cannot(self, server, verb, host):
        """Return the fault with which a move ends, or None."""
        if not server.is_idle:
            return exception.InstanceInvalidState
        is_down = server.place.host in self.model.down
        if is_down and verb != 'evacuation':
            return exception.ComputeServiceUnavailable
        if not is_down and verb == 'evacuation':
            return exception.ComputeServiceInUse
        return exception.UnableToMigrateToSelf if server.place.host == host and verb != 'resize' else None

    @rule(uuid=servers, numbers=st.lists(st.integers(0, 59), min_size=2, max_size=6))
    def go_on(self, uuid, numbers):
        """Do some of the things for which a server is ready."""
        for number in numbers:
            server = self.model.servers[uuid]
            ready = [verb for verb, is_ready in READY.items() if is_ready(server)]
            if server.is_idle and number % 7 < 3:
                (self.set_vcpus, self.plug, self.rebuild_alike)[number % 7](uuid, number % 4 + 1)
            elif server.is_idle and number % 5:
                kinds = sorted(world.GUESTS)
                verb = ('resize', 'migration', 'live-migration')[number % 3]
                self.move(uuid, world.HOSTS[number % len(world.HOSTS)], kinds[number % len(kinds)], verb)
            elif ready:
                self.step(uuid, ready[number % len(ready)])
            else:
                self.unshelve(uuid, world.HOSTS[number % len(world.HOSTS)])

    @rule(uuid=servers, verb=st.sampled_from(list(READY)))
    def step(self, uuid, verb):
        """Do something for which a server may not be ready."""
        server = self.model.servers[uuid]
        if not READY[verb](server):
            self.expect(exception.InstanceInvalidState, verb, uuid)
            return
        self.expect(None, verb, uuid)
        EFFECTS[verb](server)

    @rule(uuid=servers, verb=st.sampled_from([migration.confirm, migration.revert]))
    def see_through(self, uuid, verb):
        """Let a server that is in a move arrive, and end the move."""
        server = self.model.servers[uuid]
        if server.is_on_its_way:
            self.step(uuid, migration.finish)
        if server.state == RESIZED:
            self.step(uuid, verb)

    @rule(uuid=servers, host=HOSTS)
    def unshelve(self, uuid, host):
        server = self.model.servers[uuid]
        fault = None if server.state == SHELVED else exception.InstanceInvalidState
        answer = self.expect(fault, claims.unshelve_claim, uuid, host, read=scenes.read, **TERMS)
        if place := self.placed(answer, server.shape, host):
            server.place, server.state = place, ACTIVE

    @rule(uuid=servers, kind=KINDS)
    def rebuild(self, uuid, kind):
        server = self.model.servers[uuid]
        fault = None if _topology(server.shape.kind) == _topology(kind) else exception.ImageNUMATopologyRebuildConflict
        fault = fault if server.is_idle else exception.InstanceInvalidState
        new = {'kind': kind}

        def read(_flavor, image):
            return world.GUESTS[kind if image is new else server.shape.kind]

        self.expect(fault, claims.rebuild, uuid, new, read=read)

    def rebuild_alike(self, uuid, _number):
        self.rebuild(uuid, self.model.servers[uuid].shape.kind)

    # --- what changes while a guest runs

    @rule(uuid=servers, number=st.integers(1, 4))
    def set_vcpus(self, uuid, number):
        server = self.model.servers[uuid]
        shape = server.shape.with_vcpus(number)
        fault = None if shape else exception.Invalid
        fault = fault if server.is_idle else exception.InstanceInvalidState
        self.change(server, shape, self.expect(fault, hotplug_claims.set_vcpus, uuid, number, **TERMS))

    @rule(uuid=servers, size_mib=st.sampled_from([63, 64, 512, 1024]), cell=st.integers(0, 1))
    def attach_memory(self, uuid, size_mib, cell):
        server = self.model.servers[uuid]
        cells, modules = len(world.GUESTS[server.shape.kind].cells), server.shape.modules
        fault = exception.Conflict if not cells or len(modules) == world.SLOTS else None
        fault = exception.Invalid if 0 < cells <= cell else fault
        fault = fault if server.is_idle else exception.InstanceInvalidState
        answer = self.expect(fault, hotplug_claims.attach_memory, uuid, MemoryModule(size_mib, cell), **TERMS)
        self.change(server, server.shape._replace(modules=(*modules, (size_mib, cell))), answer)

    @rule(uuid=servers, number=st.integers(1, 4))
    def plug(self, uuid, number):
        """Plug memory in, and half of the time pull some out again."""
        self.attach_memory(uuid, 64 * number, 0)
        if number % 2:
            self.detach_memory(uuid, 0)

    @rule(uuid=servers, number=st.integers(0, 1))
    def detach_memory(self, uuid, number):
        server = self.model.servers[uuid]
        modules = server.shape.modules
        fault = None if number < len(modules) else exception.NotFound
        fault = fault if server.is_idle else exception.InstanceInvalidState
        answer = self.expect(fault, hotplug_claims.detach_memory, uuid, number)
        self.change(server, server.shape._replace(modules=modules[:number] + modules[number + 1 :]), answer)

    def change(self, server, shape, answer):
        """Check a change of a running guest against brute force, and that nothing else of it changed."""
        if answer is None:
            return
        assert bool(answer) == self.model.fits_more(server.place, server.shape, shape), f'{answer}, {shape}'
        if isinstance(answer, Refusal):
            assert answer.reasons
            return
        (place,) = verbs.told(answer)
        guest = shape.guest()
        assert (place.vcpus, place.memory_mib, place.devices) == (guest.vcpus, guest.memory_mib, server.place.devices)
        for asked, old, new in zip(guest.cells, server.place.cells, place.cells, strict=True):
            assert (new.host_cell, new.pagesize_kib) == (old.host_cell, old.pagesize_kib)
            assert (new.shared_vcpus, new.memory_mib) == (asked.shared_vcpus.bit_count(), asked.memory_mib)
            assert set(old.cpus) <= set(new.cpus) or set(new.cpus) <= set(old.cpus)
        server.shape, server.place = shape, place

    # --- what is done to hosts

    @rule(host=HOSTS, state=st.sampled_from([UP, DOWN]))
    def turn(self, host, state):
        self.database.change_host(host, lambda record, _held: replace(record, state=state))
        (self.model.down.add if state == DOWN else self.model.down.discard)(host)

    @rule(host=HOSTS)
    def refresh(self, host):
        resource_tracker.refresh(self.database, host, world.host(apart=host in world.HOSTS[:2]))

    # --- what always holds

    @invariant()
    def rows_say_what_the_model_says(self):
        rows = ledger.at(self.url)
        assert rows.faults() == []
        assert sorted(rows.holdings) == sorted(self.model.holdings())
        shown = {uuid: (row['vm_state'], row['host']) for uuid, row in rows.servers.items()}
        assert shown == {
            uuid: (server.state, server.place and server.place.host) for uuid, server in self.model.servers.items()
        }
        under_way = {
            move['instance_uuid']: move['migration_type'] for move in rows.moves if move['status'] not in ledger.ENDED
        }
        assert under_way == {uuid: server.move.kind for uuid, server in self.model.servers.items() if server.move}


#: Chance may leave out a verb in one round.
ROUNDS = 5


def _topology(kind):
    return world.GUESTS[kind].cells, world.GUESTS[kind].emulator_policy


def test_the_database_does_what_the_model_does(tmp_path):
    TEMPLATE[:] = [tmp_path / 'template']
    url = f'sqlite:///{TEMPLATE[0]}'
    with api.connect(url) as database:
        world.fill(database)
    settings = hypothesis.settings(
        max_examples=1000 if amount.IS_LONG else 120, stateful_step_count=30, phases=PHASES, derandomize=False
    )
    claimed = {'instance_claim', 'resize_claim', 'rebuild_claim', 'live_migration_claim', 'unshelve_claim'}
    hot = {'set_vcpus', 'attach_memory', 'detach_memory'}
    expected = {*claimed, *hot, 'rebuild', 'release', *(verb.__name__ for verb in READY)}
    for number in range(ROUNDS):
        seeded = hypothesis.seed(f'{amount.SEED}.{number}')(Storm)
        hypothesis.stateful.run_state_machine_as_test(seeded, settings=settings)
        if {verb for verb, times in DONE.items() if times} == expected:
            return
    pytest.fail(f'not every verb was done in {ROUNDS} rounds: {DONE}')
