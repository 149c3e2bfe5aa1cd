# SPDX-License-Identifier: Apache-2.0
"""The refusals of many hosts in one line: how many for each cause, and what the least short host lacks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from numaplace import units
from numaplace.explain.escaping import escape
from numaplace.explain.reasons import Amount, code_of, sentence, size_of
from numaplace.model import Reason, Refusal

__all__ = ['nearness', 'summary']

#: What is missing, by the key of CODES; a cause that more resources would not solve has no entry.
_LACKS: Mapping[str, str] = {
    'cells.assignment': '{lack:host cell} for {guests}',
    'cells.count': '{lack:host cell}',
    'cpus.dedicated.free': '{lack:dedicated CPU}',
    'cpus.dedicated.total': '{lack:dedicated CPU}',
    'cpus.host': 'room for {lack:vCPU}',
    'cpus.host.total': '{lack:shared CPU}',
    'cpus.shared.limit': 'room for {lack:shared vCPU}',
    'cpus.shared.total': '{lack:shared CPU}',
    'memory.free': '{lack} MiB of memory',
    'memory.host': 'room for {lack} MiB',
    'memory.host.total': 'room for {lack} MiB',
    'memory.limit': 'room for {lack} MiB',
    'memory.total': '{lack} MiB of memory',
    'pci.affinity': '{lack:PCI device} near',
    'pci.joint': '{lack:PCI device}',
    'pci.total': '{lack:PCI device}',
    'pages.SIZE': '{lack:page} of {size}',
    'pages.SIZE.total': '{lack:page} of {size}',
    'threads.isolate': '{lack:wholly free core}{kind}',
    'threads.isolate.emulator': '{lack:wholly free core}',
    'threads.isolate.total': '{lack:core} with dedicated threads{kind}',
    'threads.require': '{lack:core} with {subject} free threads',
    'threads.require.total': '{lack:core} with {subject} dedicated CPUs',
}


def summary(refusals: Mapping[str, Refusal]) -> str:
    """Return one line for hosts that all refuse a guest.

    Each host counts once: under a permanent cause if it has one, otherwise under the one with its largest missing
    share. The least short host is the one whose cause is temporary and whose share is the smallest (ties go by name).
    Everything that it lacks is listed, permanent causes first, then by missing share.

    :param refusals: by the name of the host
    """
    causes = {name: _causes(refusal.reasons) for name, refusal in refusals.items()}
    known = [(name, reasons) for name, reasons in sorted(causes.items()) if reasons]
    line = f'0 of {Amount(len(refusals)):host}'
    if not known:
        return line
    counts = Counter(_worst(reasons).code for _name, reasons in known)
    listed = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    nearest, reasons = min(known, key=lambda item: _worst(item[1]).severity)
    by_cause = ', '.join(f'{count} {escape(code)}' for code, count in listed)
    return f'{line}: {by_cause}; least short: {escape(nearest)}, {_lacks(reasons)}'


def nearness(refusal: Refusal) -> tuple[tuple[bool, float], str]:
    """Return how far a host is from accepting a guest, and the code of the cause that excludes it.

    :returns: the severity of that cause, and its code; the largest and '' without a reason
    """
    causes = _causes(refusal.reasons)
    return (_worst(causes).severity, _worst(causes).code) if causes else ((True, 1.0), '')


def _causes(reasons: Sequence[Reason]) -> list[Reason]:
    """Return the reasons why the best choice of host cells fails, by position.

    A cause of the whole host precedes those of cells. Otherwise some guest cell fits nowhere: for each such cell the
    host cell whose worst cause is the least severe counts, and of these the worst.
    """
    whole = [reason for reason in reasons if len(reason.guest_cells) != 1 or len(reason.host_cells) != 1]
    if whole:
        return [_worst(whole)]
    tried: dict[int, dict[int, list[Reason]]] = {}
    for reason in reasons:
        tried.setdefault(reason.guest_cells[0], {}).setdefault(reason.host_cells[0], []).append(reason)
    # A cell that fits nowhere has reasons for each host cell.
    most = max(map(len, tried.values()), default=0)
    best = [min(hosts.values(), key=_severity) for hosts in tried.values() if len(hosts) == most]
    if not best:
        return []
    worst = max(best, key=_severity)
    return sorted(worst, key=lambda reason: reason.position)


def _worst(reasons: Sequence[Reason]) -> Reason:
    return max(reasons, key=lambda reason: reason.severity)


def _severity(reasons: Sequence[Reason]) -> tuple[bool, float]:
    return _worst(reasons).severity


def _lacks(reasons: Sequence[Reason]) -> str:
    """Return all that a host lacks; the host cell is named once, as it is the same for all."""
    texts = [_lack(reason) for reason in reasons]
    counted = all(code_of(reason) in _LACKS for reason in reasons)
    at = f' in cell {reasons[0].host_cells[0]}' if counted and len(reasons[0].guest_cells) == 1 else ''
    return f'{" and ".join(texts)}{at}'


def _lack(reason: Reason) -> str:
    lack = _LACKS.get(code_of(reason))
    if lack is None or reason.needed is None or reason.available is None:
        return sentence(reason)
    size = size_of(reason)
    return lack.format(
        lack=Amount(reason.needed - reason.available),
        guests=Amount(reason.needed).__format__('guest cell'),
        kind=' of the widest' if reason.subject else '',
        size=units.size(int(size)) if size else '',
        subject=escape(reason.subject),
    )
