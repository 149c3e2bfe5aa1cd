# SPDX-License-Identifier: Apache-2.0
"""Output that does no harm: what a terminal would obey is shown instead, and what cannot be written is told."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from numaplace import exception, explain

__all__ = ['Guarded', 'silence']


class Guarded:
    """A text stream that escapes control characters, but for line ends and tabs.

    Names are escaped where they are printed; this stands behind all of it, machine formats included.

    :param stream: None where the program was started with it closed, and nobody wants to read
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream: TextIO = stream or open(os.devnull, 'w', encoding='utf-8')  # noqa: SIM115 - lives as long

    def write(self, text: str) -> int:
        """Write a text, escaped; what the stream's encoding lacks is written as an escape.

        :raises: :class:`~numaplace.exception.OutputLost`
        """
        safe = '\n'.join('\t'.join(map(explain.escape, line.split('\t'))) for line in text.split('\n'))
        encoding = self._stream.encoding or 'utf-8'
        with self._told():
            self._stream.write(safe.encode(encoding, 'backslashreplace').decode(encoding))
        return len(text)

    def flush(self) -> None:
        """Write what waits to be written.

        :raises: :class:`~numaplace.exception.OutputLost`
        """
        with self._told():
            self._stream.flush()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            raise
        except OSError as error:
            silence(self._stream)
            raise exception.OutputLost(f'the output cannot be written: {error.strerror}') from error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def silence(stream: TextIO) -> None:
    """Let a stream lead nowhere: the interpreter would complain when it flushes at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
