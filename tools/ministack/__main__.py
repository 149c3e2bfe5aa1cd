# SPDX-License-Identifier: Apache-2.0
"""The commands of the stack: up, status, restart, down."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from pathlib import Path

from ministack import hosts, processes
from ministack.processes import StackError
from ministack.stack import CLOUD, Stack


def main() -> int:
    """Run a command.

    :returns: 0 if it succeeded; 1 otherwise, with the reason on stderr; 130 if it was interrupted
    """
    arguments = _parser().parse_args()
    # Both signals clean up what is half done.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        arguments.command(arguments)
    except StackError as error:
        sys.stderr.write(f'ministack: {error}\n')
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='ministack', description='A small Nova of real processes on this machine.')
    commands = parser.add_subparsers(required=True, metavar='COMMAND')
    up = commands.add_parser('up', help='start everything and wait until it takes requests')
    up.add_argument('--state', type=Path, help='directory for everything that is written (default: a temporary one)')
    up.add_argument(
        '--mysql', default='mysql+pymysql://root@127.0.0.1:3306/', help='URL of the MariaDB server (%(default)s)'
    )
    up.add_argument('hosts', nargs='*', type=Path, metavar='FILE', help=f'file of a host (default: {hosts.HERE}/*)')
    up.set_defaults(command=_up)
    status = commands.add_parser('status', help='tell which processes run')
    status.set_defaults(command=_status)
    restart = commands.add_parser('restart', help='stop services of Nova and start them again')
    restart.add_argument('--config-file', type=Path, action='append', default=[], help='a further nova.conf')
    restart.add_argument('--plain', action='store_true', help='without numaplace')
    restart.add_argument('names', nargs='+', metavar='SERVICE', help='nova-scheduler, nova-conductor or a host')
    restart.set_defaults(command=_restart)
    down = commands.add_parser('down', help='stop everything and leave nothing behind')
    down.set_defaults(command=_down)
    for command in (status, restart, down):
        command.add_argument('--state', type=Path, required=True, help='what was given to up, or printed by it')
    return parser


def _up(arguments: argparse.Namespace) -> None:
    state = arguments.state or Path(tempfile.mkdtemp(prefix='ministack-'))
    stack = Stack.up(state, arguments.mysql, arguments.hosts or sorted(hosts.HERE.iterdir()))
    sys.stdout.write(
        f'export OS_CLIENT_CONFIG_FILE={stack.clouds} OS_CLOUD={CLOUD}\n'
        f'# logs are in {stack.state}/log; ministack down --state {stack.state} ends it\n'
    )


def _status(arguments: argparse.Namespace) -> None:
    for name, process in Stack.load(arguments.state).services.items():
        sys.stdout.write(f'{name:16} {process.pid:8} {"up" if processes.alive(process) else "down"}\n')


def _restart(arguments: argparse.Namespace) -> None:
    stack = Stack.load(arguments.state)
    stack.restart(*arguments.names, config=arguments.config_file, plain=arguments.plain)


def _down(arguments: argparse.Namespace) -> None:
    Stack.load(arguments.state).down()


if __name__ == '__main__':
    sys.exit(main())
