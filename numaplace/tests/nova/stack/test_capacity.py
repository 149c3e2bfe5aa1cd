# SPDX-License-Identifier: Apache-2.0
"""``fleet capacity --from nova``: as many guests are created in the real Nova, and the next one is refused."""

import json

import pytest


@pytest.fixture
def capacity(fleet):
    """Return a function that asks how many more guests of a flavor fit."""

    def capacity(flavor):
        (found,) = json.loads(fleet('capacity', '--flavor', flavor.name, '-f', 'json').stdout)
        return found['at_least'], found['at_most']

    return capacity


def test_as_many_guests_as_fit_are_created_and_the_next_one_is_refused(cloud, capacity):
    flavor = cloud.cells('three', 3)
    with cloud.only('cmp1'):
        number, at_most = capacity(flavor)
        assert number == at_most > 0
        servers = cloud.boot_several(flavor, 'more', number)
        assert ['ACTIVE'] * number == [server.status for server in servers]
        assert (0, 0) == capacity(flavor)
        assert 'ERROR' == cloud.boot(flavor, 'next').status


def test_a_server_of_more_vcpus_than_any_host_has_fits_nowhere(cloud, capacity):
    """However far CPUs are overcommitted, placement gives one server no more than its host has."""
    most = cloud.most_vcpus()
    widest, wider = (cloud.flavor(f'wide{vcpus}', vcpus, 64) for vcpus in (most, most + 1))
    assert capacity(widest)[0] > 0
    assert 'ACTIVE' == cloud.boot(widest, 'widest').status
    assert (0, 0) == capacity(wider)
    assert 'ERROR' == cloud.boot(wider, 'wider').status
