# SPDX-License-Identifier: Apache-2.0
"""Output that does no harm: what a terminal would obey is shown instead."""

from __future__ import annotations

from typing import Any, TextIO

from numaplace import explain

__all__ = ['Guarded']


class Guarded:
    """A text stream that escapes control characters, but for line ends and tabs.

    Names are escaped where they are printed; this stands behind all of it, machine formats included.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text, escaped; what the stream's encoding lacks is written as an escape."""
        safe = '\n'.join('\t'.join(map(explain.escape, line.split('\t'))) for line in text.split('\n'))
        encoding = self._stream.encoding or 'utf-8'
        self._stream.write(safe.encode(encoding, 'backslashreplace').decode(encoding))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
