# SPDX-License-Identifier: Apache-2.0
"""A partition in characters and as SVG: host nodes with their cores and threads, and the guest cells on them."""

from __future__ import annotations

from collections.abc import Sequence

from numaplace import cpuset
from numaplace.cli import drawing
from numaplace.cli.drawing import CPU, GAP, LINE, PAD, PER_ROW
from numaplace.fleet import occupancy
from numaplace.libvirt import xmltext
from numaplace.libvirt.xmltext import Element
from numaplace.model import CellPlacement, Host, HostCell, Placement

__all__ = ['cpus', 'draw', 'svg']

#: Symbols of CPUs without a guest cell.
_FREE, _TAKEN = '.', 'x'


def cpus(host: Host, placed: CellPlacement) -> int:
    """Return the mask of the CPUs that the vCPUs of a guest cell run on."""
    found = cpuset.mask(cpu for _, cpu in placed.pins)
    if placed.guest_cell.shared_vcpus:
        found |= host.cell(placed.host_cell).shape.shared_cpus
    return found


def _bound(placement: Placement, node: HostCell) -> list[tuple[int, CellPlacement]]:
    return [(index, placed) for index, placed in enumerate(placement.cells) if placed.host_cell == node.id]


def _owners(host: Host, placement: Placement, node: HostCell) -> dict[int, list[int]]:
    """Return the guest cells of each CPU of a node."""
    owners: dict[int, list[int]] = {cpu: [] for cpu in cpuset.ids(occupancy.cpus(node))}
    for index, placed in _bound(placement, node):
        for cpu in cpuset.ids(cpus(host, placed)):
            owners[cpu].append(index)
    return owners


def _head(node: HostCell) -> str:
    return f'node {node.id}: CPUs {cpuset.text(occupancy.cpus(node)) or "none"}, {node.shape.memory_mib} MiB'


def _guest(index: int, placed: CellPlacement) -> str:
    vcpus = cpuset.text(placed.guest_cell.vcpus)
    return f'cell {index}: vCPUs {vcpus or "none"}, {placed.guest_cell.memory_mib} MiB'


def draw(host: Host, placement: Placement, width: int = 80) -> str:
    """Draw the nodes of a host, core by core; each CPU shows the number of its guest cell.

    Each core is a column, with one thread below the other. If several guest cells float over the same CPUs, the first
    of them is shown.

    :param width: number of characters in a line
    """
    lines: list[str] = []
    for node in host.cells:
        owners = _owners(host, placement, node)
        lines.append(_head(node))
        lines += _rows(node, owners, width)
        lines += [f'  {_guest(index, placed)}' for index, placed in _bound(placement, node)]
        lines.append('')
    lines.append(f'{_FREE} is free, {_TAKEN} is held by other guests; a number is the guest cell that runs there')
    return '\n'.join(lines) + '\n'


def _symbol(node: HostCell, cpu: int, owners: Sequence[int]) -> str:
    if owners:
        return str(owners[0])
    return _TAKEN if node.taken_cpus >> cpu & 1 else _FREE


def _rows(node: HostCell, owners: dict[int, list[int]], width: int) -> list[str]:
    cores = [list(cpuset.ids(core)) for core in occupancy.cores(node)]
    symbols = {cpu: _symbol(node, cpu, found) for cpu, found in owners.items()}
    field = max([len(symbol) for symbol in symbols.values()], default=1) + 1
    fit = max(1, (width - 2) // field)
    rows = []
    for start in range(0, len(cores), fit):
        part = cores[start : start + fit]
        for thread in range(max(map(len, part))):
            words = (symbols[core[thread]] if thread < len(core) else '' for core in part)
            rows.append('  ' + ''.join(word.rjust(field) for word in words).rstrip())
    return rows


#: Fills of guest cells, distinguishable with a color vision deficiency; they repeat after the last.
_FILLS = ('#88ccee', '#ddcc77', '#44aa99', '#cc6677', '#aa99dd', '#99bb55', '#ee9955', '#77aadd')
_EMPTY, _OTHERS = '#ffffff', '#bbbbbb'


def svg(host: Host, placement: Placement) -> str:
    """Draw the same as an SVG 1.1 document, with one node below the other."""
    parts: list[Element] = []
    top, width = PAD, 0
    for node in host.cells:
        made, right, top = _svg_node(host, placement, node, top)
        parts += made
        width = max(width, right)
    root = drawing.document('Guest cells over the nodes of a host', width + PAD, top, *parts)
    return xmltext.write(root)


def _svg_node(host: Host, placement: Placement, node: HostCell, top: int) -> tuple[list[Element], int, int]:
    """Return the elements of a node, its right edge, and where the next one begins."""
    owners = _owners(host, placement, node)
    cores = occupancy.cores(node)
    bound = _bound(placement, node)
    pinned = {cpu: vcpu for _, placed in bound for vcpu, cpu in placed.pins}
    inside = [drawing.text(PAD * 2, top + LINE, _head(node), bold=True)]
    cpus, below = drawing.places(cores, top)
    for cpu, (x, y) in cpus.items():
        inside += _svg_cpu(x, y, cpu, _fill(node, cpu, owners[cpu]), pinned.get(cpu))
    for number, (index, placed) in enumerate(bound):
        y = below + number * LINE
        inside.append(drawing.rect(PAD * 2, y - 8, 12, 12, _FILLS[index % len(_FILLS)]))
        inside.append(drawing.text(PAD * 2 + 18, y + 2, _guest(index, placed)))
    bottom = below + len(bound) * LINE
    longest = max([len(_head(node)), *(len(_guest(index, placed)) + 3 for index, placed in bound)])
    across = max(min(len(cores), PER_ROW) * (CPU + GAP), longest * 8) + 2 * PAD
    frame = drawing.rect(PAD, top, across, bottom - top, 'none')
    return [frame, *inside], PAD + across, bottom + PAD


def _fill(node: HostCell, cpu: int, owners: Sequence[int]) -> str:
    if owners:
        return _FILLS[owners[0] % len(_FILLS)]
    return _OTHERS if node.taken_cpus >> cpu & 1 else _EMPTY


def _svg_cpu(x: int, y: int, cpu: int, fill: str, vcpu: int | None) -> list[Element]:
    """Return a CPU; the vCPU that is pinned to it is below its number."""
    middle = x + CPU // 2
    made = [
        drawing.rect(x, y, CPU, CPU, fill),
        drawing.text(middle, y + (17 if vcpu is None else 12), str(cpu), middle=True),
    ]
    return made if vcpu is None else [*made, drawing.text(middle, y + 23, f'v{vcpu}', middle=True)]
