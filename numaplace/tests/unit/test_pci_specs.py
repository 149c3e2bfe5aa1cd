# SPDX-License-Identifier: Apache-2.0
"""Devices that a host offers and names for those that guests request, as nova.conf spells them."""

import json
import re

import pytest

from numaplace import exception, pci_specs

GPU = {'name': 'gpu', 'vendor_id': '10de', 'product_id': '20b0'}


def test_an_alias_has_the_policy_legacy_and_what_a_device_must_have():
    assert pci_specs.Alias('gpu', 'legacy', ({'vendor_id': '10de', 'product_id': '20b0'},)) == pci_specs.read_alias(
        json.dumps(GPU | {'name': ' gpu '})
    )
    more = {'device_type': 'type-PF', 'numa_policy': 'socket', 'live_migratable': 'Yes', 'capability_type': 'pci'}
    read = pci_specs.read_alias(json.dumps(GPU | more))
    assert 'socket' == read.policy
    assert {'dev_type': 'type-PF', 'live_migratable': 'true'}.items() <= read.alternatives[0].items()


#: What is wrong with an alias, and the beginning of the error.
ALIASES = {
    'no JSON': ('gpu', 'expected a JSON object such as'),
    'a list': ('[]', 'expected a JSON object such as'),
    'deep': ('[' * 100_000, 'expected a JSON object such as'),
    'no name': (json.dumps(GPU | {'name': ''}), "name='': expected a name of 1 to 256 characters"),
    'a key of device_spec': (json.dumps(GPU | {'address': '*'}), 'address: expected one of the keys name, '),
    'a number': (json.dumps(GPU | {'vendor_id': 4318}), 'vendor_id=4318: expected text in quotes'),
    'a long ID': (json.dumps(GPU | {'vendor_id': '0x10de'}), "alias 'gpu': vendor_id='0x10de': expected four hexa"),
    'a type': (json.dumps(GPU | {'device_type': 'PF'}), "alias 'gpu': device_type='PF': expected type-PCI, type-PF"),
    'vdpa': (json.dumps(GPU | {'device_type': 'vdpa'}), "alias 'gpu': device_type='vdpa': expected type-PCI, type-PF"),
    'a policy': (json.dumps(GPU | {'numa_policy': 'strict'}), "alias 'gpu': numa_policy='strict': expected required, "),
    'a switch': (json.dumps(GPU | {'live_migratable': 'ja'}), 'live_migratable="ja": expected "yes" or "no"'),
    'no product': ('{"name": "gpu", "vendor_id": "10de"}', "alias 'gpu': expected vendor_id and product_id"),
}


@pytest.mark.parametrize(('text', 'expected'), ALIASES.values(), ids=ALIASES)
def test_an_alias_that_is_wrong_is_explained(text, expected):
    with pytest.raises(exception.PciInvalidAlias, match=f'^{re.escape(expected)}'):
        pci_specs.read_alias(text)


def _join(*changes):
    return pci_specs.join_aliases(pci_specs.read_alias(json.dumps(GPU | change)) for change in changes)


def test_aliases_of_one_name_are_alternatives():
    found = _join({'device_type': 'type-VF'}, {'device_type': 'type-VF', 'product_id': '2330'}, {'name': 'nic'})
    assert {'gpu', 'nic'} == set(found)
    assert ['20b0', '2330'] == [wanted['product_id'] for wanted in found['gpu'].alternatives]


@pytest.mark.parametrize(
    ('changes', 'expected'),
    [
        (({'numa_policy': 'socket'}, {}), "alias 'gpu' has numa_policy socket and legacy: expected the same each time"),
        (({'device_type': 'type-VF'}, {'device_type': 'type-PF'}), 'has device_type type-VF and type-PF'),
        (({}, {}), 'has device_type none and none: expected the same each time'),
    ],
)
def test_aliases_of_one_name_are_of_one_policy_and_of_one_type(changes, expected):
    with pytest.raises(exception.PciInvalidAlias, match=expected):
        _join(*changes)


VF = {'vendor_id': '8086', 'product_id': '154c', 'address': '0000:0a:02.1', 'parent': '0000:0a:00.0'}

#: What is offered, and whether that VF is.
SPECS = {
    'anything': ({}, True),
    'its vendor': ({'vendor_id': '8086'}, True),
    'its vendor in short': ({'vendor_id': ' 8086', 'product_id': '*'}, True),
    'another product': ({'vendor_id': '8086', 'product_id': '154d'}, False),
    'any function of a slot': ({'address': '*:0a:02.*'}, True),
    'a part of an address': ({'address': ':02.'}, True),
    'digits that are left out': ({'address': '0:a:2.1'}, True),
    'a function': ({'address': '.1'}, True),
    'another function': ({'address': '.2'}, False),
    'an empty address': ({'address': ''}, True),
    'its PF': ({'address': '0000:0a:00.0'}, True),
    'a glob that its PF matches': ({'address': '0000:0a:00.*'}, False),
    'another PF': ({'address': '0000:0b:00.0'}, False),
    'expressions': ({'address': {'bus': '0[ab]', 'slot': '0[1-3]', 'function': '[0-2]'}}, True),
    'the beginning of an expression': ({'address': {'bus': '0'}}, True),
    'another expression': ({'address': {'function': '[2-7]'}}, False),
    'expressions that are its PF': (
        {'address': {'domain': '0000', 'bus': '0a', 'slot': '00', 'function': '0'}},
        True,
    ),
    'the interface of its PF': ({'devname': 'eth0'}, True),
    'its own interface': ({'devname': 'eth1'}, True),
    'another interface': ({'devname': 'eth2'}, False),
    'an interface that is not there': ({'devname': 'eth9'}, False),
}
INTERFACES = {'eth0': '0000:0a:00.0', 'eth1': '0000:0a:02.1', 'eth2': '0000:0b:00.0'}


@pytest.mark.parametrize(('given', 'expected'), SPECS.values(), ids=SPECS)
def test_a_device_is_offered_by_ids_address_or_interface(given, expected):
    (spec,) = pci_specs.read_device_specs(json.dumps(given))
    assert expected == spec.matches(**VF, interfaces=INTERFACES)


def test_a_list_of_devices_keeps_its_tags():
    text = '[{"physical_network": null, "managed": "no"}, {"trusted": "true", "one_time_use": true}]'
    tags = [spec.tags for spec in pci_specs.read_device_specs(text)]
    assert [{'physical_network': None, 'managed': 'false'}, {'trusted': 'true', 'one_time_use': 'true'}] == tags


WRONG = {
    'no JSON': ('{', 'expected a JSON object, or a list of them'),
    'a number': ('[1]', 'expected a JSON object, or a list of them'),
    'an ID': ('{"vendor_id": "Intel"}', 'vendor_id="Intel": expected up to four hexadecimal digits, or "*"'),
    'a large ID': ('{"product_id": "12345"}', 'product_id="12345": expected up to four hexadecimal digits'),
    'both': ('{"address": "*", "devname": "eth0"}', "address and devname='eth0': expected one of both"),
    'no interface': ('{"devname": 3}', 'devname=3: expected the name of a network interface'),
    'a long address': ('{"address": "0:0:0:0.0"}', 'address="0:0:0:0.0": expected \'[[[DOMAIN:]BUS:]SLOT]'),
    'a large slot': ('{"address": "0:0:20.0"}', 'address="0:0:20.0": expected'),
    'a large function': ('{"address": ".8"}', 'address=".8": expected'),
    'a list as the address': ('{"address": [1]}', 'address=[1]: expected'),
    'an expression': ('{"address": {"bus": "["}}', 'address: bus="[": expected'),
    'another part': ('{"address": {"func": "1"}}', 'address: func="1": expected'),
    'a switch': ('{"managed": "perhaps"}', 'managed="perhaps": expected "yes" or "no"'),
    'a tag': ('{"physical_network": ["a"]}', 'physical_network=["a"]: expected text in quotes, or null'),
}


@pytest.mark.parametrize(('text', 'expected'), WRONG.values(), ids=WRONG)
def test_a_device_spec_that_is_wrong_is_explained(text, expected):
    with pytest.raises(exception.PciConfigInvalidSpec, match=f'^{re.escape(expected)}'):
        pci_specs.read_device_specs(text)
