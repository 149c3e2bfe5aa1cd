# SPDX-License-Identifier: Apache-2.0
"""What the processes do that are killed."""

from __future__ import annotations

from numaplace.db import api
from numaplace.tests.functional.storms import fuse

__all__ = ['connect', 'upgrade']


def upgrade(url: str, moments: int) -> None:
    """Bring the tables up to this release, and die after so many moments of that."""
    with fuse.light(moments):
        api.upgrade(url)


def connect(url: str, moments: int) -> None:
    """Open a database, and die after so many moments of that."""
    with fuse.light(moments):
        api.connect(url)
