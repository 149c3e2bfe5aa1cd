# SPDX-License-Identifier: Apache-2.0
"""How many guests with PCI devices fit on a host: bounds hold, and what is exact is what brute force finds."""

import itertools
import os
import random
from dataclasses import replace

import pytest

from numaplace.fit import cells
from numaplace.fit.cell_demand import demands
from numaplace.fleet.room import room
from numaplace.model import GrantedDevice, Guest, HostDevices, PciDevice, PciRequest, Placement
from numaplace.model.pci import LEGACY, PF, PREFERRED, REQUIRED, VF
from numaplace.tests import amount, samples

#: Cases of the sweep.
CASES = int(os.environ.get('NUMAPLACE_CAPACITY_CASES', '200'))
KINDS = ({'vendor_id': '10de'}, {'product_id': '20b0'}, {'dev_type': PF}, {'dev_type': VF})


def _devices(dice):
    found = [
        PciDevice(f'0000:{n:02x}:00.0', '10de', dice.choice(('20b0', '20b5')), numa_node=dice.choice((0, 1, 1, None)))
        for n in range(dice.randrange(4))
    ]
    if dice.random() < 0.5:
        card = PciDevice('0000:80:00.0', '10de', '1572', PF, dice.randrange(2))
        found += [card, PciDevice('0000:80:02.0', '10de', '154c', VF, card.numa_node, card.address)]
    return HostDevices(tuple(found))


def _case(dice):
    host = replace(samples.host(cells=2), devices=_devices(dice))
    requests = tuple(
        PciRequest(
            dice.randint(1, 2), (dice.choice(KINDS),), dice.choice((REQUIRED, REQUIRED, LEGACY, PREFERRED)), str(n)
        )
        for n in range(dice.randint(1, 2))
    )
    guest = Guest(2, 256) if dice.random() < 0.3 else samples.guest(vcpus=dice.choice((1, 2, 3)))
    return host, replace(guest, pci_requests=requests)


def _near(policy, device, cell):
    return (
        cell is None
        or policy == PREFERRED
        or device.numa_node == cell
        or (policy == LEGACY and device.numa_node is None)
    )


def _grants(host, guest, cell):
    """Yield every choice of devices for a guest on a host cell, each with nothing that another request has."""
    free = host.devices.free
    pools = {pool.address: pool for pool in host.devices.pools}
    choices = [
        itertools.combinations(
            [one for one in free if wanted.matches(pools[one.address]) and _near(wanted.policy, one, cell)],
            wanted.count,
        )
        for wanted in guest.pci_requests
    ]
    for chosen in itertools.product(*choices):
        taken = [device for part in chosen for device in part]
        addresses = {device.address for device in taken}
        if len(addresses) == len(taken) and not addresses & {device.parent for device in taken}:
            yield tuple(GrantedDevice(device) for device in taken)


def _best(host, guest, known):
    key = host.devices.taken, host.cells
    if key not in known:
        known[key] = max((1 + _best(after, guest, known) for after in _after(host, guest)), default=0)
    return known[key]


def _after(host, guest):
    if not guest.cells:
        for devices in _grants(host, guest, None):
            yield replace(host, devices=host.devices.take(devices))
        return
    (demand,) = demands(guest, None)
    for cell in host.cells:
        if cells.shortfall(cell, demand) is None:
            placed = cells.place(cell, guest.cells[0], demand)
            for devices in _grants(host, guest, cell.id):
                yield host.consume(Placement(guest, (placed,), devices))


@pytest.mark.parametrize('share', range(2))
def test_the_bounds_hold_and_near_devices_are_exact(share):
    exact = 0
    for number in amount.seeds(share, CASES // 2, 2):
        host, guest = _case(random.Random(number))
        best, found = _best(host, guest, {}), room(host, guest)
        assert found.at_least <= best <= found.at_most, (number, best, found)
        policies = {wanted.policy for wanted in guest.pci_requests}
        if not guest.cells or policies == {REQUIRED}:
            assert best == found.at_least == found.at_most, (number, best, found)
            exact += best > 0
    assert exact > CASES // 20
