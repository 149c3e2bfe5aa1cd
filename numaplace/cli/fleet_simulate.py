# SPDX-License-Identifier: Apache-2.0
"""``numaplace fleet simulate``: what becomes of a trace by each way to choose hosts and host cells."""

from __future__ import annotations

import argparse
import gzip
import io
import random
import zlib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numaplace import exception
from numaplace.cli import base, names, progress
from numaplace.cli import fleet_sources as sources

if TYPE_CHECKING:
    from numaplace.fleet.traces import Event
    from numaplace.scheduler.simulation import Outcome

__all__ = ['SimulateFleet']

#: The strategy and the weigher preserve, with the mix of the trace.
_MIX = 'preserve-mix'
_POLICIES = ('nova', 'closest', 'pack', 'best-fit', 'lasting', 'preserve', _MIX)
_MOST_GUESTS, _MOST_HOSTS, _MOST_CELLS, _MOST_CPUS, _MOST_GIB = 10_000_000, 100_000, 64, 1024, 1 << 20
_NUMBERS = (
    'accepted',
    'refused',
    'refused_with_room',
    'accepted_wide',
    'refused_wide',
    'host_hours',
    'bound_hours',
    'over_bound',
    'floor_hours',
    'floor_over_bound',
    'moves',
    'moves_at_end',
    'hosts_at_end',
)
_MIB_PER_GIB = 1024
#: In an hour, and in a minute.
_MINUTES = _SECONDS = 60
_NESTED = ('json', 'yaml')


def _load(text: str) -> float:
    """Read a load, above 0.

    :raises: argparse.ArgumentTypeError
    """
    with suppress(ValueError):
        if 0 < (load := float(text)) <= 10:
            return load
    raise argparse.ArgumentTypeError(f'{names.shorten(text)!r}: expected a number above 0, up to 10, such as 0.9')


def _doubled(text: str) -> tuple[int, float]:
    """Read a word of ``--double``.

    :raises: argparse.ArgumentTypeError
    """
    vcpus, sign, share = text.partition(':')
    with suppress(ValueError):
        if sign and int(vcpus) > 0 and 0 <= float(share) <= 1:
            return int(vcpus), float(share)
    raise argparse.ArgumentTypeError(f'{names.shorten(text)!r}: expected VCPUS:SHARE, such as 8:0.5')


def _share(text: str) -> float:
    """Read a share of servers.

    :raises: argparse.ArgumentTypeError
    """
    with suppress(ValueError):
        if 0 <= (share := float(text)) <= 1:
            return share
    raise argparse.ArgumentTypeError(f'{names.shorten(text)!r}: expected a share from 0 to 1, such as 0.02')


class SimulateFleet(base.ListOf):
    """Replay arrivals and departures over hosts that are alike, by each way to choose hosts and host cells.

    All guests are pinned. The ways: nova (Nova's default weighers and order of cells), closest (the same weighers),
    pack (both weighers and the order of cells reversed), best-fit (the fewest free vCPUs, then pack), lasting (hosts
    that stay in use anyway, by the ages of their guests, then best-fit), preserve (the strategy and the weigher) and
    preserve-mix (these with the guests of the trace as preserve_mix). host_hours are those of hosts with guests,
    bound_hours their volume on full hosts, and floor_hours the least that moving all guests at each moment would need.
    Guests count as refused with room if the fleet has as many CPUs and as much memory free. moves_at_end would empty
    hosts_at_end.
    """

    examples = (
        'numaplace fleet simulate --generate 20000 --hosts 50',
        'numaplace fleet simulate --generate 20000 --load 0.8 --policy preserve best-fit --html report.html',
        'numaplace fleet simulate --trace vms.csv.gz --double 8:0.5 --hosts 2300 -f json',
        'numaplace fleet simulate --trace vms.csv --policy best-fit --defragment 0.02 --defragment-every 5',
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the trace, the hosts, the ways and the page."""
        parser = super().get_parser(prog_name)
        _add_guests_and_hosts(parser)
        parser.add_argument('--seed', metavar='SEED', type=names.whole(0, 1 << 62), default=1, help='Default: 1.')
        parser.add_argument(
            '--policy', dest='policies', choices=_POLICIES, nargs='+', default=list(_POLICIES), help='Default: all.'
        )
        parser.add_argument(
            '--defragment',
            metavar='SHARE',
            type=_share,
            default=0.0,
            help='Each hour, empty hosts by moves of this share of the guests at most (default: 0, none).',
        )
        parser.add_argument(
            '--defragment-every',
            metavar='MINUTES',
            type=names.whole(1, _MINUTES),
            default=_MINUTES,
            help='With --defragment: spread the moves of an hour, and empty hosts so often (default: 60).',
        )
        parser.add_argument('--html', metavar='FILE', help='Write the report with plots as one HTML page too.')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Replay the trace by each policy.

        :raises: :class:`~numaplace.exception.Invalid` for a file that cannot be read, or is no trace
        """
        from numaplace.cli import simulation_page
        from numaplace.fit.usefulness import Mix
        from numaplace.fleet import traces
        from numaplace.scheduler import simulation

        events = _events(parsed_args)
        records = simulation.hosts(
            parsed_args.hosts, parsed_args.cells, parsed_args.cpus, parsed_args.memory * _MIB_PER_GIB
        )
        ways = {**simulation.POLICIES, _MIX: simulation.preserve(Mix.of(traces.mix(events)))}
        policies = list(dict.fromkeys(parsed_args.policies))
        found: dict[str, Outcome] = {}
        with progress.shown(self.app, 'events', len(events) * len(policies)) as bar:
            for name in policies:
                found[name] = simulation.replay(
                    records,
                    events,
                    ways[name],
                    hourly=parsed_args.defragment,
                    every_s=_SECONDS * parsed_args.defragment_every,
                    advance=bar.advance,
                )
        rows = {name: outcome.plain() for name, outcome in found.items()}
        if parsed_args.html:
            page = simulation_page.page(found, [('policy', *_NUMBERS), *_rows(rows, _NUMBERS)])
            sources.write_octets(page.encode(), parsed_args.html)
        shown = (*_NUMBERS, 'samples') if parsed_args.formatter in _NESTED else _NUMBERS
        return ('policy', *shown), _rows(rows, shown)


def _add_guests_and_hosts(parser: argparse.ArgumentParser) -> None:
    trace = parser.add_mutually_exclusive_group(required=True)
    trace.add_argument(
        '--trace',
        metavar='FILE',
        help='CSV, may be compressed by gzip; header time_s,batch,vcpus,memory_gib,lifetime_s_low,censored or '
        'vmid,cpu,memory,time,type (type 0: arrives, 1: departs; memory in GiB).',
    )
    trace.add_argument(
        '--generate', metavar='NUMBER', type=names.whole(1, _MOST_GUESTS), help='Make so many arrivals instead.'
    )
    for option, most, default, words in (
        ('--hosts', _MOST_HOSTS, 50, 'How many hosts'),
        ('--cells', _MOST_CELLS, 2, 'Host cells of each host'),
        ('--cpus', _MOST_CPUS, 16, 'Dedicated CPUs of each host cell'),
        ('--memory', _MOST_GIB, 56, 'Memory of each host cell, in GiB'),
    ):
        parser.add_argument(
            option,
            metavar='NUMBER',
            type=names.whole(1, most),
            default=default,
            help=f'{words} (default: {default}).',
        )
    parser.add_argument(
        '--load',
        metavar='LOAD',
        type=_load,
        default=0.9,
        help='With --generate: share of the CPUs that would be in use if all were accepted (default: 0.9).',
    )
    parser.add_argument(
        '--double',
        metavar='VCPUS:SHARE',
        type=_doubled,
        action='append',
        default=[],
        help='With --trace: this share of the guests of so many vCPUs is twice as large, in two cells; may be '
        'repeated.',
    )


def _rows(rows: dict[str, dict[str, Any]], columns: tuple[str, ...]) -> list[tuple[Any, ...]]:
    return [(name, *(_rounded(plain[column]) for column in columns)) for name, plain in rows.items()]


def _rounded(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) else value


def _events(parsed_args: argparse.Namespace) -> tuple[Event, ...]:
    from numaplace.fleet import traces

    chance = random.Random(parsed_args.seed).random  # noqa: S311 - no secret
    if parsed_args.trace is None:
        cpus = parsed_args.hosts * parsed_args.cells * parsed_args.cpus
        return traces.generate(parsed_args.generate, cpus, parsed_args.load, chance)
    name = parsed_args.trace
    try:
        octets = Path(name).read_bytes()
        text = (gzip.decompress(octets) if octets[:2] == b'\x1f\x8b' else octets).decode()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise exception.Invalid(f'{name!r}: {getattr(error, "strerror", None) or error}') from None
    return traces.read(io.StringIO(text), chance, dict(parsed_args.double), repr(name))
