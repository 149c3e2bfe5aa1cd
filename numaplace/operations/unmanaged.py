# SPDX-License-Identifier: Apache-2.0
"""Domains on hosts that numaplace does not manage: how they are found and shown."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from numaplace import cpuset, exception, explain, units
from numaplace.conf.numaplace import REFUSE, WARN

if TYPE_CHECKING:
    from numaplace.db.api import Database
    from numaplace.libvirt.inventory import Inventory
    from numaplace.model.holding import Holding
    from numaplace.model.records import HostRecord

__all__ = ['Seen', 'look', 'ours', 'refusal', 'warnings', 'words']

#: Most domains that a line names.
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Seen:
    """The domains that the libvirt of a host has.

    :param ours: UUIDs of the servers that held something there before they were read
    :param unread: why a domain cannot be read, by UUID
    """

    domains: tuple[Holding, ...]
    ours: frozenset[str] = frozenset()
    unread: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, found: Inventory, known: frozenset[str]) -> Self:
        """Return what was found in a libvirt."""
        return cls(tuple([domain.reading.holding for domain in found.domains]), known, tuple(found.unread.items()))


def ours(database: Database, host_name: str) -> frozenset[str]:
    """Return the UUIDs of the servers that hold something on a host, even if their rows cannot be read."""
    unread: dict[str, Any] = {}
    found = {server.uuid for server in database.instances(host_name, unread)}
    return frozenset(found | set(unread))


def look(
    database: Database, record: HostRecord, *, is_registered: bool, must_answer: bool
) -> tuple[Seen | None, tuple[str, ...]]:
    """Read the domains of a host that is to be stored, if it has a libvirt.

    :param must_answer: a libvirt that does not answer is a fault; otherwise it is a warning
    :returns: the domains, or None where they are not known, and warnings
    :raises: :class:`~numaplace.exception.LibvirtError`
    """
    from numaplace.libvirt import inventory

    if record.libvirt_uri is None:
        return None, ()
    known = ours(database, record.name) if is_registered else frozenset()
    try:
        return Seen.of(inventory.read(record.libvirt_uri, record.host), known), ()
    except exception.LibvirtError as error:
        if must_answer:
            raise
        effect = 'counts as it was' if is_registered else 'is not known, and not counted'
        return None, (f'{error}; what its domains hold {effect}',)


def warnings(host_name: str, others: Sequence[Holding], seen: Seen, policy: str) -> Iterator[str]:
    """Yield what an operator should know of the domains of a host.

    :param others: those that numaplace does not manage
    :param policy: ``[numaplace] unknown_guests``
    """
    if others:
        held, them = ('it holds', 'it') if len(others) == 1 else ('they hold', 'them')
        effect = f'what {held} counts as used until adopted or gone'
        if policy == WARN:
            effect = f'servers may get what {held} too ([numaplace] unknown_guests = {WARN})'
        adopt = f'numaplace server adopt --host {shlex.quote(host_name)} --all'
        yield f'{_named(host_name, others)}; {effect}: `{explain.escape(adopt)}` manages {them}'
    for uuid, fault in seen.unread:
        if uuid not in seen.ours:
            yield f'{fault}; what it holds is not known, and not counted'


def refusal(host_name: str, others: Sequence[Holding]) -> str:
    """Return why a host with such domains is not registered."""
    return (
        f'{_named(host_name, others)}: [numaplace] unknown_guests = {REFUSE} registers no such host; with hold it is '
        'registered, and they keep what they have'
    )


def _named(host_name: str, others: Sequence[Holding]) -> str:
    what = 'a domain' if len(others) == 1 else f'{len(others)} domains'
    listed = ', '.join(map(words, others[:_SHOWN]))
    more = f' and {len(others) - _SHOWN} more' if len(others) > _SHOWN else ''
    return f"host '{explain.shorten(host_name)}' has {what} that numaplace does not manage: {listed}{more}"


def words(holding: Holding) -> str:
    """Return a domain in words: its name, and what it holds."""
    return f"'{explain.shorten(holding.name)}' ({'; '.join(_parts(holding)) or 'holds nothing'})"


def _parts(holding: Holding) -> Iterator[str]:
    """Yield what a domain holds, in words."""
    if holding.dedicated:
        yield f'CPUs {cpuset.text(cpuset.mask(holding.dedicated))}'
    if holding.floating:
        yield f'{holding.floating} vCPU{"" if holding.floating == 1 else "s"} that float'
    for cells, mib in holding.memory:
        yield f'{mib} MiB{_where(cells)}'
    for cells, size_kib, number in holding.pages:
        yield f'{number} {units.size(size_kib)} pages{_where(cells)}'
    yield from holding.devices


def _where(cells: frozenset[int]) -> str:
    noun = 'cell' if len(cells) == 1 else 'one of cells'
    return f' in {noun} {cpuset.text(cpuset.mask(cells))}'
