# SPDX-License-Identifier: Apache-2.0
"""Draw a host in characters: which guest has which CPU."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest

from numaplace import cpuset, units
from numaplace.cli import host_devices, memory
from numaplace.cli.names import shorten
from numaplace.fleet import occupancy
from numaplace.model import CellPlacement, HostCell
from numaplace.model.records import HostRecord, InstanceRecord

__all__ = ['describe', 'draw', 'introduce', 'owners_of']

#: Shown for a server without cells.
_WHOLE_HOST = '*'


def draw(host: HostRecord, servers: Sequence[InstanceRecord], width: int = 80) -> str:
    """Draw a host's cells, CPU by CPU, with a legend.

    Each core is a column, with one thread below the other. CPUs of a server that are off have its letter in lower
    case.

    :param servers: of this host
    :param width: number of characters in a line
    """
    labels = occupancy.labels((server.uuid, server.placement) for server in servers)
    owners = owners_of(servers, labels)
    lines: list[str] = []
    seen: set[str] = set()
    off = host.host.offline_cpus
    for cell in host.host.cells:
        symbols = _marks(cell, owners, off)
        seen.update(symbols.values())
        lines += [*describe(cell, off, host.host.cells, width), *_rows(cell, symbols, width), '']
    lines += [f'  {symbol}  {words}' for symbol, words in occupancy.MEANINGS.items() if symbol in seen]
    if dark := sorted(symbol for symbol in seen if symbol.islower()):
        lines += textwrap.wrap(f'  {", ".join(dark)}  pinned as in upper case, but off', width, subsequent_indent='  ')
    if devices := host_devices.lines(host.host, servers):
        lines += ['', '  PCI devices:', *(f'  {line}' for line in devices), '']
    for server in servers:
        lines += introduce(server, labels.get(server.uuid, ''), width)
    return '\n'.join(lines) + '\n'


def _marks(cell: HostCell, owners: Mapping[int, str], off: int) -> dict[int, str]:
    """Return what is drawn for each CPU: the letter of its server, or its symbol."""
    marks = occupancy.symbols(cell, cpuset.mask(owners), off)
    for cpu, symbol in marks.items():
        if symbol in (occupancy.PINNED, occupancy.PINNED_OFF):
            marks[cpu] = owners[cpu] if symbol == occupancy.PINNED else owners[cpu].lower()
    return marks


def owners_of(servers: Iterable[InstanceRecord], labels: Mapping[str, str]) -> dict[int, str]:
    """Return the letter of the server that holds a CPU, by CPU.

    :param labels: the letters by UUID
    """
    return {
        cpu: labels[server.uuid]
        for server in servers
        for placed in server.placement.cells
        for cpu in cpuset.ids(placed.taken)
    }


def describe(cell: HostCell, off: int, cells: Sequence[HostCell], width: int) -> list[str]:
    """Return lines about the use of a cell.

    :param off: mask of the CPUs of the host that are off
    :param cells: all cells of the host
    """
    shape = cell.shape
    cpus = occupancy.cpus(cell)
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
    cores = [[cpu for cpu in cpuset.ids(core) if cpu in symbols] for core in occupancy.cores(cell)]
    field = max(len(str(max(symbols))), *map(len, symbols.values())) + 1
    fit = max(1, (width - 2) // field)
    rows = []
    for start in range(0, len(cores), fit):
        for thread in zip_longest(*cores[start : start + fit]):
            numbers = ('' if cpu is None else str(cpu) for cpu in thread)
            marks = ('' if cpu is None else symbols[cpu] for cpu in thread)
            rows += ['  ' + ''.join(word.rjust(field) for word in words).rstrip() for words in (numbers, marks)]
    return rows


def introduce(server: InstanceRecord, label: str, width: int) -> list[str]:
    """Return lines about a server.

    :param label: its letter, or empty if it holds no CPUs
    """
    guest = server.placement.guest
    where = '; '.join(map(_place, server.placement.cells))
    if not where:
        label = _WHOLE_HOST
        where = f'{_count(guest.vcpus, "vCPU")}, {guest.memory_mib} MiB, floats over the whole host'
    line = f'  {label or occupancy.FLOATING}  {shorten(server.name, 40)}: {where}'
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
