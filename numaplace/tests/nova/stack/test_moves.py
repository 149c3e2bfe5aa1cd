# SPDX-License-Identifier: Apache-2.0
"""Moves of servers: in the middle, after them and after deletion each host has counted what it holds, and no more.

Nova 34 counts each move at once. A guest that is deleted soon after one is counted until the next audit, so the service
of its host is restarted.
"""

import pytest

from numaplace.tests.nova.stack import judging, reading

COLD = ('cmp1', 'cmp2')

#: CPUs of cells that take a host for themselves.
MOST = {'cmp1': (4, 3, 4), 'virt1': (4, 3)}


@pytest.fixture
def boot(cloud):
    """Return a function that boots servers of some flavors at once on a host."""

    def boot(host, *flavors):
        asked = [cloud.request(flavor, f'guest{number}', host=host) for number, flavor in enumerate(flavors)]
        servers = [cloud.settled(server) for server in asked]
        assert [('ACTIVE', None)] * len(servers) == [(server.status, server.fault) for server in servers]
        return servers

    return boot


def test_moves_are_held_across_restarts_and_ended_after_them(cloud, rows, stack, boot, balanced):
    """Guests of all kinds move at once; both services restart before any is confirmed; then a host is evacuated."""
    idle = balanced()
    servers = uneven, paged, mixed, isolated = boot(
        'cmp1',
        cloud.cells('uneven', 1, 3),
        cloud.cells('paged', 1, ram=1024, mem_page_size='large'),
        cloud.flavor('mixed', 3, 512, numa_nodes=1, cpu_policy='mixed', cpu_dedicated_mask='1-2'),
        cloud.cells('isolated', 1, cpu_thread_policy='isolate', emulator_threads_policy='isolate'),
    )
    before = balanced()
    wider = cloud.cells('wider', 3, 2, 1)
    larger = cloud.flavor('larger', 4, 512, numa_nodes=2, cpu_policy='mixed', cpu_dedicated_mask='0-2')
    with cloud.only('cmp2'):
        cloud.resize(uneven, wider)
        cloud.resize(mixed, larger)
        cloud.migrate(paged, 'cmp2')
        cloud.migrate(isolated, 'cmp2')
        assert ['cmp2'] * 4 == _hosts_when_resized(cloud, servers)
    middle = balanced()
    assert before['cmp1'] == middle['cmp1']
    assert [1048576] == [cell['pagesize'] for cell in rows.guest(paged)]
    stack.restart(*COLD)
    assert middle == balanced()
    assert ['cmp2'] * 2 == [cloud.confirm(server).compute_host for server in (uneven, paged)]
    assert ['cmp1'] * 2 == [cloud.revert(server).compute_host for server in (mixed, isolated)]
    balanced()
    stack.stop('cmp1')
    cloud.set_down('cmp1', down=True)
    assert ['cmp2'] * 2 == [cloud.evacuate(server, 'cmp2').compute_host for server in (mixed, isolated)]
    stack.restart('cmp1')
    cloud.set_down('cmp1', down=False)
    assert idle['cmp1'] == balanced()['cmp1']
    assert [] == list((stack.state / 'cmp1' / 'guests').iterdir())
    cloud.delete(servers)
    stack.restart('cmp2')
    assert idle == balanced()


def test_a_resize_on_one_host_holds_both_flavors_until_it_ends(cloud, boot, stack, balanced):
    idle = balanced()
    confirmed, reverted = servers = boot('cmp1', cloud.cells('one', 1), cloud.cells('one-one', 1, 1))
    before = balanced()
    wider = cloud.cells('wider', 2, 1)
    with cloud.only('cmp1'):
        for server in servers:
            cloud.resize(server, wider)
        assert ['cmp1'] * 2 == _hosts_when_resized(cloud, servers)
    assert [3, 9] == [_pinned(usage['cmp1']) for usage in (before, balanced())]
    cloud.confirm(confirmed)
    cloud.revert(reverted)
    assert 5 == _pinned(balanced()['cmp1'])
    cloud.delete(servers)
    stack.restart('cmp1')
    assert idle == balanced()


def test_a_live_migration_is_held_on_both_hosts_until_it_ends(cloud, rows, boot, stack, balanced):
    """Two guests change places: one migration is aborted, and another fails because the destination is gone."""
    idle = balanced()
    log = reading.Log(stack.log('virt2'))
    flavor = cloud.cells('uneven', 1, 3)
    (moving,), (staying,) = boot('virt1', flavor), boot('virt2', flavor)
    before = balanced()
    assert rows.guest(moving) == rows.guest(staying)
    refused, migration = cloud.live_migrate(staying, 'virt1'), cloud.live_migrate(moving, 'virt2')
    middle = balanced()
    assert [8, 8] == [_pinned(middle[host]) for host in ('virt1', 'virt2')]
    assert 'virt2' == cloud.abort(staying, refused).compute_host
    aborted = balanced()
    assert (before['virt1'], middle['virt2']) == (aborted['virt1'], aborted['virt2'])
    assert 'virt2' == cloud.force_complete(moving, migration).compute_host
    pins = {vcpu: {cpu} for cell in rows.guest(moving) for vcpu, cpu in judging.pins(cell).items()}
    assert pins == judging.vcpu_pins(log.guest_xml(moving))
    after = balanced()
    assert (idle['virt1'], middle['virt2']) == (after['virt1'], after['virt2'])
    cloud.reset(staying)
    cloud.live_migrate(staying, 'virt1')
    arrivals = stack.state / 'virt1' / 'domains'
    arrivals.rmdir()
    assert 'virt2' == cloud.reaches(staying, 'ACTIVE').compute_host
    arrivals.mkdir()
    assert after == balanced()
    cloud.delete([moving, staying])
    stack.restart('virt2')
    assert idle == balanced()


@pytest.mark.parametrize('host', ['cmp1', 'virt1'])
def test_a_shelved_server_holds_nothing_and_returns_on_another_host_if_its_own_is_full(cloud, boot, balanced, host):
    idle = balanced()
    flavor = cloud.cells('most', *MOST[host])
    (server,) = boot(host, flavor)
    cloud.shelve(server)
    assert idle == balanced()
    assert [('active', 512)] == [(snapshot.status, snapshot.size) for snapshot in cloud.snapshots()]
    (other,) = boot(host, flavor)
    with cloud.only(host, host.replace('1', '2')):
        returned = cloud.unshelve(server)
    assert ('ACTIVE', host.replace('1', '2')) == (returned.status, returned.compute_host)
    assert [] == cloud.snapshots()
    balanced()
    cloud.delete([server, other])
    assert idle == balanced()


def _hosts_when_resized(cloud, servers):
    found = [cloud.reaches(server, 'VERIFY_RESIZE') for server in servers]
    assert [None] * len(found) == [server.fault for server in found]
    return [server.compute_host for server in found]


def _pinned(host):
    return sum(len(cell.pinned_cpus) for cell in host.values())
