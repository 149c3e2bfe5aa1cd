# SPDX-License-Identifier: Apache-2.0
"""The log of a kernel that booted: it must report no fault."""

import re
from collections.abc import Mapping

__all__ = ['KernelFault', 'check']

_FAULT = re.compile(r'\b(WARNING|BUG|Oops)\b')

#: Faults that do not count, by pattern, each with the reason.
_ACCEPTED: Mapping[str, str] = {
    'watchdog: BUG: soft lockup': 'A busy machine did not run the thread of an emulated CPU for half a minute.',
}


class KernelFault(Exception):
    """A kernel has reported a fault."""


def check(log: str) -> None:
    """Make sure that a kernel has reported no fault but those that are accepted.

    :raises: KernelFault with each fault and the line before it, which says what is wrong
    """
    lines = log.splitlines()
    faults = [
        '\n'.join(lines[max(number - 1, 0) : number + 1])
        for number, line in enumerate(lines)
        if _FAULT.search(line) and not any(re.search(pattern, line) for pattern in _ACCEPTED)
    ]
    if faults:
        raise KernelFault('\n'.join(faults))
