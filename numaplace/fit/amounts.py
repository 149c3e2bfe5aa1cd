# SPDX-License-Identifier: Apache-2.0
"""Amounts that no host can satisfy: memory of 0 or below, invalid page sizes.

Nova 34 accepts such amounts from a flavor or an image and counts them: memory below 0 gives a host cell memory that
it does not have, and no page has a size below -3. They are refused here before any host cell is checked.
"""

from __future__ import annotations

from collections.abc import Iterator

from numaplace.model import PAGES_ANY, PAGES_LARGE, PAGES_SMALL, Guest, Reason

__all__ = ['reasons']

_CLASSES = (PAGES_SMALL, PAGES_LARGE, PAGES_ANY)

#: Keys in the memo of a guest.
_ALL, _MORE = 'amounts', 'amounts of what comes'


def reasons(guest: Guest, *, more: bool = False) -> tuple[Reason, ...]:
    """Return which amounts of a guest are impossible; computed once for each guest value.

    :param more: the guest is an addition to a running one, and some of its cells may add nothing
    """
    found: tuple[Reason, ...] | None = guest.memo.get(_MORE if more else _ALL)
    if found is None:
        found = tuple(_find(guest, 0 if more else 1)) if _is_odd(guest, 0 if more else 1) else ()
        guest.memo[_MORE if more else _ALL] = found
    return found


def _is_odd(guest: Guest, least: int) -> bool:
    """Return whether any amount is impossible, which is rare; NaN fails every comparison."""
    for cell in guest.cells:
        if not cell.memory_mib >= least or not _is_size(cell.pagesize_kib):
            return True
    return not guest.cells and not (guest.memory_mib >= least and guest.vcpus >= least)


def _is_size(pagesize_kib: int | None) -> bool:
    return pagesize_kib is None or pagesize_kib > 0 or pagesize_kib in _CLASSES


def _find(guest: Guest, least: int) -> Iterator[Reason]:
    for number, cell in enumerate(guest.cells):
        if not cell.memory_mib >= least:
            yield Reason('memory.invalid', least, cell.memory_mib, 'MiB', (number,))
        if not _is_size(cell.pagesize_kib):
            yield Reason('pages.invalid', 1, cell.pagesize_kib, 'KiB', (number,))
    if not guest.cells and not guest.memory_mib >= least:
        yield Reason('memory.invalid', least, guest.memory_mib, 'MiB')
    if not guest.cells and not guest.vcpus >= least:
        yield Reason('cpus.invalid', least, guest.vcpus, 'vCPUs')
