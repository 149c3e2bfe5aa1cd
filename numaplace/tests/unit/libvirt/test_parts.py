# SPDX-License-Identifier: Apache-2.0
"""Every part that the XML of a guest can have is there where it is asked for, and in which forms."""

import pytest
from lxml import etree

from numaplace.libvirt.profile import NEWEST, PROFILES
from numaplace.tests.unit.libvirt import families

_ALL = tuple(PROFILES)
_NOT_NOVA_12 = tuple(name for name in _ALL if name != 'nova-12')
_NEW = ('libvirt-8.10', NEWEST)
_SINCE_2_2 = ('libvirt-2.2', *_NEW)

#: What makes a part, where that is, and the forms that have it.
_PARTS = [
    ('two cells', "vcpu[@placement='static']", _ALL),
    ('two cells', "cputune/vcpupin[@vcpu='3'][@cpuset]", _ALL),
    ('two cells', 'cputune/emulatorpin[@cpuset]', _ALL),
    ('two cells', 'iothreads', _NOT_NOVA_12),
    ('two cells', "cputune/iothreadpin[@iothread='1'][@cpuset]", _NOT_NOVA_12),
    ('two cells', "numatune/memory[@mode='strict'][@nodeset]", _ALL),
    ('two cells', "numatune/memnode[@cellid='1'][@mode='strict'][@nodeset]", _ALL),
    ('two cells', "cpu/topology[@sockets='4'][@cores='1'][@threads='1']", _ALL),
    ('two cells', "cpu/numa/cell[@id='1'][@cpus='2-3'][@memory='131072'][@unit='KiB']", _ALL),
    ('two cells', "cpu/numa/cell/distances/sibling[@id='1'][@value]", _NEW),
    ('topology', "cpu/topology[@sockets='1'][@cores='2'][@threads='2']", _ALL),
    ('topology', 'cpu/topology[@dies]', ()),
    (
        'a socket in two cells',
        "cpu/topology[@sockets='1'][@dies='2'][@cores='2'][@threads='1']",
        ('libvirt-8.10', NEWEST),
    ),
    ('2 MiB pages', "memoryBacking/hugepages/page[@size='2048'][@unit='KiB'][@nodeset='0-1']", _ALL),
    ('2 MiB pages', "cpu/numa/cell[@memAccess='shared']", _ALL),
    ('1 GiB pages', "memoryBacking/hugepages/page[@size='1048576'][@nodeset='0']", _ALL),
    ('locked', 'memoryBacking/locked', _ALL),
    ('realtime', 'memoryBacking/locked', _ALL),
    ('realtime', 'memoryBacking/nosharepages', _ALL),
    ('realtime', "cputune/vcpusched[@vcpus='3'][@scheduler='fifo'][@priority='1']", _ALL),
    ('realtime without performance counters', "features/pmu[@state='off']", _ALL),
    ('performance counters', "features/pmu[@state='on']", _ALL),
    ('quotas', 'cputune/shares', _ALL),
    ('quotas', 'cputune/period', _ALL),
    ('quotas', 'cputune/quota', _ALL),
    ('vCPUs and memory that are plugged in', "vcpus/vcpu[@id='0'][@hotpluggable='no']", _SINCE_2_2),
    ('vCPUs and memory that are plugged in', "vcpus/vcpu[@id='3'][@hotpluggable='yes']", _SINCE_2_2),
    ('vCPUs and memory that are plugged in', "maxMemory[@slots='4']", _SINCE_2_2),
    ('devices near to cells', "devices/disk/target[@dev='vdc']", _ALL),
    ('devices near to cells', "devices/disk/driver[@iothread='1']", _NOT_NOVA_12),
    ('devices near to cells', "devices/interface/source[@bridge='br0']", _ALL),
    ('devices near to cells', "devices/controller[@model='pcie-expander-bus']/target/node", _SINCE_2_2),
    ('devices near to cells', "devices/controller[@model='pcie-root-port']/address", _SINCE_2_2),
    ('devices near to cells', 'devices/interface/address', _SINCE_2_2),
    ('divided over memory without CPUs', 'cpu/numa/cell', _ALL),
]


def _servers(flavor):
    return [server for host in families.HOSTS for server in families.placed(host) if server.flavor.name == flavor]


@pytest.mark.parametrize(('flavor', 'path', 'profiles'), _PARTS)
def test_a_part_is_there_in_its_forms(flavor, path, profiles):
    servers = _servers(flavor)
    assert servers
    for server in servers:
        found = [name for name in PROFILES if etree.fromstring(server.xml(name)).find(path) is not None]
        assert list(profiles) == found, server.name


def test_a_guest_that_floats_is_kept_from_memory_without_cpus():
    (server,) = (server for server in _servers('plain') if server.name == 'plain on tiers')
    memory = {name: etree.fromstring(server.xml(name)).find('numatune/memory') for name in PROFILES}
    kept = {'mode': 'strict', 'nodeset': '0-1'}  # node 2 has no memory
    expected = dict.fromkeys(('libvirt-1.2', *_SINCE_2_2), kept)
    assert expected == {name: dict(element.attrib) for name, element in memory.items() if element is not None}


def test_what_is_not_asked_for_is_not_there():
    for server in _servers('plain'):
        root = etree.fromstring(server.xml(NEWEST))
        tags = {child.tag for child in root} - ({'numatune'} if 'tiers' in server.name else set())
        assert not tags & {'cputune', 'numatune', 'memoryBacking', 'maxMemory', 'vcpus'}, server.name
        assert ['console'] == [child.tag for child in root.find('devices')]
        assert root.find('features/pmu') is None
        assert root.find('cpu/numa') is None
