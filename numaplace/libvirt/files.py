# SPDX-License-Identifier: Apache-2.0
"""Files that describe a host or a guest, read up to a size limit, and standard input in place of one."""

from __future__ import annotations

from numaplace import exception

__all__ = ['STREAM', 'load', 'place']

#: The name of standard input.
STREAM = '-'
_STDIN = 0

#: Many times the description of a host with thousands of CPUs.
_MAX_OCTETS = 64 * 1024**2


def load(
    path: str,
    source: str,
    *,
    most: int = _MAX_OCTETS,
    error: type[exception.NumaplaceException] = exception.InvalidCapabilities,
) -> bytes:
    """Return the content of a file.

    :param path: its path, or STREAM
    :param source: what such a file holds, for the errors
    :param most: the largest size that is read, in bytes
    :raises: `error` if it cannot be read or is too large
    """
    try:
        with open(_STDIN if path == STREAM else path, 'rb', closefd=path != STREAM) as file:
            content = file.read(most + 1)
    except (OSError, ValueError) as fault:
        reason = (fault.strerror if isinstance(fault, OSError) else None) or str(fault)
        raise error(f'{place(path)}: cannot be read: {reason}; expected a file that holds {source}') from fault
    if len(content) > most:
        raise error(f'{place(path)}: larger than {most} bytes; expected {source}')
    return content


def place(path: str) -> str:
    """Return what a file is called in errors."""
    return 'standard input' if path == STREAM else path
