# SPDX-License-Identifier: Apache-2.0
"""A service as a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sysconfig
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

__all__ = ['PATIENCE_S', 'Running', 'soon']

#: Seconds in which everything has to happen.
PATIENCE_S = 120

T = TypeVar('T')


def soon(ask: Callable[[], T], patience_s: float = PATIENCE_S) -> T:
    """Return the first true answer."""
    deadline = time.monotonic() + patience_s
    while True:
        if answer := ask():
            return answer
        assert time.monotonic() < deadline, 'it did not happen in time'
        time.sleep(0.1)


class Running:
    """A program of the package that runs until it is ended.

    :param before: words before its command line
    """

    def __init__(self, program: str, config: Path, log: Path, before: Sequence[str] = ()) -> None:
        self._log = log
        command = [*before, str(Path(sysconfig.get_path('scripts'), program)), '--config-file', str(config)]
        with log.open('ab') as file:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
            )

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_exc: object) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    @property
    def log(self) -> str:
        """What it has logged."""
        return self._log.read_text()

    def await_line(self, text: str, number: int = 1) -> str:
        """Return the line with a text, once there are so many of them."""
        return soon(lambda: [line for line in self.log.splitlines() if text in line][number - 1 : number])[0]

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it by a signal, and return its exit status."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)

    @property
    def children(self) -> list[int]:
        """The processes that it has started."""
        threads = Path(f'/proc/{self.process.pid}/task').glob('*/children')
        return [int(pid) for thread in threads for pid in thread.read_text().split()]
