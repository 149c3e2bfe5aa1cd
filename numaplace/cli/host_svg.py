# SPDX-License-Identifier: Apache-2.0
"""Draw a host as SVG: its cells, cores and CPUs, and which guest has which CPU.

The drawing of a host has two steps. :func:`frame` draws what hosts of one kind have in common, with a group for each
CPU; :func:`fill` names the use of each CPU by classes, and writes the letters of the guests. A map of a fleet has a
frame for each kind of host and fills it in when a host is opened, so that 10,000 hosts need few drawings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources

from numaplace import cpuset
from numaplace.cli import drawing, picture
from numaplace.cli.drawing import CPU, GAP, LINE, PAD, PER_ROW
from numaplace.fleet import occupancy
from numaplace.libvirt import xmltext
from numaplace.libvirt.xmltext import Element, element
from numaplace.model import Host, HostCell
from numaplace.model.records import HostRecord, InstanceRecord

__all__ = ['CLASSES', 'fill', 'frame', 'style', 'svg']

#: Classes of CPUs by symbol; those of pinned ones follow their guest too, ``guest0`` to ``guest7``.
CLASSES: Mapping[str, str] = {
    '.': 'free',
    '_': 'free off',
    '~': 'shared floating',
    '-': 'shared',
    '#': 'held',
    '?': 'unknown',
    'x': 'pinned',
    'o': 'pinned off',
}
_COLORS = 8
#: Width of a character, and where the next cell begins a line, in pixels.
_CHARACTER, _MOST_ACROSS = 8, 1100
#: Characters of a line of text below the drawing.
_WIDTH = 100


def style() -> str:
    """Return the style sheet of the drawing."""
    return resources.files('numaplace.cli').joinpath('map', 'host.css').read_text('utf-8')


def frame(host: Host) -> Element:
    """Return the drawing of a host without its use: a group of the class ``cpu`` for each CPU.

    Cells stand side by side as long as there is room, then below each other.
    """
    parts: list[Element] = []
    left, top, below, width = PAD, PAD, PAD, 0
    for cell in host.cells:
        cores = occupancy.cores(cell)
        across = max(min(len(cores), PER_ROW) * (CPU + GAP), len(_head(cell)) * _CHARACTER) + 2 * PAD
        if left > PAD and left + across > _MOST_ACROSS:
            left, top = PAD, below
        cpus, bottom = drawing.places(cores, top, left)
        outline = element('rect', _box(left, top, across, bottom - top))
        heading = drawing.text(left + PAD, top + LINE, _head(cell), bold=True)
        drawn = [_cpu(cpu, *place) for cpu, place in cpus.items()]
        parts.append(element('g', {'class': 'cell', 'data-cell': str(cell.id)}, outline, heading, *drawn))
        left, below = left + across + PAD, max(below, bottom + PAD)
        width = max(width, left)
    return drawing.document('CPUs of a host by cell and core', width, below, *parts)


def _head(cell: HostCell) -> str:
    socket = '' if cell.shape.socket is None else f', socket {cell.shape.socket}'
    return f'cell {cell.id}: CPUs {cpuset.text(occupancy.cpus(cell)) or "none"}{socket}'


def _cpu(cpu: int, x: int, y: int) -> Element:
    middle = x + CPU // 2
    return element(
        'g',
        {'class': 'cpu', 'data-cpu': str(cpu)},
        element('rect', _box(x, y, CPU, CPU)),
        drawing.text(middle, y + 11, str(cpu), middle=True),
        drawing.text(middle, y + 22, '', middle=True),
    )


def _box(x: int, y: int, width: int, height: int) -> dict[str, str]:
    return {'x': str(x), 'y': str(y), 'width': str(width), 'height': str(height)}


def fill(drawn: Element, host: Host, owners: Mapping[int, str]) -> None:
    """Fill a frame in: give each CPU the classes of its use, and the letter of its guest or its symbol.

    :param owners: letters of the guests by CPU
    """
    numbers = {letters: number for number, letters in enumerate(dict.fromkeys(owners.values()))}
    owned, off = cpuset.mask(owners), host.offline_cpus
    symbols = {cpu: mark for cell in host.cells for cpu, mark in occupancy.symbols(cell, owned, off).items()}
    for group in drawn.iter('g'):
        if group.get('class') == 'cpu':
            cpu = int(group.get('data-cpu', ''))
            symbol = symbols[cpu]
            pinned = symbol in (occupancy.PINNED, occupancy.PINNED_OFF)
            color = f' guest{numbers[owners[cpu]] % _COLORS}' if pinned else ''
            group.set('class', f'cpu {CLASSES[symbol]}{color}')
            group[-1].text = owners[cpu] if pinned else symbol


def svg(record: HostRecord, servers: Sequence[InstanceRecord]) -> str:
    """Return the picture of a host as an SVG document, with the legend below it.

    :param servers: of this host, each with the placement that it has there
    """
    labels = occupancy.labels((server.uuid, server.placement) for server in servers)
    drawn = frame(record.host)
    fill(drawn, record.host, picture.owners_of(servers, labels))
    lines = list(_legend(record, servers, labels))
    top, width = int(drawn.get('height', '')), int(drawn.get('width', ''))
    for number, line in enumerate(lines):
        drawn.append(drawing.text(PAD, top + number * LINE, line))
    width = max([width, *(len(line) * _CHARACTER + 2 * PAD for line in lines)])
    height = top + len(lines) * LINE
    drawn.attrib.update({'width': str(width), 'height': str(height), 'viewBox': f'0 0 {width} {height}'})
    # The style stands on one line: xmltext keeps no line ends.
    drawn.insert(1, element('style', text=re.sub(r'\s+', ' ', style())))
    return xmltext.write(drawn)


def _legend(record: HostRecord, servers: Sequence[InstanceRecord], labels: Mapping[str, str]) -> Iterator[str]:
    host = record.host
    for cell in host.cells:
        yield from picture.describe(cell, host.offline_cpus, host.cells, _WIDTH)
    for server in servers:
        yield from picture.introduce(server, labels.get(server.uuid, ''), _WIDTH)
