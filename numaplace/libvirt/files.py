# SPDX-License-Identifier: Apache-2.0
"""Files that describe a host, read up to a size that no host needs."""

from __future__ import annotations

from numaplace import exception

__all__ = ['load']

#: A host of thousands of CPUs fits many times.
_MAX_OCTETS = 64 * 1024**2


def load(path: str, source: str) -> bytes:
    """Return the content of a file.

    :param source: what prints such a document, for the errors
    :raises: :class:`~numaplace.exception.InvalidCapabilities` if it cannot be read or is too large
    """
    try:
        with open(path, 'rb') as file:
            content = file.read(_MAX_OCTETS + 1)
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise exception.InvalidCapabilities(
            f'{path}: cannot be read: {reason}; expected a file that holds {source}'
        ) from error
    if len(content) > _MAX_OCTETS:
        raise exception.InvalidCapabilities(f'{path}: larger than {_MAX_OCTETS} bytes; expected {source}')
    return content
