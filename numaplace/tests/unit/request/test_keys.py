# SPDX-License-Identifier: Apache-2.0
"""The table of keys: what is read is in it, and a key that is not gets the nearest one."""

import re

import pytest

from numaplace import exception, request
from numaplace.model import Flavor
from numaplace.request import keys, verdicts
from numaplace.request.devices import devices
from numaplace.request.hotplug import hotplug
from numaplace.request.machines import of_host
from numaplace.tests.unit.test_documentation import SOURCE

_NUMBER = re.compile(r'\.\d+$')


class _Asked(dict):
    """Values by key that remember for which keys they were asked."""

    def __init__(self, **values):
        super().__init__(values)
        self.keys_asked = set()

    def get(self, key, default=None):
        self.keys_asked.add(_NUMBER.sub('.N', key))
        return super().get(key, default)

    def __contains__(self, key):
        self.keys_asked.add(_NUMBER.sub('.N', key))
        return super().__contains__(key)


def _asked():
    """Return the keys of a flavor and of an image that are read."""
    specs, image = _Asked(), _Asked(os_type='linux')
    flavor = Flavor('f', 2, 64, extra_specs=specs)
    specs['hw:cpu_realtime'] = 'yes'
    with pytest.raises(exception.RealtimeMaskNotFoundOrInvalid, match='with all vCPUs realtime'):
        request.read(flavor, image)
    del specs['hw:cpu_realtime']
    specs['hw:numa_nodes'] = '1'
    for read in (request.read, request.tuning, request.viommu):
        read(flavor, image)
    hotplug(flavor)
    devices(flavor)
    of_host(image, {'architecture': 'x86_64'}, ())
    return specs.keys_asked, image.keys_asked


def test_every_key_that_is_read_is_in_the_table():
    of_flavor, of_image = _asked()
    known = {*keys.OWN, *keys.FLAVOR, *keys.QUOTA}
    assert {'hw:cpu_policy', 'hw:numa_cpus.N', 'quota:cpu_shares', 'numaplace:max_memory'} <= of_flavor
    assert {'hw_cpu_policy', 'hw_numa_cpus.N', 'hw_machine_type'} <= of_image
    assert set() == {key for key in of_flavor if key.startswith(('hw:', 'quota:', 'numaplace:'))} - known
    assert set() == {key for key in of_image if key.startswith('hw_')} - set(keys.IMAGE)


@pytest.mark.skipif(not (SOURCE / 'setup.cfg').is_file(), reason='there is no source tree beside the package')
def test_every_key_of_the_page_is_in_the_table():
    page = (SOURCE / 'doc/source/reference/requests.rst').read_text('utf-8')
    named = set(re.findall(r'``((?:hw|quota|numaplace)[:_][a-z_]+(?:\.N)?)``', page))
    assert {'hw:numa_cpus.N', 'numaplace:nic.N', 'hw_machine_type'} <= named
    assert set() == named - {*keys.OWN, *keys.FLAVOR, *keys.IMAGE, *keys.QUOTA}


@pytest.mark.parametrize(
    ('key', 'expected'),
    [
        ('hw:cpu_polcy', 'hw:cpu_policy'),
        ('hw:cpu_maxsockets', 'hw:cpu_max_sockets'),
        ('hw:numa_node', 'hw:numa_nodes'),
        ('hw:numa_cpu.0', 'hw:numa_cpus.N'),
        ('hw:numa_cpus', 'hw:numa_cpus.N'),
        ('hw:CPU_POLICY', None),
        ('quota:cpu_share', 'quota:cpu_shares'),
        ('hw:zzzz', None),
    ],
)
def test_an_unknown_key_is_told_with_the_nearest_one(key, expected):
    (text,) = verdicts.unknown(Flavor('f', 1, 64, extra_specs={key: 'x'}))
    assert text.startswith(f"flavor 'f': {key}='x': there is no such key, and it does nothing")
    assert expected == (text.rpartition(' the nearest is ')[2] if 'nearest' in text else None)


@pytest.mark.parametrize(
    'key',
    ['hw:numa_mem.12', 'quota:vif_inbound_peak', 'hw:hide_hypervisor_id', 'hw_rng:allowed', 'x:cpu_polcy'],
)
def test_keys_of_nova_and_of_other_scopes_are_not_told(key):
    assert [] == list(verdicts.unknown(Flavor('f', 1, 64, extra_specs={key: 'x'})))


def test_a_key_of_ours_that_is_not_known_makes_no_guest():
    with pytest.raises(
        exception.InvalidRequest, match="numaplace:vnum='3': there is no such key: expected numaplace:vnuma"
    ):
        request.read(Flavor('f', 1, 64, extra_specs={'numaplace:vnum': '3'}))


@pytest.mark.parametrize(
    ('name', 'good', 'bad'),
    [
        ('hw:pmem', 'a,' * 40 + 'b', 'a' * 60 + ', b'),
        ('pci_passthrough:alias', ', '.join(['gpu:1'] * 60), ', '.join(['gpu:1'] * 60) + ':'),
    ],
)
def test_a_long_value_is_judged_at_once(name, good, bad):
    form = keys.find(name, keys.FLAVOR_KEYS).form
    assert (form.accepts(good), form.accepts(bad)) == (True, False)
