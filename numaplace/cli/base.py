# SPDX-License-Identifier: Apache-2.0
"""The base of all commands: help with examples, the database, errors and exit statuses."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, NoReturn

from cliff import columns, command, lister, show

from numaplace import exception, explain
from numaplace.cli import ignored, names, plain, progress
from numaplace.cli.status import DONE, FAULT, NO_VALID_HOST, USAGE
from numaplace.libvirt.files import STREAM

if TYPE_CHECKING:
    from oslo_config import cfg

    from numaplace.cli.main import App
    from numaplace.db.api import Database

__all__ = ['DONE', 'FAULT', 'NO_VALID_HOST', 'USAGE', 'Action', 'ListOf', 'ShowOf', 'Text', 'Written']

#: Formats of cliff that hold lists and dicts.
_NESTED = ('json', 'yaml')
#: The format for people.
_TABLE = 'table'

#: Faults whose text quotes names as the user typed them.
_ABOUT_NAMES = (exception.NotFound, exception.AlreadyExists, exception.Conflict)


class Text(columns.FormattableColumn[str]):
    """A text from outside: escaped for people, unchanged for machines."""

    def human_readable(self) -> str:
        """Return the text with control characters made visible."""
        return explain.escape(self._value)


class Written(columns.FormattableColumn[Any]):
    """A value that people see in another form than machines.

    :param words: the form for people
    """

    def __init__(self, value: Any, words: str) -> None:
        super().__init__(value)
        self._words = words

    def human_readable(self) -> str:
        """Return the form for people."""
        return self._words

    def __lt__(self, other: object) -> bool:
        """Sort by the words: ``--sort-column`` compares values that have no order of their own."""
        return isinstance(other, Written) and self._words < other._words


class _Command(command.Command):
    app: App

    #: Command lines that ``--help`` shows.
    examples: tuple[str, ...] = ()
    #: Options that are accepted and ignored.
    ignores = ignored.NOTHING

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser; its help ends with the examples."""
        parser = super().get_parser(prog_name)
        parser.allow_abbrev = False
        parser.error = self.misuse  # type: ignore[method-assign]
        parser.formatter_class = argparse.RawDescriptionHelpFormatter
        self._prog_name = prog_name
        self.ignores.add_to(parser)
        return parser

    def get_epilog(self) -> str:
        """Return the examples.

        Cliff would name the distribution of a command, for which it reads the files of all that are installed.
        """
        return '\n'.join(('examples:', *(f'  {line}' for line in self.examples))) if self.examples else ''

    _prog_name = ''

    def misuse(self, message: str) -> NoReturn:
        """End the command because of wrong usage.

        :raises: SystemExit with the status of wrong usage
        """
        if message.startswith(names.UNRECOGNIZED):
            message = names.unrecognized(message.removeprefix(names.UNRECOGNIZED).split(' '))
        self.app.complain(f'{message}; see {self._prog_name} --help')
        raise SystemExit(USAGE)

    def check_streams(self, paths: Iterable[str | None]) -> None:
        """End the command if more than one of its files is standard input."""
        if list(paths).count(STREAM) > 1:
            self.misuse(f'{STREAM} stands for standard input, which is one file: expected it once')

    @property
    def conf(self) -> cfg.ConfigOpts:
        """The configuration, read once."""
        return self.app.conf

    def open_database(self) -> Database:
        """Open the database of the configuration; use it as a context manager."""
        from numaplace.db import api

        return api.connect(self.app.connection)

    @contextmanager
    def writing(self, outcome: str) -> Iterator[None]:
        """Flush the output that is written meanwhile; if it is lost, the error says what was done all the same.

        :param outcome: what the command has done, as a clause; empty if it only reads
        """
        try:
            yield
            self.app.stdout.flush()
        except exception.OutputLost as error:
            raise exception.OutputLost(f'{error}; all the same {outcome}' if outcome else str(error)) from error

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Run the command and return its exit status; a fault is one line on stderr."""
        if warning := ignored.Options.warning(self.app.options, parsed_args):
            self.app.warn(warning)
        try:
            return super().run(parsed_args)
        except exception.NoValidHost as error:
            self.app.stderr.write(f'{error}\n')
            self._show_refusals(error, parsed_args)
            return NO_VALID_HOST
        except exception.NumaplaceException as error:
            if self.app.options.debug:
                raise
            self._tell(error, parsed_args)
            return FAULT

    def _show_refusals(self, error: exception.NoValidHost, parsed_args: argparse.Namespace) -> None:
        """Write the reasons of a refusal to stdout, if the format can hold them."""

    def _tell(self, error: exception.NumaplaceException, parsed_args: argparse.Namespace) -> None:
        """Write a fault in one line, in which long names that the user typed are cut."""
        text = str(error)
        if isinstance(error, _ABOUT_NAMES):
            for typed in vars(parsed_args).values():
                for word in typed if isinstance(typed, list) else [typed]:
                    if isinstance(word, str) and len(repr(word)) > len(short := f"'{names.shorten(word)}'"):
                        text = text.replace(repr(word), short)
        self.app.complain(text)


class Action(_Command):
    """A command without a table."""

    def for_each(
        self,
        noun: str,
        words: Sequence[str],
        act: Callable[[str], object],
        parsed_args: argparse.Namespace,
        now: Callable[[str], str] | None = None,
    ) -> int:
        """Do something for each word, even if it failed for others; each fault is a line on stderr.

        :param noun: what the words name, in the plural
        :param now: returns how one is that an interrupt ended, as a clause without a subject
        :returns: the exit status of the last one that failed
        """
        status, under_way, failed = DONE, '', 0

        def left() -> str:
            done = f'{bar.done - failed} of {len(words)} {noun} are done and stay'
            if not under_way:
                return done
            about = '' if now is None else f', and {now(under_way)}'
            return f"{done}; '{names.shorten(under_way)}' was under way{about}"

        with progress.shown(self.app, noun, len(words)) as bar, progress.told_early(self.app, left):
            for under_way in words:
                try:
                    act(under_way)
                except exception.NumaplaceException as error:
                    if self.app.options.debug and not isinstance(error, exception.NoValidHost):
                        raise
                    status = self._fail(error, parsed_args)
                    failed += 1
                under_way = ''
                bar.advance()
        return status

    def _fail(self, error: exception.NumaplaceException, parsed_args: argparse.Namespace) -> int:
        """Write a fault of one of several things, and return its exit status."""
        if isinstance(error, exception.NoValidHost):
            self.app.say(str(error))
            return NO_VALID_HOST
        self._tell(error, parsed_args)
        return FAULT


class _Displayed(_Command):
    """A command whose output has a format.

    Things that cannot be read do not hide the others: `unread` collects them by name, and stderr names them.
    """

    formatter: Any

    def __init__(self, *arguments: Any, **keys: Any) -> None:
        super().__init__(*arguments, **keys)
        self.unread: dict[str, exception.NumaplaceException] = {}

    def produce_output(self, parsed_args: argparse.Namespace, column_names: Sequence[str], data: Any) -> int:
        """Print the result in the format that was asked for."""
        if parsed_args.formatter in plain.FORMATS:
            self.formatter = plain.Plain(self.formatter, parsed_args.formatter)
        elif parsed_args.formatter == plain.JSON:
            self.formatter = plain.AtOnce(self.formatter)
        return int(super().produce_output(parsed_args, column_names, data))  # type: ignore[misc]  # that of cliff

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Run the command; what could not be read is a fault."""
        status = super().run(parsed_args)
        for fault in self.unread.values():
            self._tell(fault, parsed_args)
        return status or (FAULT if self.unread else DONE)

    @staticmethod
    def is_nested(parsed_args: argparse.Namespace) -> bool:
        """Return whether the format holds lists and dicts."""
        return parsed_args.formatter in _NESTED

    def _show_refusals(self, error: exception.NoValidHost, parsed_args: argparse.Namespace) -> None:
        if self.is_nested(parsed_args):
            message = str(error).partition('\n')[0].removeprefix(f'{self.app.NAME}: ').removesuffix(':')
            values = (type(error).__name__, message, error.counts, error.refusals())
            self.formatter.emit_one(('error', 'message', 'counts', 'refusals'), values, self.app.stdout, parsed_args)


class ListOf(_Displayed, lister.Lister):
    """A command that shows a table with one line for each thing.

    :cvar nothing: what an empty table means, in words
    """

    nothing = ''

    def produce_output(self, parsed_args: argparse.Namespace, column_names: Sequence[str], data: Any) -> int:
        """Print the table; if it is empty, say so where a person looks on."""
        status = super().produce_output(parsed_args, column_names, data)
        if parsed_args.formatter == _TABLE and not data and not self.unread:
            self.app.note(self.nothing)
        return status


class ShowOf(_Displayed, show.ShowOne):
    """A command that shows one thing.

    :cvar outcome: what the command has done by then, with the fields of what it shows; empty if it only reads
    """

    outcome = ''

    @staticmethod
    def add_dry_run(parser: argparse.ArgumentParser) -> None:
        """Add the option by which a command writes nothing."""
        parser.add_argument(
            '--dry-run',
            action='store_true',
            help='Show where it would go, or why no host takes it, and write nothing. The UUID and the number of a new '
            'server are made up.',
        )

    def rehearse(self, database: Database, parsed_args: argparse.Namespace) -> AbstractContextManager[None]:
        """Return a context in which nothing is stored, if that is asked for."""
        if not getattr(parsed_args, 'dry_run', False):
            return nullcontext()
        self.app.note('a dry run: nothing is written')
        self.outcome = ''
        return database.rehearsal()

    def produce_output(self, parsed_args: argparse.Namespace, column_names: Sequence[str], data: Any) -> int:
        """Print the thing; what was done is told if that fails."""
        values = [each.machine_readable() if isinstance(each, columns.FormattableColumn) else each for each in data]
        with self.writing(self.outcome.format(**dict(zip(column_names, values, strict=True)))):
            return super().produce_output(parsed_args, column_names, data)
