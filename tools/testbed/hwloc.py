# SPDX-License-Identifier: Apache-2.0
"""hwloc on the files of a guest's kernel: it must be able to build its tree of them."""

import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

__all__ = ['NoTree', 'check']


class NoTree(Exception):
    """hwloc rejects what a kernel reports."""


def check(told: Mapping[str, str]) -> None:
    """Make sure that hwloc can build its tree.

    :param told: what :func:`testbed.guest.boot` returns
    :raises: NoTree with what hwloc prints
    """
    with tempfile.TemporaryDirectory() as root:
        for name, content in told.items():
            if name.startswith(('cpu/', 'node/')):
                path = Path(root, 'sys/devices/system', name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(content)
        # By default it would also ask the CPUs that it runs on.
        environment = {**os.environ, 'HWLOC_FSROOT': root, 'HWLOC_COMPONENTS': 'linux,stop'}
        done = subprocess.run(
            ['lstopo', '--of', 'console', '-'], env=environment, capture_output=True, text=True, timeout=60, check=False
        )
    if done.returncode or done.stderr:
        raise NoTree(done.stderr or f'status {done.returncode}')
