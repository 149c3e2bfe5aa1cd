# SPDX-License-Identifier: Apache-2.0
"""vCPUs that go off and on and memory that is plugged in, on real databases: what is held, and what is refused."""

from dataclasses import replace

import pytest

from numaplace import exception, fit, request
from numaplace.compute import claims, hotplug_claims, migration
from numaplace.db import hosts as host_rows
from numaplace.db.records import InstanceRequest
from numaplace.model import MIXED, REQUIRE, Flavor, Guest, GuestCell, Limits, MemoryModule, Offline, Refusal
from numaplace.tests import samples
from numaplace.tests.functional.db.moving import check, used
from numaplace.tests.functional.db.test_moves import bring

SPECS = {
    'numaplace:vcpu_hotplug': 'true',
    'numaplace:memory_slots': '2',
    'numaplace:max_memory': '4096',
}
WIDE = samples.guest(cells=2, vcpus=4, memory_mib=256)


def create(database, guest, name='db1', specs=SPECS, host='a', **terms):
    flavor = Flavor('hot', guest.vcpus, guest.memory_mib, 1, specs, 'hot')
    return claims.instance_claim(database, InstanceRequest(name, flavor, guest), host, **terms).instance.uuid


def pins(instance):
    return [dict(placed.pins) for placed in instance.placement.cells]


def codes(refusal):
    assert isinstance(refusal, Refusal)
    return [(reason.code, reason.needed, reason.available, reason.guest_cells) for reason in refusal.reasons]


@pytest.fixture
def wide(hosts):
    """The UUID of a server on host a, with two cells of four pinned vCPUs each."""
    return create(hosts, WIDE)


def test_vcpus_go_off_evenly_and_free_their_cpus(hosts, wide):
    before = hosts.instance(wide)
    after = hotplug_claims.set_vcpus(hosts, wide, 4)
    assert hosts.instance(wide) == after
    assert [cell.guest_cell.vcpus for cell in after.placement.cells] == [0b11, 0b110000]
    assert after.placement.guest.offline == (Offline(0, 0b1100), Offline(0, 0b11000000))
    assert (after.placement.guest.vcpus, after.placement.guest.most_vcpus) == (4, 8)
    assert used(hosts)['a'] == ('0-1,8-9', 512)
    assert hosts.host('a').host.vcpus_used == 4
    for number in (8, 7, 8):
        after = hotplug_claims.set_vcpus(hosts, wide, number)
    assert after.placement == before.placement
    assert used(hosts)['a'] == ('0-3,8-11', 512)


def test_vcpus_that_come_back_get_what_is_free_and_the_others_stay(hosts, wide):
    hotplug_claims.set_vcpus(hosts, wide, 2)
    create(hosts, samples.guest(vcpus=2), 'neighbour')
    before = hosts.instance(wide)
    after = hotplug_claims.set_vcpus(hosts, wide, 7)
    for old, new in zip(pins(before), pins(after), strict=True):
        assert old.items() <= new.items()
    assert hosts.instance(wide) == after
    check(hosts)


def test_one_that_has_no_room_is_told_why_and_changes_nothing(hosts, wide):
    hotplug_claims.set_vcpus(hosts, wide, 4)
    create(hosts, samples.guest(cells=2, vcpus=5), 'neighbour')
    before = hosts.instance(wide), hosts.hosts()
    assert codes(hotplug_claims.set_vcpus(hosts, wide, 8)) == [
        ('cpus.dedicated.free', 2, 1, (0,)),
        ('cpus.dedicated.free', 2, 1, (1,)),
    ]
    assert (hosts.instance(wide), hosts.hosts()) == before
    assert hotplug_claims.set_vcpus(hosts, wide, 6)


def test_a_number_that_cannot_be_is_refused_with_those_that_can(hosts, wide):
    for number in (0, 1, 9):
        with pytest.raises(exception.Invalid, match=f'{number} vCPUs: expected 2 to 8, as each of its cells keeps'):
            hotplug_claims.set_vcpus(hosts, wide, number)


def test_isolated_vcpus_free_and_take_whole_cores(hosts):
    server = create(hosts, samples.guest(vcpus=3, thread_policy='isolate'))
    assert used(hosts)['a'][0] == '0-5'
    hotplug_claims.set_vcpus(hosts, server, 1)
    assert used(hosts)['a'][0] == '0-1'
    hotplug_claims.set_vcpus(hosts, server, 3)
    assert used(hosts)['a'][0] == '0-5'


def test_an_isolated_vcpu_comes_back_to_a_whole_core_or_not_at_all(hosts):
    server = create(hosts, samples.guest(vcpus=4, thread_policy='isolate'))
    hotplug_claims.set_vcpus(hosts, server, 2)
    create(hosts, samples.guest(vcpus=1), 'beside', strategy=fit.LINEAR)
    assert used(hosts)['a'][0] == '0-4'
    assert codes(hotplug_claims.set_vcpus(hosts, server, 4)) == [('threads.isolate', 2, 1, (0,))]
    assert hotplug_claims.set_vcpus(hosts, server, 3)
    assert used(hosts)['a'][0] == '0-4,6-7'


def test_the_emulators_cpu_stays_when_vcpus_go(hosts):
    server = create(hosts, replace(samples.guest(vcpus=4), emulator_policy='isolate'))
    reserved = hosts.instance(server).placement.cells[0].emulator_cpus
    after = hotplug_claims.set_vcpus(hosts, server, 1)
    assert after.placement.cells[0].emulator_cpus == reserved
    assert after.placement.cells[0].taken.bit_count() == 2
    assert hotplug_claims.set_vcpus(hosts, server, 4).placement.cells[0].emulator_cpus == reserved
    check(hosts)


def test_a_guest_that_requires_threads_gets_those_of_its_own_cores_back(hosts):
    server = create(hosts, samples.guest(vcpus=8, thread_policy=REQUIRE))
    before = pins(hosts.instance(server))
    for number in (1, 3):
        hotplug_claims.set_vcpus(hosts, server, number)
        assert pins(hotplug_claims.set_vcpus(hosts, server, 8)) == before
    check(hosts)


def test_the_shared_vcpus_of_a_mixed_guest_are_counted_and_the_others_pinned(hosts):
    mixed = Guest(4, 512, (GuestCell(0, 0b0011, 0b1100, 512, None, MIXED),))
    server = create(hosts, mixed)
    shared, dedicated = hotplug_claims.set_vcpus(hosts, server, 1), hotplug_claims.set_vcpus(hosts, server, 3)
    assert pins(shared) == [{}]
    assert [set(cell) for cell in pins(dedicated)] == [{2}]
    usage = next(cell for cell in hosts.host('a').host.cells if cell.cpu_usage)
    assert (usage.cpu_usage, usage.pinned_cpus.bit_count()) == (2, 1)
    check(hosts)


def test_a_floating_guest_counts_what_is_on(hosts):
    server = create(hosts, Guest(6, 512))
    after = hotplug_claims.set_vcpus(hosts, server, 2)
    assert after.placement.guest.offline == (Offline(0b111100),)
    assert hosts.host('a').host.floating_vcpus == 2
    create(hosts, Guest(14, 512), 'neighbour')
    limits = Limits(1.0, 1.0)
    assert codes(hotplug_claims.set_vcpus(hosts, server, 3, limits=limits)) == [('cpus.host', 1, 0.0, ())]
    assert hotplug_claims.set_vcpus(hosts, server, 6, limits=Limits(2.0, 1.0)).placement.guest.offline == ()
    check(hosts)


def test_no_one_is_refused_cpus_for_memory_that_others_overcommit(hosts):
    shared = samples.guest(vcpus=2, memory_mib=1500, policy=None)
    server = create(hosts, shared)
    hotplug_claims.set_vcpus(hosts, server, 1)
    create(hosts, replace(shared, memory_mib=1500), 'neighbour', specs={})
    assert hotplug_claims.set_vcpus(hosts, server, 2, limits=Limits(4.0, 0.5))


# --- memory


def test_memory_that_is_plugged_in_is_claimed_in_pages_of_its_cell(hosts):
    server = create(hosts, samples.guest(cells=2, memory_mib=256, pagesize_kib=2048))
    after = hotplug_claims.attach_memory(hosts, server, MemoryModule(512, 1))
    assert hosts.instance(server) == after
    assert [cell.guest_cell.memory_mib for cell in after.placement.cells] == [256, 768]
    assert (after.placement.guest.memory_mib, after.placement.guest.plugged_mib) == (1024, 512)
    pages = {cell.id: cell.pages[1].used for cell in hosts.host('a').host.cells}
    assert pages == {placed.host_cell: placed.guest_cell.memory_mib // 2 for placed in after.placement.cells}
    assert used(hosts)['a'][1] == 1024
    back = hotplug_claims.detach_memory(hosts, server, 0)
    assert (back.placement.guest.modules, used(hosts)['a'][1]) == ((), 512)


def test_memory_that_there_is_no_room_for_is_refused_as_a_claim_would_be(hosts):
    server = create(hosts, samples.guest(memory_mib=256, pagesize_kib=2048))
    assert codes(hotplug_claims.attach_memory(hosts, server, MemoryModule(1800, 0))) == [('pages.2048', 900, 894, (0,))]
    assert codes(hotplug_claims.attach_memory(hosts, server, MemoryModule(511, 0))) == [
        ('memory.multiple', 511 * 1024, 2048, (0,))
    ]
    check(hosts)


def test_a_guest_does_not_overcommit_against_itself(hosts):
    """A new one of that size would be refused too; only beside others may there be less than all have."""
    guest = samples.guest(memory_mib=1024, policy=None)
    server = create(hosts, guest, specs=SPECS | {'numaplace:max_memory': '65536'})
    answer = hotplug_claims.attach_memory(hosts, server, MemoryModule(1536, 0))
    assert codes(answer) == [('memory.total', 2560, 2048, (0,))]
    assert hotplug_claims.attach_memory(hosts, server, MemoryModule(1024, 0))


def test_what_a_file_holds_is_not_claimed(hosts, wide):
    module = MemoryModule(512, 1, '/dev/dax0.0', 2048, 128, True)
    before = used(hosts)
    after = hotplug_claims.attach_memory(hosts, wide, module)
    assert after.placement.guest.modules == (module,)
    assert used(hosts) == before
    assert hotplug_claims.detach_memory(hosts, wide, 0).placement.guest.modules == ()


@pytest.mark.parametrize(
    ('module', 'error', 'told'),
    [
        (MemoryModule(64, 2), exception.Invalid, 'node 2: the guest has the cells 0 to 1'),
        (MemoryModule(64, 0, pmem=True), exception.Invalid, 'belong to a module with a path'),
        (MemoryModule(64, 0, 'dax'), exception.Invalid, "path 'dax': expected the absolute path"),
        (MemoryModule(64, 0, '/dev/\x1b'), exception.Invalid, 'expected the absolute path'),
        (MemoryModule(64, 0, '/a', label_kib=64), exception.Invalid, 'label of 64 KiB: expected 128 KiB or more'),
        (MemoryModule(3585, 0), exception.Conflict, r'it would have 4097 MiB of memory; .* numaplace:max_memory=4096'),
    ],
)
def test_a_module_that_cannot_be_is_refused(hosts, wide, module, error, told):
    with pytest.raises(error, match=told):
        hotplug_claims.attach_memory(hosts, wide, module)


def test_there_are_as_many_modules_as_slots(hosts, wide):
    for number in range(2):
        hotplug_claims.attach_memory(hosts, wide, MemoryModule(64, number))
    with pytest.raises(exception.Conflict, match='all 2 memory slots are taken'):
        hotplug_claims.attach_memory(hosts, wide, MemoryModule(64, 0, '/a'))
    with pytest.raises(exception.NotFound, match='has no memory module 2: its modules are 0 to 1'):
        hotplug_claims.detach_memory(hosts, wide, 2)


def test_what_the_flavor_does_not_allow_is_refused_with_its_key(hosts):
    server = create(hosts, WIDE, specs={})
    with pytest.raises(exception.Conflict, match="its flavor 'hot' does not allow it; expected numaplace:vcpu_hotplug"):
        hotplug_claims.set_vcpus(hosts, server, 2)
    with pytest.raises(exception.Conflict, match='expected numaplace:memory_slots and numaplace:max_memory'):
        hotplug_claims.attach_memory(hosts, server, MemoryModule(64, 0))


# --- with the other verbs


def change(database, server):
    hotplug_claims.set_vcpus(database, server, 4)
    return hotplug_claims.attach_memory(database, server, MemoryModule(256, 1)).placement.guest


def test_a_live_migration_keeps_what_is_off_and_what_is_plugged_in(hosts, wide):
    guest = change(hosts, wide)
    claims.live_migration_claim(hosts, wide, 'b')
    moving = hosts.instance(wide)
    assert moving.move.new.placement.guest == guest
    arrived = migration.finish(hosts, wide)
    assert (arrived.host, arrived.placement.guest) == ('b', guest)
    assert [cell.guest_cell.memory_mib for cell in arrived.placement.cells] == [256, 512]
    assert used(hosts)['a'] == ('', 0)
    assert hotplug_claims.set_vcpus(hosts, wide, 8)
    check(hosts)


@pytest.mark.parametrize('kind', ['migration', 'resize'])
def test_a_guest_that_starts_anew_elsewhere_is_as_its_flavor_says_and_comes_back_as_it_was(hosts, wide, kind):
    guest = change(hosts, wide)
    flavor = Flavor('other', 8, 512, id='other') if kind == 'resize' else None
    claims.resize_claim(hosts, wide, 'b', flavor=flavor, read=lambda *_: WIDE)
    arrived = migration.finish(hosts, wide)
    assert arrived.placement.guest == WIDE
    assert migration.revert(hosts, wide).placement.guest == guest
    check(hosts)


def test_a_shelved_guest_comes_back_as_its_flavor_says(hosts, wide):
    change(hosts, wide)
    shelved = migration.shelve(hosts, wide).placement.guest
    assert (shelved.vcpus, shelved.memory_mib, shelved.offline, shelved.modules) == (8, 512, (), ())
    claims.unshelve_claim(hosts, wide, 'b', read=lambda *_: WIDE)
    assert hosts.instance(wide).placement.guest == WIDE
    check(hosts)


def test_a_rebuild_keeps_what_is_off_and_what_is_plugged_in(hosts, wide):
    guest = change(hosts, wide)
    assert claims.rebuild(hosts, wide, {}, read=lambda *_: WIDE).placement.guest == guest


def test_a_server_that_was_changed_is_deleted_whole(hosts, wide):
    change(hosts, wide)
    claims.release(hosts, wide)
    assert used(hosts)['a'] == ('', 0)


@pytest.mark.parametrize('status', ['RESIZE', 'MIGRATING', 'VERIFY_RESIZE', 'SHELVED_OFFLOADED'])
def test_only_an_active_server_is_changed(hosts, wide, status):
    bring(hosts, wide, status)
    before = hosts.instance(wide), hosts.hosts()
    for verb in (
        lambda: hotplug_claims.set_vcpus(hosts, wide, 4),
        lambda: hotplug_claims.attach_memory(hosts, wide, MemoryModule(64, 0)),
        lambda: hotplug_claims.detach_memory(hosts, wide, 0),
    ):
        with pytest.raises(exception.InstanceInvalidState, match=f'its status is {status}; expected ACTIVE'):
            verb()
    assert (hosts.instance(wide), hosts.hosts()) == before


def test_a_server_that_others_changed_meanwhile_stays_as_they_left_it(hosts, wide):
    before = hosts.instance(wide)
    after = hotplug_claims.set_vcpus(hosts, wide, 6)
    with pytest.raises(exception.Conflict, match='has been changed: try again'):
        hotplug_claims.set_vcpus(hosts, wide, 4, as_read=before)
    assert hosts.instance(wide) == after


def _divided(database, name, vcpus):
    """Create a server that leaves the first core of node 0 free."""
    divided = {'numaplace:vnuma': 'node', 'numaplace:vnuma_nodes': '0', 'hw:cpu_policy': 'dedicated'}
    guest = request.read(Flavor('hot', vcpus, 256, 1, SPECS | divided, 'hot'), {})
    return create(database, guest, name, SPECS | divided)


def test_vcpus_that_come_back_leave_the_cores_free_that_the_flavor_keeps(hosts):
    first = _divided(hosts, 'db1', 6)
    assert pins(hosts.instance(first)) == [dict(enumerate(range(2, 8)))]
    hotplug_claims.set_vcpus(hosts, first, 2)
    _divided(hosts, 'db2', 4)
    assert used(hosts)['a'] == ('2-7', 512)
    assert codes(hotplug_claims.set_vcpus(hosts, first, 4)) == [('cpus.dedicated.free', 2, 0, (0,))]


#: What claims more for a server whose vCPUs are half off.
MORE = {
    'vCPUs': lambda database, wide: hotplug_claims.set_vcpus(database, wide, 8),
    'memory': lambda database, wide: hotplug_claims.attach_memory(database, wide, MemoryModule(64, 1)),
}


class Interrupted:
    """An interrupt that arrives when the database has answered a commit, the first time."""

    def __init__(self, database):
        self._commit, self._done = database._engine.dialect.do_commit, False

    def __call__(self, connection):
        self._commit(connection)
        if not self._done:
            self._done = True
            raise KeyboardInterrupt


@pytest.mark.parametrize('more', MORE)
def test_an_interrupt_gives_back_what_a_running_guest_claimed(hosts, monkeypatch, more):
    wide = create(hosts, WIDE)
    hotplug_claims.set_vcpus(hosts, wide, 4)
    before = hosts.instance(wide).placement, used(hosts)
    monkeypatch.setattr(hosts._engine.dialect, 'do_commit', Interrupted(hosts))
    with pytest.raises(KeyboardInterrupt, match=r'^$'):
        MORE[more](hosts, wide)
    assert before == (hosts.instance(wide).placement, used(hosts))


def test_an_interrupt_before_the_commit_takes_nothing_back(hosts, monkeypatch):
    """What was plugged in before stays."""
    wide = create(hosts, WIDE)
    hotplug_claims.attach_memory(hosts, wide, MemoryModule(64, 1))
    before = hosts.instance(wide)

    def interrupted(*_arguments):
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr(host_rows, 'replace_usage', interrupted)
    with pytest.raises(KeyboardInterrupt, match=r'^$'):
        hotplug_claims.attach_memory(hosts, wide, MemoryModule(64, 1))
    assert before == hosts.instance(wide)
