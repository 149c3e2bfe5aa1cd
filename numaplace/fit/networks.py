# SPDX-License-Identifier: Apache-2.0
"""NUMA affinity of networks: which sets of host cells a placement must touch.

Nova 34, `_numa_cells_support_network_metadata`: at least one of the host cells with affinity to a requested physical
network, or to tunnelled networks, must be chosen; a network without affinity to any host cell adds no constraint.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from numaplace.model import HostCell, Networks

__all__ = ['Affinity', 'affinities']


class Affinity(NamedTuple):
    """Host cells (a placement must use at least one of them), and why.

    :param code: ``network.physnet`` or ``network.tunnel``
    :param name: the physical network, or empty
    :param columns: mask over the host cells in the order in which they were given
    """

    code: str
    name: str
    columns: int


def affinities(host_cells: Sequence[HostCell], networks: Networks | None) -> list[Affinity]:
    """Return what the networks of a guest require of the choice of host cells, by name."""
    if networks is None:
        return []
    found = []
    for name in sorted(networks.physnets):
        columns = sum(1 << column for column, cell in enumerate(host_cells) if name in cell.shape.physnets)
        found.append(Affinity('network.physnet', name, columns))
    if networks.tunneled:
        columns = sum(1 << column for column, cell in enumerate(host_cells) if cell.shape.tunneled)
        found.append(Affinity('network.tunnel', '', columns))
    return [affinity for affinity in found if affinity.columns]
