# SPDX-License-Identifier: Apache-2.0
"""``numaplace metrics``: the figures of a fleet for Prometheus."""

from __future__ import annotations

import argparse
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numaplace import exception
from numaplace.cli import base, fleet, fleet_capacity
from numaplace.cli import fleet_sources as sources

if TYPE_CHECKING:
    from numaplace.model.fleet import Fleet

__all__ = ['WriteMetrics']

#: A metric: its name, what it says, its labels, and its samples.
_Metric = tuple[str, str, tuple[str, ...], list[Any]]


class WriteMetrics(base.Action):
    """Write the figures of a fleet in the text format of Prometheus, as its node_exporter reads it from a file.

    They are the dedicated CPUs and pages of each host cell and what is free of them, the hosts by state, the rows that
    cannot be read, and how many more guests of each flavor fit. Flavors that request PCI devices are left out. Servers
    are not read one by one: one counts as a row that cannot be read if its row does not say what its hosts count, and
    the audit of the fleet finds all other damage.
    """

    examples = (
        'numaplace metrics',
        'numaplace metrics --output /var/lib/prometheus/node-exporter/numaplace.prom',
        'numaplace --config-file /etc/nova/nova.conf metrics --from nova --flavor m1.numa',
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the source, the flavors and the file."""
        parser = super().get_parser(prog_name)
        sources.add_to(parser)
        fleet_capacity.add_guests(parser, is_required=False, hosts='Write what fits on each host too.')
        parser.add_argument(
            '--output',
            metavar='FILE',
            help='File to write, which is complete or as it was before (default: standard output).',
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Write the figures.

        :raises: the faults of the source, :class:`~numaplace.exception.Invalid` if the file cannot be written
        """
        try:
            from prometheus_client.utils import floatToGoString
        except ModuleNotFoundError as error:
            raise exception.InvalidConfiguration(
                f"{error.name} is not installed: expected the extra services, as `pip install 'numaplace[services]'` "
                'installs it'
            ) from None
        read = fleet.read(self, parsed_args, lists_servers=False)
        figures = [*_hosts(read), *_cells(read), *self._flavors(read, parsed_args)]
        text = ''.join([line for figure in figures for line in _lines(figure, floatToGoString)])
        if parsed_args.output is None:
            self.app.stdout.write(text)
            return
        try:
            _write(parsed_args.output, text)
        except OSError as error:
            raise exception.Invalid(
                f'--output {parsed_args.output!r}: cannot be written: {error.strerror}; expected a file in a directory '
                'that can be written'
            ) from error

    def _flavors(self, read: Fleet, parsed_args: argparse.Namespace) -> Iterator[_Metric]:
        """Yield how many more guests of each flavor fit."""
        from numaplace.fleet import capacity
        from numaplace.model.fleet import candidates
        from numaplace.request.pci import ALIAS_KEY
        from numaplace.scheduler.index import HostIndex
        from numaplace.scheduler.select import Policy

        named = [fleet.find_flavor(read, name) for name in dict.fromkeys(parsed_args.flavors)]
        flavors = named or [one for one in read.flavors if not one.extra_specs.get(ALIAS_KEY, '').strip()]
        asked, end = candidates(read), time.monotonic() + parsed_args.seconds
        index, policy, alike = HostIndex(asked.hosts), Policy.of(self.conf), capacity.kinds(asked)
        least, most, faulty = list[Any](), list[Any](), list[Any]()
        for flavor in flavors:
            try:
                question = fleet_capacity.question(self.conf, read, flavor, parsed_args, policy, index=index)
            except (exception.Invalid, exception.UnsupportedRequest):
                if named:
                    raise
                faulty.append(((flavor.name,), 1.0))
                continue
            hosts = capacity.capacity(asked, question, stop=lambda: time.monotonic() >= end, alike=alike)
            for one in [capacity.in_all(flavor.name, hosts), *(hosts if parsed_args.hosts else ())]:
                labels = (flavor.name, one.host or '')
                least.append((labels, float(one.at_least)))
                most.append((labels, float(one.at_most)))
        fits = 'How many more guests of a flavor fit, at'
        yield 'numaplace_flavor_fits', f'{fits} least; without a host: on all.', ('flavor', 'host'), least
        yield 'numaplace_flavor_fits_at_most', f'{fits} most; without a host: on all.', ('flavor', 'host'), most
        yield 'numaplace_flavor_invalid', 'Flavors that no host can take.', ('flavor',), faulty


def _lines(figure: _Metric, number: Callable[[float], str]) -> Iterator[str]:
    """Yield the lines of a metric as prometheus_client writes them, many times faster.

    :param number: writes a number
    """
    name, text, labels, samples = figure
    yield f'# HELP {name} {text}\n# TYPE {name} gauge\n'
    order = sorted(range(len(labels)), key=lambda place: labels[place])
    named = ','.join([f'{labels[place]}="%s"' for place in order])
    form = f'{name}{{{named}}} %s\n' if named else f'{name} %s\n'
    for values, amount in samples:
        yield form % (*[_escaped(values[place]) for place in order], number(amount))


@lru_cache(maxsize=65536)
def _escaped(value: str) -> str:
    return value.replace('\\', r'\\').replace('\n', r'\n').replace('"', r'\"')


def _write(name: str, text: str) -> None:
    """Write a file that is complete or as it was before; others may read it.

    :raises: OSError
    """
    scratch = f'{name}.{os.getpid()}'
    try:
        Path(scratch).write_text(text, encoding='utf-8')
        os.replace(scratch, name)
    except OSError:
        with suppress(OSError):
            os.unlink(scratch)
        raise


def _hosts(read: Fleet) -> Iterator[_Metric]:
    states = Counter([(host.status, host.state) for host in read.hosts])
    samples = [(labels, float(number)) for labels, number in sorted(states.items())]
    yield 'numaplace_hosts', 'Hosts by status and state.', ('status', 'state'), samples
    yield 'numaplace_servers', 'Servers.', (), [((), float(len(read.servers) + read.unlisted))]
    yield 'numaplace_unread_rows', 'Rows that cannot be read.', (), [((), float(len(read.unread)))]


def _cells(read: Fleet) -> Iterator[_Metric]:
    """Yield the CPUs and the pages of each host cell, and what of them is free."""
    cells = [(host.name, cell) for host in read.hosts for cell in host.host.cells]
    for word, masks in (
        ('free', [cell.free_cpus for _, cell in cells]),
        ('all', [cell.shape.dedicated_cpus for _, cell in cells]),
    ):
        samples = [
            ((name, str(cell.id)), float(mask.bit_count())) for (name, cell), mask in zip(cells, masks, strict=True)
        ]
        yield (
            f'numaplace_cell_dedicated_cpus_{word}',
            f'Dedicated CPUs of a host cell: {word}.',
            ('host', 'cell'),
            samples,
        )
    for word in ('free', 'total'):
        counted = [
            ((name, str(cell.id), str(pages.size_kib)), float(getattr(pages, word)))
            for name, cell in cells
            for pages in cell.pages
        ]
        yield f'numaplace_cell_pages_{word}', f'Pages of a host cell: {word}.', ('host', 'cell', 'size_kib'), counted
