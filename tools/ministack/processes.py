# SPDX-License-Identifier: Apache-2.0
"""Processes that outlive the command that starts them, and are found again by their id."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = ['Process', 'StackError', 'alive', 'running', 'start', 'stop', 'tail', 'wait_for']

#: Seconds that a service has to come up: far more than it takes, for machines that do much else.
_PATIENCE = 120
#: Seconds that all services have together to end by themselves.
_GRACE = 15


class StackError(Exception):
    """The stack did not do what it was asked to; the message says what and shows the log."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process that leads a process group of its own.

    :param started: its start in clock ticks since boot: an id that was given to another process is told apart by it
    :param log: what it and its children write
    """

    name: str
    pid: int
    started: int
    log: Path


def start(
    name: str, command: Sequence[str], log: Path, *, env: Mapping[str, str], pass_fds: Sequence[int] = ()
) -> Process:
    """Start a process whose output is appended to a log."""
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
    """Run a command beside the block and wait for its end; when the block fails, it is killed."""
    with log.open('ab') as output, subprocess.Popen(command, stdout=output, stderr=output, env=env) as child:
        try:
            yield child
            child.wait()
        except BaseException:
            child.kill()
            child.wait()
            raise


def alive(process: Process) -> bool:
    """Return whether a process runs: a dead one that nobody has waited for does not."""
    with suppress(ChildProcessError):
        os.waitpid(process.pid, os.WNOHANG)
    stat = _stat(process.pid)
    return stat is not None and stat[0] != 'Z' and int(stat[19]) == process.started


def stop(processes: Iterable[Process]) -> None:
    """End processes with their children: they are asked first, and killed when they do not follow."""
    running = [process for process in processes if alive(process)]
    for process in running:
        os.kill(process.pid, signal.SIGTERM)
    deadline = time.monotonic() + _GRACE
    while any(alive(process) for process in running) and time.monotonic() < deadline:
        time.sleep(0.05)
    for process in running:
        # What is left of its group: children that it has not taken along.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    while any(alive(process) for process in running):
        time.sleep(0.05)


def wait_for(condition: Callable[[], bool], what: str, process: Process) -> None:
    """Wait until a condition holds that a process brings about.

    :raises: :class:`StackError` if the process ends before, or takes too long
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
    # The name of the program stands in brackets and may hold anything.
    return text.rpartition(')')[2].split()
