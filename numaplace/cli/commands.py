# SPDX-License-Identifier: Apache-2.0
"""Find commands by their full names: the start of a name never runs a command."""

from __future__ import annotations

import difflib
import importlib.metadata
from collections.abc import Sequence
from itertools import takewhile

from cliff import command, commandmanager

from numaplace import exception
from numaplace.cli import names

__all__ = ['Commands']

#: Most commands that the error for an unknown command suggests.
_MOST_NEAR = 6


class Commands(commandmanager.CommandManager):
    """The commands of a group of entry points; each is imported when it is used."""

    def load_commands(self, namespace: str) -> None:
        """Find all entry points of a group."""
        self.group_list.append(namespace)
        for entry in importlib.metadata.entry_points(group=namespace):
            self.commands[entry.name.replace('_', ' ')] = entry

    def add_command(self, name: str, command_class: type[command.Command]) -> None:
        """Add a command of cliff, unless one of ours has its name."""
        if name not in self.commands:
            super().add_command(name, command_class)

    def find_command(self, argv: list[str]) -> tuple[type[command.Command], str, list[str]]:
        """Return the command with the longest name that a command line begins with, the name, and its arguments.

        :raises: :class:`~numaplace.exception.UnknownCommand` if there is none: cliff would accept the start of a name,
            such as ``server set`` for ``server set-vcpus``
        """
        typed = _typed(argv)
        for count in range(len(typed), 0, -1):
            name = ' '.join(typed[:count])
            if name in self.commands:
                return self.commands[name].load(), name, argv[count:]
        near = ', '.join(map(repr, self._near(typed)))
        raise exception.UnknownCommand(
            f"'{names.shorten(' '.join(argv))}' is not a command; similar: {near or 'none'}; see --help"
        )

    def _near(self, typed: Sequence[str]) -> list[str]:
        """Return the commands that the user may have meant, the likeliest first.

        Those that begin with the typed words, or else those spelt similarly, or else those of the noun.
        """
        known = sorted(self.commands)
        started: dict[int, list[str]] = {}  # by the number of matching words
        for name in known:
            pairs = list(zip(name.split(), typed, strict=False))
            if all(word.startswith(start) for word, start in pairs):
                started.setdefault(len(pairs), []).append(name)
        longest = max(len(name.split()) for name in known)
        alike = difflib.get_close_matches(' '.join(typed[:longest]), known, n=_MOST_NEAR)
        of_noun = [name for name in known if name.split()[0] in typed[:1]]
        return (started[max(started)] if started else alike or of_noun)[:_MOST_NEAR]


def _typed(argv: Sequence[str]) -> list[str]:
    """Return the words before the first option."""
    return list(takewhile(lambda word: not word.startswith('-'), argv))
