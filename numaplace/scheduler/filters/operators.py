# SPDX-License-Identifier: Apache-2.0
"""The operators of extra specs: ``= 4``, ``<in> avx``, ``s== x86_64``, ``<or> a <or> b``."""

import operator
from collections.abc import Callable

__all__ = ['match']

_NUMBERS: dict[str, Callable[[float, float], bool]] = {
    # "=" means "at least": a host with more than is requested matches.
    '=': operator.ge,
    '==': operator.eq,
    '!=': operator.ne,
    '>=': operator.ge,
    '<=': operator.le,
}
_TEXTS: dict[str, Callable[[str, str], bool]] = {
    's==': operator.eq,
    's!=': operator.ne,
    's<': operator.lt,
    's<=': operator.le,
    's>': operator.gt,
    's>=': operator.ge,
    '<in>': operator.contains,
}


def match(value: str, requirement: str) -> bool:
    """Return whether a host's value meets a requirement; without an operator both must be equal.

    A numeric requirement is not met by a value that is not a number.
    """
    sign, *words = requirement.split() or ['']
    if sign == '<or>':
        return value in words[::2]
    if sign == '<all-in>':
        return bool(words) and all(word in value for word in words)
    if sign in _TEXTS:
        return bool(words) and _TEXTS[sign](value, words[0])
    if sign in _NUMBERS:
        return bool(words) and _compare(_NUMBERS[sign], value, words[0])
    return value == requirement


def _compare(compare: Callable[[float, float], bool], value: str, wanted: str) -> bool:
    try:
        return compare(float(value), float(wanted))
    except ValueError:
        return False
