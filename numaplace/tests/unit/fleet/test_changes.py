# SPDX-License-Identifier: Apache-2.0
"""The nearest change where devices, networks and other hosts decide, and its text."""

from dataclasses import replace

import pytest

from numaplace import partition
from numaplace.fleet import changes
from numaplace.fleet.changes.words import words
from numaplace.model import Networks, PciRequest, Refusal
from numaplace.model.host_devices import HostDevices
from numaplace.model.pci import REQUIRED, VF, PciDevice
from numaplace.tests import samples

VENDOR = {'vendor_id': '8086', 'product_id': '154d'}


def _case(host, guest, networks=None, **more):
    def takes(trial):
        return not isinstance(partition.place(trial.host, trial.guest, networks=trial.networks), Refusal)

    return changes.Case(host, guest, takes, networks=networks, **more)


def _host():
    """Return a host of two cells with a device near the second, and a network near the first."""
    host = samples.host(cells=2)
    first, second = host.cells
    near = replace(first, shape=replace(first.shape, physnets=frozenset({'blue'})))
    device = PciDevice('0000:05:00.1', '8086', '154d', VF, second.id)
    return replace(host, cells=(near, second), devices=HostDevices((device,)))


def _guest(count):
    return replace(samples.guest(vcpus=1), pci_requests=(PciRequest(count, (VENDOR,), REQUIRED, 'nic'),))


@pytest.mark.parametrize(
    ('count', 'networks', 'kind', 'text'),
    [
        (2, None, 'device', 'with 1 of 2 devices nic'),
        (1, Networks(frozenset({'blue'})), 'device', 'with 0 of 1 device nic'),
    ],
)
def test_a_device_less_is_the_nearest_change(count, networks, kind, text):
    host, change = changes.nearest({'h': _case(_host(), _guest(count), networks)})
    assert ('h', kind, text) == (host, change.kind, words(change))


def test_the_nearest_host_is_the_one_with_the_smallest_change_and_ties_go_by_name():
    host = _host()
    most = max(cell.free_cpus.bit_count() for cell in host.cells)
    smaller = replace(
        host, cells=tuple(replace(cell, held_cpus=cell.free_cpus & -cell.free_cpus) for cell in host.cells)
    )
    guest = samples.guest(vcpus=most + 1)
    cases = {name: _case(each, guest) for name, each in (('c', host), ('b', host), ('a', smaller))}
    name, change = changes.nearest(cases)
    assert ('b', 'vcpus', most) == (name, change.kind, change.after)


def test_another_host_is_the_last_of_all():
    guest = samples.guest(vcpus=1, memory_mib=1)
    host = samples.host(cells=1)
    full = replace(host, cells=tuple(replace(cell, held_cpus=cell.free_cpus) for cell in host.cells))
    assert changes.nearest({'full': _case(full, guest)}) is None
    _host_name, change = changes.nearest({'full': _case(full, guest, others=('free', 'other'))})
    assert ('host', 'on host free') == (change.kind, words(change))
