# SPDX-License-Identifier: Apache-2.0
"""The report of a simulation as one HTML page, with plots in SVG; it needs no script, no style and no network."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from numaplace.cli.drawing import document, text
from numaplace.libvirt import xmltext
from numaplace.libvirt.xmltext import Element, element

if TYPE_CHECKING:
    from numaplace.scheduler.simulation import Outcome, Sample

__all__ = ['page']

_WIDTH, _HEIGHT, _LEFT, _TOP = 760, 260, 70, 40
_COLORS = ('#0b6fa4', '#c2571a', '#3a8f3a', '#8a4fb0', '#b0243a', '#6b5a1e', '#0e7c7b')
_PLOTS: Final[tuple[tuple[str, Callable[[Sample], float]], ...]] = (
    ('Hosts with guests', lambda sample: sample.active_hosts),
    ('CPUs that are free', lambda sample: sample.free_cpus),
    ('CPUs free on hosts that do not take the widest guest', lambda sample: sample.stranded_cpus),
    ('Memory free on hosts that do not take the widest guest, GiB', lambda sample: sample.stranded_mib / 1024),
)


def page(found: Mapping[str, Outcome], table: Sequence[Sequence[Any]]) -> str:
    """Return the report.

    :param found: by policy
    :param table: the header, and a row for each policy
    """
    plots = ''.join([xmltext.write(_plot(title, found, of)) for title, of in _PLOTS])
    head, *rows = table
    lines = [_row('th', head), *[_row('td', row) for row in rows]]
    policy = "default-src 'none'; base-uri 'none'; form-action 'none'"
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}"><title>Simulation of a fleet</title></head>\n'
        f'<body><h1>Simulation of a fleet</h1>\n<table border="1" cellpadding="4">\n{"".join(lines)}</table>\n'
        f'{plots}</body></html>\n'
    )


def _row(tag: str, values: Sequence[Any]) -> str:
    return f'<tr>{"".join([f"<{tag}>{html.escape(str(value))}</{tag}>" for value in values])}</tr>\n'


def _plot(title: str, found: Mapping[str, Outcome], of: Callable[[Sample], float]) -> Element:
    """Return a line for each policy, over hours since the first event."""
    samples = [sample for outcome in found.values() for sample in outcome.samples]
    start = min([sample.time_s for sample in samples], default=0.0)
    span = max([sample.time_s for sample in samples], default=0.0) - start or 1.0
    top = max(map(of, samples), default=0.0) or 1.0
    drawn = [text(_LEFT, 20, title, bold=True)]
    for place, (share, value) in enumerate(((1.0, 0.0), (0.5, top / 2), (0.0, top))):
        y = _TOP + round(share * _HEIGHT)
        ends = {'x1': str(_LEFT), 'x2': str(_LEFT + _WIDTH), 'y1': str(y), 'y2': str(y)}
        hours = f'{span / 3600 * place / 2:,.0f} h'
        drawn += [
            element('line', ends | {'stroke': '#cccccc'}),
            text(4, y + 4, f'{value:,.0f}'),
            text(_LEFT + place * _WIDTH // 2, _TOP + _HEIGHT + 18, hours, middle=True),
        ]
    for number, (name, outcome) in enumerate(found.items()):
        color = _COLORS[number % len(_COLORS)]
        points = ' '.join(
            f'{_LEFT + (sample.time_s - start) / span * _WIDTH:.1f},{_TOP + (1 - of(sample) / top) * _HEIGHT:.1f}'
            for sample in outcome.samples
        )
        legend = text(_LEFT + _WIDTH + 12, _TOP + 16 + 18 * number, name)
        legend.set('fill', color)
        drawn += [element('polyline', {'points': points, 'fill': 'none', 'stroke': color}), legend]
    return document(title, _LEFT + _WIDTH + 110, _TOP + _HEIGHT + 30, *drawn)
