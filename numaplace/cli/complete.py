# SPDX-License-Identifier: Apache-2.0
"""``numaplace complete``: completion for bash, generated from the parsers of the commands."""

from __future__ import annotations

import argparse
import shlex
import signal
from collections.abc import Iterable, Mapping
from importlib import resources
from typing import Any

from numaplace.cli import base

__all__ = ['Complete']

#: Kinds of values, by their names in the help.
_KINDS = {
    'AGGREGATE': 'aggregate',
    'DIR': 'file',
    'DOMAIN.xml': 'file',
    'FILE': 'file',
    'FLAVOR': 'flavor',
    'GROUP': 'group',
    'HOST': 'host',
    'NAME[=FILE]': '=file',
    'PATH': 'file',
    'SERVER': 'server',
    'ZONE': 'zone',
}
#: Stands for what cannot be completed.
_ANYTHING = '-'
#: Seconds that a database has to answer; the start of the program, which is slow on a busy machine, does not count.
_ANSWER_S = 3


class Complete(base.Action):
    """Print the bash completion of commands, options, and names of servers, flavors, hosts, zones and groups.

    Names come from the database of the command line or of the configuration. If it does not answer within 3 seconds, no
    names are offered.
    """

    examples = (
        'source <(numaplace complete)',
        'numaplace complete > /etc/bash_completion.d/numaplace',
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the options that the script uses."""
        from numaplace.db import completion_names

        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--names', choices=completion_names.KINDS, help='Print the names of this kind; the script uses it.'
        )
        parser.add_argument(
            '--start',
            default='',
            metavar='TEXT',
            help='With --names: only names that begin with this text (default: all).',
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Write the script, or names."""
        if parsed_args.names is None:
            self.app.stdout.write(self._script())
            return
        from numaplace.db import completion_names

        url = self.app.connection
        # The signal ends the process: a handler would not run while a driver waits.
        signal.alarm(_ANSWER_S)
        try:
            found = completion_names.names(url, parsed_args.names, parsed_args.start)
        finally:
            signal.alarm(0)
        for name in found:
            self.app.stdout.write(f'{name}\n')

    def _script(self) -> str:
        name = self.app.NAME
        following: dict[str, list[str]] = {}
        places = _Places()
        places.add(name, self.app.parser)
        for command, entry in sorted(self.app.command_manager):
            full = f'{name} {command}'
            words = full.split()
            for count in range(1, len(words)):
                following.setdefault(' '.join(words[:count]), []).append(words[count])
            places.add(full, entry.load()(self.app, None).get_parser(full))
        tables = {
            'next': {key: ' '.join(dict.fromkeys(words)) for key, words in following.items()},
            'options': places.options,
            'takes': places.takes,
            'arguments': places.arguments,
        }
        functions = resources.files('numaplace.cli').joinpath('completion.bash').read_text('utf-8')
        return f'{"".join(_table(*item) for item in tables.items())}\n{functions}\ncomplete -F _{name} {name}\n'


class _Places:
    """What may be where on a command line.

    :param options: the options of each command
    :param takes: the values of an option, by command and option
    :param arguments: the arguments of each command, in order; the last ends with ... if it may be repeated
    """

    def __init__(self) -> None:
        self.options: dict[str, str] = {}
        self.takes: dict[str, str] = {}
        self.arguments: dict[str, str] = {}

    def add(self, command: str, parser: argparse.ArgumentParser) -> None:
        """Add the options and arguments of a parser."""
        actions = [action for action in _actions(parser) if action.help != argparse.SUPPRESS]
        self.options[command] = ' '.join(name for action in actions for name in action.option_strings)
        for action in _actions(parser):
            for name in action.option_strings if action.nargs != 0 else ():
                self.takes[f'{command} {name}'] = _kind(action)
        self.arguments[command] = ' '.join(
            _kind(action) + ('...' if action.nargs in ('+', '*') else '')
            for action in actions
            if not action.option_strings
        )


def _actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Return the actions of a parser: those that it passes to its formatter, as no other list is public."""
    found: list[argparse.Action] = []

    class Listing(argparse.HelpFormatter):
        def add_usage(self, usage: Any, actions: Iterable[argparse.Action], *more: Any, **keys: Any) -> None:
            found.extend(actions)

    own, parser.formatter_class = parser.formatter_class, Listing
    parser.format_usage()
    parser.formatter_class = own
    return found


def _kind(action: argparse.Action) -> str:
    if action.choices is not None:
        return ' '.join(map(str, action.choices))
    return _KINDS.get(str(action.metavar), _ANYTHING)


def _table(name: str, values: Mapping[str, str]) -> str:
    rows = ''.join(f'    [{shlex.quote(key)}]={shlex.quote(value)}\n' for key, value in sorted(values.items()) if value)
    return f'declare -gA _numaplace_{name}=(\n{rows})\n'
