# SPDX-License-Identifier: Apache-2.0
"""Processes that are quick to start: forked from a small parent which has everything imported."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from typing import Any

__all__ = ['join', 'start']

_PRELOADED = ['__main__', 'numaplace.tests.functional.storms.worker']


def _context() -> ForkServerContext:
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(_PRELOADED)
    return context


def start(target: Callable[..., None], *args: Any) -> BaseProcess:
    """Start a process; its target must be importable."""
    process = _context().Process(target=target, args=args)
    process.start()
    return process


def join(processes: Iterable[BaseProcess]) -> list[int | None]:
    """Wait for processes and return their exit codes."""
    codes = []
    for process in processes:
        process.join()
        codes.append(process.exitcode)
        process.close()
    return codes
