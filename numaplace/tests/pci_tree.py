# SPDX-License-Identifier: Apache-2.0
"""Made-up PCI devices for the ``/sys`` of seed3: a network card with SR-IOV on node 1, graphics cards, and a bridge."""

import os
import struct
from dataclasses import dataclass
from pathlib import Path

from numaplace.libvirt.found_device import FoundDevice

__all__ = ['FOUND', 'lay_out']


@dataclass(frozen=True)
class _Device:
    address: str
    vendor: str
    product: str
    code: int
    node: int = -1
    totalvfs: int | None = None
    physfn: str = ''
    driver: str = ''
    nic: str = ''


#: CPUs of the nodes of seed3, as bitmaps.
_NEAR = {0: '0f', 1: '30', 2: 'c0'}

_PF, _VFS = '0000:0a:00.0', ('0000:0a:02.0', '0000:0a:02.1')
_DEVICES = (
    _Device('0000:00:1c.0', '8086', 'a110', 0x060400, 0),
    _Device(_PF, '8086', '1572', 0x020000, 1, 64, driver='i40e', nic='enp10s0f0'),
    _Device(_VFS[0], '8086', '154c', 0x020000, 1, None, _PF, 'iavf', 'enp10s0f0v0'),
    _Device(_VFS[1], '8086', '154c', 0x020000, 1, None, _PF, 'vfio-pci'),
    _Device('0000:0b:00.0', '8086', '1572', 0x020000, 1, 0, driver='i40e'),
    _Device('0000:81:00.0', '10de', '20b0', 0x030200, 0),
    _Device('0000:c1:00.0', '10de', '20b0', 0x030200, 7),
    _Device('10000:e1:00.0', '8086', '0a54', 0x010802),
)
#: What is found there.
FOUND = (
    FoundDevice('0000:00:1c.0', '8086', 'a110', 'type-PCI', 0, None, 0x060400),
    FoundDevice(_PF, '8086', '1572', 'type-PF', 1, None, 0x020000, 'i40e', ('enp10s0f0',)),
    FoundDevice(_VFS[0], '8086', '154c', 'type-VF', 1, _PF, 0x020000, 'iavf', ('enp10s0f0v0',)),
    FoundDevice(_VFS[1], '8086', '154c', 'type-VF', 1, _PF, 0x020000, 'vfio-pci'),
    FoundDevice('0000:0b:00.0', '8086', '1572', 'type-PCI', 1, None, 0x020000, 'i40e'),
    FoundDevice('0000:81:00.0', '10de', '20b0', 'type-PCI', 0, None, 0x030200),
    FoundDevice('0000:c1:00.0', '10de', '20b0', 'type-PCI', 7, None, 0x030200),
    FoundDevice('10000:e1:00.0', '8086', '0a54', 'type-PCI', None, None, 0x010802),
)


def lay_out(root: Path) -> Path:
    """Write the files and links below a directory that stands for ``/sys``, and return it."""
    for device in _DEVICES:
        domain = device.address.partition(':')[0]
        path = root / f'devices/pci{domain}:00' / device.address
        _write(path, device)
        _link(root / 'bus/pci/devices' / device.address, path)
        _link(path / 'subsystem', root / 'bus/pci')
        if device.driver:
            (root / 'bus/pci/drivers' / device.driver).mkdir(parents=True, exist_ok=True)
            _link(path / 'driver', root / 'bus/pci/drivers' / device.driver)
        if device.nic:
            _write_nic(root, path / 'net' / device.nic)
    home = root / 'devices/pci0000:00'
    for number, address in enumerate(_VFS):
        _link(home / address / 'physfn', home / _PF)
        _link(home / _PF / f'virtfn{number}', home / address)
    return root


def _write(path: Path, device: _Device) -> None:
    path.mkdir(parents=True)
    values = {
        'vendor': f'0x{device.vendor}',
        'device': f'0x{device.product}',
        'class': f'0x{device.code:06x}',
        'numa_node': str(device.node),
        'local_cpus': _NEAR.get(device.node, 'ff'),
        'uevent': '\n'.join(
            (
                f'DRIVER={device.driver}',
                f'PCI_CLASS={device.code:X}',
                f'PCI_ID={device.vendor}:{device.product}'.upper(),
                f'PCI_SLOT_NAME={device.address}',
            )
        ),
    }
    if device.totalvfs is not None:
        values |= {'sriov_totalvfs': str(device.totalvfs), 'sriov_numvfs': str(len(_VFS) if device.totalvfs else 0)}
    for name, text in values.items():
        (path / name).write_text(f'{text}\n')
    header = struct.pack('<HH5xBH', int(device.vendor, 16), int(device.product, 16), 0, device.code >> 8)
    (path / 'config').write_bytes(header.ljust(256, b'\0'))


def _write_nic(root: Path, path: Path) -> None:
    path.mkdir(parents=True)
    for name, text in (
        ('address', '02:00:00:00:00:01'),
        ('uevent', f'INTERFACE={path.name}\nIFINDEX=9'),
        ('operstate', 'down'),
    ):
        (path / name).write_text(f'{text}\n')
    _link(path / 'device', path.parents[1])
    _link(path / 'subsystem', root / 'class/net')
    _link(root / 'class/net' / path.name, path)


def _link(path: Path, target: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(os.path.relpath(target, path.parent))
