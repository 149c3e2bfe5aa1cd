# SPDX-License-Identifier: Apache-2.0
"""The causes of refusals in words: one table of all codes, a sentence for a reason, short lines for a refusal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from numaplace import units
from numaplace.explain.escaping import escape
from numaplace.model import Reason, Refusal

__all__ = ['CODES', 'Amount', 'Code', 'code_of', 'lines', 'sentence']


@dataclass(frozen=True, slots=True)
class Code:
    """A cause of refusals.

    :param needs: what was needed, in words that :func:`_words` fills in; ``{needed:page}`` is "1 page" or "2 pages"
    :param has: what there was, likewise; empty where `needs` says it all
    :param short: whether the difference of the two numbers says by how much it is short
    :param about: the cause for the table of all codes
    """

    needs: str
    has: str
    about: str
    short: bool = True


CODES: Mapping[str, Code] = {
    'cells.count': Code(
        'the guest needs {needed:host cell}', 'the host has {available}', 'The guest has more cells than the host.'
    ),
    'cells.assignment': Code(
        '{guest} fit only {hosts}: {needed:guest cell} for {available:host cell}',
        '',
        'Each guest cell fits some host cell, but these together fit too few. The guest cells and the host cells that '
        'they compete for are named.',
    ),
    'cells.unknown': Code(
        '{guest} must go to {hosts}, which the host does not have',
        '',
        'A guest cell is bound to a host cell that does not exist.',
    ),
    'cpus.dedicated.total': Code(
        '{needs} {needed:dedicated CPU}',
        '{where} has {available}',
        'The host cell has fewer dedicated CPUs (cpu_dedicated_set) than the guest cell needs, used or not.',
    ),
    'cpus.dedicated.free': Code(
        '{needs} {needed:free dedicated CPU}',
        '{where} has {available}',
        'Other guests hold too many of the dedicated CPUs.',
    ),
    'cpus.dedicated.none': Code(
        '{needs} a dedicated vCPU for the thread policy or the isolated emulator, and has none',
        '',
        'Thread policy isolate, or emulator threads policy isolate on guest cell 0, asks for CPUs beside dedicated '
        'vCPUs that the guest cell does not have.',
    ),
    'cpus.shared.total': Code(
        '{needs} {needed:shared CPU}',
        '{where} has {available}',
        'The guest cell has more shared vCPUs than the host cell has shared CPUs (cpu_shared_set). A guest may not '
        'overcommit against itself.',
    ),
    'cpus.shared.limit': Code(
        '{needs} room for {needed:shared vCPU}',
        '{where} has room for {available}',
        'With this guest cell there would be more shared vCPUs than shared CPUs x cpu_allocation_ratio.',
    ),
    'cpus.host.total': Code(
        'the guest needs {needed:shared CPU}',
        'the host has {available}',
        'A guest without NUMA topology has more vCPUs than the whole host has shared CPUs; a host with '
        'cpu_dedicated_set alone has none.',
    ),
    'cpus.host': Code(
        'the guest needs room for {needed:vCPU}',
        'the host has room for {available}',
        'With this guest there would be more shared vCPUs than shared CPUs x cpu_allocation_ratio of the whole host.',
    ),
    'memory.free': Code(
        '{needs} {needed} MiB of free memory',
        '{where} has {available}',
        'A pinned guest cell may not overcommit memory, and other guests hold too much of it.',
    ),
    'memory.total': Code(
        '{needs} {needed} MiB of memory',
        '{where} has {available}',
        'The guest cell has more memory than the host cell, used or not.',
    ),
    'memory.limit': Code(
        '{needs} room for {needed} MiB',
        '{where} has room for {available}',
        'With this guest cell the memory of the guests would exceed memory x ram_allocation_ratio.',
    ),
    'memory.shared': Code(
        '{guest} together need {needed} MiB in free pages of the sizes that they ask for',
        '{where} has {available} MiB in free pages, but not so that they go round',
        'Guest cells that are bound to one host cell each find their pages, but not all of them at once.',
        short=False,
    ),
    'memory.multiple': Code(
        '{needs} memory in whole pages, and has {needed} KiB',
        'a page of {where} is {available} KiB',
        'The memory of the guest cell is not a whole number of the pages that would back it.',
        short=False,
    ),
    'memory.host': Code(
        'the guest needs {needed} MiB of memory',
        'the host has {available} left',
        'Memory x ram_allocation_ratio of the whole host, less what its guests use, does not suffice.',
    ),
    'pages.SIZE': Code(
        '{needs} {needed:free page} of {size}',
        '{where} has {available}',
        'Too few free memory pages of that size in KiB; of a size that the host cell does not have there are 0. For '
        'large and any it is the size with the most free memory.',
    ),
    'pages.large': Code(
        '{needs} pages above the smallest size',
        '{where} has none',
        'hw:mem_page_size=large, but the host cell has pages of one size only.',
        short=False,
    ),
    'pages.none': Code(
        '{needs} memory pages of a known size',
        '{where} names none',
        'hw:mem_page_size is set, but the host cell names no page sizes at all.',
        short=False,
    ),
    'threads.require': Code(
        '{needs} {needed:CPU} on cores with at least 2 free threads, as many from each',
        '{where} has {available}',
        'Thread policy require takes the same number of threads from each core, and at least 2.',
    ),
    'threads.require.smt': Code(
        '{needs} cores with several threads',
        'the cores of {where} have one',
        'Thread policy require on a host cell without SMT.',
        short=False,
    ),
    'threads.isolate': Code(
        '{needs} {needed:wholly free core}',
        '{where} has {available}',
        'Thread policy isolate takes a whole core for each vCPU; only the widest cores of the host cell count.',
    ),
    'threads.isolate.emulator': Code(
        '{needs} {needed:wholly free core}, one of them for the emulator',
        '{where} has {available}',
        'Isolated emulator threads beside thread policy isolate take a whole core of their own.',
    ),
    'threads.isolate.smt': Code(
        '{needs} cores with one thread',
        'those of {where} have {available}, and its dedicated CPUs are set apart',
        'Thread policy isolate is refused on SMT hosts that use cpu_dedicated_set: the siblings of a core could not be '
        'kept free.',
        short=False,
    ),
    'network.physnet': Code(
        'the physical network {subject} needs one of {hosts}',
        'the guest cells cannot go there',
        'No assignment uses a host cell with affinity to the physical network.',
        short=False,
    ),
    'network.tunnel': Code(
        'tunnelled networks need one of {hosts}',
        'the guest cells cannot go there',
        'No assignment uses a host cell with affinity to tunnelled networks.',
        short=False,
    ),
    'network.joint': Code(
        'no assignment is near all of these networks at once: {subject}',
        '',
        'Each network could have a near host cell, but not all of them together.',
    ),
    'pci.unsupported': Code(
        'the guest wants PCI devices, which cannot be given: {subject}',
        '',
        'The flavor asks for PCI devices (pci_passthrough:alias), and none are known of the host.',
    ),
    'claim.lost': Code(
        'the claim was lost: {subject}',
        '',
        'Other claims changed the host again and again, or it was deleted meanwhile.',
    ),
    'candidates.none': Code(
        'placement offers no allocation on the host',
        '',
        'Nova asks placement first, and each allocation that it offers on the host was taken away by another filter.',
    ),
    'vnuma': Code(
        'the guest cannot be divided over the host: {subject}',
        '',
        'Automatic vNUMA: the vCPUs and the memory do not divide over the host cells that the wish allows.',
    ),
    'host.topology': Code(
        'the host tells no NUMA topology',
        '',
        'The guest asks for NUMA cells, and the host has reported none to Nova.',
    ),
    'host.topology.unreadable': Code(
        'the NUMA topology that the host has reported cannot be read: {subject}',
        '',
        'What the compute node has written to the database is broken, or of a version that is not known.',
    ),
    'host.down': Code('the host is down', '', 'The host has not been heard of, or was set down.'),
    'host.disabled': Code('the host is disabled', '', 'The operator has taken the host out of service.'),
    'host.same': Code(
        'the server is on this host',
        '',
        'A move leads to another host; [DEFAULT] allow_resize_to_same_host lets a resize stay.',
    ),
    'zone': Code('the host is in another availability zone: {subject}', '', 'The guest asks for another zone.'),
    'capability': Code(
        'the host lacks a capability: {subject}',
        '',
        'An extra spec capabilities:KEY does not hold for what is known of the host.',
    ),
    'image.PROPERTY': Code(
        'the host does not run such an image: {subject}',
        '',
        'The architecture, the hypervisor type or the mode that the image asks for is not one of the host.',
    ),
    'pci.required': Code(
        'the devices that the guest wants cannot be had on any choice of host cells that it fits',
        '',
        'The PCI devices and the cells of the guest cannot be placed together.',
    ),
}


def code_of(reason: Reason) -> str:
    """Return the key of :data:`CODES` for a reason; page sizes share one, and so do image properties."""
    kind, _, size = reason.code.partition('.')
    if kind == 'image':
        return 'image.PROPERTY'
    return 'pages.SIZE' if kind == 'pages' and size.isdigit() else reason.code


class Amount:
    """A number that is written with a noun: ``{amount:page}``."""

    def __init__(self, value: float) -> None:
        self._text = f'{value:.15g}'

    def __format__(self, noun: str) -> str:
        plural = '' if self._text == '1' else 's'
        return f'{self._text} {noun}{plural}' if noun else self._text


def _cells(kind: str, ids: Sequence[int]) -> str:
    if not ids:
        return f'no {kind}'
    return f'{kind} {ids[0]}' if len(ids) == 1 else f'{kind}s {", ".join(map(str, ids))}'


def _words(reason: Reason) -> dict[str, Any]:
    guest, size = _cells('guest cell', reason.guest_cells), reason.code.partition('.')[2]
    return {
        'guest': guest,
        'needs': f'{guest} each need' if len(reason.guest_cells) > 1 else f'{guest} needs',
        'needed': Amount(reason.needed or 0),
        'available': Amount(reason.available or 0),
        'where': _cells('host cell', reason.host_cells),
        'hosts': _cells('host cell', reason.host_cells),
        'subject': escape(reason.subject),
        'size': units.size(int(size)) if size.isdigit() else '',
    }


def _needs(reason: Reason) -> str:
    code = CODES.get(code_of(reason))
    if code is None:  # a code of a plug-in
        return ': '.join(filter(None, (escape(reason.code), escape(reason.subject))))
    return code.needs.format_map(_words(reason))


def _has(reason: Reason) -> str:
    code = CODES.get(code_of(reason))
    if code is None or not code.has:
        return ''
    text = code.has.format_map(_words(reason))
    if code.short and reason.needed is not None and reason.available is not None:
        text += f' ({Amount(reason.needed - reason.available)} short)'
    return text


def sentence(reason: Reason) -> str:
    """Return a reason as one sentence: what was needed, what there was, and by how much it is short."""
    return '; '.join(filter(None, (_needs(reason), _has(reason))))


def lines(refusal: Refusal) -> list[str]:
    """Return a refusal in short lines: what was needed once, then what each host cell had.

    Guest cells that lack the same everywhere share a line.
    """
    pairs: dict[Reason, list[str]] = {}  # by what was needed: what each host cell had
    for reason in refusal.reasons:
        code = CODES.get(code_of(reason))
        differs = code is not None and '{where}' in code.has
        need = replace(reason, available=None, host_cells=()) if differs else reason
        pairs.setdefault(need, []).append(_has(reason))
    shared: dict[tuple[Reason, tuple[str, ...]], list[int]] = {}
    for need, had in pairs.items():
        shared.setdefault((replace(need, guest_cells=()), tuple(had)), []).extend(need.guest_cells)
    return [
        ': '.join(filter(None, (_needs(replace(need, guest_cells=tuple(cells))), ', '.join(filter(None, had)))))
        for (need, had), cells in shared.items()
    ]
