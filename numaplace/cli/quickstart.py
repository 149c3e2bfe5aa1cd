# SPDX-License-Identifier: Apache-2.0
"""``numaplace quickstart``: a tour in a few seconds, with the real commands, in a database of its own."""

from __future__ import annotations

import argparse
import io
import shlex
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from numaplace import exception
from numaplace.cli import base

__all__ = ['Quickstart']

_HOST = 'three-node'
_SAMPLE = f'{_HOST}.capabilities.xml'
_THIS_MACHINE = 'this-machine'


@dataclass(frozen=True, slots=True)
class _Step:
    """One step of the tour.

    :param commands: command lines without the program's name; SAMPLE is replaced with the sample's file
    :param status: exit status with which the last command ends
    :param optional: whether the tour continues if a command fails
    :param quiet: whether only the last command's output is shown
    """

    title: str
    commands: tuple[str, ...]
    status: int = base.DONE
    optional: bool = False
    quiet: bool = False


def _place(title: str, flavor: str, name: str) -> _Step:
    create = f'server create --flavor {flavor} --host {_HOST} -c name -c host -c cells {name}'
    return _Step(title, (create, f'host show --picture {_HOST}'))


_STEPS = (
    _Step(
        'Register a real host with three NUMA cells, from the output of its `virsh capabilities`.',
        (f'host import {_HOST} --capabilities SAMPLE', f'host show --picture {_HOST}'),
        quiet=True,
    ),
    _Step(
        'Register this machine as well: from libvirt if it answers, otherwise from /sys.',
        (f'host discover {_THIS_MACHINE}', f'host show --picture {_THIS_MACHINE}'),
        optional=True,
        quiet=True,
    ),
    _Step('Both hosts are registered.', ('host list',), quiet=True),
    _Step(
        'Create flavors, with the extra specs of Nova.',
        (
            'flavor create --ram 512 --disk 1 --vcpus 1 m1.tiny',
            'flavor create --ram 1024 --disk 1 --vcpus 4 m1.numa',
            'flavor set --property hw:numa_nodes=1 m1.numa',
            'flavor create --ram 512 --vcpus 2 --property hw:cpu_policy=dedicated m1.pinned',
            'flavor create --ram 256 --vcpus 2 --property hw:mem_page_size=2MB m1.hugepages',
            'flavor create --ram 512 --vcpus 6 --property hw:cpu_policy=dedicated m1.wide',
            'flavor list -c Name -c RAM -c VCPUs -c Properties',
        ),
        quiet=True,
    ),
    _place('Place a guest without a NUMA topology: it floats over the whole host.', 'm1.tiny', 'cirros1'),
    _place('Place a guest with one NUMA cell.', 'm1.numa', 'cirros2'),
    _Step(
        'Place a guest with two NUMA cells, each on a host cell of its own.',
        (
            'flavor set --property hw:numa_nodes=2 m1.numa',
            *_place('', 'm1.numa', 'cirros3').commands,
        ),
    ),
    _place('Pin vCPUs: each gets a CPU that no other guest is pinned to.', 'm1.pinned', 'pinned1'),
    _place('Back a guest with huge pages.', 'm1.hugepages', 'huge1'),
    _Step('Print the libvirt XML that binds a guest to its place.', ('server dumpxml cirros3',)),
    _Step(
        'Ask for a guest that does not fit: the refusal gives the reasons, and the exit status is 3.',
        (f'server create --flavor m1.wide --host {_HOST} wide1',),
        status=base.NO_VALID_HOST,
    ),
    _Step(
        'Delete servers: all that they held is free again.',
        ('server delete pinned1 huge1', f'host show --picture {_HOST}'),
    ),
)


#: Characters with a special meaning in the value of an option, or in a URL.
_SPECIAL = frozenset('$?')

_INTRODUCTION = """\
Every line after a $ is a command that you can type yourself. The tour's database {how}; yours is
the one that --database or [numaplace] connection names, or an SQLite file in your data directory.
"""

_GONE = """
The tour's database is deleted. To go on with its hosts, flavors and servers: numaplace quickstart --keep DIR
"""

_KEPT = """
The tour's database is kept. Go on with commands that begin like this:
$ {command} server list
"""


class Quickstart(base.Action):
    """Show the main commands in a few seconds: hosts, flavors, placements, XML and a refusal.

    The tour has a database of its own, which is deleted at the end unless --keep names a directory for it. Each step
    prints the command that does the same by hand.
    """

    examples = (
        'numaplace quickstart',
        'numaplace quickstart | less',
        'numaplace quickstart --keep tour',
        'numaplace --config-file tour/quickstart.conf server list',
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the directory that keeps the database."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--keep',
            metavar='DIR',
            help='Keep the database of the tour in this directory, which is created if it does not exist.',
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """Run the steps; return the exit status.

        :raises: :class:`~numaplace.exception.Invalid` for a directory that has a tour already or cannot be written
        """
        with _sample() as sample, _place_of_tour(parsed_args.keep) as directory:
            config = _configure(directory)
            self._say(_INTRODUCTION.format(how='is kept' if parsed_args.keep else 'is temporary'))
            status = base.DONE
            for number, step in enumerate(_STEPS, 1):
                self._say(f'\n== {number}. {step.title}\n')
                if not self._show(step, ['--config-file', str(config)], sample):
                    status = base.FAULT
        if parsed_args.keep is None:
            self._say(_GONE)
        else:
            self._say(_KEPT.format(command=f'{self.app.NAME} --config-file {shlex.quote(str(config))}'))
        return status

    def _show(self, step: _Step, options: list[str], sample: Path) -> bool:
        """Run a step's commands; return whether they ended as expected."""
        for line in step.commands:
            last = line == step.commands[-1]
            words = [str(sample) if word == 'SAMPLE' else word for word in shlex.split(line)]
            self._say(f'$ numaplace {shlex.join(words)}\n')
            status = self._run([*options, *words], quiet=step.quiet and not last)
            if status != (step.status if last else base.DONE):
                if step.optional:
                    self._say('(The tour goes on without it.)\n')
                return step.optional
        return True

    def _run(self, argv: list[str], *, quiet: bool) -> int:
        # Not at the top: the program's module imports the commands.
        from numaplace.cli.main import INTERRUPTED, App

        # Reasons are part of the tour, so they go to stdout like the rest.
        app = App(stdout=io.StringIO() if quiet else self.app.stdout, stderr=self.app.stdout)
        if self.app.options.debug:
            argv = ['--debug', *argv]
        status = app.run(argv)
        if status == INTERRUPTED:  # the interrupt was meant for the tour, not the step
            raise KeyboardInterrupt
        return status

    def _say(self, text: str) -> None:
        self.app.stdout.write(text)


@contextmanager
def _place_of_tour(keep: str | None) -> Iterator[Path]:
    """Yield a directory for the tour: an absolute path that is kept, or a temporary one."""
    if keep is None:
        with tempfile.TemporaryDirectory(prefix='numaplace-quickstart-') as directory:
            yield Path(directory)
        return
    if not keep or not keep.isprintable() or set(keep) & _SPECIAL:
        raise exception.Invalid(
            f'--keep {keep!r}: expected a directory, in printable characters and none of {" ".join(sorted(_SPECIAL))}'
        )
    try:
        place = Path(keep).absolute()
        place.mkdir(parents=True, exist_ok=True)
        if any(place.glob('quickstart.*')):
            raise exception.Invalid(f'--keep {keep!r}: the directory already has a tour; expected another directory')
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise exception.Invalid(
            f'--keep {keep!r}: cannot be used: {reason}; expected a directory to write to'
        ) from error
    yield place


def _configure(directory: Path) -> Path:
    """Write the configuration of the tour, so that the machine's own does not affect it; return the file."""
    config = directory / 'quickstart.conf'
    try:
        config.write_text(f'[numaplace]\nconnection = sqlite:///{directory}/quickstart.sqlite\n', encoding='utf-8')
    except OSError as error:
        raise exception.Invalid(f'{str(config)!r}: cannot be written: {error.strerror}') from error
    return config


@contextmanager
def _sample() -> Iterator[Path]:
    with resources.as_file(resources.files('numaplace.samples') / _SAMPLE) as path:
        yield path
