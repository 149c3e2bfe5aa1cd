# SPDX-License-Identifier: Apache-2.0
"""Small files that a kernel writes, below /sys and /proc or in a copy of these."""

from __future__ import annotations

import re
import stat
from pathlib import Path

from numaplace import cpuset, exception
from numaplace.libvirt.document import show

__all__ = ['cpus', 'entries', 'optional', 'required', 'unreadable', 'whole']

#: The list of all CPUs of the largest machine is smaller.
_MAX_OCTETS = 1024**2

_WHOLE = re.compile('[0-9]{1,18}')

_INSTEAD = 'describe the machine by the output of `virsh capabilities` instead'


def unreadable(path: Path, reason: str) -> exception.UnreadableTopology:
    """Return the fault that a file does not say what it should."""
    return exception.UnreadableTopology(f'{path}: {reason}; {_INSTEAD}')


def optional(path: Path) -> str | None:
    """Return what a file says, or None if there is none.

    :raises: :func:`unreadable` if it cannot be read; so do the functions below
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise unreadable(path, 'cannot be read: it is no regular file')
        with path.open('rb') as file:
            content = file.read(_MAX_OCTETS + 1)
        if len(content) > _MAX_OCTETS:
            raise unreadable(path, f'cannot be read: it is larger than {_MAX_OCTETS} bytes')
        # The kernel tells no sizes: tar takes a page for each file, and pads it.
        return content.rstrip(b'\0').decode('ascii').strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else 'it is not text'
        raise unreadable(path, f'cannot be read: {reason}') from error


def required(path: Path) -> str:
    """Return what a file says."""
    text = optional(path)
    if text is None:
        raise unreadable(path, 'there is no such file')
    return text


def whole(path: Path) -> int:
    """Return the whole number in a file."""
    text = required(path)
    if not _WHOLE.fullmatch(text):
        raise unreadable(path, f'{show(text)} is no whole number')
    return int(text)


def cpus(path: Path) -> int:
    """Return the mask of the list in a file; node numbers come in the same form."""
    text = required(path)
    try:
        return cpuset.parse(text)
    except exception.Invalid as error:
        raise unreadable(path, str(error)) from error


def entries(path: Path) -> list[Path]:
    """Return what a directory holds, by name; nothing if there is none."""
    try:
        return sorted(path.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise unreadable(path, f'cannot be listed: {error.strerror}') from error
