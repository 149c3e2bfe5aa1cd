# SPDX-License-Identifier: Apache-2.0
"""A plot of times as a separate SVG: logarithmic axes, one colour per line, readable on light and dark pages."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from benchmarks.clock import duration

__all__ = ['Line', 'plot']

_COLOURS = ('#2066a8', '#c0392b', '#2e8b57', '#8e44ad', '#b8860b')
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 720, 400, 70, 20, 20, 50


@dataclass(frozen=True, slots=True)
class Line:
    """A named series of (size, seconds)."""

    name: str
    points: Sequence[tuple[float, float]]


def _scale(low: float, high: float, start: float, end: float, log: bool) -> Callable[[float], float]:
    bend = math.log10 if log else float
    return lambda value: start + (end - start) * (bend(value) - bend(low)) / (bend(high) - bend(low))


def _text(x: float, y: float, words: str, anchor: str = 'middle', fill: str = '#666') -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{fill}">{escape(words)}</text>'


def _drawing(x_title: str, lines: Sequence[Line], log_x: bool) -> Iterator[str]:
    xs = sorted({x for line in lines for x, _ in line.points})
    seconds = [y for line in lines for _, y in line.points]
    low, high = (10.0**bound for bound in (math.floor(math.log10(min(seconds))), math.ceil(math.log10(max(seconds)))))
    at_x = _scale(xs[0], xs[-1], _LEFT, _WIDTH - _RIGHT, log_x)
    at_y = _scale(low, high, _HEIGHT - _BOTTOM, _TOP, True)
    for power in range(round(math.log10(low)), round(math.log10(high)) + 1):
        y = at_y(10.0**power)
        yield f'<path d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}" stroke="#ccc"/>'
        yield _text(_LEFT - 6, y + 4, duration(10.0**power).replace('.00', '').replace('.0', ''), 'end')
    for x in xs if len(xs) <= 12 else [2.0**power for power in range(40) if xs[0] <= 2.0**power <= xs[-1]]:
        yield _text(at_x(x), _HEIGHT - _BOTTOM + 18, f'{x:,.0f}')
    yield _text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 8, x_title)
    for number, line in enumerate(lines):
        colour = _COLOURS[number % len(_COLOURS)]
        path = 'L'.join(f'{at_x(x):.1f} {at_y(y):.1f}' for x, y in line.points)
        yield f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
        yield _text(_LEFT + 12, _TOP + 16 + 16 * number, line.name, 'start', colour)


def plot(path: Path, x_title: str, lines: Sequence[Line], *, log_x: bool = True) -> None:
    """Write a plot.

    :param x_title: what the sizes count
    :param log_x: the axis of the sizes is logarithmic too
    """
    drawing = '\n'.join(_drawing(x_title, lines, log_x))
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" '
        f'font-size="12">\n{drawing}\n</svg>\n',
        encoding='utf-8',
    )
