# SPDX-License-Identifier: Apache-2.0
"""PCI devices from the command line: an alias in a flavor, who has which device, and what a host lacks."""

import json
from dataclasses import replace

import pytest

from numaplace.compute import resource_tracker
from numaplace.db import api
from numaplace.model import HostDevices, PciDevice

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
    cards('server create --flavor m1.gpu three')
    assert cards.json('host audit seed3') == []


def test_an_alias_that_is_not_defined_is_named(cards):
    cards('flavor set --property pci_passthrough:alias=fpga:1 m1.gpu')
    result = cards.run('server', 'create', '--flavor', 'm1.gpu', 'one')
    assert result.stderr.startswith("numaplace: flavor 'm1.gpu': pci_passthrough:alias='fpga:1': alias 'fpga'")
