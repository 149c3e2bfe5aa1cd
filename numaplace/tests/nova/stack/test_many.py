# SPDX-License-Identifier: Apache-2.0
"""Many servers at once."""

import collections
import concurrent.futures

import pytest

from numaplace.tests.nova.stack import clients, judging


@pytest.fixture
def only_fakes(cloud):
    """The two hosts with eight cells together; the others take no guests."""
    hosts = ['cmp1', 'cmp2']
    with cloud.only(*hosts):
        yield hosts


def test_of_ten_servers_at_once_eight_get_the_room_for_eight(cloud, rows, only_fakes):
    """Each takes three of the four CPUs of a cell; placement would have CPUs for all of them."""
    flavor = cloud.cells('three', 3)
    idle = {host: judging.usage(rows.host(host)) for host in only_fakes}
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        asked = list(pool.map(lambda number: cloud.request(flavor, f'guest{number}'), range(10)))
    servers = [cloud.settled(server) for server in asked]
    assert {'ACTIVE': 8, 'ERROR': 2} == collections.Counter(server.status for server in servers)
    active = [server for server in servers if server.status == 'ACTIVE']
    for host, cells in idle.items():
        guests = [rows.guest(server) for server in active if server.compute_host == host]
        assert len(cells) == len(guests)
        assert judging.usage_by(guests, cells) == judging.usage(rows.host(host))
    cloud.delete(servers)
    clients.await_that(lambda: {host: judging.usage(rows.host(host)) for host in only_fakes}, lambda now: now == idle)
