# SPDX-License-Identifier: Apache-2.0
"""Read small kernel files below /sys and /proc, or in a copy of these."""

from __future__ import annotations

import re
import stat
from pathlib import Path

from numaplace import cpuset, exception
from numaplace.libvirt.document import show

__all__ = ['CPU', 'NODE', 'cpus', 'cpus_of_any', 'entries', 'optional', 'required', 'unreadable', 'whole']

#: Names of the directories of CPUs and of NUMA nodes.
CPU = re.compile(r'cpu(\d{1,5})')
NODE = re.compile(r'node(\d{1,5})')

#: Larger than the list of all CPUs of the largest machine.
_MAX_OCTETS = 1024**2

_WHOLE = re.compile('[0-9]{1,18}')

#: Words of 32 bits in hexadecimal, the highest first; the kernel built for the most CPUs writes 256 of them.
_BITMAP = re.compile('[0-9a-fA-F]{1,8}(?:,[0-9a-fA-F]{1,8}){0,2047}')

_INSTEAD = 'describe the machine by the output of `virsh capabilities` instead'


def unreadable(path: Path, reason: str) -> exception.UnreadableTopology:
    """Return the exception for a file that is unreadable or malformed."""
    return exception.UnreadableTopology(f'{path}: {reason}; {_INSTEAD}')


def optional(path: Path) -> str | None:
    """Return the content of a file, or None if it does not exist.

    :raises: :func:`unreadable` if it cannot be read, as do the functions below
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise unreadable(path, 'cannot be read: it is no regular file')
        with path.open('rb') as file:
            content = file.read(_MAX_OCTETS + 1)
        if len(content) > _MAX_OCTETS:
            raise unreadable(path, f'cannot be read: it is larger than {_MAX_OCTETS} bytes')
        # The kernel reports no real sizes, so tar stores a page for each file, padded with zeros.
        return content.rstrip(b'\0').decode('ascii').strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else 'it is not text'
        raise unreadable(path, f'cannot be read: {reason}') from error


def required(path: Path) -> str:
    """Return the content of a file that must exist."""
    text = optional(path)
    if text is None:
        raise unreadable(path, 'there is no such file')
    return text


def whole(path: Path) -> int:
    """Return the whole number in a file."""
    text = required(path)
    if not _WHOLE.fullmatch(text):
        raise unreadable(path, f'{show(text)} is not a whole number')
    return int(text)


def cpus(path: Path) -> int:
    """Return the mask of the list in a file; lists of nodes have the same format."""
    text = required(path)
    try:
        return cpuset.parse(text)
    except exception.Invalid as error:
        raise unreadable(path, str(error)) from error


def cpus_of_any(directory: Path, *names: str) -> int | None:
    """Return the mask in the first of some files that a directory has, or None if it has none.

    The kernel reports most sets twice: in a file whose name ends in ``list``, which older kernels do not have, and in
    another as a bitmap.
    """
    for name in names:
        text = optional(directory / name)
        if text is not None:
            return cpus(directory / name) if name.endswith('list') else _bitmap(directory / name, text)
    return None


def _bitmap(path: Path, text: str) -> int:
    if not _BITMAP.fullmatch(text):
        raise unreadable(path, f"{show(text)} is not a bitmap such as '00000000,0000ffff'")
    mask = 0
    for word in text.split(','):
        mask = mask << 32 | int(word, 16)
    return mask


def entries(path: Path) -> list[Path]:
    """Return the entries of a directory, sorted by name; none if it does not exist."""
    try:
        return sorted(path.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise unreadable(path, f'cannot be listed: {error.strerror}') from error
