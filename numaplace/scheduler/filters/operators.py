# SPDX-License-Identifier: Apache-2.0
"""The operators of extra specs: ``= 4``, ``<in> avx``, ``s== x86_64``, ``<or> a <or> b``."""

import operator
from collections.abc import Callable

__all__ = ['match']

#: Accepted forms, for messages.
FORMS = (
    'VALUE, = N, == N, != N, >= N, <= N, s== s!= s< s<= s> s>= TEXT, <in> TEXT, <all-in> TEXT..., <or> TEXT <or> TEXT'
)

_NUMBERS: dict[str, Callable[[float, float], bool]] = {
    # "=" means "at least": a host with more than is asked for does.
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
    """Tell whether a host's value meets a requirement; without an operator both must be equal.

    A requirement that needs numbers is not met by what is no number.
    """
    sign, *words = requirement.split() or ['']
    if sign == '<or>':
        return value in ' '.join(words).split(' <or> ')
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
