# SPDX-License-Identifier: Apache-2.0
"""Draw a host in characters: which guest has which CPU."""

from __future__ import annotations

import string
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest

from numaplace import cpuset, units
from numaplace.cli import host_devices, memory
from numaplace.cli.names import shorten
from numaplace.model import CellPlacement, HostCell
from numaplace.model.records import HostRecord, InstanceRecord

__all__ = ['draw']

#: Symbols of CPUs that no server holds.
_FREE, _OFF, _FLOATING, _SHARED, _HELD, _UNKNOWN = '.', '_', '~', '-', '#', '?'
#: Shown for a server without cells.
_WHOLE_HOST = '*'
_LEGEND = {
    _FREE: 'free to be pinned',
    _OFF: 'off to save power, free to be pinned',
    _FLOATING: 'shared, vCPUs float here',
    _SHARED: 'shared, no guest cell floats here',
    _HELD: 'held by a domain that numaplace does not manage',
    _UNKNOWN: 'pinned, but by no server of this host',
}


def draw(host: HostRecord, servers: Sequence[InstanceRecord], width: int = 80) -> str:
    """Draw a host's cells, CPU by CPU, with a legend.

    Each core is a column, with one thread below the other. CPUs of a server that are off have its letter in lower
    case.

    :param servers: of this host
    :param width: number of characters in a line
    """
    labels = _labels(servers)
    owners = {
        cpu: labels[server.uuid]
        for server in servers
        for placed in server.placement.cells
        for cpu in cpuset.ids(placed.taken)
    }
    lines: list[str] = []
    seen: set[str] = set()
    off = host.host.offline_cpus
    for cell in host.host.cells:
        symbols = _symbols(cell, owners, off)
        seen.update(symbols.values())
        lines += [*_describe(cell, off, host.host.cells, width), *_rows(cell, symbols, width), '']
    lines += [f'  {symbol}  {words}' for symbol, words in _LEGEND.items() if symbol in seen]
    if dark := sorted(symbol for symbol in seen if symbol.islower()):
        lines += textwrap.wrap(f'  {", ".join(dark)}  pinned as in upper case, but off', width, subsequent_indent='  ')
    if devices := host_devices.lines(host.host, servers):
        lines += ['', '  PCI devices:', *(f'  {line}' for line in devices), '']
    for server in servers:
        lines += _introduce(server, labels.get(server.uuid, ''), width)
    return '\n'.join(lines) + '\n'


def _labels(servers: Iterable[InstanceRecord]) -> dict[str, str]:
    """Name the servers that hold CPUs A, B, ..., Z, AA, AB, ..."""
    holders = [server.uuid for server in servers if any(placed.taken for placed in server.placement.cells)]
    return {holder: _label(index) for index, holder in enumerate(holders)}


def _label(index: int) -> str:
    letters = string.ascii_uppercase
    label = ''
    while index >= 0:
        label = letters[index % len(letters)] + label
        index = index // len(letters) - 1
    return label


def _symbols(cell: HostCell, owners: Mapping[int, str], off: int) -> dict[int, str]:
    symbols = {}
    for cpu in cpuset.ids(cell.shape.shared_cpus | cell.shape.dedicated_cpus):
        bit = 1 << cpu
        if cell.pinned_cpus & bit:
            owner = owners.get(cpu, _UNKNOWN)
            symbols[cpu] = owner.lower() if off & bit else owner
        elif cell.held_cpus & bit:
            symbols[cpu] = _HELD
        elif off & bit:
            symbols[cpu] = _OFF
        elif cell.shape.shared_cpus & bit and cell.cpu_usage:
            symbols[cpu] = _FLOATING
        else:
            symbols[cpu] = _FREE if cell.shape.dedicated_cpus & bit else _SHARED
    return symbols


def _describe(cell: HostCell, off: int, cells: Sequence[HostCell], width: int) -> list[str]:
    shape = cell.shape
    cpus = shape.shared_cpus | shape.dedicated_cpus
    off_words = f'{cpuset.text(off)} off, ' if (off := off & shape.dedicated_cpus) else ''
    head = (
        f'cell {shape.id}: {_count(cpus.bit_count(), "CPU")} ({cpuset.text(cpus) or "none"}), {off_words}'
        f'{cell.memory_usage_mib} of {shape.memory_mib} MiB used'
    )
    if kind := memory.words(shape, cells):
        head += f', {kind}'
    pages = ', '.join(
        f'{pages.used} of {pages.total - pages.reserved} x {units.size(pages.size_kib)}'
        for pages in cell.pages
        if pages.total
    )
    lines = textwrap.wrap(head, width, subsequent_indent='  ')
    return lines + (textwrap.wrap(f'  pages used: {pages}', width, subsequent_indent='    ') if pages else [])


def _rows(cell: HostCell, symbols: Mapping[int, str], width: int) -> list[str]:
    """Draw the CPUs' numbers and symbols, with as many cores side by side as fit."""
    if not symbols:
        return []
    cores = [[cpu for cpu in cpuset.ids(core) if cpu in symbols] for core in _cores(cell)]
    field = max(len(str(max(symbols))), *map(len, symbols.values())) + 1
    fit = max(1, (width - 2) // field)
    rows = []
    for start in range(0, len(cores), fit):
        for thread in zip_longest(*cores[start : start + fit]):
            numbers = ('' if cpu is None else str(cpu) for cpu in thread)
            marks = ('' if cpu is None else symbols[cpu] for cpu in thread)
            rows += ['  ' + ''.join(word.rjust(field) for word in words).rstrip() for words in (numbers, marks)]
    return rows


def _cores(cell: HostCell) -> list[int]:
    cpus = cell.shape.shared_cpus | cell.shape.dedicated_cpus
    cores = []
    while cpus:
        core = cell.shape.with_siblings(cpus & -cpus) & cpus
        cores.append(core)
        cpus &= ~core
    return cores


def _introduce(server: InstanceRecord, label: str, width: int) -> list[str]:
    guest = server.placement.guest
    where = '; '.join(map(_place, server.placement.cells))
    if not where:
        label = _WHOLE_HOST
        where = f'{_count(guest.vcpus, "vCPU")}, {guest.memory_mib} MiB, floats over the whole host'
    line = f'  {label or _FLOATING}  {shorten(server.name, 40)}: {where}'
    return textwrap.wrap(line, width, subsequent_indent='     ')


def _count(number: int, noun: str) -> str:
    return f'{number} {noun}' if number == 1 else f'{number} {noun}s'


def _place(placed: CellPlacement) -> str:
    guest = placed.guest_cell
    words = []
    if guest.dedicated_vcpus:
        words.append(_count(guest.dedicated_vcpus.bit_count(), 'pinned vCPU'))
    if guest.shared_vcpus:
        words.append(_count(guest.shared_vcpus.bit_count(), 'floating vCPU'))
    words.append(f'{guest.memory_mib} MiB')
    if placed.pagesize_kib:
        words.append(f'{units.size(placed.pagesize_kib)} pages')
    return f'cell {placed.host_cell}: ' + ', '.join(words)
