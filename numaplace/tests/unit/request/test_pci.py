# SPDX-License-Identifier: Apache-2.0
"""The PCI devices that a flavor requests."""

import re

import pytest

from numaplace import exception, request
from numaplace.model import Flavor, Guest, PciRequest
from numaplace.pci_specs import Alias

GPU = {'vendor_id': '10de', 'product_id': '20b0'}
ALIASES = {
    'gpu': Alias('gpu', 'required', (GPU,)),
    'nic 1': Alias('nic 1', 'legacy', (GPU, GPU)),
    'class': Alias('class', 'legacy', ({'resource_class': 'GPU'},)),
}


def _requests(text, specs=(), image=None):
    flavor = Flavor('big', 4, 4096, extra_specs={'pci_passthrough:alias': text, **dict(specs)})
    return request.pci_requests(flavor, image, ALIASES)


def test_each_alias_is_a_request_in_the_order_of_the_flavor():
    found = _requests('nic 1:2, gpu:01 ')
    assert (PciRequest(2, (GPU, GPU), 'legacy', 'nic 1'), PciRequest(1, (GPU,), 'required', 'gpu')) == found
    assert () == _requests(' ')
    assert () == request.pci_requests(Flavor('small', 1, 512), None, {})


@pytest.mark.parametrize(
    ('specs', 'image', 'policy'),
    [
        ({}, {}, 'required'),
        ({'hw:pci_numa_affinity_policy': 'socket'}, {}, 'socket'),
        ({}, {'hw_pci_numa_affinity_policy': 'preferred'}, 'preferred'),
        ({'hw:pci_numa_affinity_policy': 'legacy'}, {'hw_pci_numa_affinity_policy': 'legacy'}, 'legacy'),
    ],
)
def test_the_policy_of_flavor_and_image_precedes_that_of_the_alias(specs, image, policy):
    assert [policy] == [each.policy for each in _requests('gpu:1', specs, image)]


POLICIES = {
    'another in the image': (
        {'hw:pci_numa_affinity_policy': 'socket'},
        {'hw_pci_numa_affinity_policy': 'legacy'},
        exception.ImagePCINUMAPolicyForbidden,
        "flavor 'big': hw:pci_numa_affinity_policy='socket' and image: hw_pci_numa_affinity_policy='legacy': the image",
    ),
    'unknown in the flavor': (
        {'hw:pci_numa_affinity_policy': 'strict'},
        {},
        exception.InvalidPCINUMAAffinity,
        "flavor 'big': hw:pci_numa_affinity_policy='strict': expected one of required, legacy, preferred, socket",
    ),
    'unknown in the image': (
        {},
        {'hw_pci_numa_affinity_policy': 'near'},
        exception.InvalidPCINUMAAffinity,
        "image: hw_pci_numa_affinity_policy='near': expected one of required, legacy, preferred, socket",
    ),
}


@pytest.mark.parametrize(('specs', 'image', 'error', 'text'), POLICIES.values(), ids=POLICIES)
def test_a_policy_that_is_wrong_is_explained_even_without_devices(specs, image, error, text):
    with pytest.raises(error) as raised:
        request.read(Flavor('big', 4, 4096, extra_specs=specs), image)
    assert str(raised.value).startswith(text)


@pytest.mark.parametrize('text', ['gpu', 'gpu:', ':1', 'gpu:0', 'gpu:-1', 'gpu:1,', 'gpu:1:2', 'gpu:10000', 'gpu:x'])
def test_what_is_no_list_of_aliases_is_explained(text):
    place = f"flavor 'big': pci_passthrough:alias={text!r}: expected names of [pci] alias with a number from 1 to 9999"
    with pytest.raises(exception.InvalidRequest, match=f'^{re.escape(place)}'):
        _requests(text)


def test_an_alias_that_is_not_defined_is_named_with_those_that_are():
    with pytest.raises(exception.PciRequestAliasNotDefined, match=r"'fpga': expected one of \[pci\] alias: class, "):
        _requests('gpu:1,fpga:1')
    with pytest.raises(exception.InvalidRequest, match="alias 'class' has only a resource_class of placement"):
        _requests('class:1')


LAKE = {'physical_network': 'lake'}


@pytest.mark.parametrize(
    ('nic', 'wanted', 'policy'),
    [
        ('vnic=direct', LAKE, 'legacy'),
        ('vnic=macvtap,policy=required', LAKE, 'required'),
        ('vnic=direct-physical', LAKE | {'dev_type': 'type-PF'}, 'legacy'),
        ('vnic=vdpa,policy=preferred', LAKE | {'dev_type': 'vdpa'}, 'preferred'),
    ],
)
def test_a_nic_on_a_pci_device_is_a_request_for_its_network(nic, wanted, policy):
    own = request.own_devices([f'physnet=lake,{nic}', 'network=default'], [])
    found = request.with_networks(Guest(1, 64), Flavor('small', 1, 64), None, own)
    assert (PciRequest(1, (wanted,), policy, 'network:lake'),) == found.pci_requests


def test_the_policy_of_a_nic_precedes_that_of_flavor_and_image():
    flavor = Flavor('small', 1, 64, extra_specs={'numaplace:nic.0': 'physnet=sea,vnic=direct'})
    own = request.own_devices(['physnet=lake,vnic=direct,policy=required', 'physnet=lake,vnic=direct'], [])
    before = Guest(1, 64, pci_requests=(PciRequest(1, (GPU,), name='gpu'),))
    found = request.with_networks(before, flavor, {'hw_pci_numa_affinity_policy': 'socket'}, own).pci_requests
    assert [('gpu', 'legacy'), ('network:lake', 'required'), ('network:lake', 'socket'), ('network:sea', 'socket')] == [
        (one.name, one.policy) for one in found
    ]


def test_a_guest_without_such_nics_requests_what_it_did():
    guest = Guest(1, 64)
    assert guest is request.with_networks(guest, Flavor('f', 1, 64), {}, request.own_devices(['bridge=br0'], []))
