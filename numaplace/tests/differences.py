# SPDX-License-Identifier: Apache-2.0
"""The examples of the page "Differences from Nova": read from its tables, and what numaplace says of each.

An example is a row whose literals say it all. A request: ``KEY=VALUE`` of flavor (``hw:``) and image (``hw_``), for a
flavor of 4 vCPUs and 2048 MiB. A fit: host cells such as ``0: cpus=0-3 cores=0-1/2-3 used=3`` and guest cells such as
``dedicated=2 threads=isolate``; the page says what may stand there.
"""

import os
import re
from pathlib import Path
from typing import Any, NamedTuple

from numaplace import cpuset, exception, fit, model, request, wire
from numaplace.model import Flavor
from numaplace.tests import nova_requests

__all__ = ['PAGE', 'Example', 'Fit', 'answer', 'asked', 'examples', 'fit_asked', 'is_fit', 'placed_words', 'words']

#: The page; it stands in the source tree alone.
PAGE = Path(os.environ.get('NUMAPLACE_SOURCE', Path(__file__).parents[2])) / 'doc' / 'source' / 'differences.rst'

_SIZES = {'small': model.PAGES_SMALL, 'large': model.PAGES_LARGE, 'any': model.PAGES_ANY}
_LITERAL = re.compile(r'``(.*?)``', re.DOTALL)


class Example(NamedTuple):
    """A row of a table.

    :param parts: the literals of each of the columns that say what is asked
    :param nova: Nova's answer
    :param ours: numaplace's answer
    """

    parts: tuple[tuple[str, ...], ...]
    nova: str
    ours: str


class Fit(NamedTuple):
    """What is asked of the engine."""

    host: model.Host
    guest: model.Guest
    limits: model.Limits | None
    networks: model.Networks | None


def _literals(column: str) -> tuple[str, ...]:
    return tuple(re.sub(r'\s+', ' ', literal) for literal in _LITERAL.findall(column))


def examples() -> list[Example]:
    """Return the examples of the page; none if there is no source tree."""
    if not PAGE.is_file():
        return []
    found = []
    for row in re.split(r'^   \* - ', PAGE.read_text('utf-8'), flags=re.MULTILINE)[1:]:
        columns = [_literals(column) for column in re.split(r'^     - ', row.split('\n\n')[0], flags=re.MULTILINE)]
        if re.match(r'(hw|resources|trait)', ''.join(columns[0][:1])):
            # Either both answer alike, beside what Nova's documentation says, or each has a column.
            nova, ours = (columns[2], columns[2]) if len(columns) == 3 else columns[1:3]
            found.append(Example((columns[0],), nova[0], ours[0]))
        elif re.match(r'\d+:', ''.join(columns[0][:1])):
            nova, ours = (columns[3], columns[3]) if len(columns) == 4 else columns[2:4]
            found.append(Example((columns[0], columns[1]), nova[0], ours[0]))
    return found


def is_fit(example: Example) -> bool:
    """Return whether an example is about a fit, and not about a request alone."""
    return len(example.parts) == 2


# --- requests -------------------------------------------------------------------------


def asked(example: Example) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the flavor and the image of an example about a request."""
    pairs = [literal.partition('=')[::2] for literal in example.parts[0]]
    image = {key: value for key, value in pairs if key.startswith('hw_')}
    specs = {key: value for key, value in pairs if key not in image}
    return {'vcpus': 4, 'memory_mb': 2048, 'extra_specs': specs}, image


def words(cells: dict[str, Any] | None, topology: tuple[int, ...], wanted: str) -> str:
    """Return an answer in the words of the page.

    :param wanted: what the page says; numbers with colons request the vCPU topology
    """
    if re.fullmatch(r'\d+:\d+:\d+', wanted):
        return ':'.join(map(str, topology))
    if cells is None:
        return 'no NUMA topology'
    return '; '.join(_cell_words(cell) for cell in wire.read_guest(cells).cells)


def _cell_words(cell: model.GuestCell) -> str:
    names = {size: name for name, size in _SIZES.items()}
    pages = cell.pagesize_kib
    found = [
        f'vCPUs {cpuset.text(cell.vcpus)}, {cell.memory_mib} MiB',
        cell.cpu_policy,
        cell.thread_policy,
        f'pages {names.get(pages, f"{pages} KiB")}' if pages else None,
    ]
    return ', '.join(filter(None, found))


def _request_answer(example: Example) -> str:
    flavor, image = asked(example)
    asked_flavor = Flavor('flavor', flavor['vcpus'], flavor['memory_mb'], extra_specs=flavor['extra_specs'])
    try:
        guest = request.read(asked_flavor, image)
    except exception.Invalid as error:
        return type(error).__name__
    shape = guest.cpu_topology
    cells = nova_requests.write_guest(guest) if guest.cells else None
    return words(cells, (shape.sockets, shape.cores, shape.threads), example.ours)


# --- fits -----------------------------------------------------------------------------


def _pages(text: str) -> tuple[model.Pages, ...]:
    pairs = (pair.split(':') for pair in text.split(',') if text != 'none')
    return tuple(model.Pages(int(size), int(total)) for size, total in pairs)


def _host_cell(literal: str) -> model.HostCell:
    number, _colon, rest = literal.partition(': ')
    says = dict(word.split('=') for word in rest.split())
    cpus = says.get('cpus', '')
    shared, dedicated = (cpuset.parse(says.get(key, cpus)) for key in ('shared', 'dedicated'))
    cores = says.get('cores', '/'.join(map(str, cpuset.ids(shared | dedicated))))
    shape = model.CellShape(
        id=int(number),
        shared_cpus=shared,
        dedicated_cpus=dedicated,
        memory_mib=4096,
        siblings=tuple(cpuset.parse(core) for core in cores.split('/')) if cores != 'none' else (),
        physnets=frozenset(says.get('physnets', '').split(',')) - {''},
    )
    pages = _pages(says.get('pages', '4:1048576'))
    return model.HostCell(shape, cpuset.parse(says.get('used', '')), pages=pages)


def fit_asked(example: Example) -> Fit:
    """Return the host and the guest of an example about a fit."""
    host = model.Host(tuple(_host_cell(literal) for literal in example.parts[0]))
    parts, whole, first = [], {}, 0
    for literal in example.parts[1]:
        says = dict(word.split('=') for word in literal.split())
        whole |= says
        counts = [int(says.get(key, 0)) for key in ('shared', 'dedicated')]
        if any(counts):
            shared, dedicated = ((1 << count) - 1 for count in counts)
            pages = says.get('pages')
            cell = model.GuestCell(
                id=len(parts),
                shared_vcpus=shared << first,
                dedicated_vcpus=dedicated << first + counts[0],
                memory_mib=int(says.get('memory', 1024)),
                pagesize_kib=_SIZES.get(pages) or (int(pages) if pages else None),
                cpu_policy='mixed' if all(counts) else 'dedicated' if counts[1] else 'shared',
                thread_policy=says.get('threads'),
            )
            parts.append(cell)
            first += sum(counts)
    guest = model.Guest(first, sum(cell.memory_mib for cell in parts), tuple(parts), whole.get('emulator'))
    physnets = whole.get('physnets')
    networks = model.Networks(frozenset(physnets.split(','))) if physnets else None
    return Fit(host, guest, model.Limits(16.0, 1.5) if networks else None, networks)


def placed_words(host_cells: list[int]) -> str:
    """Return where a guest fits in the words of the page."""
    return f'fits on {", ".join(map(str, host_cells))}'


def _fit_answer(example: Example) -> str:
    host, guest, limits, networks = fit_asked(example)
    placed = fit.place(host, guest, limits=limits, networks=networks)
    if not placed:
        return f'refused: {", ".join(dict.fromkeys(reason.code for reason in placed.reasons))}'
    host.consume(placed)
    return placed_words([cell.host_cell for cell in placed.cells])


def answer(example: Example) -> str:
    """Return numaplace's answer in the words of the page."""
    return _fit_answer(example) if is_fit(example) else _request_answer(example)
