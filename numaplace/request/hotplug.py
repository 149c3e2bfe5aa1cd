# SPDX-License-Identifier: Apache-2.0
"""What may change while a guest runs: ``numaplace:vcpu_hotplug``, ``memory_slots`` and ``max_memory``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from numaplace import exception
from numaplace.model import Flavor

__all__ = ['MAX_MEMORY', 'MEMORY_SLOTS', 'VCPU_HOTPLUG', 'Hotplug', 'hotplug']

VCPU_HOTPLUG = 'numaplace:vcpu_hotplug'
MEMORY_SLOTS = 'numaplace:memory_slots'
MAX_MEMORY = 'numaplace:max_memory'

#: The most modules that QEMU supports on x86.
_MOST_SLOTS = 256
#: The most that a guest can address, in MiB: 52 bits.
_MOST_MIB = 1 << 32

#: Python is slow to parse numbers with very many digits.
_MOST_DIGITS = 12

_SWITCH: Mapping[str, bool] = {'true': True, 'false': False}


@dataclass(frozen=True, slots=True)
class Hotplug:
    """What may be plugged into a guest and unplugged again.

    :param vcpus: whether vCPUs may be switched off and on, all but the first
    :param slots: maximum number of memory modules
    :param max_memory_mib: maximum memory with all modules; 0 without slots
    """

    vcpus: bool = False
    slots: int = 0
    max_memory_mib: int = 0


def hotplug(flavor: Flavor) -> Hotplug:
    """Read what may change while guests of a flavor run.

    :raises: :class:`~numaplace.exception.InvalidRequest`
    """
    given = {key for key in (VCPU_HOTPLUG, MEMORY_SLOTS, MAX_MEMORY) if flavor.extra_specs.get(key)}
    switch = flavor.extra_specs[VCPU_HOTPLUG] if VCPU_HOTPLUG in given else 'false'
    if switch not in _SWITCH:
        raise _fault(flavor, VCPU_HOTPLUG, f'expected {" or ".join(_SWITCH)}')
    for key, other in ((MEMORY_SLOTS, MAX_MEMORY), (MAX_MEMORY, MEMORY_SLOTS)):
        if key in given and other not in given:
            raise _fault(flavor, key, f'expected {other} with it')
    if MEMORY_SLOTS not in given:
        return Hotplug(_SWITCH[switch])
    least, unit = flavor.memory_mib + 1, ' MiB, more than the memory of the flavor'
    return Hotplug(
        _SWITCH[switch],
        _number(flavor, MEMORY_SLOTS, 1, _MOST_SLOTS, ''),
        _number(flavor, MAX_MEMORY, least, _MOST_MIB, unit),
    )


def _number(flavor: Flavor, key: str, least: int, most: int, unit: str) -> int:
    text = flavor.extra_specs[key].strip()
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS and least <= int(text) <= most):
        raise _fault(flavor, key, f'expected an integer from {least} to {most}{unit}')
    return int(text)


def _fault(flavor: Flavor, key: str, text: str) -> exception.InvalidRequest:
    return exception.InvalidRequest(f'flavor {flavor.name!r}: {key}={flavor.extra_specs[key]!r}: {text}')
