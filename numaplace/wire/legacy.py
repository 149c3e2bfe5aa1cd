# SPDX-License-Identifier: Apache-2.0
"""Formats that are older than Nova's versioned objects, or not quite theirs, made into objects of some version.

What a version lacks, and what it means without it, is in the one table of objects.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from numaplace import cpuset, exception
from numaplace.wire.table import SPECS

__all__ = ['Repaired', 'from_dict', 'loads', 'version_of']


class Repaired(dict[str, Any]):
    """A JSON object whose text had commas after the last item of lists and objects."""


#: A string, which is skipped, or a comma before a closing bracket. Possessive, so that it takes linear time.
_TRAILING_COMMA = re.compile(r'("(?:[^"\\]|\\.)*+"?)|,(?=\s*[]}])', re.DOTALL)


def loads(text: str) -> Any:
    """Parse JSON that may have a comma after the last item of a list or an object.

    :raises: ValueError, RecursionError
    """
    try:
        return json.loads(text)
    except ValueError as error:
        try:
            found = json.loads(_TRAILING_COMMA.sub(r'\1', text))
        except ValueError:
            raise error from None
    return Repaired(found) if isinstance(found, dict) else found


def version_of(name: str, data: Mapping[str, Any]) -> str:
    """Return the version of an object without one: the oldest that has all of its fields."""
    spec = SPECS[name]
    minor = max((field.since for key, field in spec.fields.items() if key in data), default=0)
    return f'{spec.version.partition(".")[0]}.{minor}'


def from_dict(name: str, source: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the fields of an object from the dict that Nova 2014.2 and 2015.1 stored; None if it is no such dict.

    :raises: :class:`~numaplace.exception.InvalidObject`
    """
    read = _READERS.get(name)
    if read is None or not isinstance(source.get('cells'), list):
        return None
    try:
        return read(source['cells'])
    except (AttributeError, LookupError, TypeError, ArithmeticError, exception.Invalid) as error:
        raise exception.InvalidObject(
            f"{name}: 'cells' is {str(source['cells'])!r:.60}; expected {_FORMS[name]} ({error!r:.100})"
        ) from None


#: Where the fields of a cell are in the dict of a cell, and in its ``mem``.
_KEYS = {
    'id': 'id',
    'cpu_usage': 'cpu_usage',
    'pagesize': 'pagesize',
    'total': 'memory',
    'used': 'memory_usage',
}


def _cells(name: str, cells: list[Any]) -> dict[str, Any]:
    """Return the fields of a topology; the versions of its cells follow from their fields."""
    return {'cells': [{'nova_object.name': name, 'nova_object.data': _cell(cell)} for cell in cells]}


def _cell(source: dict[str, Any]) -> dict[str, Any]:
    flat = source | source['mem']
    data = {field: flat[key] for key, field in _KEYS.items() if key in flat}
    return data | {'cpuset': list(cpuset.ids(cpuset.parse(source['cpus'])))}


def _limits(cells: list[Any]) -> dict[str, Any]:
    """Return ratios: those of the first cell, as all cells had the same."""
    cell = cells[0]
    return {
        'cpu_allocation_ratio': cell['cpu_limit'] / cpuset.parse(cell['cpus']).bit_count(),
        'ram_allocation_ratio': cell['mem']['limit'] / cell['mem']['total'],
    }


_READERS: Mapping[str, Callable[[list[Any]], dict[str, Any]]] = {
    'NUMATopology': partial(_cells, 'NUMACell'),
    'InstanceNUMATopology': partial(_cells, 'InstanceNUMACell'),
    'NUMATopologyLimits': _limits,
}
_TOPOLOGY = "objects with 'id', 'cpus' such as '0,1', and 'mem' with 'total'"
_FORMS = dict.fromkeys(_READERS, _TOPOLOGY) | {
    'NUMATopologyLimits': "an object with 'cpus' such as '0,1', 'cpu_limit', and 'mem' with 'total' and 'limit'"
}
