# SPDX-License-Identifier: Apache-2.0
"""Programs of this machine that have to succeed."""

from __future__ import annotations

import subprocess
from pathlib import Path

from ministack.processes import StackError

__all__ = ['command']


def command(*words: str | Path) -> str:
    """Run a command and return what it prints.

    :raises: :class:`StackError` with what it says, if it fails or is not there
    """
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise StackError(f'the program {words[0]} is missing') from None
    if done.returncode:
        raise StackError(f'{" ".join(map(str, words))}: {(done.stderr or done.stdout).strip()}')
    return done.stdout
