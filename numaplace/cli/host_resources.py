# SPDX-License-Identifier: Apache-2.0
"""The memory encryption and the persistent memory of a host, as columns."""

from __future__ import annotations

from dataclasses import asdict

from numaplace import explain, units
from numaplace.cli import base
from numaplace.model import HostResources
from numaplace.model.host_resources import pmem

__all__ = ['encryption', 'namespaces']


def encryption(resources: HostResources) -> base.Written:
    """Return each model of memory encryption, with how many guests have it."""
    found, lines = [], []
    for one in resources.encryption:
        used, held = resources.used.count(one.model), resources.held.count(one.model)
        found.append(asdict(one) | {'used': used, 'held': held})
        most = 'any number of' if one.most is None else one.most
        lines.append(f'{one.model}: {used} of {most} guests' + (f', {held} held by other domains' if held else ''))
    return base.Written(found, '\n'.join(lines) or 'none')


def namespaces(resources: HostResources) -> base.Written:
    """Return each namespace of persistent memory, with its use."""
    found, lines = [], []
    for one in resources.namespaces:
        name = pmem(one.name)
        state = 'used' if name in resources.used else 'held' if name in resources.held else 'free'
        found.append(asdict(one) | {'state': state})
        node = 'no known cell' if one.numa_node is None else f'cell {one.numa_node}'
        label, path = explain.escape(one.label), explain.escape(one.path)
        lines.append(f'{node}: {explain.escape(one.name)} ({label}), {units.size(one.size_kib)} at {path}, {state}')
    return base.Written(found, '\n'.join(lines) or 'none')
