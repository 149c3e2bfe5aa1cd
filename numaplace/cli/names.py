# SPDX-License-Identifier: Apache-2.0
"""User input: names, KEY=VALUE pairs and numbers, checked with Nova's rules."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable, Sequence

from numaplace import exception
from numaplace.explain import shorten
from numaplace.operations.naming import MAX_LENGTH, name

__all__ = ['UNRECOGNIZED', 'name', 'pairs', 'shorten', 'unrecognized', 'whole']

#: How argparse begins the error for words that it does not know.
UNRECOGNIZED = 'unrecognized arguments: '

_KEY = re.compile(r'[A-Za-z0-9\-_:. ]{1,255}')
#: The largest whole number that the databases hold.
_MAX_WHOLE = 2**31 - 1


def unrecognized(words: Sequence[str]) -> str:
    """Return the error for words that no option or argument of a command takes.

    Options are named alone: what follows one may be its value, or the command.
    """
    options = [word.partition('=')[0] for word in words if word.startswith('-') and word != '-']
    return f'{UNRECOGNIZED}{" ".join(map(shorten, options or words))}'


def pairs(place: str, words: Iterable[str]) -> dict[str, str]:
    """Return KEY=VALUE words as a dict.

    :param place: the option that they come from, for the error
    :raises: :class:`~numaplace.exception.Invalid`
    """
    found = {}
    for word in words:
        key, sign, value = word.partition('=')
        if not sign or not _KEY.fullmatch(key) or not value.isprintable() or len(value) > MAX_LENGTH:
            raise exception.Invalid(
                f"{place} '{shorten(word)}': expected KEY=VALUE with letters, digits and -_:. in the key and up to "
                f'{MAX_LENGTH} printable characters in each'
            )
        found[key] = value
    return found


def whole(low: int, high: int = _MAX_WHOLE) -> Callable[[str], int]:
    """Return a type for argparse: whole numbers from `low` to `high`, by default the largest that a database holds.

    :raises: argparse.ArgumentTypeError, from the type, for any other text
    """

    def read(text: str) -> int:
        if text.isascii() and text.isdigit() and len(text) < 11 and low <= int(text) <= high:
            return int(text)
        raise argparse.ArgumentTypeError(f"'{shorten(text)}': expected a whole number from {low} to {high}")

    return read
