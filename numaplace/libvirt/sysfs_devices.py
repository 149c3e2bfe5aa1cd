# SPDX-License-Identifier: Apache-2.0
"""Find the PCI devices of this machine, or of a recorded one, in kernel files."""

from __future__ import annotations

import re
from pathlib import Path

from numaplace.libvirt import kernel
from numaplace.libvirt.document import show
from numaplace.libvirt.found_device import FoundDevice
from numaplace.model.pci import PCI, PF, VDPA, VF

__all__ = ['read']

_ADDRESS = re.compile(r'[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]')
_VDPA = re.compile('vdpa[0-9]+')
_NUMBER = re.compile(r'0x[0-9a-f]{1,8}')


def read(root: str | Path = '/sys') -> tuple[FoundDevice, ...]:
    """Return the devices by address; none where the kernel has no PCI.

    :param root: where sysfs is mounted
    :raises: :class:`~numaplace.exception.UnreadableTopology` for files that are missing or malformed
    """
    paths = kernel.entries(Path(root, 'bus/pci/devices'))
    return tuple([_device(path) for path in paths if _ADDRESS.fullmatch(path.name)])


def _device(path: Path) -> FoundDevice:
    names = [entry.name for entry in kernel.entries(path)]
    parent = _link(path / 'physfn')
    return FoundDevice(
        address=path.name,
        vendor_id=f'{_number(path / "vendor"):04x}',
        product_id=f'{_number(path / "device"):04x}',
        dev_type=_type(path, parent, names),
        numa_node=_node(path / 'numa_node'),
        parent=parent,
        pci_class=_number(path / 'class'),
        driver=_link(path / 'driver'),
        interfaces=tuple(_interfaces(path, names)),
        vdpa_device=_vdpa_device(path, names),
    )


def _type(path: Path, parent: str | None, names: list[str]) -> str:
    if parent is not None:
        return VDPA if any(map(_VDPA.fullmatch, names)) else VF
    total = path / 'sriov_totalvfs'
    return PF if kernel.optional(total) is not None and kernel.whole(total) else PCI


def _node(path: Path) -> int | None:
    """Return the node; the firmware may know none, which the kernel writes as -1."""
    text = kernel.optional(path)
    return None if text is None or text == '-1' else kernel.whole(path)


def _interfaces(path: Path, names: list[str]) -> list[str]:
    """Return the names of network interfaces; those of virtio are one level deeper."""
    places = [path, *(path / name for name in names if re.fullmatch('virtio[0-9]+', name))]
    return sorted(entry.name for place in places for entry in kernel.entries(place / 'net'))


def _vdpa_device(path: Path, names: list[str]) -> str | None:
    """Return the path of the character device; there is none while the host itself has the vDPA device."""
    places = [path / name for name in names if _VDPA.fullmatch(name)]
    found = [entry.name for place in places for entry in kernel.entries(place) if entry.name.startswith('vhost-vdpa-')]
    return f'/dev/{min(found)}' if found else None


def _link(path: Path) -> str | None:
    """Return the name of what a link points to, which may be missing in a copy."""
    try:
        return path.readlink().name
    except FileNotFoundError:
        return None
    except OSError as error:
        raise kernel.unreadable(path, 'expected a link, as `tar` and `cp -a` keep it') from error


def _number(path: Path) -> int:
    text = kernel.required(path)
    if not _NUMBER.fullmatch(text):
        raise kernel.unreadable(path, f"{show(text)} is not a hexadecimal number such as '0x8086'")
    return int(text, 16)
