# SPDX-License-Identifier: Apache-2.0
"""What nova-compute logs of a claim: the pins of one that succeeds, the reasons of one that is refused."""

import logging
import types

import pytest

from numaplace import wire
from numaplace.model import DEDICATED, CellShape, Guest, GuestCell, Host, HostCell, Pages
from numaplace.tests import nova_requests
from numaplace.tests.nova import theirs

pytestmark = pytest.mark.filterwarnings('ignore')  # Nova and what it imports warn of their own deprecations

UUID = '11111111-2222-4333-8444-555555555555'


@pytest.fixture
def claim(nova, monkeypatch):
    """Return a function that claims vCPUs with Nova's own Claim, on a host of the cores 0-1 and 2-3."""
    from nova.compute import claims, resource_tracker  # noqa: PLC0415

    from numaplace.nova import engine  # noqa: PLC0415

    for owner, name in (
        (resource_tracker.ResourceTracker, '_get_traits'),
        (claims.Claim, '_test_numa_topology'),
    ):
        monkeypatch.setattr(owner, name, getattr(owner, name))
    engine.install_compute('enforce')

    def claim(vcpus, pinned):
        shape = CellShape(0, 0, 0b1111, 4096, (0b0011, 0b1100))
        host = Host((HostCell(shape, pinned, 0, 0, (Pages(4, 1 << 20),)),))
        guest = Guest(vcpus, 512, (GuestCell(0, 0, (1 << vcpus) - 1, 512, cpu_policy=DEDICATED),))
        instance = nova.objects.Instance(uuid=UUID, numa_topology=theirs.read_guest(nova_requests.write_guest(guest)))
        node = nova.objects.ComputeNode(numa_topology=wire.dumps(wire.write_host(host)))
        requests = nova.objects.InstancePCIRequests(instance_uuid=UUID, requests=[])
        tracker = types.SimpleNamespace(pci_tracker=types.SimpleNamespace(stats=None))  # a host without devices
        claims.Claim(nova.context.get_admin_context(), instance, 'node', tracker, node, requests)

    return claim


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.INFO, 'numaplace.nova')
    return lambda: [(record.levelname, record.getMessage()) for record in caplog.records]


def test_the_pins_of_a_claim_are_logged_with_the_words_of_novas_line(claim, lines):
    claim(2, pinned=0b0001)
    assert lines() == [
        (
            'INFO',
            'Computed NUMA topology CPU pinning: usable pCPUs: [[1], [2, 3]], vCPUs mapping: [(0, 2), (1, 3)], '
            f'CPUs of the emulator: [] (instance {UUID}, guest cell 0 on host cell 0)',
        )
    ]


def test_a_refused_claim_warns_with_the_host_the_instance_the_request_and_the_reasons(nova, claim, lines):
    from nova import exception  # noqa: PLC0415

    with pytest.raises(exception.ComputeResourcesUnavailable, match='cannot fit'):
        claim(4, pinned=0b0001)
    ((level, line),) = lines()
    assert (level, line) == (
        'WARNING',
        f'Host {nova.conf.CONF.host} refuses the claim of instance {UUID}, which requests 4 vCPUs (dedicated) and '
        '512 MiB: guest cell 0 needs 4 free dedicated CPUs: host cell 0 has 3 (1 short)',
    )


def test_a_fit_outside_of_a_claim_warns_of_nothing(nova, claim, lines):
    guest = Guest(8, 512, (GuestCell(0, 0, 0xFF, 512, cpu_policy=DEDICATED),))
    host = Host((HostCell(CellShape(0, 0, 0b1111, 4096), 0, 0, 0, (Pages(4, 1 << 20),)),))
    found = nova.hardware.numa_fit_instance_to_host(
        theirs.read_host(wire.write_host(host)), theirs.read_guest(nova_requests.write_guest(guest)), {}
    )
    assert found is None
    assert [level for level, _line in lines()] == ['INFO']
