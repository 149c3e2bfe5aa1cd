# SPDX-License-Identifier: Apache-2.0
"""How the fit grows with its input: figures, and with ``--svg DIRECTORY`` plots. ``python -m benchmarks.growth``."""

from __future__ import annotations

import argparse
import math
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import inputs
from benchmarks.clock import Side, duration, medians
from benchmarks.plot import Line, plot
from numaplace import fit
from numaplace.fit.assignment import first_assignment, hall_violator

__all__ = ['main']

Masks = list[int]


def _exponent(points: Sequence[tuple[float, float]]) -> float:
    """Return the slope of the least squares line through the logarithms: 1 is linear, 2 quadratic."""
    logs = [(math.log(x), math.log(y)) for x, y in points]
    mean_x, mean_y = (sum(values) / len(logs) for values in zip(*logs, strict=True))
    return float(sum((x - mean_x) * (y - mean_y) for x, y in logs) / sum((x - mean_x) ** 2 for x, _ in logs))


# --- the rule for one cell, for all pairs -----------------------------------------------


def _pairs(host_cells: int, guest_cells: int, cpus: int) -> float:
    """Return the seconds of a fit in which all pairs are checked and the joint choice is trivial.

    No two guest cells are alike, so no result for one can be reused for another.
    """
    host = inputs.host(host_cells, cpus=cpus, memory_gib=[128] * host_cells)
    asked = inputs.guest(guest_cells, vcpus=cpus // 2, memory_gib=range(1, guest_cells + 1))
    side = Side(lambda: (inputs.unseen(host), inputs.unseen_guest(asked)), fit.place)
    return medians({'': side}, rounds=7)['']


def _pair_lines() -> Iterator[Line]:
    """Yield a line for each of the three factors, with the other two fixed; x is their product."""
    for name, sizes in (
        ('host cells (of 32 CPUs, 8 guest cells)', [(cells, 8, 32) for cells in (8, 16, 32, 64, 128)]),
        ('guest cells (on 64 host cells of 32 CPUs)', [(64, cells, 32) for cells in (4, 8, 16, 32, 64)]),
        ('CPUs a cell (8 guest cells on 16 host cells)', [(16, 8, cpus) for cpus in (16, 32, 64, 128, 256)]),
    ):
        yield Line(name, [(math.prod(size), _pairs(*size)) for size in sizes])


# --- the joint choice -----------------------------------------------------------------------


def _identical(size: int) -> Masks:
    return [(1 << size) - 1] * size


def _triangular(size: int) -> Masks:
    """Row g fits the first size - g columns: one assignment, and every greedy step is wrong."""
    return [(1 << (size - row)) - 1 for row in range(size)]


def _sparse(size: int) -> Masks:
    """Three random columns per row, and one that makes an assignment possible."""
    draw = random.Random(size)
    ways = draw.sample(range(size), size)
    return [1 << ways[row] | sum(1 << column for column in draw.sample(range(size), 3)) for row in range(size)]


def _two_blocks(size: int) -> Masks:
    """Rows of the first half fit all columns; the other rows fit only the columns that those take first."""
    half = size // 2
    return [(1 << size) - 1] * (size - half) + [(1 << half) - 1] * half


def _ring(size: int) -> Masks:
    """Row g fits columns g and g + 1 (modulo size), but the last row fits only column 0: all have to move."""
    return [1 << row | 1 << (row + 1) for row in range(size - 1)] + [1]


_FAMILIES: dict[str, Callable[[int], Masks]] = {
    'identical': _identical,
    'triangular': _triangular,
    'random sparse': _sparse,
    'two blocks': _two_blocks,
    'ring': _ring,
}


def _joint_lines(search: Callable[[Masks], object], lacking: bool) -> Iterator[Line]:
    """Yield a line for each family; x is the number of guest cells and of host cells.

    :param lacking: the last host cell is missing, so nothing fits
    """
    for name, family in _FAMILIES.items():
        points = []
        for size in (8, 16, 32, 64, 128):
            rows = family(size)
            if lacking:
                rows = [mask & ~(1 << (size - 1)) for mask in rows]
            points.append((float(size), _seconds_of(search, rows)))
        yield Line(name, points)


def _seconds_of(search: Callable[[Masks], object], rows: Masks) -> float:
    return medians({'': Side(lambda: (rows,), search)}, rounds=7)['']


# --- networks -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Web:
    """A joint choice with affinity sets, random by a seed."""

    rows: Masks
    sets: Masks


def _web(seed: int, sets: int) -> _Web:
    """Draw the hardest cases of wide searches: few columns for each row, or few rows for the columns of sets."""
    draw = random.Random(seed)
    columns, everything = 64, (1 << 64) - 1
    near = draw.choice((4, 8, 12))
    if seed % 2:
        rows = [sum(1 << column for column in draw.sample(range(columns), 3)) for _ in range(8)]
        pool = range(columns)
    else:
        rows = [everything >> 16] * (32 - (sets + 1) // 2) + [everything] * ((sets + 1) // 2)
        pool = range(48, 64)
    return _Web(rows, [sum(1 << column for column in draw.sample(pool, near)) for _ in range(sets)])


def _web_line(name: str, pick: Callable[[list[float]], float], drawn: int) -> Line:
    points = []
    for sets in range(1, 11):
        webs = [_web(seed, sets) for seed in range(drawn)]
        points.append((float(sets), pick([_once(web) for web in webs])))
    return Line(name, points)


def _once(web: _Web) -> float:
    side = Side(lambda: (web.rows, web.sets), first_assignment)
    return medians({'': side}, rounds=3, batch_s=0.0, budget_s=0.0)['']


# --- output ------------------------------------------------------------------------------------------


def _show(title: str, unit: str, lines: Sequence[Line], exponents: bool = True) -> None:
    sys.stdout.write(f'\n{title}\n')
    for line in lines:
        figures = '  '.join(f'{x:.0f}: {duration(y)}' for x, y in line.points)
        power = f'  ~ {unit}^{_exponent(line.points):.2f}' if exponents else ''
        sys.stdout.write(f'  {line.name:<46} {figures}{power}\n')
    sys.stdout.flush()


def main() -> None:
    """Print the figures and draw the plots."""
    parser = argparse.ArgumentParser(prog='python -m benchmarks.growth', description='How the fit grows.')
    parser.add_argument(
        '--svg', type=Path, metavar='DIRECTORY', help='write pairs.svg, joint.svg and networks.svg there'
    )
    parser.add_argument('--webs', type=int, default=60, metavar='N', help='random cases for each number of networks')
    options = parser.parse_args()
    pairs = list(_pair_lines())
    _show('All pairs, by host cells x guest cells x CPUs a cell', 'x', pairs)
    joint = list(_joint_lines(first_assignment, lacking=False))
    _show('Joint choice of n guest cells on n host cells, one fits', 'n', joint)
    _show('The same without the last host cell, no fit', 'n', list(_joint_lines(first_assignment, lacking=True)))
    _show('The guest cells that compete, for the reason', 'n', list(_joint_lines(hall_violator, lacking=True)))
    webs = [_web_line('median', lambda times: sorted(times)[len(times) // 2], options.webs)]
    webs.append(_web_line('slowest', max, options.webs))
    _show(f'Joint choice on 64 host cells by networks, of {options.webs} hard cases', 'k', webs, exponents=False)
    if options.svg:
        plot(options.svg / 'pairs.svg', 'host cells x guest cells x CPUs a cell', pairs)
        plot(options.svg / 'joint.svg', 'guest cells = host cells', joint)
        plot(options.svg / 'networks.svg', 'distinct affinity sets', webs, log_x=False)


if __name__ == '__main__':
    main()
