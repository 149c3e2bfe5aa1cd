# SPDX-License-Identifier: Apache-2.0
"""``numaplace fleet drain``, ``defragment``, ``consolidate``, ``rebalance`` and ``apply``: plans of moves."""

from __future__ import annotations

import argparse
import json
import sys
import time
from abc import abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numaplace import exception
from numaplace.cli import base, fleet, names, plan_apply
from numaplace.cli import fleet_sources as sources
from numaplace.cli.fleet_asking import asking
from numaplace.cli.fleet_capacity import add_seconds
from numaplace.libvirt.files import STREAM

if TYPE_CHECKING:
    from numaplace.fleet.plan import Plan
    from numaplace.model.fleet import Fleet
    from numaplace.model.records import InstanceRecord
    from numaplace.planning.state import State

__all__ = ['ApplyFleet', 'ConsolidateFleet', 'DefragmentFleet', 'DrainFleet', 'RebalanceFleet']

_MOVES = ('any', 'live', 'cold')
_MOST_GUESTS = 10_000
#: The share of the time that is for the search, however long the fleet takes to be read.
_LEAST = 0.25


def _share(text: str) -> float:
    """Read a share, as in ``24%`` or ``0.24``.

    :raises: argparse.ArgumentTypeError
    """
    with suppress(ValueError):
        share = float(text.removesuffix('%')) / (100 if text.endswith('%') else 1)
        if 0 <= share <= 1:
            return share
    raise argparse.ArgumentTypeError(f'{names.shorten(text)!r}: expected a share, such as 24% or 0.24')


def _room(text: str) -> tuple[str, int]:
    """Read a word of ``--for``.

    :raises: argparse.ArgumentTypeError
    """
    flavor, sign, number = text.rpartition(':')
    if not sign:
        return text, 1
    if flavor and number.isdecimal() and 1 <= int(number) <= _MOST_GUESTS:
        return flavor, int(number)
    raise argparse.ArgumentTypeError(
        f"'{names.shorten(text)}': expected FLAVOR or FLAVOR:NUMBER, with a number from 1 to {_MOST_GUESTS}"
    )


class _Planned(base.ShowOf):
    """Find a plan, show it, and carry it out if that is asked for."""

    _plan: Plan

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add where the fleet comes from, and what is done with the plan."""
        parser = super().get_parser(prog_name)
        sources.add_to(parser)
        add_seconds(
            parser,
            'How long to search for a better plan, less the time to read the fleet, but a quarter of it at least '
            '(default: %(default)s).',
        )
        parser.add_argument(
            '--moves',
            choices=_MOVES,
            default=_MOVES[0],
            help='How servers may move: while they run or while they are off (live, cold), or live where that is '
            'possible, otherwise cold (default). Servers of a host that is down are evacuated.',
        )
        done = parser.add_mutually_exclusive_group()
        done.add_argument(
            '--apply',
            action='store_true',
            help='Carry out the plan in the database of numaplace, one move after the other; stop at the first that is '
            'not possible any more.',
        )
        done.add_argument(
            '--script', action='store_true', help='Print a shell script that makes the moves in a Nova instead.'
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Return the plan.

        :raises: :class:`~numaplace.exception.NotFound` for an unknown host or flavor,
            :class:`~numaplace.exception.Conflict` where it cannot be carried out
        """
        from numaplace.fleet import plan
        from numaplace.planning.state import State

        if parsed_args.apply and parsed_args.source != sources.OWN:
            self.misuse(f'--apply: expected --from {sources.OWN}; --script is for a Nova')
        start = time.monotonic()
        read = fleet.read(self, parsed_args)
        parsed_args.seconds = max(parsed_args.seconds - (time.monotonic() - start), _LEAST * parsed_args.seconds)
        state = State.of(read, asking(self.conf, read), moves=parsed_args.moves)
        self._plan = self.plan(state, read, parsed_args)
        if parsed_args.apply and self._plan.steps:
            with self.open_database() as database:
                plan_apply.carry_out(self.app, self.conf, database, self._plan.steps)
            self.outcome = 'the moves are made'
        found = plan.plain(self._plan)
        return tuple(found), tuple(found.values())

    @abstractmethod
    def plan(self, state: State, read: Fleet, parsed_args: argparse.Namespace) -> Plan:
        """Return the plan."""

    def produce_output(self, parsed_args: argparse.Namespace, column_names: Sequence[str], data: Any) -> int:
        """Print text for people or the script, values for machines."""
        from numaplace.fleet import nova_script, plan

        if not parsed_args.script and (parsed_args.formatter != 'table' or parsed_args.columns):
            return super().produce_output(parsed_args, column_names, data)
        lines = nova_script.lines(self._plan) if parsed_args.script else plan.lines(self._plan)
        with self.writing(self.outcome):
            self.app.stdout.write(''.join(f'{line}\n' for line in lines))
        return base.DONE

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Run the command; the status is 3 if a server or a guest finds no place."""
        status = super().run(parsed_args)
        return status or (base.NO_VALID_HOST if self._plan.stuck else base.DONE)


class DrainFleet(_Planned):
    """Plan how every server leaves some hosts, with the fewest moves; the exit status is 3 if one cannot go.

    Each move is possible when its turn comes: the claim's own fit is asked, both places are held meanwhile, and a
    running guest keeps its cells and page sizes. Servers of other hosts move only where there is no room otherwise. The
    hosts themselves take no server, and none that is down or disabled does.
    """

    examples = (
        'numaplace fleet drain compute7',
        'numaplace fleet drain compute7 compute8 --moves live --apply',
        'numaplace fleet drain compute7 -f json > plan.json',
        'numaplace --config-file reader.conf fleet drain --from nova compute7 --script > drain.sh',
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the hosts."""
        parser = super().get_parser(prog_name)
        parser.add_argument('hosts', metavar='HOST', nargs='+', help='Name of a host that is to be empty.')
        return parser

    def plan(self, state: State, read: Fleet, parsed_args: argparse.Namespace) -> Plan:
        """Return the plan."""
        from numaplace.planning import goals

        hosts = tuple(dict.fromkeys(parsed_args.hosts))
        for name in hosts:
            if name not in state.hosts:
                raise exception.NotFound(f'there is no host {name!r}')
        state.closed = frozenset(hosts)
        return goals.drain(state, hosts, parsed_args.seconds)


class DefragmentFleet(_Planned):
    """Plan the fewest moves after which more guests of a flavor fit; the exit status is 3 if they still do not."""

    examples = (
        'numaplace fleet defragment --for m1.large',
        'numaplace fleet defragment --for m1.large:4 --moves live --apply',
        'numaplace fleet defragment --from fleet.json.gz --for m1.large:2 -f json',
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the guests."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--for',
            dest='wanted',
            metavar='FLAVOR[:NUMBER]',
            type=_room,
            required=True,
            help='Name or id of a flavor, and how many more guests of it are to fit (default: 1).',
        )
        parser.add_argument(
            '--image-property',
            action='append',
            default=[],
            metavar='KEY=VALUE',
            help='Property of the image of these guests, such as hw_numa_nodes=2; may be repeated.',
        )
        return parser

    def plan(self, state: State, read: Fleet, parsed_args: argparse.Namespace) -> Plan:
        """Return the plan."""
        from numaplace.planning import goals

        name, number = parsed_args.wanted
        new = [self._new(read, name, parsed_args, index) for index in range(number)]
        return goals.defragment(state, new, parsed_args.seconds)

    def _new(self, read: Fleet, name: str, parsed_args: argparse.Namespace, index: int) -> InstanceRecord:
        from datetime import UTC, datetime

        from numaplace.cli import server_request
        from numaplace.model import Placement
        from numaplace.model.records import ACTIVE, InstanceRecord
        from numaplace.operations import requests

        flavor, image = fleet.find_flavor(read, name, '--for'), server_request.properties_of(parsed_args)
        with_pci = any(record.host.devices for record in read.hosts)
        guest = requests.read(self.conf, flavor, image, with_pci=with_pci)
        uuid, now = f'new {index}', datetime.now(UTC)
        return InstanceRecord(uuid, uuid, 0, None, flavor, image, Placement(guest), None, ACTIVE, now)


class _Shared(_Planned):
    """A plan that moves a share of all servers at most."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the limit."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--max-moves',
            metavar='SHARE',
            type=_share,
            default='24%',
            help='Share of all servers that may move, such as 10%% or 0.1 (default: 24%%).',
        )
        return parser


class ConsolidateFleet(_Shared):
    """Plan how the fewest hosts have servers, and then the fewest moves to that.

    A linear program says how many hosts are needed and which are left; its numbers are made whole, and moves are made
    from them. In a small fleet the exact solver improves the plan until it is the best, or the time is over. In a fleet
    with very many hosts and cells, hosts are left one after the other, and then some of them at a time for the rest of
    the time.
    """

    examples = (
        'numaplace fleet consolidate',
        'numaplace fleet consolidate --max-moves 10% --seconds 60 -f json',
        'numaplace --config-file reader.conf fleet consolidate --from nova --script > consolidate.sh',
    )

    def plan(self, state: State, read: Fleet, parsed_args: argparse.Namespace) -> Plan:
        """Return the plan."""
        from numaplace.planning import goals

        return goals.consolidate(state, parsed_args.seconds, parsed_args.max_moves)


class RebalanceFleet(_Shared):
    """Plan how hosts use a resource alike: the largest share that one of them uses is as small as can be.

    Of the plans that reach this, it is the one with the fewest moves that is found. Hosts that are down or disabled do
    not count.
    """

    examples = ('numaplace fleet rebalance', 'numaplace fleet rebalance --objective memory --max-moves 5% --apply')

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the objective."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--objective',
            choices=('cpus', 'vcpus', 'memory'),
            default='cpus',
            help='What is used alike: dedicated CPUs (default), vCPUs of all guests per CPU, or memory.',
        )
        return parser

    def plan(self, state: State, read: Fleet, parsed_args: argparse.Namespace) -> Plan:
        """Return the plan."""
        from numaplace.planning import goals

        return goals.rebalance(state, parsed_args.seconds, parsed_args.max_moves, parsed_args.objective)


class ApplyFleet(base.Action):
    """Carry out a plan that was saved with -f json in the database of numaplace.

    Moves that are made already are left out: a plan that was interrupted goes on. It stops at the first server that is
    not where the plan has it, or that its destination refuses; what is made stays. A cold migration is confirmed at
    once.
    """

    examples = ('numaplace fleet drain compute7 -f json > plan.json', 'numaplace fleet apply plan.json')

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the file."""
        parser = super().get_parser(prog_name)
        parser.add_argument('file', metavar='FILE', help=f'The plan; {STREAM} is standard input.')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Make the moves.

        :raises: :class:`~numaplace.exception.Invalid` for a file that is no plan,
            :class:`~numaplace.exception.Conflict` at the first surprise
        """
        from numaplace.fleet import plan

        try:
            octets = sys.stdin.buffer.read() if parsed_args.file == STREAM else Path(parsed_args.file).read_bytes()
            steps = plan.read_steps(json.loads(octets))
        except OSError as error:
            raise exception.Invalid(f'{parsed_args.file!r}: {error.strerror}') from None
        except (ValueError, RecursionError) as error:
            raise exception.Invalid(f'{parsed_args.file!r} is not JSON: {error}') from None
        except exception.Invalid as error:
            raise exception.Invalid(f'{parsed_args.file!r}: {error}') from None
        with self.open_database() as database:
            made = plan_apply.carry_out(self.app, self.conf, database, steps)
        self.app.note(f'{made} of {len(steps)} moves are made now, the others were before')
