# SPDX-License-Identifier: Apache-2.0
"""The kind of memory of a host cell without CPUs, from what the kernel reports about devices, and from bandwidths."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from numaplace import exception
from numaplace.libvirt import kernel
from numaplace.memory_kinds import CXL, GENERAL, GPU, HBM, SLOW, UNKNOWN
from numaplace.model import MemoryAccess

if TYPE_CHECKING:
    from numaplace.libvirt.found_cell import FoundCell

__all__ = ['kinds', 'reported']

_BLOCK = re.compile(r'memory(\d{1,12})')
_REGION = re.compile(r'region\d+')
_NVIDIA_NODE = re.compile(r'^Node:\s*(\d{1,5})$', re.MULTILINE)

#: Parents of a DAX device: a CXL decoder or region, even of non-volatile memory; or a bus of non-volatile memory.
_CXL_DAX, _NON_VOLATILE_DAX = re.compile(r'/(?:decoder|dax_region|nvdimm-bridge)\d'), re.compile(r'/ndbus\d')

_HEXADECIMAL = re.compile(r'(?:0x)?[0-9a-f]{1,16}')

#: PCI classes, without the programming interface, of devices whose own memory may be a node.
_DISPLAYS, _ACCELERATORS, _CXL_MEMORY = '0x03', '0x12', '0x0502'


def kinds(found: Iterable[FoundCell]) -> dict[int, str]:
    """Return the kind of memory of each cell, one of :mod:`numaplace.memory_kinds`, by cell id.

    Memory of cells with CPUs is general, even if the CPUs are offline. For other cells, the kind that the source
    reports is used. Otherwise the bandwidth (ACPI HMAT) decides. It is compared with that of the same CPUs to the
    memory of their own cell or, if this is not known, with the best of any CPUs to their own.
    """
    cells = list(found)
    own = {
        cell.id: bandwidth
        for cell in cells
        if cell.cpus and (bandwidth := _bandwidth(access for access in cell.accesses if access.initiator == cell.id))
    }
    return {cell.id: _kind(cell, own) for cell in cells}


def _kind(cell: FoundCell, own: Mapping[int, int]) -> str:
    if cell.cpus or cell.offline:
        return GENERAL
    if cell.memory_kind is not None:
        return cell.memory_kind
    best = max(cell.accesses, key=lambda access: access.read_bandwidth_mib_s or 0, default=None)
    bandwidth = (best.read_bandwidth_mib_s or 0) if best else 0
    usual = own.get(best.initiator if best else -1) or max(own.values(), default=0)
    if not usual or bandwidth in (0, usual):
        return UNKNOWN
    return HBM if bandwidth > usual else SLOW


def _bandwidth(accesses: Iterable[MemoryAccess]) -> int:
    """Return the best read bandwidth, or 0 if it is not known."""
    return max((access.read_bandwidth_mib_s or 0 for access in accesses), default=0)


def reported(root: str | Path, proc: str | Path = '/proc') -> dict[int, str]:
    """Return the kind of memory of nodes without online CPUs, as far as the kernel reports it, by node number.

    A node with offline CPUs has general memory. A node in a CXL region has memory on a CXL link. A node next to a
    graphics card or an accelerator, or whose number NVIDIA's driver reports, has the memory of that device. A node
    made from a DAX device has the kind of the device's memory. Files that cannot be read are ignored.

    :param root: where sysfs is mounted, or a copy of it
    :param proc: where procfs is mounted, or a copy of it
    """
    found: dict[int, str] = {}
    with suppress(exception.UnreadableTopology):
        nodes = _without_online_cpus(Path(root, 'devices/system/node'))
        if nodes:
            found |= _by_devices(Path(root, 'bus/pci/devices'), set(nodes))
            found |= _by_dax(Path(root), set(nodes))
            found |= _by_regions(Path(root), nodes)
            found |= _by_nvidia(Path(proc, 'driver/nvidia/gpus'), set(nodes))
        for number, entries in nodes.items():
            if any(kernel.CPU.fullmatch(name) for name in entries):
                found[number] = GENERAL
    return found


def _without_online_cpus(directory: Path) -> dict[int, list[str]]:
    """Return the names in the directory of each node without online CPUs, by node number."""
    nodes = {}
    for path in kernel.entries(directory):
        match = kernel.NODE.fullmatch(path.name)
        if match and kernel.cpus_of_any(path, 'cpulist', 'cpumap') == 0:
            nodes[int(match[1])] = [entry.name for entry in kernel.entries(path)]
    return nodes


def _by_devices(devices: Path, nodes: set[int]) -> dict[int, str]:
    found = {}
    for path in kernel.entries(devices):
        with suppress(exception.UnreadableTopology):
            node, pci_class = kernel.optional(path / 'numa_node') or '', kernel.optional(path / 'class') or ''
            if not node.isdigit() or int(node) not in nodes:  # -1 where it is not known
                continue
            if pci_class.startswith((_DISPLAYS, _ACCELERATORS)):
                found[int(node)] = GPU
            elif pci_class.startswith(_CXL_MEMORY):
                found.setdefault(int(node), CXL)
    return found


def _by_dax(root: Path, nodes: set[int]) -> dict[int, str]:
    """Find the nodes made from DAX devices; the place in the device tree shows the kind of memory."""
    found = {}
    for path in kernel.entries(root / 'bus/dax/devices'):
        with suppress(exception.UnreadableTopology):
            node = kernel.optional(path / 'target_node') or ''
            if not node.isdigit() or int(node) not in nodes:  # -1 where it is not known
                continue
            place = os.path.realpath(path).removeprefix(os.path.realpath(root))
            if _CXL_DAX.search(place):
                found[int(node)] = CXL
            elif _NON_VOLATILE_DAX.search(place):
                found[int(node)] = SLOW
    return found


def _by_nvidia(cards: Path, nodes: set[int]) -> dict[int, str]:
    """Find the nodes that NVIDIA's driver made from the memory of its cards, which may be attached to other nodes."""
    found = {}
    for path in kernel.entries(cards):
        with suppress(exception.UnreadableTopology):
            match = _NVIDIA_NODE.search(kernel.optional(path / 'numa_status') or '')
            if match and int(match[1]) in nodes:
                found[int(match[1])] = GPU
    return found


def _by_regions(root: Path, nodes: dict[int, list[str]]) -> dict[int, str]:
    """Find the nodes whose memory blocks are in CXL regions."""
    with suppress(exception.UnreadableTopology):
        octets = _hexadecimal(root / 'devices/system/memory/block_size_bytes')
        regions = list(_regions(root / 'bus/cxl/devices'))
        if octets:
            return {
                number: CXL
                for number, entries in nodes.items()
                if any(start <= block * octets < end for block in _blocks(entries) for start, end in regions)
            }
    return {}


def _regions(devices: Path) -> Iterator[tuple[int, int]]:
    """Yield the first address of each region, and the first address after it."""
    for path in kernel.entries(devices):
        if _REGION.fullmatch(path.name):
            with suppress(exception.UnreadableTopology):
                start, size = _hexadecimal(path / 'resource'), _hexadecimal(path / 'size')
                if start and size:
                    yield start, start + size


def _blocks(entries: Iterable[str]) -> list[int]:
    return [int(match[1]) for name in entries if (match := _BLOCK.fullmatch(name))]


def _hexadecimal(path: Path) -> int | None:
    text = kernel.optional(path) or ''
    return int(text, 16) if _HEXADECIMAL.fullmatch(text) else None
