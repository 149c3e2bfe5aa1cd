# SPDX-License-Identifier: Apache-2.0
"""What a log of stack.sh says at its end."""

from __future__ import annotations

import re

__all__ = ['Timing', 'end', 'timing']

#: Seconds by name: the parts that devstack measures, and the whole.
Timing = dict[str, int]

_DONE = re.compile(r'stack\.sh completed in (\d+) seconds\.')
_PART = re.compile(r'^(?:\S+ \S+ \| )?(\S.*?) +(\d+)$')
_HEAD = 'DevStack Component Timing'
_TOTAL = 'Total runtime'

#: Lines of bash that traces what it does, ``+ file:function:line : command``, which bury those of its commands.
_TRACE = re.compile(r'^(?:\S+ \S+ \| )?\++ ')


def timing(text: str) -> Timing | None:
    """Return the seconds that a stack.sh took, by devstack's own names; None if it did not succeed.

    :param text: everything that it printed
    """
    done = _DONE.search(text)
    if done is None:
        return None
    parts = (_PART.match(line) for line in text.rpartition(_HEAD)[2].partition(_TOTAL)[0].splitlines())
    return {part[1]: int(part[2]) for part in parts if part} | {_TOTAL: int(done[1])}


def end(text: str, lines: int = 20) -> str:
    """Return the last lines of a log without what bash traces."""
    return '\n'.join([line for line in text.splitlines() if line.strip() and not _TRACE.match(line)][-lines:])
