# SPDX-License-Identifier: Apache-2.0
"""Processes that outlive the command that starts them, and are found again by their ids."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = ['Process', 'StackError', 'alive', 'running', 'signals_held', 'start', 'stop', 'tail', 'wait_for']

#: Seconds that a service has to start: far more than it takes, for busy machines.
_PATIENCE = 120
#: Seconds that all services together have to end by themselves.
_GRACE = 15


class StackError(Exception):
    """A command of the stack failed; the message says which and shows the log."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process that leads a process group of its own.

    :param started: its start in clock ticks since boot: it shows whether the id now belongs to another process
    :param log: what it and its children write
    """

    name: str
    pid: int
    started: int
    log: Path


def start(
    name: str, command: Sequence[str], log: Path, *, env: Mapping[str, str], pass_fds: Sequence[int] = ()
) -> Process:
    """Start a process whose output is appended to a log; the caller holds signals until it has noted the process."""
    with log.open('ab') as output:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=env,
            pass_fds=pass_fds,
            start_new_session=True,
        )
    # Nobody waits for it here; down() finds it by its id.
    child.returncode = 0
    stat = _stat(child.pid)
    return Process(name, child.pid, int(stat[19]) if stat else 0, log)


@contextmanager
def running(command: Sequence[str], log: Path, env: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command during the block and wait for its end; if the block fails, it is killed."""
    with log.open('ab') as output, signals_held() as release:
        child = subprocess.Popen(command, stdout=output, stderr=output, env=env)
        try:
            release()
            yield child
            child.wait()
        except BaseException:
            child.kill()
            child.wait()
            raise


@contextmanager
def signals_held() -> Iterator[Callable[[], None]]:
    """Hold SIGINT and SIGTERM back during the block, or until the function that it gets is called.

    An exception of a signal handler between the fork and the assignment of its result would leave a child that nobody
    knows. The main thread only.
    """
    received: list[int] = []
    before = {
        number: signal.signal(number, lambda number, _: received.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }

    def release() -> None:
        while before:
            signal.signal(*before.popitem())
        while received:
            signal.raise_signal(received.pop())

    try:
        yield release
    finally:
        release()


def alive(process: Process) -> bool:
    """Return whether a process runs: a zombie does not."""
    with suppress(ChildProcessError):
        os.waitpid(process.pid, os.WNOHANG)
    stat = _stat(process.pid)
    return stat is not None and stat[0] != 'Z' and int(stat[19]) == process.started


def stop(processes: Iterable[Process], grace: float = _GRACE) -> None:
    """End processes and their children: send a request first, and kill those that do not end.

    :param grace: seconds that all together have to end by themselves
    """
    running = [process for process in processes if alive(process)]
    for process in running:
        os.kill(process.pid, signal.SIGTERM)
    deadline = time.monotonic() + grace
    while any(alive(process) for process in running) and time.monotonic() < deadline:
        time.sleep(0.05)
    for process in running:
        # What is left of its group: children that did not end with it.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    while any(alive(process) for process in running):
        time.sleep(0.05)


def wait_for(condition: Callable[[], bool], what: str, process: Process) -> None:
    """Wait until a condition holds that a process has to fulfil.

    :raises: :class:`StackError` if the process ends first, or takes too long
    """
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        if not alive(process):
            raise StackError(f'{process.name} ended before {what}:\n{tail(process.log)}')
        if time.monotonic() > deadline:
            raise StackError(f'{process.name}: no sign of {what} in {_PATIENCE} s:\n{tail(process.log)}')
        time.sleep(0.05)


def tail(log: Path, lines: int = 40) -> str:
    """Return the last lines of a log."""
    text = log.read_text('utf-8', 'replace') if log.exists() else ''
    return '\n'.join(text.splitlines()[-lines:])


def _stat(pid: int) -> list[str] | None:
    """Return the fields of /proc/PID/stat from the state on, None if there is no such process."""
    try:
        text = Path(f'/proc/{pid}/stat').read_text('utf-8', 'replace')
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name of the program is in brackets and may contain anything.
    return text.rpartition(')')[2].split()
