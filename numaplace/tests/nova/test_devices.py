# SPDX-License-Identifier: Apache-2.0
"""Nova's greedy choice of devices behind the fit: the same answers, asked for once, and explained where they err."""

import itertools
import random
import re

import pytest

from numaplace import exception, explain, fit, wire
from numaplace.tests.unit.test_pci34 import CASES

pytestmark = pytest.mark.filterwarnings('ignore')

SOME = frozenset({0, 1})


@pytest.fixture
def built(nova):
    """Make the devices of a recorded case for the fit, with Nova's own statistics, and count what Nova is asked."""

    def build(case, monkeypatch):
        stats = _counted(nova, monkeypatch)
        made = stats.PciDeviceStats(nova.objects.NUMATopology.obj_from_primitive(case['host']))
        made.pools = [dict(pool) for pool in case['pools']]
        requests = [nova.objects.InstancePCIRequest(**request) for request in case['requests']]
        host = wire.read_host(case['host'])
        return nova.ours.PciDevices(nova.ours.HostDevices(host, made, requests), None), made, requests

    return build


def _counted(nova, monkeypatch):
    theirs = nova.stats.PciDeviceStats.support_requests
    asked = []

    def support_requests(self, requests, provider_mapping, numa_cells=None):
        asked.append([cell.id for cell in numa_cells])
        return theirs(self, requests, provider_mapping, numa_cells)

    monkeypatch.setattr(nova.stats.PciDeviceStats, 'support_requests', support_requests)
    monkeypatch.setattr(nova.stats, 'asked', asked, raising=False)
    return nova.stats


def test_each_set_of_host_cells_is_answered_as_recorded_and_sets_that_are_excluded_are_refused(built, monkeypatch):
    """A host record without sockets counts as one whose sockets are not known; Nova raises NotImplementedError."""
    answered = 0
    for case in CASES:
        devices, stats, _requests = built(case, monkeypatch)
        before = [dict(pool) for pool in stats.pools]
        for cells, expected in zip(case['subsets'], case['support'], strict=True):
            if expected == 'NotImplementedError':
                continue
            excluded = devices.excludes(frozenset(cells), len(cells))
            assert expected == devices.supports(frozenset(cells)), case['id']
            assert not (expected and excluded), case['id']
            answered += 1
        assert before == stats.pools
    assert answered > 3000


def test_sets_of_equal_host_cells_with_devices_are_asked_about_once(built, nova, monkeypatch):
    for case in CASES[:200]:
        devices, stats, _requests = built(case, monkeypatch)
        nodes = {pool.get('numa_node') for pool in stats.pools}
        named = any(request['numa_policy'] == 'socket' for request in case['requests'])
        for cells in case['subsets']:
            devices.supports(frozenset(cells))
        asked = [tuple(sorted(nodes.intersection(cells))) for cells in nova.stats.asked]
        assert named or len(asked) == len(set(asked))


def test_a_set_that_an_assignment_fills_is_named_with_the_order_that_nova_accepts(built, monkeypatch):
    found = 0
    for case in CASES:
        if not case['instance'] or case['feasible'] or not case['joint_feasible']:
            continue
        devices, stats, requests = built(case, monkeypatch)
        ratios, networks = wire.read_limits(case['limits']) if case['limits'] else (None, None)
        guest = wire.read_guest(case['instance'])
        refusal = fit.place(wire.read_host(case['host']), guest, limits=ratios, networks=networks, devices=devices)
        (reason,) = [reason for reason in refusal.reasons if reason.code.startswith('pci.')]
        assert 'pci.greedy' == reason.code
        assert list(reason.host_cells) in case['subsets']
        if order := re.search('in the order (.*)', reason.subject):
            by_name = {_name(request): request for request in requests}
            turned = [by_name[name] for name in order[1].split(', ')]
            assert stats.support_requests(turned, None, [_cell(number) for number in reason.host_cells])
            found += 1
        assert 'a joint choice would do: Nova ' in explain.sentence(reason)
    assert found >= 5


def _name(request):
    return request.alias_name or f'port {request.request_id}'


def _cell(number):
    from nova import objects  # noqa: PLC0415

    return objects.InstanceNUMACell(id=number)


@pytest.mark.parametrize('seed', range(60))
def test_of_devices_of_one_kind_only_their_number_in_the_host_cells_matters(make, nova, seed):
    draw = random.Random(seed)
    listed = [(node, draw.randint(1, 3)) for node in [*range(5), 9] if draw.random() < 0.7] or [(0, 1)]
    draw.shuffle(listed)
    stats = nova.stats.PciDeviceStats(make.free(*[4] * 5))
    stats.pools = [
        {'vendor_id': '8086', 'product_id': '10fb', 'dev_type': 'type-PCI', 'numa_node': node, 'count': count}
        for node, count in listed
    ]
    requests = [make.wish(f'wish-{number}') for number in range(draw.randint(1, 4))]
    for request in requests:
        request.count, request.numa_policy = draw.randint(1, 3), draw.choice(('required', 'legacy', 'preferred'))
    host = nova.ours.topologies.read(stats.numa_topology)
    devices = nova.ours.PciDevices(nova.ours.HostDevices(host, stats, requests), None)
    for size in range(1, 6):
        for cells in itertools.combinations(range(5), size):
            expected = stats.support_requests(requests, None, [_cell(number) for number in cells])
            assert expected == devices.supports(frozenset(cells))


#: Host cells without free CPUs, nodes with a device, policy, number of devices.
EXPLOSIONS = {
    'a device in a full host cell': ((0,), (0,), 'required', 1),
    'a device in a full socket': ((0, 1), (0,), 'socket', 1),
    'one more than the guest has cells': ((), range(16), 'required', 9),
    'two where there is one': ((0,), (0,), 'preferred', 2),
}


@pytest.mark.parametrize(('full', 'nodes', 'policy', 'count'), EXPLOSIONS.values(), ids=EXPLOSIONS)
def test_nova_is_asked_once_where_no_choice_of_host_cells_can_do(make, nova, monkeypatch, full, nodes, policy, count):  # noqa: PLR0917
    """8 guest cells on 16 host cells: Nova's own search would ask 518,918,400 times."""
    stats = _counted(nova, monkeypatch)
    host = make.free(*(0 if cell in full else 4 for cell in range(16)))
    for cell in host.cells:
        cell.socket = cell.id // 2
    pools = nova.objects.PciDevicePoolList(objects=[make.device(node, f'card-{node}') for node in nodes])
    wish = make.wish('wish')
    wish.numa_policy, wish.count = policy, count
    guest = make.request(*[1] * 8).numa_topology
    asked = stats.PciDeviceStats(host, pools)
    assert nova.hardware.numa_fit_instance_to_host(host, guest, {}, pci_requests=[wish], pci_stats=asked) is None
    assert 1 == len(stats.asked)


def test_devices_are_searched_no_longer_than_the_limit(make, nova):
    clock = iter([0.0, 0.9, 1.1])
    pools = nova.objects.PciDevicePoolList(objects=[make.device(0, 'near'), make.device(1, 'far')])
    stats = nova.stats.PciDeviceStats(make.free(4, 4), pools)
    host = nova.ours.topologies.read(stats.numa_topology)
    devices = nova.ours.PciDevices(
        nova.ours.HostDevices(host, stats, [make.wish('wish')], limit_s=1.0, clock=lambda: next(clock)), None
    )
    assert devices.supports(frozenset({0}))
    assert devices.supports(frozenset({0}))
    with pytest.raises(exception.TimeLimitReached, match='found in 1 s'):
        devices.supports(frozenset({1}))
