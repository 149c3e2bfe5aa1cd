# SPDX-License-Identifier: Apache-2.0
"""``[pci] alias`` and ``device_spec`` mean what they mean in Nova."""

import importlib
import itertools
import json

import pytest

from numaplace import conf as our_conf
from numaplace import exception, pci_specs, request
from numaplace.model import Flavor
from numaplace.tests.unit import test_pci_specs
from numaplace.tests.unit.request import test_pci

pytestmark = pytest.mark.filterwarnings('ignore')

#: Devices that are no PF here, so that Nova needs no /sys.
DEVICES = [
    {'vendor_id': vendor, 'product_id': product, 'address': address, 'parent_addr': None}
    for vendor, product in (('8086', '154c'), ('10de', '20b0'))
    for address in ('0000:0a:02.1', '0000:0b:02.0', '0001:0a:00.7', '10000:01:00.0'[1:], '0000:ff:1f.7')
]

GIVEN = [
    *(given for given, _expected in test_pci_specs.SPECS.values() if 'devname' not in given),
    *({'address': address} for address in ('*', '.', '*:*:*.*', ':', '::', '1:', ':a:', 'ff:1f.7', ' 0a : 02 . 1 ')),
    *({'address': {part: text}} for part in ('domain', 'bus', 'slot', 'function') for text in ('0', '[01].*', '$', '')),
]


@pytest.mark.parametrize('given', GIVEN, ids=json.dumps)
def test_a_device_spec_covers_the_devices_that_it_covers_in_nova(nova, given):
    devspec = importlib.import_module('nova.pci.devspec')
    theirs = devspec.PciDeviceSpec(dict(given))
    (ours,) = pci_specs.read_device_specs(json.dumps(given))
    for device in DEVICES:
        found = ours.matches(device['vendor_id'], device['product_id'], device['address'])
        assert theirs.match(device) == found, device


@pytest.mark.parametrize('text', [text for text, _expected in test_pci_specs.WRONG.values()])
def test_what_nova_refuses_as_a_device_spec_is_refused(nova, text):
    """Numaplace also refuses tags that are no text, and parts of an address that it does not know."""
    whitelist = importlib.import_module('nova.pci.whitelist')
    with pytest.raises(exception.PciConfigInvalidSpec, match='expected'):
        pci_specs.read_device_specs(text)
    if 'physical_network' not in text and 'func"' not in text and 'devname": 3' not in text:
        with pytest.raises((nova.exception.NovaException, AttributeError)):
            whitelist.Whitelist([text])


@pytest.fixture
def aliases(nova):
    """Set the aliases of Nova, until the test ends."""
    theirs = importlib.import_module('nova.pci.request')

    def put(texts):
        nova.conf.CONF.set_override('alias', texts, group='pci')
        theirs.get_alias_from_config.cache_clear()
        return theirs

    yield put
    nova.conf.CONF.clear_override('alias', group='pci')
    theirs.get_alias_from_config.cache_clear()


CHANGES = [
    {},
    {'name': 'nic'},
    {'device_type': 'type-VF'},
    {'device_type': 'type-PF'},
    {'product_id': '2330', 'device_type': 'type-VF'},
    {'numa_policy': 'socket'},
    {'live_migratable': 'yes'},
]


@pytest.mark.parametrize('changes', list(itertools.combinations_with_replacement(CHANGES, 2)), ids=str)
def test_aliases_are_joined_as_in_nova(nova, aliases, changes):
    texts = [json.dumps(test_pci_specs.GPU | change) for change in changes]
    try:
        expected = aliases(texts).get_alias_from_config()
    except nova.exception.PciInvalidAlias:
        expected = None
    try:
        found = pci_specs.join_aliases(map(pci_specs.read_alias, texts))
        assert expected == {alias.name: (alias.policy, list(alias.alternatives)) for alias in found.values()}
    except exception.PciInvalidAlias:
        assert expected is None


@pytest.mark.parametrize('text', [text for text, _expected in test_pci_specs.ALIASES.values()])
def test_what_nova_refuses_as_an_alias_is_refused(nova, aliases, text):
    with pytest.raises(nova.exception.PciInvalidAlias):
        aliases([text]).get_alias_from_config()


@pytest.mark.parametrize(
    ('flavor', 'image'), list(itertools.product((None, 'required', 'socket', 'near'), (None, 'required', 'preferred')))
)
def test_the_policy_and_its_errors_are_those_of_nova(nova, flavor, image):
    key = 'pci_numa_affinity_policy'
    specs = {f'hw:{key}': flavor} if flavor else {}
    properties = {f'hw_{key}': image} if image else {}
    asked = nova.objects.Flavor(extra_specs=specs)
    meta = nova.objects.ImageMeta(properties=nova.objects.ImageMetaProps(**properties))
    try:
        expected = nova.hardware.get_pci_numa_policy_constraint(asked, meta)
    except nova.exception.NovaException as error:
        with pytest.raises(getattr(exception, type(error).__name__)):
            request.pci_requests(Flavor('f', 1, 1, extra_specs=specs), properties, {})
        return
    wanted = Flavor('f', 1, 1, extra_specs=specs | {'pci_passthrough:alias': 'nic 1:1'})
    (found,) = request.pci_requests(wanted, properties, test_pci.ALIASES)
    assert (expected or 'legacy') == found.policy


def test_the_options_have_the_names_of_nova(nova):
    theirs = {option.name: option for option in importlib.import_module('nova.conf.pci').pci_opts}
    for option in dict(our_conf.list_opts())['pci']:
        old = {(each.group, each.name) for each in theirs[option.name].deprecated_opts}
        assert old == {(each.group, each.name) for each in option.deprecated_opts}
