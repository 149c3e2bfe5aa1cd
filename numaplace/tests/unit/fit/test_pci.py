# SPDX-License-Identifier: Apache-2.0
"""PCI devices: which the requests of a guest get, and why they get none."""

import pytest

from numaplace import explain, fit
from numaplace.model import PciPool, PciRequest, Reason
from numaplace.tests.unit.fit.builders import cell, guest, guest_cell, host


def _gpus(*nodes, count=1):
    return [PciPool('10de', '20b0', numa_node=node, count=count) for node in nodes]


def _wants(count=1, policy='required', name='gpu', **wanted):
    return PciRequest(count, ({'vendor_id': '10de', **wanted},), policy, name)


_CARD = [
    PciPool('8086', '1572', 'type-PF', 0, address='0000:03:00.0', tags={'physical_network': 'lake'}),
    PciPool('8086', '154c', 'type-VF', 0, count=2, parent='0000:03:00.0'),
]

#: The devices of a host of two cells, of which the guest cell fits the second alone, the requests, and the reason.
DEVICES = {
    'more than the host has': (
        _gpus(0, 1, None),
        [_wants(4, 'legacy')],
        Reason(
            'pci.total',
            4,
            3,
            'devices',
            (),
            (0, 1),
            'gpu (policy legacy), of which 1 on host cell 0, 1 on host cell 1, 1 on no known host cell are free',
        ),
    ),
    'none known to be near': (
        _gpus(None),
        [_wants()],
        Reason('pci.total', 1, 0, 'devices', (), (), 'gpu (policy required), of which 1 on no known host cell is free'),
    ),
    'none of the kind': (
        _gpus(1),
        [_wants(product_id='2330')],
        Reason('pci.total', 1, 0, 'devices', (), (), 'gpu (policy required), of which none are free'),
    ),
    'on the other host cell': (
        _gpus(0, count=2),
        [_wants(2)],
        Reason('pci.affinity', 2, 0, 'devices', (), (0,), 'gpu (policy required), of which 2 on host cell 0 are free'),
    ),
    'two requests for one device': (
        _gpus(1),
        [_wants(), _wants(name='any', policy='preferred')],
        Reason(
            'pci.joint',
            2,
            1,
            'devices',
            (),
            (1,),
            'gpu (policy required) and any (policy preferred), of which 1 on host cell 1 is free',
        ),
    ),
    'a PF and its VF': (
        _CARD,
        [
            PciRequest(1, ({'vendor_id': '8086', 'dev_type': 'type-PF'},), 'preferred', 'card'),
            PciRequest(1, ({'vendor_id': '8086', 'dev_type': 'type-VF'},), 'preferred', 'vf'),
        ],
        Reason(
            'pci.functions',
            2,
            None,
            'devices',
            (),
            (0,),
            'card (policy preferred) and vf (policy preferred), of which 3 on host cell 0 are free',
        ),
    ),
}


@pytest.mark.parametrize(('pools', 'requests', 'expected'), DEVICES.values(), ids=DEVICES)
def test_the_request_that_lacks_devices_is_named_with_what_is_free_where(pools, requests, expected):
    devices = fit.PciAssignment({0: 0, 1: 1}, pools, requests)
    refusal = fit.place(host(cell(pinned='0-3'), cell(1, '4-7')), guest(guest_cell(0, '0-3')), devices=devices)
    assert refusal.reasons[-1] == expected
    bound = fit.place(host(cell(), cell(1, '4-7')), guest(guest_cell(0, '0-3')), devices=devices, host_cell_ids=[1])
    assert bound.reasons == (expected,)


def test_the_sentence_says_what_is_free_where_and_how_much_is_short():
    (reason,) = fit.PciAssignment({0: 0, 1: 1}, _gpus(0, 1, None), [_wants(4, 'legacy')]).reasons(frozenset({0}))
    assert (
        'the guest needs 4 PCI devices for gpu (policy legacy), of which 1 on host cell 0, 1 on host cell 1, 1 on no '
        'known host cell are free; the host has 3 that it may have (1 short)'
    ) == explain.sentence(reason)


def test_own_nodes_come_first_then_unknown_ones_then_others():
    pools = _gpus(1, None, 0)
    taken = [
        [
            pool.numa_node
            for pool, _ in fit.PciAssignment({0: 0, 1: 1}, pools, [_wants(count, 'preferred')]).assign(own)[0]
        ]
        for count, own in ((1, frozenset({0})), (2, frozenset({0})), (2, frozenset({1})), (3, frozenset({0})))
    ]
    assert [{0}, {None, 0}, {1, None}, {1, None, 0}] == [set(nodes) for nodes in taken]


def test_vfs_are_taken_of_a_pf_that_is_in_use_before_others():
    """The PF of the second pool is not free: to take its VFs breaks no card."""
    pools = [*_CARD, PciPool('8086', '154c', 'type-VF', 0, count=2, parent='0000:04:00.0')]
    wanted = [PciRequest(2, ({'vendor_id': '8086', 'dev_type': 'type-VF'},), 'required', 'vf')]
    (taken,) = fit.PciAssignment({0: 0}, pools, wanted).assign(frozenset({0}))
    assert ((pools[2], 2),) == taken


@pytest.mark.parametrize(('wanted', 'expected'), [(0, [3, 4]), (1, [0, 2])])
def test_the_closest_cells_have_the_devices_or_none_before_they_are_the_emptiest(wanted, expected):
    """Of two sockets with three cells each: the guest cells lie in one, whatever has devices."""
    cells = [
        cell(number, f'{4 * number}-{4 * number + 3}', pinned='0' if number == 0 else '', socket=number // 3)
        for number in range(6)
    ]
    devices = fit.PciAssignment(
        {number: number // 3 for number in range(6)}, _gpus(0, 2, 5), [_wants(1, 'preferred')] if wanted else []
    )
    two = guest(guest_cell(0, '0'), guest_cell(1, '1'))
    answer = fit.place(host(*cells), two, devices=devices, strategy=fit.CLOSEST)
    assert expected == sorted(placed.host_cell for placed in answer.cells)


def test_a_guest_without_devices_is_kept_off_the_cells_that_have_some():
    both = host(cell(), cell(1, '4-7'))
    for node in (0, 1):
        without = fit.PciAssignment({0: 0, 1: 1}, _gpus(node), [])
        wanting = fit.PciAssignment({0: 0, 1: 1}, _gpus(node), [_wants(policy='preferred')])
        for devices, expected in ((without, 1 - node), (wanting, node)):
            placed = fit.place(both, guest(guest_cell(0, '0')), devices=devices)
            assert [expected] == [each.host_cell for each in placed.cells]
