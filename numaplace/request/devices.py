# SPDX-License-Identifier: Apache-2.0
"""NICs and disks of a guest: ``numaplace:nic.N`` and ``numaplace:disk.N`` of a flavor, or the same text in options."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from numaplace import exception
from numaplace.model import Devices, Disk, Flavor, Nic
from numaplace.model.devices import DIRECT, DIRECT_PHYSICAL, MACVTAP, VNIC_TYPES
from numaplace.pci_specs import POLICIES

__all__ = ['KINDS', 'devices', 'is_key', 'own_devices']

KINDS = 'nic', 'disk'
_KEY = re.compile(rf'numaplace:({"|".join(KINDS)})(\..*)?')

_NAME = re.compile(r'[^\s,/][^,/]*')
#: The kernel limits the name of an interface to 15 characters.
_BRIDGE = re.compile(r'[A-Za-z0-9_.:-]{1,15}')
#: Absolute, so that QEMU does not read the text before a colon as a protocol.
_PATH = re.compile(r'/[^,\x00-\x1f]*[^,/\x00-\x1f]')
_NODE = re.compile(r'[0-9]{1,4}')
_MAC = re.compile(r'[0-9a-f][02468ace](:[0-9a-f]{2}){5}')
_VLAN = re.compile(r'[1-9][0-9]{0,3}')
_MOST_VLAN = 4094
#: Models that work behind a PCI Express port, as a device with a node does.
_MODELS = ('virtio', 'e1000e')
_FORMATS = ('raw', 'qcow2')

_NIC_FORM = (
    f'expected network=NAME or bridge=NAME, and where needed model={" or ".join(_MODELS)} and node=CELL, '
    "as in 'network=default,model=virtio,node=1'; or physnet=NAME and "
    f'vnic={", ".join(VNIC_TYPES[:-1])} or {VNIC_TYPES[-1]}, and where needed policy={", ".join(POLICIES[:-1])} or '
    f"{POLICIES[-1]}, mac=ADDRESS and vlan=NUMBER, as in 'physnet=lake,vnic=direct,policy=required'"
)
_DISK_FORM = (
    f'expected path=/FILE, and where needed format={" or ".join(_FORMATS)} and node=CELL, '
    "as in 'path=/srv/a.qcow2,format=qcow2,node=0'"
)


def devices(flavor: Flavor) -> Devices:
    """Read the devices of a flavor; its keys count from 0.

    :raises: :class:`~numaplace.exception.InvalidRequest`
    """
    found: dict[str, dict[int, str]] = {'nic': {}, 'disk': {}}
    for key, text in flavor.extra_specs.items():
        if (match := _KEY.fullmatch(key)) is None:
            continue
        kind, number = match[1], (match[2] or '')[1:]
        if not _NODE.fullmatch(number) or str(int(number)) != number:
            raise exception.InvalidRequest(
                f'flavor {flavor.name!r}: {key}={text!r}: expected a number in the key, as in numaplace:{kind}.0'
            )
        found[kind][int(number)] = text
    return Devices(
        tuple(_nic(text, place) for text, place in _counted(flavor, 'nic', found['nic'])),
        tuple(_disk(text, place) for text, place in _counted(flavor, 'disk', found['disk'])),
    )


def is_key(key: str) -> bool:
    """Return whether :func:`devices` reads a key, even if it refuses the number in it."""
    return _KEY.fullmatch(key) is not None


def own_devices(nics: Iterable[str], disks: Iterable[str]) -> Devices:
    """Read the devices that a server got from the options ``--nic`` and ``--disk``.

    :raises: :class:`~numaplace.exception.InvalidRequest`
    """
    return Devices(
        tuple(_nic(text, f'--nic {text!r}') for text in nics),
        tuple(_disk(text, f'--disk {text!r}') for text in disks),
    )


def _counted(flavor: Flavor, kind: str, found: Mapping[int, str]) -> Iterable[tuple[str, str]]:
    """Yield each text and its place.

    :raises: :class:`~numaplace.exception.InvalidRequest` for a number after a gap
    """
    for expected, (number, text) in enumerate(sorted(found.items())):
        place = f'flavor {flavor.name!r}: numaplace:{kind}.{number}={text!r}'
        if number != expected:
            raise exception.InvalidRequest(
                f'{place}: expected numaplace:{kind}.{expected} with it: the numbers count from 0'
            )
        yield text, place


def _nic(text: str, place: str) -> Nic:
    if any(word.startswith('physnet=') for word in text.split(',')):
        return _physical_nic(text, place)
    given = _fields(text, place, ('network', 'bridge', 'model', 'node'), _NIC_FORM)
    network, bridge, model = given.get('network'), given.get('bridge'), given.get('model', _MODELS[0])
    if (network is None) == (bridge is None):
        raise exception.InvalidRequest(f'{place}: {_NIC_FORM}')
    if network is not None and not _NAME.fullmatch(network):
        raise exception.InvalidRequest(f'{place}: network {network!r}: expected the name of a network of libvirt')
    if bridge is not None and not _BRIDGE.fullmatch(bridge):
        raise exception.InvalidRequest(
            f'{place}: bridge {bridge!r}: expected a name of up to 15 letters, digits and _.:-'
        )
    _check_word(model, _MODELS, 'model', place)
    return Nic(network, bridge, model, _node(given, place), place=place)


def _physical_nic(text: str, place: str) -> Nic:
    """Read a NIC on a PCI device of the host; the device of a PF keeps its address, and takes no VLAN."""
    given = _fields(text, place, ('physnet', 'vnic', 'policy', 'mac', 'vlan'), _NIC_FORM)
    physnet, vnic, policy = given['physnet'], given.get('vnic'), given.get('policy')
    mac, vlan = given.get('mac'), given.get('vlan')
    if vnic is None:
        raise exception.InvalidRequest(f'{place}: {_NIC_FORM}')
    if not _NAME.fullmatch(physnet):
        raise exception.InvalidRequest(f'{place}: physnet {physnet!r}: expected the name of a physical network')
    _check_word(vnic, VNIC_TYPES, 'vnic', place)
    if policy is not None:
        _check_word(policy, POLICIES, 'policy', place)
    if mac is not None and (vnic == DIRECT_PHYSICAL or not _MAC.fullmatch(mac.lower())):
        raise exception.InvalidRequest(
            f'{place}: mac {mac!r}: expected the address of one station, such as 52:54:00:12:34:56, and no '
            f'vnic={DIRECT_PHYSICAL}, which keeps that of the device'
        )
    if vlan is not None and (vnic not in (DIRECT, MACVTAP) or not _VLAN.fullmatch(vlan) or int(vlan) > _MOST_VLAN):
        raise exception.InvalidRequest(
            f'{place}: vlan {vlan!r}: expected a number from 1 to {_MOST_VLAN}, for vnic={DIRECT} or {MACVTAP}'
        )
    return Nic(
        physnet=physnet,
        vnic=vnic,
        policy=policy,
        mac=mac and mac.lower(),
        vlan=None if vlan is None else int(vlan),
        place=place,
    )


def _disk(text: str, place: str) -> Disk:
    given = _fields(text, place, ('path', 'format', 'node'), _DISK_FORM)
    path, written = given.get('path'), given.get('format', _FORMATS[0])
    if path is None:
        raise exception.InvalidRequest(f'{place}: {_DISK_FORM}')
    if not _PATH.fullmatch(path) or '..' in path.split('/'):
        raise exception.InvalidRequest(
            f"{place}: path {path!r}: expected the absolute path of a file or block device, without '..'"
        )
    _check_word(written, _FORMATS, 'format', place)
    return Disk(path, written, _node(given, place), place)


def _fields(text: str, place: str, known: Sequence[str], form: str) -> dict[str, str]:
    """Return the values of ``key=value,key=value`` by key."""
    given: dict[str, str] = {}
    for word in text.split(','):
        key, _, value = word.partition('=')
        if key not in known or key in given or not value.isprintable() or value != value.strip() or not value:
            raise exception.InvalidRequest(f'{place}: {form}')
        given[key] = value
    return given


def _check_word(value: str, words: Sequence[str], name: str, place: str) -> None:
    if value not in words:
        raise exception.InvalidRequest(f'{place}: {name} {value!r}: expected {" or ".join(words)}')


def _node(given: Mapping[str, str], place: str) -> int | None:
    text = given.get('node')
    if text is None:
        return None
    if not _NODE.fullmatch(text):
        raise exception.InvalidRequest(f'{place}: node {text!r}: expected the number of a guest cell')
    return int(text)
