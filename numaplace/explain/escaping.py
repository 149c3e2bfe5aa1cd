# SPDX-License-Identifier: Apache-2.0
"""Untrusted text, made safe to print in a terminal or a log line."""

from __future__ import annotations

import unicodedata

__all__ = ['escape', 'shorten']

# Control characters, formatting (including bidirectional overrides), surrogates, private use, line separators.
_HIDDEN = frozenset({'Cc', 'Cf', 'Cs', 'Co', 'Zl', 'Zp'})


def escape(text: str) -> str:
    """Return text with every character that a terminal would not print replaced by a backslash escape."""
    if text.isascii() and text.isprintable():
        return text
    return ''.join(_visible(character) for character in text)


def shorten(text: str, width: int = 60) -> str:
    """Return a text for people: escaped, and cut if it is long."""
    shown = escape(text)
    return shown if len(shown) <= width else shown[: width - 3] + '...'


def _visible(character: str) -> str:
    if unicodedata.category(character) in _HIDDEN:
        return character.encode('unicode_escape').decode('ascii')
    return character
