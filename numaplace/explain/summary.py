# SPDX-License-Identifier: Apache-2.0
"""The refusals of many hosts in one line: how many for which cause, and which host is the least short of what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from numaplace import units
from numaplace.explain.escaping import escape
from numaplace.explain.reasons import CODES, Amount, code_of, sentence
from numaplace.model import Reason, Refusal

__all__ = ['summary']

#: What is missing, by the key of CODES; a cause that no number of things would cure has none.
_LACKS: Mapping[str, str] = {
    'cells.assignment': '{lack:host cell} for {guests}',
    'cells.count': '{lack:host cell}',
    'cpus.dedicated.free': '{lack:dedicated CPU}',
    'cpus.dedicated.total': '{lack:dedicated CPU}',
    'cpus.host': '{lack:shared CPU}',
    'cpus.host.total': '{lack:shared CPU}',
    'cpus.shared.limit': '{lack:shared CPU}',
    'cpus.shared.total': '{lack:shared CPU}',
    'memory.free': '{lack} MiB of memory',
    'memory.host': '{lack} MiB of memory',
    'memory.limit': '{lack} MiB of memory',
    'memory.total': '{lack} MiB of memory',
    'pages.SIZE': '{lack:page} of {size}',
    'threads.isolate': '{lack:wholly free core}',
    'threads.isolate.emulator': '{lack:wholly free core}',
    'threads.require': '{lack:CPU} on cores with free threads',
}


def summary(refusals: Mapping[str, Refusal]) -> str:
    """Return one line for hosts that all refuse a guest.

    Each host counts once, under the cause that keeps the guest away; the least short host is the one that lacks the
    smallest share of what it would need, the first by name among equals.

    :param refusals: by the name of the host
    """
    causes = {name: _cause(refusal.reasons) for name, refusal in refusals.items()}
    known = [(name, reason) for name, reason in sorted(causes.items()) if reason is not None]
    line = f'0 of {Amount(len(refusals)):host}'
    if not known:
        return line
    counts = Counter(reason.code for _name, reason in known)
    listed = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    nearest, reason = min(known, key=lambda item: _share(item[1]))
    told = ', '.join(f'{count} {escape(code)}' for code, count in listed)
    return f'{line}: {told}; least short: {escape(nearest)}, {_lack(reason)}'


def _share(reason: Reason) -> float:
    """Return which share of what was needed is missing: 1.0 where nothing is there, or where no number says it."""
    code = CODES.get(code_of(reason))
    if not reason.needed or reason.available is None or (code is not None and not code.short):
        return 1.0
    return (reason.needed - reason.available) / reason.needed


def _cause(reasons: Sequence[Reason]) -> Reason | None:
    """Return the reason that keeps a guest away, as far as it is short on the best choice of host cells.

    Causes of the whole host come first. Otherwise some guest cell fits nowhere: of each such cell its best host cell
    counts, and of these the worst.
    """
    whole = [reason for reason in reasons if len(reason.guest_cells) != 1 or len(reason.host_cells) != 1]
    if whole:
        return max(whole, key=_share)
    pairs: dict[int, list[Reason]] = {}
    for reason in reasons:
        pairs.setdefault(reason.guest_cells[0], []).append(reason)
    # A cell that fits nowhere has a reason for each host cell.
    most = max(map(len, pairs.values()), default=0)
    best = [min(tried, key=_share) for tried in pairs.values() if len(tried) == most]
    return max(best, key=_share, default=None)


def _lack(reason: Reason) -> str:
    lack = _LACKS.get(code_of(reason))
    if lack is None or reason.needed is None or reason.available is None:
        return sentence(reason)
    size = reason.code.partition('.')[2]
    text = lack.format(
        lack=Amount(reason.needed - reason.available),
        guests=Amount(reason.needed).__format__('guest cell'),
        size=units.size(int(size)) if size.isdigit() else '',
    )
    return f'{text} in cell {reason.host_cells[0]}' if len(reason.guest_cells) == 1 else text
