# SPDX-License-Identifier: Apache-2.0
"""The commands of the devstack: up, test, exec, unstack, clean, stack, down."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from devstack import localconf
from devstack.stack import MODES, Devstack, Plan
from ministack.processes import StackError

_ABOUT = """\
A real devstack in a container on this machine, with our plugin enabled.

  python -m devstack up --mirrors ~/mirrors --cells 3 --state ~/ds     stack.sh, which takes 15 to 30 minutes
  python -m devstack test --state ~/ds                                 tox -e devstack in it
  python -m devstack exec --state ~/ds -- journalctl -u devstack@n-sch anything else
  python -m devstack unstack --state ~/ds                              unstack.sh; then clean, and stack again
  python -m devstack down --state ~/ds                                 remove it

The container is Debian 12 with systemd and a network of its own: no port and no file of this machine is taken. What is
committed on the branch that is checked out here is what devstack installs. It needs root, mmdebstrap, systemd-nspawn,
nft, ip and git, 6 GB of disk and 3 GB of memory.
"""


def main() -> int:
    """Run a command.

    :returns: 0 if it succeeded, or the status of what ran in the container; 1 otherwise, with the reason on stderr; 130
        if it was interrupted
    """
    arguments = _parser().parse_args()
    # Both signals clean up what is half done.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return arguments.command(arguments) or 0
    except StackError as error:
        sys.stderr.write(f'devstack: {error}\n')
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='python -m devstack', description=_ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    usual = Plan()
    commands = parser.add_subparsers(required=True, metavar='COMMAND')
    up = commands.add_parser('up', help='make a container and run stack.sh in it')
    up.add_argument('--state', type=Path, help='directory for everything that is written (default: a temporary one)')
    up.add_argument(
        '--mirrors',
        type=Path,
        metavar='DIR',
        help='folder of git repositories openstack/NAME or openstack/NAME.git (default: the network)',
    )
    up.add_argument('--branch', default=usual.branch, help='branch of these repositories (%(default)s)')
    up.add_argument(
        '--cells',
        type=int,
        choices=sorted(localconf.CELLS),
        default=usual.cells,
        help='NUMA cells of a host: 1 is libvirt with QEMU on what this machine has, 3 are two hosts without a '
        'hypervisor (%(default)s)',
    )
    up.add_argument('--mode', choices=MODES, default=usual.mode, help='who decides (%(default)s)')
    up.add_argument('--apt', type=Path, metavar='FILE', help='sources of apt with Debian 12 (default: those of apt)')
    up.add_argument(
        '--pip', type=Path, metavar='FILE', default=usual.pip, help='pip.conf of the container (%(default)s)'
    )
    up.set_defaults(command=_up)
    again = _add(commands, 'stack', 'run stack.sh again', lambda it, given: _stack(it, given.mode))
    again.add_argument('--mode', choices=MODES, help='who decides (default: as before)')
    test = _add(commands, 'test', 'run tox -e devstack in the container', lambda it, given: it.test(given.words))
    test.add_argument('words', nargs='*', metavar='WORD', help='for pytest')
    run = _add(commands, 'exec', 'run a command in the container', lambda it, given: it.run(shlex.join(given.words)))
    run.add_argument('words', nargs='+', metavar='WORD', help='the command and its arguments, after --')
    _add(commands, 'unstack', 'run unstack.sh', lambda it, _: it.unstack())
    _add(commands, 'clean', 'run clean.sh and tell what is left of numaplace', _clean)
    _add(commands, 'down', 'stop the container and remove everything', lambda it, _: it.down())
    return parser


def _add(
    commands: Any, name: str, about: str, work: Callable[[Devstack, argparse.Namespace], int | None]
) -> argparse.ArgumentParser:
    """Add a command that works on a devstack."""
    parser: argparse.ArgumentParser = commands.add_parser(name, help=about)
    parser.add_argument('--state', type=Path, required=True, help='what was given to up, or printed by it')
    parser.set_defaults(command=lambda given: work(Devstack.load(given.state), given))
    return parser


def _up(arguments: argparse.Namespace) -> None:
    state = arguments.state or Path(tempfile.mkdtemp(prefix='devstack-'))
    given = arguments
    plan = Plan(given.mirrors, given.branch, given.cells, given.mode, given.apt, given.pip)
    devstack = Devstack.make(state, plan)
    sys.stdout.write(f'The container runs; its files and logs are in {devstack.state}. Now stack.sh ...\n')
    sys.stdout.flush()
    _stack(devstack)


def _stack(devstack: Devstack, mode: str | None = None) -> None:
    for name, seconds in devstack.stack(mode).items():
        sys.stdout.write(f'{name:20} {seconds:5}\n')


def _clean(devstack: Devstack, _: argparse.Namespace) -> int:
    devstack.clean()
    left = devstack.left()
    sys.stdout.write(''.join(f'left: {path}\n' for path in left))
    return 1 if left else 0


if __name__ == '__main__':
    sys.exit(main())
