# SPDX-License-Identifier: Apache-2.0
"""A change as text."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from numaplace import units
from numaplace.explain import escape
from numaplace.explain.reasons import Amount
from numaplace.fleet.changes.amounts import MEMORY, VCPUS
from numaplace.fleet.changes.base import Change
from numaplace.fleet.changes.guests import CELLS, DEVICE, NETWORK, PAGE_SIZE, THREADS
from numaplace.fleet.changes.hosts import HOST, SERVER
from numaplace.fleet.changes.reserved import RESERVED
from numaplace.fleet.changes.split import SPLIT
from numaplace.model import PAGES_ANY, PAGES_LARGE, PAGES_SMALL

__all__ = ['words']

_CLASSES = {PAGES_SMALL: 'small', PAGES_LARGE: 'large', PAGES_ANY: 'any'}


def words(change: Change) -> str:
    """Return what changes, to follow "it fits": "with 12 vCPUs instead of 16"."""
    return _WORDS[change.kind](change)


def _reserved(change: Change) -> str:
    numbers = [
        f'{after["reserved"]} instead of {before["reserved"]} of {units.size(after["pagesize_kib"])} '
        f'in host cell {after["host_cell"]}'
        for before, after in zip(change.before, change.after, strict=True)
    ]
    return f'with fewer reserved pages: {", ".join(numbers)}'


def _pages(change: Change) -> str:
    before, after = (_CLASSES.get(size) or units.size(size) for size in (change.before, change.after))
    return f'with page size {after} instead of {before}'


def _split(change: Change) -> str:
    cells = [f'{Amount(cell["vcpus"]):vCPU} and {cell["memory_mib"]} MiB' for cell in change.after]
    return f'with guest cells of {", ".join(cells)}'


def _network(change: Change) -> str:
    return f'without network {escape(change.subject)}' if change.subject else 'without tunnelled networks'


_WORDS: Mapping[str, Callable[[Change], str]] = {
    RESERVED: _reserved,
    PAGE_SIZE: _pages,
    THREADS: lambda change: f'with thread policy {change.after} instead of {change.before}',
    SPLIT: _split,
    CELLS: lambda change: f'with {Amount(len(change.after)):guest cell} instead of {len(change.before)}',
    VCPUS: lambda change: f'with {Amount(change.after):vCPU} instead of {change.before}',
    MEMORY: lambda change: f'with {change.after} MiB of memory instead of {change.before}',
    DEVICE: lambda change: f'with {change.after} of {Amount(change.before):device} {escape(change.subject)}',
    NETWORK: _network,
    SERVER: lambda change: f'without server {escape(change.subject)}',
    HOST: lambda change: f'on host {escape(change.subject)}',
}
