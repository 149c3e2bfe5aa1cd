# SPDX-License-Identifier: Apache-2.0
"""The program: global options, configuration, stderr and exit status."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import cached_property
from typing import TYPE_CHECKING, NoReturn, TextIO, cast

from cliff import app

import numaplace
from numaplace import exception, explain
from numaplace.cli import ignored, names
from numaplace.cli.commands import Commands
from numaplace.cli.status import FAULT, USAGE
from numaplace.cli.streams import Guarded, silence

if TYPE_CHECKING:
    from oslo_config import cfg

__all__ = ['INTERRUPTED', 'App', 'main']

_DESCRIPTION = (
    'Place virtual machines on the NUMA cells of KVM hosts: exactly, with reasons for each refusal, and nothing twice.'
)

_EPILOG = """\
start here:
  numaplace quickstart                                  a tour of a few seconds, in its own database
  numaplace host discover                               register this machine
  numaplace flavor create --ram 1024 --disk 1 --vcpus 4 m1.numa
  numaplace flavor set --property hw:numa_nodes=2 m1.numa
  numaplace server create --flavor m1.numa cirros2      place a guest
  numaplace server dumpxml cirros2                      its libvirt XML
  numaplace host show NAME                              which guest has which CPU

exit status: 0 done, 1 a fault, 2 wrong usage, 3 no valid host
"""

#: Exit statuses of programs ended by a signal.
INTERRUPTED, _PIPE_CLOSED = 130, 141

#: Logger of the lines that are already on stderr.
_TOLD = 'numaplace.cli'
#: Logs the traceback of each error that oslo.db does not know, which the command reports in one line.
_DATABASE_ERRORS = 'oslo_db.sqlalchemy.exc_filters'


def _is_wanted(record: logging.LogRecord) -> bool:
    """Drop a traceback unless debugging."""
    return not record.exc_info or logging.getLogger().isEnabledFor(logging.DEBUG)


class _Lines(logging.Formatter):
    """The log format: an unexpected exception is named by its class, because its text may only be a value."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the base class names it
        """Return the line of a record."""
        error = record.msg
        if isinstance(error, Exception) and not isinstance(error, exception.NumaplaceException):
            text = ' '.join(str(error).split())
            record.message = (
                f'unexpected {type(error).__name__}{f": {text}" if text else ""}; '
                'the same command with --debug shows the traceback that a bug report needs'
            )
        return super().formatMessage(record)


class App(app.App):
    """The program around the commands."""

    NAME = 'numaplace'
    command_manager: Commands
    #: Writes a line above the bar that is shown, if one is.
    above: Callable[[str], object] | None = None

    def __init__(self, stdout: TextIO | None = None, stderr: TextIO | None = None) -> None:
        super().__init__(
            _DESCRIPTION,
            numaplace.__version__,
            Commands('numaplace.cli'),
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
        """Return the parser of the global options, which may be before or after the command."""
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
            '-h', '--help', dest='deferred_help', action='store_true', help='Show this help, or the help of a command.'
        )
        parser.add_argument(
            '--config-file',
            action='append',
            default=[],
            metavar='FILE',
            help='Configuration file, such as a nova.conf; may be repeated, the last wins '
            '(default: /etc/numaplace/numaplace.conf if it exists).',
        )
        parser.add_argument(
            '--database',
            metavar='URL',
            help='Database, instead of [numaplace] connection (default: an SQLite file in your data directory).',
        )
        parser.add_argument(
            '--scheduler',
            choices=('direct', 'rpc'),
            help='Who chooses hosts, instead of [numaplace] scheduler: this command, or a numaplace-scheduler.',
        )
        parser.add_argument(
            '--debug', action='store_true', help='Show tracebacks and what happens inside, as [DEFAULT] debug does.'
        )
        parser.add_argument(
            '--log-file',
            metavar='FILE',
            help='Log into this file too, instead of [DEFAULT] log_file.',
        )
        ignored.EVERYWHERE.add_to(parser)
        return parser

    def configure_logging(self) -> None:
        """Send warnings, and with --debug everything, to stderr, and with --log-file the log to a file.

        The log options of the configuration apply once a command reads it.
        """
        root = logging.getLogger()
        root.handlers.clear()
        root.setLevel(logging.DEBUG if self.options.debug else logging.WARNING)
        logging.getLogger(_DATABASE_ERRORS).addFilter(_is_wanted)
        self._log_to_stderr()
        if self.options.log_file is not None:
            _ = self.conf

    def _log_to_stderr(self) -> None:
        handler = logging.StreamHandler(self.stderr)
        handler.setFormatter(_Lines(f'{self.NAME}: %(message)s'))
        handler.setLevel(logging.DEBUG if self.options.debug else logging.WARNING)
        handler.addFilter(lambda record: record.name != _TOLD)
        logging.getLogger().addHandler(handler)
        # It logs every entry point that it checks; the caller reports a missing one.
        logging.getLogger('stevedore').setLevel(logging.CRITICAL)

    def initialize_app(self, argv: list[str]) -> None:
        """Show the help if no command is named.

        :raises: SystemExit with the status of wrong usage in that case
        """
        if not argv and not self.options.deferred_help:
            self.parser.print_help(self.stderr)
            raise SystemExit(USAGE)

    def run_subcommand(self, argv: list[str]) -> int:
        """Run one command; return its exit status."""
        try:
            self.command_manager.find_command(argv)
        except ValueError as error:
            if argv[0].startswith('-'):
                self.complain(f'{names.unrecognized(argv[:1])}; see --help')
            else:
                self.complain(str(error))
            return USAGE
        return super().run_subcommand(argv)

    def complain(self, text: str, level: int = logging.ERROR) -> None:
        """Write one line to stderr, and to the log if there is one."""
        line = explain.escape(text)
        self.say(f'{self.NAME}: {line}')
        logging.getLogger(_TOLD).log(level, '%s', line)

    def say(self, text: str) -> None:
        """Write lines to stderr."""
        if self.above is None:
            self.stderr.write(f'{text}\n')
        else:
            self.above(text)

    def note(self, text: str) -> None:
        """Write one line to stderr if that is a terminal: what a person wants to know, and a program sees itself."""
        if cast(Guarded, self.stderr).terminal() is not None:
            self.stderr.write(f'{self.NAME}: {explain.escape(text)}\n')

    def warn(self, text: str) -> None:
        """Write a warning, one line, to stderr."""
        self.complain(f'warning: {text}', logging.WARNING)

    @cached_property
    def conf(self) -> cfg.ConfigOpts:
        """The configuration that the global options name; its log options are applied."""
        from numaplace import conf
        from numaplace.conf import logs
        from numaplace.scheduler import names

        loaded = conf.load(self.options.config_file)
        names.check(loaded)
        root = logging.getLogger()
        if loaded.debug and not self.options.debug:
            self.options.debug = True
            root.setLevel(logging.DEBUG)
            for handler in root.handlers:
                handler.setLevel(logging.DEBUG)
        if self.options.log_file is not None or logs.is_wanted(loaded):
            try:
                warning = logs.set_up(loaded, self.options.log_file, debug=self.options.debug)
            finally:
                self._log_to_stderr()
            if warning is not None:
                self.warn(warning)
        return loaded

    @property
    def connection(self) -> str | None:
        """URL of the database, or None for the default; a faulty configuration is reported even if it is not needed."""
        configured: str | None = self.conf.numaplace.connection
        named: str | None = self.options.database
        return configured if named is None else named


def main(argv: list[str] | None = None) -> int:
    """Run the program.

    :returns: the exit status: 0 done, 1 a fault, 2 wrong usage, 3 no valid host, 128 + a signal
    """
    try:
        # Parsers and pagers write to the streams of the process.
        with (
            _ended_by(signal.SIGTERM),
            redirect_stdout(Guarded(sys.stdout)),
            redirect_stderr(Guarded(sys.stderr)),
        ):
            status = App().run(sys.argv[1:] if argv is None else argv)
            sys.stdout.flush()
    except BrokenPipeError:
        status = _PIPE_CLOSED
    except KeyboardInterrupt:
        status = INTERRUPTED
    except exception.OutputLost as error:
        sys.stderr.write(f'{App.NAME}: {error}\n')
        status = FAULT
    if status == _PIPE_CLOSED:
        silence(sys.stdout)
    return status


@contextmanager
def _ended_by(number: signal.Signals) -> Iterator[None]:
    """Let a signal end the program like an interrupt, so that unfinished work is undone; afterwards it is as before."""

    def end(_number: int, _frame: object) -> NoReturn:
        raise SystemExit(128 + number)

    try:
        before = signal.signal(number, end)
    except ValueError:  # only the main thread handles signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(number, before or signal.SIG_DFL)  # None if it was not set from Python
