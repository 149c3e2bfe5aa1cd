# SPDX-License-Identifier: Apache-2.0
"""What domains hold that numaplace does not manage, to the model and back."""

from __future__ import annotations

from typing import Any

from numaplace import cpuset, exception
from numaplace.model.holding import Holding, Note
from numaplace.wire.primitives import open_object
from numaplace.wire.writing import JSON

__all__ = ['holding_of', 'read_holding', 'write_holding']


def write_holding(holding: Holding) -> Any:
    """Write a Holding 1.1, as JSON values."""
    data = {
        'name': holding.name,
        'uuid': holding.uuid,
        'vcpus': holding.vcpus,
        'online': sorted(holding.online),
        'dedicated': sorted(holding.dedicated),
        'floating': holding.floating,
        'memory': [
            JSON.make('HeldMemory', {'cells': sorted(cells), 'memory_mib': mib}) for cells, mib in holding.memory
        ],
        'pages': [
            JSON.make('HeldPages', {'cells': sorted(cells), 'size_kib': size_kib, 'number': number})
            for cells, size_kib, number in holding.pages
        ],
        'devices': list(holding.devices),
        'resources': list(holding.resources),
        'notes': [JSON.make('HoldingNote', {'code': note.code, 'text': note.text}) for note in holding.notes],
    }
    return JSON.make('Holding', data)


def read_holding(source: Any) -> Holding:
    """Read a Holding.

    :raises: :class:`~numaplace.exception.InvalidObject`, :class:`~numaplace.exception.IncompatibleObjectVersion`
    """
    return holding_of(open_object(source, 'Holding'))


def holding_of(data: dict[str, Any]) -> Holding:
    """Return the value of a Holding that is opened already.

    :raises: :class:`~numaplace.exception.InvalidObject` for an amount below zero
    """
    amounts = [data['floating'], *(one['memory_mib'] for one in data['memory'])]
    amounts += [number for one in data['pages'] for number in (one['size_kib'] - 1, one['number'])]
    if min(amounts) < 0:
        raise exception.InvalidObject(f'Holding: an amount of domain {data["name"]!r:.60} is below zero')
    return Holding(
        data['name'],
        data['uuid'],
        data['vcpus'],
        _numbers(data['online']),
        _numbers(data['dedicated']),
        data['floating'],
        tuple([(_numbers(one['cells']), one['memory_mib']) for one in data['memory']]),
        tuple([(_numbers(one['cells']), one['size_kib'], one['number']) for one in data['pages']]),
        tuple(data['devices']),
        tuple([Note(**note) for note in data['notes']]),
        tuple(data['resources']),
    )


def _numbers(mask: int) -> frozenset[int]:
    return frozenset(cpuset.ids(mask))
