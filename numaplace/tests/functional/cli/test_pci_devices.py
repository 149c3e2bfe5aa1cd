# SPDX-License-Identifier: Apache-2.0
"""PCI devices from the command line: an alias in a flavor, who has which device, and what a host lacks."""

import json
from dataclasses import replace

import pytest
from lxml import etree

from numaplace.compute import resource_tracker
from numaplace.db import api
from numaplace.model import HostDevices, PciDevice
from numaplace.tests import pci_tree, recordings

GPUS = tuple(PciDevice(f'0000:0{cell + 1}:00.0', '10de', '20b0', numa_node=cell) for cell in (0, 1))
ALIAS = json.dumps({'name': 'gpu', 'vendor_id': '10de', 'product_id': '20b0', 'numa_policy': 'required'})


@pytest.fixture
def cards(prepared):
    """The program with a GPU on each of two host cells of seed3, and a flavor that wants one."""
    with api.connect(f'sqlite:///{prepared.database}') as database:
        host = database.host('seed3').host
        resource_tracker.refresh(database, 'seed3', replace(host, devices=HostDevices(GPUS)))
    with prepared.config.open('a') as config:
        config.write(f'\n[pci]\nalias = {ALIAS}\n')
    prepared('flavor create --ram 512 --disk 1 --vcpus 1 --property hw:numa_nodes=1 m1.gpu')
    prepared('flavor set --property pci_passthrough:alias=gpu:1 m1.gpu')
    return prepared


def test_servers_get_devices_until_there_are_none(cards):
    for name in ('one', 'two'):
        cards(f'server create --flavor m1.gpu {name}')
    shown = cards.json('host show seed3')['pci_devices']
    assert [(device['address'], device['status']) for device in shown] == [(gpu.address, 'allocated') for gpu in GPUS]
    assert sorted(device['server'] for device in shown) == ['one', 'two']
    given = cards.json('server show one')['devices']['pci']
    assert [device['alias'] for device in given] == ['gpu']
    assert cards.json('server show one')['cells'][0]['host_cell'] == given[0]['numa_node']
    assert f'cell 0: {GPUS[0].address} 10de:20b0 type-PCI, allocated, ' in cards('host show seed3')
    result = cards.run('server', 'create', '--flavor', 'm1.gpu', 'three')
    assert result.returncode != 0
    assert 'PciPassthroughFilter' in result.stderr
    assert 'the guest needs 1 PCI device for gpu (policy required), of which none are free' in result.stderr
    cards('server delete one')
    assert [(1, 1)] == [(one['at_least'], one['at_most']) for one in cards.json('fleet capacity --flavor m1.gpu')]
    cards('server create --flavor m1.gpu three')
    assert cards.json('host audit seed3') == []


def test_an_alias_that_is_not_defined_is_named(cards):
    cards('flavor set --property pci_passthrough:alias=fpga:1 m1.gpu')
    result = cards.run('server', 'create', '--flavor', 'm1.gpu', 'one')
    assert result.stderr.startswith("numaplace: flavor 'm1.gpu': pci_passthrough:alias='fpga:1': alias 'fpga'")


VF, NODE = '0000:0a:02.0', 1


@pytest.fixture
def discovered(numaplace):
    """The program with a host whose /sys has an SR-IOV card, of which a configuration file offers one VF."""
    alias = {'name': 'vf', 'vendor_id': '8086', 'product_id': '154c', 'device_type': 'type-VF'}
    spec = {'address': VF, 'physical_network': 'vf', 'managed': 'no'}
    numaplace.configure(more=f'[pci]\nalias = {json.dumps(alias)}\ndevice_spec = {json.dumps(spec)}')
    recordings.lay_out('seed3', numaplace.directory / 'tree/sys')
    pci_tree.lay_out(numaplace.directory / 'tree/sys')
    numaplace('host discover --root tree --architecture x86_64 one')
    numaplace('flavor create --ram 512 --disk 1 --vcpus 2 --property hw:numa_nodes=2 m1.vf')
    numaplace('flavor set --property pci_passthrough:alias=vf:1 --property hw:pci_numa_affinity_policy=required m1.vf')
    numaplace('server create --flavor m1.vf first')
    return numaplace


def test_a_found_device_goes_to_a_server_its_xml_and_back(discovered):
    shown = discovered.json('server show first')
    assert [(VF, NODE, 'vf')] == [(one['address'], one['numa_node'], one['alias']) for one in shown['devices']['pci']]
    guest_cell = [cell['host_cell'] for cell in shown['cells']].index(NODE)
    assert [(VF, 'allocated', 'first')] == [
        (one['address'], one['status'], one['server']) for one in discovered.json('host show one')['pci_devices']
    ]
    devices = etree.fromstring(discovered('server dumpxml first')).find('devices')
    assert devices.find('interface') is None  # the alias has the name of the network, and asks for no NIC
    (hostdev,) = devices.iterfind('hostdev')
    assert 'no' == hostdev.get('managed')
    assert {'domain': '0x0000', 'bus': '0x0a', 'slot': '0x02', 'function': '0x0'} == hostdev.find(
        'source/address'
    ).attrib
    (expander,) = devices.iterfind("controller[@model='pcie-expander-bus']")
    (port,) = devices.iterfind("controller[@model='pcie-root-port']")
    assert str(guest_cell) == expander.findtext('target/node')
    assert int(expander.get('index')) == int(port.find('address').get('bus'), 16)
    assert int(port.get('index')) == int(hostdev.find('address').get('bus'), 16)
    refused = discovered.run('server', 'create', '--flavor', 'm1.vf', 'second')
    assert 3 == refused.returncode
    assert 'the guest needs 1 PCI device for vf (policy required), of which none are free' in refused.stderr
    assert [] == discovered.json('fleet audit')
    discovered('server delete first')
    assert ['available'] == [one['status'] for one in discovered.json('host show one')['pci_devices']]
    discovered('server create --flavor m1.vf second')
    assert [] == discovered.json('fleet audit')


@pytest.mark.parametrize(
    ('spec', 'product', 'reason'),
    [
        ('{"vendor_id": "10de"}', '154c', f'PCI device {VF} is not among those of the host'),
        (f'{{"address": "{VF}"}}', '154d', f'PCI device {VF} is 8086:154d (type-VF) now, and was 8086:154c (type-VF)'),
    ],
    ids=['gone', 'another'],
)
def test_a_refresh_does_not_take_a_device_from_a_server(spec, product, reason, discovered):
    discovered.configure(more=f'[pci]\ndevice_spec = {spec}')
    (discovered.directory / 'tree/sys/bus/pci/devices' / VF / 'device').write_text(f'0x{product}')
    done = discovered.run('host', 'discover', '--refresh', '--root', 'tree', 'one')
    assert (1, 1) == (done.returncode, len(done.stderr.splitlines()))
    assert done.stderr.startswith("numaplace: server 'first' (")
    assert reason in done.stderr
    assert ['allocated'] == [one['status'] for one in discovered.json('host show one')['pci_devices']]


def test_a_device_moves_with_a_running_server_if_its_alias_says_so(cards):
    with api.connect(f'sqlite:///{cards.database}') as database:
        known = database.host('seed3')
        gpus = tuple(replace(gpu, tags={'live_migratable': 'true'}) for gpu in GPUS)
        there = replace(known, name='there', uuid='5c1e0e2e-8d4b-4a51-8f0c-6f6f8e1d2b3a')
        resource_tracker.register(database, replace(there, host=replace(known.host, devices=HostDevices(gpus))))
    cards('server create --flavor m1.gpu --host seed3 one')
    failed = cards.run('server', 'migrate', '--live-migration', 'one')
    assert (1, 1) == (failed.returncode, len(failed.stderr.splitlines()))
    assert f"({GPUS[0].address}: [pci] alias 'gpu' does not say live_migratable='yes'); expected" in failed.stderr
    config = cards.config.read_text()
    cards.config.write_text(config.replace('{"name": "gpu"', '{"name": "gpu", "live_migratable": "yes"'))
    shown = cards.json('server migrate --live-migration one')
    assert 'there' == shown['OS-EXT-SRV-ATTR:host' if 'OS-EXT-SRV-ATTR:host' in shown else 'host']
    assert [('gpu', GPUS[0].address, False)] == [
        (each['request'], each['source'], each['is_attached_again']) for each in shown['pci_devices']
    ]
    (given,) = cards.json('server show one')['devices']['pci']
    xml = etree.fromstring(cards('server dumpxml one'))
    assert given['address'][5:7] == xml.find('devices/hostdev/source/address').get('bus')[2:]
    assert cards.json('fleet audit') == []
