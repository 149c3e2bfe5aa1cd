# SPDX-License-Identifier: Apache-2.0
"""The program in a process of its own, which stops at chosen functions until a signal ends that."""

from __future__ import annotations

import functools
import importlib
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from numaplace.cli.main import main

__all__ = ['Stop', 'run']


class Stop(NamedTuple):
    """A function, by its module, before or after the first call of which the program stops."""

    module: str
    function: str
    after: bool = False


def run(words: Sequence[str], stops: Sequence[Stop], directory: Path) -> None:
    """Run the program, and create ``reached-N`` at the Nth stop; its output goes to ``out`` and ``err``.

    :raises: SystemExit with the exit status
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a parent in the background may ignore it
    for name, number in (('out', 1), ('err', 2)):
        os.dup2(os.open(directory / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    for number, stop in enumerate(stops):
        module = importlib.import_module(stop.module)
        setattr(module, stop.function, _stopping(getattr(module, stop.function), stop, directory / f'reached-{number}'))
    status = main(list(words))
    sys.stdout.flush()
    raise SystemExit(status)


def _stopping(function: Callable[..., Any], stop: Stop, reached: Path) -> Callable[..., Any]:
    @functools.wraps(function)
    def stopping(*args: Any, **keys: Any) -> Any:
        answer = function(*args, **keys) if stop.after else None
        if not reached.exists():
            reached.touch()
            time.sleep(60)
        return answer if stop.after else function(*args, **keys)

    return stopping
