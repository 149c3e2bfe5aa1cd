# SPDX-License-Identifier: Apache-2.0
"""What a log of stack.sh says at its end."""

from __future__ import annotations

import re

__all__ = ['Timing', 'end', 'timing']

#: Seconds by name: the parts that devstack measures, and the whole.
Timing = dict[str, int]

#: A line of the table that devstack prints when it has succeeded.
_PART = re.compile(r'^(\S.*?) +(-?\d+)$', re.MULTILINE)
_HEAD = 'DevStack Component Timing'
_TOTAL = 'Total runtime'

#: Lines of bash that traces what it does, ``+ file:function:line : command``, which bury those of its commands.
_TRACE = re.compile(r'^\++ ')


def timing(text: str) -> Timing | None:
    """Return the seconds that a stack.sh took, by devstack's own names; None if it did not succeed.

    :param text: everything that it printed
    """
    table = text.rpartition(_HEAD)[2]
    parts = {name: int(seconds) for name, seconds in _PART.findall(table.partition('\n\n')[0])}
    return parts if _TOTAL in parts else None


def end(text: str, lines: int = 20) -> str:
    """Return the last lines of a log without what bash traces."""
    return '\n'.join([line for line in text.splitlines() if line.strip() and not _TRACE.match(line)][-lines:])
