# SPDX-License-Identifier: Apache-2.0
"""NICs and disks of a guest: ``numaplace:nic.N`` and ``numaplace:disk.N`` of a flavor, or the same text in options."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from numaplace import exception
from numaplace.model import Devices, Disk, Flavor, Nic

__all__ = ['KINDS', 'devices', 'is_key', 'own_devices']

KINDS = 'nic', 'disk'
_KEY = re.compile(rf'numaplace:({"|".join(KINDS)})(\..*)?')

_NAME = re.compile(r'[^\s,/][^,/]*')
#: The kernel limits the name of an interface to 15 characters.
_BRIDGE = re.compile(r'[A-Za-z0-9_.:-]{1,15}')
#: Absolute, so that QEMU does not read the text before a colon as a protocol.
_PATH = re.compile(r'/[^,\x00-\x1f]*[^,/\x00-\x1f]')
_NODE = re.compile(r'[0-9]{1,4}')
#: Models that work behind a PCI Express port, as a device with a node does.
_MODELS = ('virtio', 'e1000e')
_FORMATS = ('raw', 'qcow2')

_NIC_FORM = (
    f'expected network=NAME or bridge=NAME, and where needed model={" or ".join(_MODELS)} and node=CELL, '
    "as in 'network=default,model=virtio,node=1'"
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
    return Nic(network, bridge, model, _node(given, place), place)


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
