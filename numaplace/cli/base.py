# SPDX-License-Identifier: Apache-2.0
"""What all commands share: help with examples, the database, errors and exit statuses."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NoReturn

from cliff import columns, command, lister, show

from numaplace import exception, explain
from numaplace.cli import names

if TYPE_CHECKING:
    from oslo_config import cfg

    from numaplace.cli.main import App
    from numaplace.db.api import Database

__all__ = ['DONE', 'FAULT', 'NO_VALID_HOST', 'USAGE', 'Action', 'ListOf', 'ShowOf', 'Text', 'Written']

#: Exit statuses.
DONE, FAULT, USAGE, NO_VALID_HOST = 0, 1, 2, 3

#: Faults whose text quotes names as they were typed.
_ABOUT_NAMES = (exception.NotFound, exception.AlreadyExists, exception.Conflict)


class Text(columns.FormattableColumn[str]):
    """A text from strangers: escaped for people, as it is for machines."""

    def human_readable(self) -> str:
        """Return the text with control characters made visible."""
        return explain.escape(self._value)


class Written(columns.FormattableColumn[Any]):
    """A value that people see in other words than machines.

    :param words: what people see
    """

    def __init__(self, value: Any, words: str) -> None:
        super().__init__(value)
        self._words = words

    def human_readable(self) -> str:
        """Return the words."""
        return self._words


class _Command(command.Command):
    app: App

    #: Command lines that ``--help`` shows.
    examples: tuple[str, ...] = ()

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser; its help ends with the examples."""
        parser = super().get_parser(prog_name)
        parser.allow_abbrev = False
        parser.error = self.misuse  # type: ignore[method-assign]
        parser.formatter_class = argparse.RawDescriptionHelpFormatter
        self._prog_name = prog_name
        if self.examples:
            parser.epilog = '\n'.join(('examples:', *(f'  {line}' for line in self.examples)))
        return parser

    _prog_name = ''

    def misuse(self, message: str) -> NoReturn:
        """End the command: it cannot be called like that.

        :raises: SystemExit with the status of wrong usage
        """
        self.app.complain(f'{message}; see {self._prog_name} --help')
        raise SystemExit(USAGE)

    @property
    def conf(self) -> cfg.ConfigOpts:
        """The configuration, read once."""
        return self.app.conf

    def open_database(self) -> Database:
        """Open the database of the configuration; use it as a context manager."""
        from numaplace.db import api

        return api.connect(self.app.connection)

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Run the command and return its exit status; a fault is one line on stderr."""
        try:
            return super().run(parsed_args)
        except exception.NoValidHost as error:
            self.app.stderr.write(f'{error}\n')
            return NO_VALID_HOST
        except exception.NumaplaceException as error:
            if self.app.options.debug:
                raise
            self._tell(error, parsed_args)
            return FAULT

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

    def for_each(self, words: Iterable[str], act: Callable[[str], object], parsed_args: argparse.Namespace) -> int:
        """Do something for each word, whatever became of the others; each fault is a line on stderr.

        :returns: the exit status, that of the last one that could not be done
        """
        status = DONE
        for word in words:
            try:
                act(word)
            except exception.NoValidHost as error:
                self.app.stderr.write(f'{error}\n')
                status = NO_VALID_HOST
            except exception.NumaplaceException as error:
                if self.app.options.debug:
                    raise
                self._tell(error, parsed_args)
                status = FAULT
        return status


class ListOf(_Command, lister.Lister):
    """A command that shows a table with one line for each thing.

    Things that cannot be shown do not keep the others: `unread` takes them in, by name, and they are told on stderr.
    """

    def __init__(self, *arguments: Any, **keys: Any) -> None:
        super().__init__(*arguments, **keys)
        self.unread: dict[str, exception.NumaplaceException] = {}

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Run the command; what could not be read is a fault."""
        status = super().run(parsed_args)
        for fault in self.unread.values():
            self._tell(fault, parsed_args)
        return status or (FAULT if self.unread else DONE)


class ShowOf(_Command, show.ShowOne):
    """A command that shows one thing."""
