# SPDX-License-Identifier: Apache-2.0
"""Automatic vNUMA requested by a flavor: ``numaplace:vnuma`` and its related keys, which Nova does not have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numaplace import cpuset, exception
from numaplace.model import DEDICATED, ISOLATE, MIXED, Wish
from numaplace.model.vnuma import DISTRIBUTIONS, MODES, PIN_TO_CORE, PIN_TO_NODE
from numaplace.request import cpu_topology
from numaplace.request.cpu_policies import CpuPolicies
from numaplace.request.properties import Properties

__all__ = ['KEYS', 'wish']

_KEY = 'numaplace:vnuma'
#: Keys that conflict with the wish, because it decides their values.
_DECIDED = ('numa_nodes', 'numa_cpus.0', 'numa_mem.0', 'cpu_sockets', 'cpu_cores', 'cpu_threads')
_LARGEST = 999_999_999


def wish(properties: Properties, policies: CpuPolicies, pagesize_kib: int | None) -> Wish | None:
    """Return how the guest is to be divided over its host, or None if it is not.

    :raises: :class:`~numaplace.exception.InvalidRequest`, and as :func:`numaplace.request.cpu_topology.limits`
    """
    specs = properties.flavor.extra_specs
    keys = sorted(key for key in specs if key == _KEY or key.startswith(f'{_KEY}_'))
    if not keys:
        return None
    if _KEY not in specs:
        raise _fault(properties, keys[0], f'expected {_KEY} with it, which is one of {", ".join(MODES)}')
    _check_alone(properties)
    if policies.cpu_policy == MIXED or policies.thread_policy == ISOLATE:
        raise _fault(
            properties,
            _KEY,
            'expected hw:cpu_policy shared or dedicated, and no hw:cpu_thread_policy isolate: '
            'vCPUs that are divided are all alike, and a core of the guest is a core of the host',
        )
    given = {field: read(properties, key) for key, (field, read) in KEYS.items() if key in specs}
    pinning = PIN_TO_CORE if policies.cpu_policy == DEDICATED else PIN_TO_NODE
    found = Wish(**given, pinning=pinning, pagesize_kib=pagesize_kib, max_topology=cpu_topology.limits(properties))
    try:
        found.check(properties.flavor.memory_mib)
    except exception.InvalidPartition as error:
        key = next((key for key, (field, _) in KEYS.items() if field == error.part), _KEY)
        raise _fault(properties, key, str(error)) from None
    return found


def _check_alone(properties: Properties) -> None:
    for key in _DECIDED:
        if properties.of_flavor(key) is not None:
            raise _fault(properties, f'hw:{key}', f'expected it without {_KEY}, which decides that')
        if properties.of_image(key) is not None:
            place = properties.image_place(f'hw_{key}', properties.of_image(key))
            raise exception.InvalidRequest(
                f'{place}: expected it without {_KEY} in flavor {properties.flavor.name!r}, which decides that'
            )


def _fault(properties: Properties, key: str, text: str) -> exception.InvalidRequest:
    return exception.InvalidRequest(
        f'{properties.flavor_place(key, properties.flavor.extra_specs.get(key, ""))}: {text}'
    )


def _word(words: Sequence[str]) -> Any:
    def read(properties: Properties, key: str) -> str:
        value = properties.flavor.extra_specs[key]
        if value not in words:
            raise _fault(properties, key, f'expected {", ".join(words[:-1])} or {words[-1]}')
        return value

    return read


def _number(least: int) -> Any:
    def read(properties: Properties, key: str) -> int:
        value = properties.flavor.extra_specs[key]
        if not (value.isascii() and value.isdigit() and len(value) < 10 and least <= int(value) <= _LARGEST):
            raise _fault(properties, key, f'expected an integer from {least} to {_LARGEST}')
        return int(value)

    return read


def _nodes(properties: Properties, key: str) -> int:
    try:
        return cpuset.parse(properties.flavor.extra_specs[key])
    except exception.Invalid:
        raise _fault(properties, key, "expected ids of host cells such as '0-3,^2'") from None


def _remainder(properties: Properties, key: str) -> bool:
    return bool(_word(('refuse', 'first'))(properties, key) == 'first')


#: For each key the field of the wish, and its reader.
KEYS = {
    _KEY: ('mode', _word(MODES)),
    f'{_KEY}_distribution': ('distribution', _word(DISTRIBUTIONS)),
    f'{_KEY}_nodes': ('nodes', _nodes),
    f'{_KEY}_cells': ('cells', _number(1)),
    f'{_KEY}_remainder': ('remainder_first', _remainder),
    f'{_KEY}_keep': ('keep', _number(0)),
    f'{_KEY}_tier': ('tier_mib', _number(1)),
}
