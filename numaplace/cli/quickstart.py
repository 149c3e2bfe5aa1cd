# SPDX-License-Identifier: Apache-2.0
"""``numaplace quickstart``: the main job in a few seconds, with the real commands, in a database of its own."""

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

from numaplace.cli import base

__all__ = ['Quickstart']

_HOST = 'three-node'
_SAMPLE = f'{_HOST}.capabilities.xml'
_THIS_MACHINE = 'this-machine'


@dataclass(frozen=True, slots=True)
class _Step:
    """One thing to see.

    :param commands: command lines without the program's name; SAMPLE stands for the file of the sample
    :param status: exit status with which the last command ends
    :param optional: whether the tour goes on when a command fails
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
        'Take in a real host with three NUMA cells, from what `virsh capabilities` printed there.',
        (f'host import {_HOST} --capabilities SAMPLE', f'host show --picture {_HOST}'),
        quiet=True,
    ),
    _Step(
        'Take in this machine as well: from libvirt if it answers, else from /sys.',
        (f'host discover {_THIS_MACHINE}', f'host show --picture {_THIS_MACHINE}'),
        optional=True,
        quiet=True,
    ),
    _Step('Both are known now.', ('host list',), quiet=True),
    _Step(
        'Describe what guests look like: flavors, with the extra specs that Nova has.',
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
    _place('Place a guest without NUMA topology: it floats over the whole host.', 'm1.tiny', 'cirros1'),
    _place('Place a guest with one NUMA cell.', 'm1.numa', 'cirros2'),
    _Step(
        'Place a guest with two NUMA cells, each on a host cell of its own.',
        (
            'flavor set --property hw:numa_nodes=2 m1.numa',
            *_place('', 'm1.numa', 'cirros3').commands,
        ),
    ),
    _place('Pin vCPUs: each gets a CPU that nobody else is pinned to.', 'm1.pinned', 'pinned1'),
    _place('Back a guest with huge pages.', 'm1.hugepages', 'huge1'),
    _Step('This is the libvirt XML that makes it so.', ('server dumpxml cirros3',)),
    _Step(
        'A guest that does not fit is refused with the reasons; the exit status is 3.',
        (f'server create --flavor m1.wide --host {_HOST} wide1',),
        status=base.NO_VALID_HOST,
    ),
    _Step('Deleting frees everything.', ('server delete pinned1 huge1', f'host show --picture {_HOST}')),
)


class Quickstart(base.Action):
    """Show the main job in a few seconds: hosts, flavors, placements, XML and a refusal.

    Everything happens in a temporary database; each step prints the command that does the same by hand.
    """

    examples = ('numaplace quickstart', 'numaplace quickstart | less')

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """Go through the steps; return whether all went as it should."""
        self._say(
            'Every line after a $ is a command that you can type yourself. The tour uses a temporary database; yours is'
            '\nthe one that --database or [numaplace] connection names, else an SQLite file in your data directory.\n'
        )
        status = base.DONE
        with _sample() as sample, tempfile.TemporaryDirectory(prefix='numaplace-quickstart-') as directory:
            # An empty file, so that the machine's own configuration does not change the tour.
            config = Path(directory, 'quickstart.conf')
            config.touch()
            options = ['--config-file', str(config), '--database', f'sqlite:///{directory}/quickstart.sqlite']
            for number, step in enumerate(_STEPS, 1):
                self._say(f'\n== {number}. {step.title}\n')
                if not self._show(step, options, sample):
                    status = base.FAULT
        return status

    def _show(self, step: _Step, options: list[str], sample: Path) -> bool:
        """Run a step's commands; return whether they ended as they should."""
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
        # Not at the top: the program's module is complete only when it has found its commands.
        from numaplace.cli.main import INTERRUPTED, App

        # Reasons belong to the tour, so they go where its other words go.
        app = App(stdout=io.StringIO() if quiet else self.app.stdout, stderr=self.app.stdout)
        if self.app.options.debug:
            argv = ['--debug', *argv]
        status = app.run(argv)
        if status == INTERRUPTED:  # it was the tour that was meant, not the step
            raise KeyboardInterrupt
        return status

    def _say(self, text: str) -> None:
        self.app.stdout.write(text)


@contextmanager
def _sample() -> Iterator[Path]:
    with resources.as_file(resources.files('numaplace.samples') / _SAMPLE) as path:
        yield path
