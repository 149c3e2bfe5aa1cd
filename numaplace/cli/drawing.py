# SPDX-License-Identifier: Apache-2.0
"""What pictures in SVG are made of; sizes are in pixels."""

from __future__ import annotations

from collections.abc import Sequence

from numaplace import cpuset
from numaplace.libvirt.xmltext import Element, element

__all__ = ['CPU', 'GAP', 'LINE', 'PAD', 'PER_ROW', 'document', 'places', 'rect', 'text']

#: Side of a CPU, the space between cores, that around a node, the height of a line, and the cores in a row.
CPU, GAP, PAD, LINE, PER_ROW = 26, 3, 12, 18, 16


def document(title: str, width: int, height: int, *children: Element) -> Element:
    """Return an SVG 1.1 document with a white background."""
    size = {'width': str(width), 'height': str(height)}
    return element(
        'svg',
        {'xmlns': 'http://www.w3.org/2000/svg', **size, 'viewBox': f'0 0 {width} {height}'},
        element('title', text=title),
        element('rect', {'width': '100%', 'height': '100%', 'fill': '#ffffff'}),
        *children,
    )


def places(cores: Sequence[int], top: int, left: int = PAD) -> tuple[dict[int, tuple[int, int]], int]:
    """Return where the CPUs of a node are, by CPU, and where what is below them begins.

    Each core is a column, with one thread below the other.

    :param cores: masks
    :param top: where the node begins, and `left` too
    """
    threads = max([core.bit_count() for core in cores], default=0)
    height = threads * CPU + 2 * GAP
    found = {}
    for number, core in enumerate(cores):
        x, y = left + PAD + number % PER_ROW * (CPU + GAP), top + LINE + PAD + number // PER_ROW * height
        for thread, cpu in enumerate(cpuset.ids(core)):
            found[cpu] = x, y + thread * CPU
    return found, top + LINE + PAD + -(-len(cores) // PER_ROW) * height + PAD


def rect(x: int, y: int, width: int, height: int, fill: str) -> Element:
    """Return a rectangle."""
    numbers = {'x': x, 'y': y, 'width': width, 'height': height}
    return element('rect', {key: str(value) for key, value in numbers.items()} | {'fill': fill, 'stroke': '#444444'})


def text(x: int, y: int, words: str, *, bold: bool = False, middle: bool = False) -> Element:
    """Return a line of text, in small letters if it is centred around `x`."""
    attributes = {'x': str(x), 'y': str(y), 'font-family': 'sans-serif', 'font-size': '10' if middle else '13'}
    if bold:
        attributes['font-weight'] = 'bold'
    if middle:
        attributes['text-anchor'] = 'middle'
    return element('text', attributes, text=words)
