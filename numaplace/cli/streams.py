# SPDX-License-Identifier: Apache-2.0
"""Safe output: control characters are escaped, and output that cannot be written is an error."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from numaplace import exception, explain

__all__ = ['Guarded', 'safe', 'silence']


class Guarded:
    """A text stream that escapes control characters, except line ends and tabs.

    Names are escaped where they are printed; this also covers everything else, machine formats included.

    :param stream: None if it was closed when the program started, so that nothing reads it
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream: TextIO = stream or open(os.devnull, 'w', encoding='utf-8')  # noqa: SIM115 - lives as long

    def write(self, text: str) -> int:
        """Write a text, escaped; characters that are not in the stream's encoding are escaped.

        :raises: :class:`~numaplace.exception.OutputLost`
        """
        escaped = safe(text)
        encoding = self._stream.encoding or 'utf-8'
        with self._told():
            self._stream.write(escaped.encode(encoding, 'backslashreplace').decode(encoding))
        return len(text)

    def flush(self) -> None:
        """Flush the buffer.

        :raises: :class:`~numaplace.exception.OutputLost`
        """
        with self._told():
            self._stream.flush()

    def terminal(self) -> TextIO | None:
        """Return the terminal of the stream, for code that draws on it and writes no untrusted text."""
        if isinstance(self._stream, Guarded):
            return self._stream.terminal()
        return self._stream if self._stream.isatty() else None

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


def safe(text: str) -> str:
    """Return a text with its control characters escaped, except line ends and tabs."""
    return '\n'.join('\t'.join(map(explain.escape, line.split('\t'))) for line in text.split('\n'))


def silence(stream: TextIO) -> None:
    """Redirect a stream to /dev/null: otherwise the interpreter reports an error when it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
