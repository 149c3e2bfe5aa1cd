# SPDX-License-Identifier: Apache-2.0
"""NICs and disks of a guest: ``numaplace:nic.N`` and ``numaplace:disk.N`` of a flavor, and the same text elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from numaplace import exception
from numaplace.request.properties import Flavor

__all__ = ['Devices', 'Disk', 'Nic', 'devices', 'own_devices']

_KEY = re.compile(r'numaplace:(nic|disk)(\..*)?')

_NAME = re.compile(r'[^\s,/][^,/]*')
#: A name of the kernel, which has 15 characters for it.
_BRIDGE = re.compile(r'[A-Za-z0-9_.:-]{1,15}')
#: QEMU would take a colon for the end of a protocol's name.
_PATH = re.compile(r'/[^,\x00-\x1f]*[^,/\x00-\x1f]')
#: What stands for the guest's own UUID in a path.
_UUID = '{uuid}'
_NODE = re.compile(r'[0-9]{1,4}')
#: Those that a PCI Express port takes, which a device with a node is behind.
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


@dataclass(frozen=True, slots=True)
class Nic:
    """A network interface.

    :param network: the network of libvirt that it is in, or None
    :param bridge: the bridge of the host that it is in, where it is in no network
    :param node: the guest cell that it is near to, or None
    :param place: where it was asked for, for the errors
    """

    network: str | None = None
    bridge: str | None = None
    model: str = _MODELS[0]
    node: int | None = None
    place: str = field(default='', compare=False)

    def __str__(self) -> str:
        return _write(network=self.network, bridge=self.bridge, model=self.model, node=self.node)


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk.

    :param path: a file of the host, or a block device; ``{uuid}`` in it stands for the UUID of the guest
    :param node: as of :class:`Nic`
    :param place: as of :class:`Nic`
    """

    path: str
    format: str = _FORMATS[0]
    node: int | None = None
    place: str = field(default='', compare=False)

    def __str__(self) -> str:
        return _write(path=self.path, format=self.format, node=self.node)

    @property
    def is_shared(self) -> bool:
        """Whether all guests that have it have the same file."""
        return _UUID not in self.path

    def path_of(self, uuid: str) -> str:
        """Return the path of it that a guest has."""
        return self.path.replace(_UUID, uuid)


@dataclass(frozen=True, slots=True)
class Devices:
    """The devices of a guest, in its order."""

    nics: tuple[Nic, ...] = ()
    disks: tuple[Disk, ...] = ()

    def __add__(self, others: Devices) -> Devices:
        return Devices(self.nics + others.nics, self.disks + others.disks)

    @property
    def near(self) -> tuple[Nic | Disk, ...]:
        """Those that name a guest cell."""
        return tuple(device for device in self.disks + self.nics if device.node is not None)


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


def own_devices(nics: Iterable[str], disks: Iterable[str]) -> Devices:
    """Read the devices that a server was given by the options ``--nic`` and ``--disk``.

    :raises: :class:`~numaplace.exception.InvalidRequest`
    """
    return Devices(
        tuple(_nic(text, f'--nic {text!r}') for text in nics),
        tuple(_disk(text, f'--disk {text!r}') for text in disks),
    )


def _counted(flavor: Flavor, kind: str, found: Mapping[int, str]) -> Iterable[tuple[str, str]]:
    """Yield each text and its place.

    :raises: :class:`~numaplace.exception.InvalidRequest` for a number that comes after a gap
    """
    for expected, (number, text) in enumerate(sorted(found.items())):
        place = f'flavor {flavor.name!r}: numaplace:{kind}.{number}={text!r}'
        if number != expected:
            raise exception.InvalidRequest(
                f'{place}: expected numaplace:{kind}.{expected} beside it: the numbers count from 0'
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


def _write(**values: object) -> str:
    return ','.join(f'{key}={value}' for key, value in values.items() if value is not None)
