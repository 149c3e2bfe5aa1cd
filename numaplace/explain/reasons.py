# SPDX-License-Identifier: Apache-2.0
"""The reasons of refusals as text: a sentence for a reason, short lines for a refusal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from numaplace import units
from numaplace.explain.codes import CODES
from numaplace.explain.escaping import escape
from numaplace.model import Reason, Refusal

__all__ = ['Amount', 'code_of', 'lines', 'sentence', 'size_of']


def code_of(reason: Reason) -> str:
    """Return the key of :data:`CODES` for a reason; page sizes share one, and so do image properties."""
    if reason.code.startswith('image.'):
        return 'image.PROPERTY'
    size = size_of(reason)
    return reason.code.replace(size, 'SIZE') if size else reason.code


def size_of(reason: Reason) -> str:
    """Return the page size in KiB that is part of a code such as ``pages.2048``, or nothing."""
    kind, _, rest = reason.code.partition('.')
    size = rest.removesuffix('.total')
    return size if kind == 'pages' and size.isdigit() else ''


#: Larger numbers are not written out.
_MOST = 1e300


class Amount:
    """A number that is written with a noun: ``{amount:page}``."""

    def __init__(self, value: float) -> None:
        if abs(value) > _MOST:  # a request may contain numbers that no float holds
            self._text = f'{"less than -" if value < 0 else "more than "}{_MOST:g}'
        else:
            self._text = f'{value:.15g}'

    def __format__(self, noun: str) -> str:
        plural = '' if self._text == '1' else 's'
        return f'{self._text} {noun}{plural}' if noun else self._text


def _cells(kind: str, ids: Sequence[int]) -> str:
    if not ids:
        return f'no {kind}'
    return f'{kind} {ids[0]}' if len(ids) == 1 else f'{kind}s {", ".join(map(str, ids))}'


def _words(reason: Reason, *, each: bool = False) -> dict[str, Any]:
    """Return the texts that fill in those of a code.

    :param each: each of several guest cells needs that much; otherwise it is for all of them together
    """
    guest = _cells('guest cell', reason.guest_cells) if reason.guest_cells else 'the guest'
    several, size = len(reason.guest_cells) > 1, size_of(reason)
    return {
        'guest': guest,
        'needs': f'{guest} {"each" if each else "together"} need' if several else f'{guest} needs',
        'needed': Amount(reason.needed or 0),
        'available': Amount(reason.available or 0),
        'where': _cells('host cell', reason.host_cells),
        'hosts': _cells('host cell', reason.host_cells),
        'subject': escape(reason.subject),
        'size': units.size(int(size)) if size else '',
    }


def _needs(reason: Reason, *, each: bool = False) -> str:
    code = CODES.get(code_of(reason))
    if code is None:  # a code of a plug-in
        return ': '.join(filter(None, (escape(reason.code), escape(reason.subject))))
    return code.needs.format_map(_words(reason, each=each))


def _has(reason: Reason) -> str:
    code = CODES.get(code_of(reason))
    if code is None or not code.has:
        return ''
    text = (code.has + (code.detail if reason.subject else '')).format_map(_words(reason))
    if code.short and reason.needed is not None and reason.available is not None and reason.needed > reason.available:
        text += f' ({Amount(reason.needed - reason.available)} short)'
    return text + (f', {reason.held} held by domains that numaplace does not manage' if reason.held else '')


def sentence(reason: Reason) -> str:
    """Return a reason as one sentence: what was needed, what is available, and how much is missing."""
    return '; '.join(filter(None, (_needs(reason), _has(reason))))


def lines(refusal: Refusal) -> list[str]:
    """Return a refusal in short lines: what was needed once, then what each host cell had.

    Guest cells that lack the same everywhere share a line. Lines about single guest cells come first, by guest
    cell, permanent causes first, and then by the smallest share that a host cell lacks; what several guest cells or the
    whole guest lack comes last.
    """
    pairs: dict[Reason, list[Reason]] = {}  # by what was needed
    for reason in refusal.reasons:
        pairs.setdefault(_need(reason), []).append(reason)
    shared: dict[tuple[Reason, tuple[int, ...], tuple[str, ...]], list[int]] = {}
    for need, lacks in sorted(pairs.items(), key=lambda pair: _place_of(*pair)):
        had = tuple(filter(None, map(_has, lacks)))
        together = need.guest_cells if len(need.guest_cells) > 1 else ()
        shared.setdefault((replace(need, guest_cells=()), together, had), []).extend(need.guest_cells)
    return [
        ': '.join(filter(None, (_needs(replace(need, guest_cells=tuple(cells)), each=not together), ', '.join(had))))
        for (need, together, had), cells in shared.items()
    ]


def _need(reason: Reason) -> Reason:
    """Return a reason without the part about the host cell, where that has a text of its own."""
    code = CODES.get(code_of(reason))
    if code is None or '{where}' not in code.has:
        return reason
    return replace(reason, available=None, host_cells=(), subject='' if code.detail else reason.subject, held=0)


def _place_of(need: Reason, lacks: Sequence[Reason]) -> tuple[bool, int, tuple[bool, float]]:
    """Return the sort key of a line."""
    if len(need.guest_cells) != 1:
        return True, 0, (False, 0.0)
    return False, need.guest_cells[0], min(lack.position for lack in lacks)
