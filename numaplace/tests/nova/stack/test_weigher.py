# SPDX-License-Identifier: Apache-2.0
"""NUMAPreserveWeigher in a real nova-scheduler: the big guest that Nova's weighers leave without a host gets one."""

import pytest

#: Two hosts that are alike: two cells with four CPUs to be pinned each.
HOSTS = ('virt1', 'virt2')
CONF = '[filter_scheduler]\nweight_classes = numaplace.nova.weigher.NUMAPreserveWeigher\n'


@pytest.fixture
def preserve(stack, tmp_path):
    """Return a function that starts the scheduler with the weigher."""
    config = tmp_path / 'weigher.conf'
    config.write_text(CONF)
    yield lambda: stack.restart('nova-scheduler', config=[config])
    stack.restart('nova-scheduler')


def test_the_big_guest_has_a_host_only_where_small_ones_leave_one_useful(cloud, preserve):
    small, big = cloud.cells('small', 1), cloud.cells('big', 4, 4)

    def hosts():
        """Boot small guests one after the other, then the big one, and return their hosts; None without one."""
        servers = [cloud.boot(small, 'small'), cloud.boot(small, 'small'), cloud.boot(big, 'big')]
        assert ['ACTIVE'] * 2 == [server.status for server in servers[:2]]
        *_, last = servers
        assert (last.status == 'ACTIVE') == (last.fault is None)
        if last.fault:
            assert 'No valid host was found. There are not enough hosts available.' == last.fault['message']
        found = [server.compute_host for server in servers]
        cloud.delete(servers)
        return found

    with cloud.only(*HOSTS):
        *spread, nowhere = hosts()
        assert (set(HOSTS), None) == (set(spread), nowhere)
        preserve()
        first, second, elsewhere = hosts()
        assert first == second
        assert {first, elsewhere} == set(HOSTS)
