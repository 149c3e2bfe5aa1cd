# SPDX-License-Identifier: Apache-2.0
"""What the scheduler and the claims decide, seen in the rows, the faults and the logs."""

import pytest

from numaplace.tests.nova.stack import judging, reading

FILTER = 'numaplace.nova.filter'

#: Nova's numbers for the page sizes that are asked for by a word.
LARGE = -2


@pytest.fixture
def claims(stack):
    """Return a function that tells which hosts have tried to claim for a server since the test began."""
    logs = {host: reading.Log(stack.log(host)) for host in stack.hosts}
    return lambda server: [host for host, log in logs.items() if log.lines('nova.compute.claims', server.id)]


@pytest.fixture
def crowded(cloud, rows):
    """The host cmp1 with 0, 2 and 1 free CPUs in its cells."""
    server = cloud.boot(cloud.cells('crowd', 4, 2, 3), 'crowd', host='cmp1')
    assert ('ACTIVE', None) == (server.status, server.fault)
    host = rows.host('cmp1')
    assert [0, 2, 1] == [len(set(cell['pcpuset']) - set(cell['pinned_cpus'])) for cell in host]


def test_a_guest_that_fits_nowhere_is_refused_by_the_filter_which_says_why(cloud, stack, scheduler_log, claims):
    """One, one and six pinned CPUs where no cell has more than four: placement counts CPUs of hosts, and agrees."""
    assert 4 == cloud.candidates(PCPU=8, MEMORY_MB=768, DISK_GB=1)
    server = cloud.boot(cloud.cells('one-one-six', 1, 1, 6), 'guest')
    assert 'ERROR' == server.status
    assert 'No valid host was found. There are not enough hosts available.' == server.fault['message']
    assert [] == claims(server)
    (line,) = [line for line in scheduler_log.lines(FILTER, server.id) if line.level != 'DEBUG']
    assert 'WARNING' == line.level
    assert 'NUMA topology fits 0 of 4 hosts: 2 cells.count, 2 cpus.dedicated.total; least short: cmp1' in line.text
    assert cloud.request_id(server) in line.text
    assert stack.services['nova-scheduler'].pid == reading.leader(line.pid)


def test_every_refusing_host_is_told_in_full_where_debugging_is_on(cloud, scheduler_log):
    server = cloud.boot(cloud.cells('five', 5), 'guest')
    told = [line.text for line in scheduler_log.lines(FILTER, server.id) if line.level == 'DEBUG']
    assert ['cmp1', 'cmp2', 'virt1', 'virt2'] == sorted(text.split('] ')[-1].split()[0] for text in told)
    assert all('guest cell 0 needs 5 dedicated CPUs: host cell 0 has 4 (1 short)' in text for text in told)


def test_only_the_scheduler_filters(cloud, stack, scheduler_log):
    logs = [reading.Log(stack.log(name)) for name in stack.services if name != 'nova-scheduler']
    server = cloud.boot(cloud.cells('five', 5), 'guest')
    leaders = {reading.leader(line.pid) for line in scheduler_log.lines(FILTER, server.id)}
    assert {stack.services['nova-scheduler'].pid} == leaders
    assert [] == [line for log in logs for line in log.lines(FILTER)]


def test_a_guest_goes_on_the_cells_that_have_room_for_it(cloud, rows, crowded, claims):
    """One and two pinned CPUs where 0, 2 and 1 are free: the only way is against the order of the cells."""
    before = rows.host_json('cmp1')
    server = cloud.boot(cloud.cells('one-two', 1, 2), 'guest', host='cmp1')
    assert ('ACTIVE', None) == (server.status, server.fault)
    assert [(2, [0]), (1, [1, 2])] == [(cell['id'], sorted(judging.pins(cell))) for cell in rows.guest(server)]
    assert [] == judging.faults(before, rows.guest_json(server))
    assert ['cmp1'] == claims(server)


def test_what_is_short_by_others_is_told_as_such(cloud, scheduler_log, crowded):
    server = cloud.boot(cloud.cells('two-two', 2, 2), 'guest', host='cmp1')
    assert 'No valid host was found. There are not enough hosts available.' == server.fault['message']
    (line,) = [line for line in scheduler_log.lines(FILTER, server.id) if line.level == 'WARNING']
    assert 'NUMA topology fits 0 of 1 host: 1 cells.assignment; least short: cmp1' in line.text


def test_each_of_several_guests_gets_the_large_pages_of_its_host(cloud, rows):
    """One host has pages of 2 MiB, the other of 1 GiB, each for one guest."""
    before = {host: rows.host_json(host) for host in ('cmp1', 'cmp2')}
    servers = cloud.boot_several(cloud.cells('paged', 1, ram=1024, mem_page_size='large'), 'paged', 2)
    assert [('ACTIVE', None)] * 2 == [(server.status, server.fault) for server in servers]
    sizes = {server.compute_host: rows.guest(server)[0]['pagesize'] for server in servers}
    assert {'cmp1': 2048, 'cmp2': 1048576} == sizes
    for server in servers:
        assert [] == judging.faults(before[server.compute_host], rows.guest_json(server), LARGE)
    used = {host: judging.usage(rows.host(host))[0][2] for host in ('cmp1', 'cmp2')}
    assert {'cmp1': {2048: 512}, 'cmp2': {1048576: 1}} == used


def test_placement_can_tell_the_computes_that_decide_by_numaplace(cloud, stack):
    assert all('CUSTOM_NUMAPLACE' in cloud.traits(host) for host in stack.hosts)
