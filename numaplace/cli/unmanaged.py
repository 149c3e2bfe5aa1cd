# SPDX-License-Identifier: Apache-2.0
"""Domains on hosts that numaplace does not manage, as a column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from numaplace.cli import base
from numaplace.operations.unmanaged import words

if TYPE_CHECKING:
    from numaplace.model.holding import Holding

__all__ = ['column']


def column(unmanaged: Sequence[Holding]) -> base.Written:
    """Return the domains of a host as a column, with a line for each for people."""
    return base.Written(list(map(_plain, unmanaged)), '\n'.join(map(words, unmanaged)) or 'none')


def _plain(holding: Holding) -> dict[str, Any]:
    return {
        'domain': holding.name,
        'uuid': holding.uuid,
        'vcpus': holding.vcpus,
        'dedicated': sorted(holding.dedicated),
        'floating': holding.floating,
        'memory': [{'cells': sorted(cells), 'mib': mib} for cells, mib in holding.memory],
        'pages': [
            {'cells': sorted(cells), 'size_kib': size_kib, 'number': number}
            for cells, size_kib, number in holding.pages
        ],
        'devices': list(holding.devices),
        'findings': holding.findings,
    }
