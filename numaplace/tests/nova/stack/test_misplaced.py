# SPDX-License-Identifier: Apache-2.0
"""Who decides in a cloud that clouds.yaml knows, seen by its API alone: a guest that Nova places where it does not fit.

``NUMAPLACE_TEST_MISPLACED`` has the pinned vCPUs of the cells of such a guest, such as ``1,1,5``.
"""

import os

import pytest

MISPLACED = 'NUMAPLACE_TEST_MISPLACED'
MODE = 'NUMAPLACE_TEST_MODE'

TRAIT = 'CUSTOM_NUMAPLACE'


@pytest.fixture(scope='module')
def decides():
    """Whether numaplace decides: in shadow mode Nova does."""
    if MODE not in os.environ:
        pytest.skip(f'{MODE} does not say enforce or shadow')
    return os.environ[MODE] == 'enforce'


@pytest.fixture
def misplaced(cloud):
    """Return a server of the guest, ACTIVE or in ERROR."""
    if MISPLACED not in os.environ:
        pytest.skip(f'{MISPLACED} names no guest that the hosts of this cloud have no cells for')
    cells = [int(vcpus) for vcpus in os.environ[MISPLACED].split(',')]
    return cloud.boot(cloud.cells('misplaced', *cells), 'misplaced')


def test_a_guest_that_fits_nowhere_is_refused_where_numaplace_decides(decides, cloud, misplaced):
    if decides:
        assert ('ERROR', 'No valid host was found. There are not enough hosts available.') == (
            misplaced.status,
            misplaced.fault['message'],
        )
    else:
        assert ('ACTIVE', None) == (misplaced.status, misplaced.fault)
        assert {} in [cell['cpu_pinning'] for cell in cloud.topology(misplaced)['nodes']]


def test_the_computes_that_decide_by_numaplace_say_so(decides, cloud, connection):
    hosts = {service.host for service in connection.compute.services(binary='nova-compute') if service.state == 'up'}
    assert hosts
    assert dict.fromkeys(hosts, decides) == {host: TRAIT in cloud.traits(host) for host in hosts}
