# SPDX-License-Identifier: Apache-2.0
"""Nova without numaplace takes over what numaplace has decided, and the other way round."""

import pytest

from numaplace.tests.nova.stack import clients, judging

HOST = 'cmp1'


@pytest.fixture
def roll_back(stack):
    """Return a function that starts the scheduler and the compute as Nova is without numaplace."""
    services = ('nova-scheduler', HOST)
    yield lambda: stack.restart(*services, plain=True)
    stack.restart(*services)


def test_nova_goes_on_with_the_guests_that_numaplace_has_placed(cloud, rows, roll_back, stack):
    idle = judging.usage(rows.host(HOST))
    crowd = cloud.boot(cloud.cells('crowd', 4, 2, 3), 'crowd', host=HOST)
    guest = cloud.boot(cloud.cells('one-two', 1, 2, ram=512), 'guest', host=HOST)
    placed = [rows.guest(server) for server in (crowd, guest)]
    used = judging.usage(rows.host(HOST))
    roll_back()
    assert placed == [rows.guest(server) for server in (crowd, guest)]
    assert used == judging.usage(rows.host(HOST)) == judging.usage_by(placed, idle)
    cloud.delete([crowd])
    clients.await_that(lambda: judging.usage(rows.host(HOST)), lambda now: now == judging.usage_by(placed[1:], idle))
    before = rows.host_json(HOST)
    another = cloud.boot(cloud.cells('two', 2), 'another', host=HOST)
    assert ('ACTIVE', None) == (another.status, another.fault)
    assert [] == judging.faults(before, rows.guest_json(another))
    stack.restart('nova-scheduler', HOST)
    assert judging.usage_by([rows.guest(guest), rows.guest(another)], idle) == judging.usage(rows.host(HOST))
    cloud.delete([guest, another])
    clients.await_that(lambda: judging.usage(rows.host(HOST)), lambda now: now == idle)


def test_without_numaplace_the_same_guests_end_otherwise(cloud, rows, roll_back):
    """So it is numaplace that decides in the other tests."""
    roll_back()
    pinless = cloud.boot(cloud.cells('one-one-six', 1, 1, 6), 'pinless', host=HOST)
    assert 'ACTIVE' == pinless.status
    assert {} == judging.pins(rows.guest(pinless)[2])
    cloud.delete([pinless])
    crowd = cloud.boot(cloud.cells('crowd', 4, 2, 3), 'crowd', host=HOST)
    assert 'ACTIVE' == crowd.status
    assert 'ERROR' == cloud.boot(cloud.cells('one-two', 1, 2), 'guest', host=HOST).status
