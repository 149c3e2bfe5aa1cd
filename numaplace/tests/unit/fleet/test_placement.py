# SPDX-License-Identifier: Apache-2.0
"""What placement would offer, as far as its rows tell."""

from dataclasses import replace

import pytest

from numaplace import explain, request
from numaplace.fleet import explain as fleet_explain
from numaplace.fleet import placement
from numaplace.model import Flavor
from numaplace.model.fleet import Fleet, Inventory, Provider
from numaplace.tests.unit.fleet import fleets

PINNED = {'hw:cpu_policy': 'dedicated'}


@pytest.mark.parametrize(
    ('flavor', 'image', 'resources'),
    [
        (Flavor('f', 4, 512), {}, {'VCPU': 4, 'MEMORY_MB': 512}),
        (Flavor('f', 4, 512, extra_specs=PINNED), {}, {'PCPU': 4, 'MEMORY_MB': 512}),
        (
            Flavor('f', 4, 512, extra_specs={**PINNED, 'hw:emulator_threads_policy': 'isolate'}),
            {},
            {'PCPU': 5, 'MEMORY_MB': 512},
        ),
        (
            Flavor('f', 4, 512, extra_specs={'hw:cpu_policy': 'mixed', 'hw:cpu_dedicated_mask': '1-3'}),
            {},
            {'VCPU': 1, 'PCPU': 3, 'MEMORY_MB': 512},
        ),
        (Flavor('f', 4, 512, extra_specs={'resources:PCPU': '4'}), {}, {'PCPU': 4, 'MEMORY_MB': 512}),
        (Flavor('f', 1, 512, 10, swap_mib=100, ephemeral_gib=2), {}, {'VCPU': 1, 'MEMORY_MB': 512, 'DISK_GB': 13}),
        (
            Flavor('f', 1, 512, extra_specs={'resources:CUSTOM_FPGA': '2', 'resources:MEMORY_MB': '0'}),
            {},
            {'VCPU': 1, 'CUSTOM_FPGA': 2},
        ),
    ],
)
def test_the_resources_of_a_flavor_are_those_that_nova_asks_for(flavor, image, resources):
    assert resources == placement.wanted(flavor, image, request.read(flavor, image)).resources


def test_traits_are_those_of_flavor_and_image():
    flavor = Flavor('f', 1, 64, extra_specs={'trait:CUSTOM_A': 'required', 'trait:CUSTOM_B': 'forbidden'})
    wanted = placement.wanted(flavor, {'trait:CUSTOM_C': 'required'}, request.read(flavor, {}))
    assert ({'CUSTOM_A', 'CUSTOM_C'}, {'CUSTOM_B', 'COMPUTE_STATUS_DISABLED'}) == (wanted.traits, wanted.forbidden)


def _answers(wanted, server=None, **provider):
    """Return what placement says of a host that it knows as given, and of one that it does not know."""
    known = fleets.fleet()
    fleet = replace(known, providers=(Provider('h1', 'h1', **provider),))
    answers = fleet_explain.ask(fleet, [(placement.NAME, placement.Offers(fleet).check(wanted, server))])
    lines = list(fleet_explain.lines(answers, [], with_placement=True))
    return [[] if answer.refusal is None else explain.lines(answer.refusal) for answer in answers], lines


def test_hosts_that_placement_does_not_offer_are_counted_and_say_what_they_lack():
    wanted = placement.Wanted({'PCPU': 4, 'MEMORY_MB': 512}, frozenset({'CUSTOM_A'}), frozenset({'CUSTOM_B'}))
    inventories = {'PCPU': Inventory(12, 2), 'MEMORY_MB': Inventory(1024, 512, 1.5)}
    answers, lines = _answers(
        wanted, inventories=inventories, allocations={'other': {'PCPU': 7}}, traits=frozenset({'CUSTOM_B'})
    )
    assert [
        [
            'the guest needs 4 of the resource class PCPU: placement has 3 (1 short)',
            'the host lacks the trait CUSTOM_A',
            'the host has the trait CUSTOM_B, which is forbidden',
        ],
        ['placement does not know the host'],
    ] == answers
    assert ['0 of 2 hosts take it', 'placement offers 0 of 2 hosts'] == lines[:2]


def test_what_the_server_itself_holds_is_free_for_it():
    server = fleets.fleet().servers[3]
    held = {server.uuid: {'PCPU': 2}, server.move.uuid: {'PCPU': 1}}
    keys = {'inventories': {'PCPU': Inventory(4)}, 'allocations': held}
    answers, lines = _answers(placement.Wanted({'PCPU': 4}), server, **keys)
    assert ([], 'placement offers 1 of 2 hosts') == (answers[0], lines[1])
    assert [] != _answers(placement.Wanted({'PCPU': 4}), **keys)[0][0]


def test_classes_that_other_providers_may_have_refuse_no_host():
    assert [] == _answers(placement.Wanted({'VGPU': 1, 'DISK_GB': 10}))[0][0]
    assert ['the guest needs 1 of the resource class PCPU: placement has 0 (1 short)'] == (
        _answers(placement.Wanted({'PCPU': 1}))[0][0]
    )


def test_one_server_gets_what_the_sizes_of_an_inventory_allow_whatever_is_free():
    inventories = {
        'VCPU': Inventory(8, 0, 16.0, max_unit=8),
        'DISK_GB': Inventory(100, min_unit=10, step_size=5),
        'MEMORY_MB': Inventory(4096),
    }
    small = placement.Wanted({'VCPU': 8, 'DISK_GB': 15, 'MEMORY_MB': 64})
    assert [] == _answers(small, inventories=inventories)[0][0]
    wide = placement.Wanted({'VCPU': 9, 'DISK_GB': 5, 'MEMORY_MB': 64})
    answers = [
        'the guest needs 9 of the resource class VCPU: placement gives one server 8 at most (1 short)',
        'the guest needs 5 of a resource class: placement gives DISK_GB from 10 up in steps of 5',
    ]
    assert answers == _answers(wide, inventories=inventories)[0][0]
    none = {**inventories, 'DISK_GB': Inventory(100, step_size=0)}
    assert [] == _answers(small, inventories=none)[0][0]
    # Several servers together are more than one gets; one that is only asked about its sizes needs nothing free.
    held = {'other': {'VCPU': 112}}
    offers = placement.Offers(Fleet(providers=(Provider('h1', 'h1', inventories, held),)))
    assert None is offers.refusal('h1', [(small, 2)])
    assert ['placement.free'] == [reason.code for reason in offers.refusal('h1', [(small, 3)]).reasons]
    assert None is offers.refusal('h1', [(small, 3)], ['other'])
    full = placement.Offers(Fleet(providers=(Provider('h1', 'h1', inventories, {'other': {'VCPU': 128}}),)))
    assert ['placement.free'] == [reason.code for reason in full.refusal('h1', [(small, 1)]).reasons]
    assert None is full.refusal('h1', [(small, 0)])
    assert {'placement.most', 'placement.step'} == {reason.code for reason in full.refusal('h1', [(wide, 0)]).reasons}
