# SPDX-License-Identifier: Apache-2.0
"""The forms that values of keys have, as Nova's validator of extra specs and its image properties accept them."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from numaplace.request.properties import is_true

__all__ = ['ANY', 'BOOLEAN', 'CPU_LIST', 'FLEXIBLE', 'INTEGER', 'Form', 'integer', 'matching', 'one_of']

_FALSE = frozenset({'0', 'f', 'false', 'off', 'n', 'no'})
#: Nova reads integers as Python does; Python refuses to read more digits than this.
_INTEGER = re.compile(r'\s*[+-]?[0-9](_?[0-9])*\s*')
_MOST_DIGITS = 4000


@dataclass(frozen=True, slots=True)
class Form:
    """What a value may be.

    :param about: the accepted forms, for an error
    :param kind: ``any``, ``flexible``, ``boolean``, ``integer``, ``pattern`` or ``words``
    :param words: the values of the kind `words`
    :param pattern: a regular expression of the whole value
    :param low: the smallest integer, or None
    :param high: the largest integer, or None
    :param folded: whether upper case is accepted too
    """

    about: str
    kind: str
    words: tuple[str, ...] = ()
    pattern: str = ''
    low: int | None = None
    high: int | None = None
    folded: bool = False

    def accepts(self, text: str) -> bool:
        """Return whether a value has this form."""
        if self.kind == 'boolean':
            return is_true(text) or text.strip().lower() in _FALSE
        if self.kind == 'integer':
            return self._has_integer(text)
        if self.kind == 'pattern':
            return re.fullmatch(self.pattern, text) is not None
        return self.kind != 'words' or (text.lower() if self.folded else text) in self.words

    def asks(self, text: str) -> bool:
        """Return whether a value requests anything: false and 0 do not."""
        if self.kind in ('boolean', 'flexible'):
            return is_true(text)
        return not (self.kind == 'integer' and self.accepts(text) and int(text) == 0)

    def of_image(self) -> Form:
        """Return the form of the image property of the same name: Nova 34, `ImageMetaProps`."""
        if self.kind == 'boolean':
            return FLEXIBLE
        if self.kind == 'integer':
            return INTEGER
        return ANY if self.kind == 'pattern' else self

    def _has_integer(self, text: str) -> bool:
        if len(text) > _MOST_DIGITS or not _INTEGER.fullmatch(text):
            return False
        number = int(text)
        return (self.low is None or number >= self.low) and (self.high is None or number <= self.high)


ANY = Form('any text', 'any')
#: Of image properties: what does not mean true is false.
FLEXIBLE = replace(ANY, about='true or false', kind='flexible')
BOOLEAN = Form('true or false', 'boolean')
INTEGER = Form('an integer', 'integer')


def integer(low: int | None = None, high: int | None = None) -> Form:
    """Return the form of an integer from `low` to `high`."""
    about = 'an integer' + (f' of at least {low}' if high is None else f' from {low} to {high}')
    return Form(about, 'integer', low=low, high=high)


def one_of(*words: str, folded: bool = False) -> Form:
    """Return the form of one of several words."""
    return Form(f'{", ".join(words[:-1])} or {words[-1]}' if words[1:] else words[0], 'words', words, folded=folded)


def matching(about: str, pattern: str) -> Form:
    """Return the form that a regular expression describes."""
    return Form(about, 'pattern', pattern=pattern)


#: A list of vCPUs, such as ``0-3,^2``, without spaces.
CPU_LIST = matching("a list of CPUs without spaces, such as '0-3,^2'", r'\^?\d+(-\d+)?(,\^?\d+(-\d+)?)*')
