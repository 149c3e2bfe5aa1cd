# SPDX-License-Identifier: Apache-2.0
"""Untrusted text, made safe to print in a terminal or a log line."""

from __future__ import annotations

import unicodedata

__all__ = ['escape']

# Control characters, formatting (including bidirectional overrides), surrogates, private use, line separators.
_HIDDEN = frozenset({'Cc', 'Cf', 'Cs', 'Co', 'Zl', 'Zp'})


def escape(text: str) -> str:
    """Return text with every character that a terminal would not print replaced by a backslash escape."""
    if text.isascii() and text.isprintable():
        return text
    return ''.join(_visible(character) for character in text)


def _visible(character: str) -> str:
    if unicodedata.category(character) in _HIDDEN:
        return character.encode('unicode_escape').decode('ascii')
    return character
