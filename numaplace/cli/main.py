# SPDX-License-Identifier: Apache-2.0
"""The program: global options, the configuration, and what stderr and the exit status say."""

from __future__ import annotations

import argparse
import difflib
import importlib.metadata
import logging
import signal
import sys
from contextlib import redirect_stderr, redirect_stdout, suppress
from functools import cached_property
from typing import TYPE_CHECKING, NoReturn, TextIO, cast

from cliff import app, commandmanager

import numaplace
from numaplace import exception, explain
from numaplace.cli import base
from numaplace.cli.streams import Guarded, silence

if TYPE_CHECKING:
    from oslo_config import cfg

__all__ = ['INTERRUPTED', 'App', 'main']

_DESCRIPTION = (
    'Place virtual machines on the NUMA cells of KVM hosts: exactly, explained, and nothing handed out twice.'
)

_EPILOG = """\
start here:
  numaplace quickstart                                  see it all in a few seconds, in a database of its own
  numaplace host discover                               take this machine in
  numaplace flavor create --ram 1024 --disk 1 --vcpus 4 m1.numa
  numaplace flavor set --property hw:numa_nodes=2 m1.numa
  numaplace server create --flavor m1.numa cirros2      place a guest
  numaplace server dumpxml cirros2                      its libvirt XML
  numaplace host show NAME                              which CPU belongs to whom

exit status: 0 done, 1 a fault, 2 wrong usage, 3 no valid host
"""

#: Words of the longest command.
_MOST_WORDS = 3

#: Exit statuses of programs that a signal ended.
INTERRUPTED, _PIPE_CLOSED = 130, 141


class _Commands(commandmanager.CommandManager):
    """The commands by name; each is imported when it is used."""

    def load_commands(self, namespace: str) -> None:
        """Take in all entry points of a group."""
        self.group_list.append(namespace)
        for entry in importlib.metadata.entry_points(group=namespace):
            self.commands[entry.name.replace('_', ' ')] = entry


class App(app.App):
    """The program around the commands."""

    NAME = 'numaplace'

    def __init__(self, stdout: TextIO | None = None, stderr: TextIO | None = None) -> None:
        super().__init__(
            _DESCRIPTION,
            numaplace.__version__,
            _Commands('numaplace.cli'),
            stdout=cast(TextIO, Guarded(stdout or sys.stdout)),
            stderr=cast(TextIO, Guarded(stderr or sys.stderr)),
            deferred_help=True,
        )

    def build_option_parser(
        self,
        description: str | None,
        version: str | None,
        argparse_kwargs: object = None,
    ) -> argparse.ArgumentParser:
        """Return the parser of the global options, which may stand before and after the command."""
        parser = argparse.ArgumentParser(
            prog=self.NAME,
            description=description,
            epilog=_EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            add_help=False,
            allow_abbrev=False,
        )
        parser.add_argument('--version', action='version', version=f'{self.NAME} {version}')
        parser.add_argument(
            '-h', '--help', dest='deferred_help', action='store_true', help='Show this help, or that of a command.'
        )
        parser.add_argument(
            '--config-file',
            action='append',
            default=[],
            metavar='FILE',
            help='Configuration file, such as a nova.conf; may be repeated, the last wins '
            '(default: /etc/numaplace/numaplace.conf if it is there).',
        )
        parser.add_argument(
            '--database',
            metavar='URL',
            help='Database, instead of [numaplace] connection (default: an SQLite file in your data directory).',
        )
        parser.add_argument('--debug', action='store_true', help='Show tracebacks and what happens inside.')
        return parser

    def configure_logging(self) -> None:
        """Send warnings, and with --debug everything, to stderr."""
        handler = logging.StreamHandler(self.stderr)
        handler.setFormatter(logging.Formatter(f'{self.NAME}: %(message)s'))
        root = logging.getLogger()
        root.handlers[:] = [handler]
        root.setLevel(logging.DEBUG if self.options.debug else logging.WARNING)
        # It tells of every entry point that it looks at; a missing one is told by who asked for it.
        logging.getLogger('stevedore').setLevel(logging.CRITICAL)

    def initialize_app(self, argv: list[str]) -> None:
        """Show the help where no command is named.

        :raises: SystemExit with the status of wrong usage if it did
        """
        if not argv and not self.options.deferred_help:
            self.parser.print_help(self.stderr)
            raise SystemExit(base.USAGE)

    def run_subcommand(self, argv: list[str]) -> int:
        """Run one command; return its exit status."""
        try:
            self.command_manager.find_command(argv)
        except ValueError:
            if argv[0].startswith('-'):
                self.complain(f'unrecognized arguments: {" ".join(argv)}; see --help')
                return base.USAGE
            near = ', '.join(map(repr, self._near(argv)))
            self.complain(f"'{explain.escape(' '.join(argv))}' is no command; near are {near or 'none'}; see --help")
            return base.USAGE
        return super().run_subcommand(argv)

    def _near(self, argv: list[str]) -> list[str]:
        """Return the commands that somebody may have meant, the likeliest first."""
        known = [name for name, _ in self.command_manager]
        typed = ' '.join(argv[:_MOST_WORDS])
        return (
            difflib.get_close_matches(typed, known, n=6) or [name for name in known if name.split()[0] == argv[0]][:6]
        )

    def complain(self, text: str) -> None:
        """Write one line on stderr."""
        self.stderr.write(f'{self.NAME}: {explain.escape(text)}\n')

    def warn(self, text: str) -> None:
        """Write a line on stderr about what does not keep the command from being done."""
        self.complain(f'warning: {text}')

    @cached_property
    def conf(self) -> cfg.ConfigOpts:
        """The configuration that the global options name."""
        from numaplace import conf

        return conf.load(self.options.config_file)

    @property
    def connection(self) -> str | None:
        """URL of the database, or None for the default."""
        url: str | None = self.options.database
        return self.conf.numaplace.connection if url is None else url


def main(argv: list[str] | None = None) -> int:
    """Run the program.

    :returns: the exit status: 0 done, 1 a fault, 2 wrong usage, 3 no valid host, 128 + a signal
    """
    _end_on(signal.SIGTERM)
    try:
        # Parsers and pagers write to the streams of the process.
        with redirect_stdout(Guarded(sys.stdout)), redirect_stderr(Guarded(sys.stderr)):
            status = App().run(sys.argv[1:] if argv is None else argv)
            sys.stdout.flush()
    except BrokenPipeError:
        status = _PIPE_CLOSED
    except KeyboardInterrupt:
        status = INTERRUPTED
    except exception.OutputLost as error:
        sys.stderr.write(f'{App.NAME}: {error}\n')
        status = base.FAULT
    if status == _PIPE_CLOSED:
        silence(sys.stdout)
    return status


def _end_on(number: signal.Signals) -> None:
    """Let a signal end the program as an interrupt does: what was begun is given back."""

    def end(_number: int, _frame: object) -> NoReturn:
        raise SystemExit(128 + number)

    with suppress(ValueError):  # only the main thread has signals
        signal.signal(number, end)
