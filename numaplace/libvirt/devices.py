# SPDX-License-Identifier: Apache-2.0
"""NICs, disks and PCI devices of a guest as domain elements; those with a node are near their guest cell."""

from __future__ import annotations

import hashlib
from string import ascii_lowercase

from numaplace import exception
from numaplace.libvirt import expander, host_devices
from numaplace.libvirt.xmltext import Element, element
from numaplace.model import Devices, Disk, GrantedDevice, Nic, Placement

__all__ = ['build', 'check', 'mac_of']


def check(devices: Devices, placement: Placement) -> None:
    """Make sure that a guest can have its devices.

    :param placement: its placement, with the PCI devices that it gets
    :raises: :class:`~numaplace.exception.InvalidRequest` for a node that the guest does not have, a file that two
        of its disks use, a NIC without its PCI device, or more devices than there are buses
    """
    known: set[str] = set()
    cells = len(placement.cells)
    for disk in devices.disks:
        if disk.path in known:
            raise exception.InvalidRequest(f'{disk.place}: another disk of the guest is that file: expected it once')
        known.add(disk.path)
    near: dict[int, list[str]] = {}
    for device in devices.near:
        if device.node is None or device.node >= cells:
            expected = f'a number from 0 to {cells - 1}' if cells else 'a guest with cells, as hw:numa_nodes makes them'
            raise exception.InvalidRequest(
                f'{device.place}: node {device.node} is not a cell of the guest: expected {expected}'
            )
        near.setdefault(device.node, []).append(device.place)
    for granted in placement.devices:
        if (node := placement.cell_near(granted.device)) is not None:
            near.setdefault(node, []).append(f'PCI device {granted.device.address}')
    for nic, one in _taken(devices, placement)[0].items():
        host_devices.check_nic(one, devices.nics[nic])
    if (node := expander.overfull(near)) is not None:
        raise exception.InvalidRequest(
            f'{near[node][-1]}: too many devices on node {node}: expected at most {expander.MAX_PORTS}'
        )


def build(
    devices: Devices, placement: Placement, uuid: str, *, near: bool, iothreads: bool
) -> tuple[list[Element], list[Element]]:
    """Return the elements, in libvirt's order: those before the console, and those after it.

    :param devices: devices that passed :func:`check`
    :param placement: as for :func:`check`
    :param uuid: of the guest
    :param near: whether to show the guest's kernel the nodes of devices that have one
    :param iothreads: whether the guest has an I/O thread, which then serves its disks
    """
    disks = [_disk(disk, disk.path_of(uuid), number, iothreads) for number, disk in enumerate(devices.disks)]
    made: list[tuple[Element, int | None]] = list(zip(disks, [disk.node for disk in devices.disks], strict=True))
    nics: list[tuple[Element, int | None]] = []
    passed: list[tuple[Element, int | None]] = []
    taken, left = _taken(devices, placement)
    for number, nic in enumerate(devices.nics):
        mac = mac_of(nic, uuid, number)
        if number in taken:
            one, node = host_devices.nic(taken[number], nic, mac), placement.cell_near(taken[number].device)
            (nics if one.tag == 'interface' else passed).append((one, node))
        else:
            nics.append((_nic(nic, mac), nic.node))
    passed += [(host_devices.hostdev(granted), placement.cell_near(granted.device)) for granted in left]
    by_node: dict[int, list[Element]] = {}
    for one, node in (*made, *nics, *passed):
        if near and node is not None:
            by_node.setdefault(node, []).append(one)
    return [*disks, *expander.buses(by_node), *(one for one, _ in nics)], [one for one, _ in passed]


def _taken(devices: Devices, placement: Placement) -> tuple[dict[int, GrantedDevice], list[GrantedDevice]]:
    """Return the PCI device of each NIC that is on one, by its number, and the other PCI devices.

    Those of a physical network are in the order of its NICs.

    :raises: :class:`~numaplace.exception.InvalidRequest` for a NIC without its device
    """
    found, left = {}, list(placement.devices)
    for number, nic in enumerate(devices.nics):
        if nic.physnet is None:
            continue
        its = next((one for one in left if one.request == nic.request), None)
        if its is None:
            raise exception.InvalidRequest(f'{nic.place}: the guest has no PCI device for it')
        left.remove(its)
        found[number] = its
    return found, left


def mac_of(nic: Nic, uuid: str, number: int) -> str:
    """Return the MAC address of a NIC: its own, or a stable one: locally administered, unicast, one of 2^40.

    :param uuid: of the guest
    :param number: of the NIC
    """
    if nic.mac is not None:
        return nic.mac
    digest = hashlib.sha256(f'{uuid} {number}'.encode()).digest()
    return ':'.join(f'{octet:02x}' for octet in (0x52, *digest[:5]))


def _disk(disk: Disk, path: str, number: int, iothreads: bool) -> Element:
    kind, attribute = ('block', 'dev') if path.startswith('/dev/') else ('file', 'file')
    driver = {'name': 'qemu', 'type': disk.format} | ({'iothread': '1'} if iothreads else {})
    return element(
        'disk',
        {'type': kind, 'device': 'disk'},
        element('driver', driver),
        element('source', {attribute: path}),
        element('target', {'dev': f'vd{_letters(number)}', 'bus': 'virtio'}),
    )


def _letters(number: int) -> str:
    """Return a, b, ..., z, aa, ab, ... for the numbers from 0 on."""
    rest, last = divmod(number, len(ascii_lowercase))
    return (_letters(rest - 1) if rest else '') + ascii_lowercase[last]


def _nic(nic: Nic, mac: str) -> Element:
    kind, name = ('bridge', nic.bridge) if nic.network is None else ('network', nic.network)
    return element(
        'interface',
        {'type': kind},
        element('mac', {'address': mac}),
        element('source', {kind: name or ''}),
        element('model', {'type': nic.model}),
    )
