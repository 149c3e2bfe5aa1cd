# SPDX-License-Identifier: Apache-2.0
"""Names of hosts, flavors and servers, by Nova's rules."""

from __future__ import annotations

from numaplace import exception
from numaplace.explain import shorten

__all__ = ['MAX_LENGTH', 'name']

MAX_LENGTH = 255


def name(kind: str, value: str) -> str:
    """Return a valid name.

    :param kind: what is named: ``host``, ``flavor``, ``server``
    :raises: :class:`~numaplace.exception.Invalid` unless it has 1 to 255 printable characters and no space at an end
    """
    if 0 < len(value) <= MAX_LENGTH and value.isprintable() and value == value.strip():
        return value
    raise exception.Invalid(
        f"{kind} name '{shorten(value)}' ({len(value)} characters): expected 1 to {MAX_LENGTH} printable characters "
        'and no space at either end'
    )
