# SPDX-License-Identifier: Apache-2.0
"""Messages between the command and the scheduler; :mod:`numaplace.wire.messages` reads and writes them."""

from __future__ import annotations

from numaplace.objects.base import Object

__all__ = ['CreateRequest', 'Decision', 'ServerRequest']


class CreateRequest(Object):
    """Servers to place."""


class ServerRequest(Object):
    """Something to do with a server that exists."""


class Decision(Object):
    """What a scheduler did, or why not."""
