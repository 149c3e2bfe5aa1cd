# SPDX-License-Identifier: Apache-2.0
"""CPU weight and limits of a guest, ``quota:cpu_shares`` and the like, its counters, and its physical addresses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from numaplace import exception
from numaplace.model import Flavor
from numaplace.request.properties import Properties, is_true

__all__ = ['ADDRESS_MODES', 'RANGES', 'Tuning', 'addresses', 'tuning']

#: What libvirt accepts, in the order of its elements; times are microseconds. A quota of -1 is no limit.
RANGES = {
    'shares': (2, 262144),
    'period': (1000, 1000000),
    'quota': (1000, 17592186044415),
}
#: How many bits physical addresses have: as those of the host, or as many as are given.
PASSTHROUGH = 'passthrough'
ADDRESS_MODES = (PASSTHROUGH, 'emulate')
#: The fewest and the most bits of physical addresses of an x86 guest.
_ADDRESS_BITS = (32, 64)
_NO_QUOTA = -1


@dataclass(frozen=True, slots=True)
class Tuning:
    """Weights and limits of the kernel's scheduler, and performance counters; None leaves one to libvirt.

    :param shares: weight relative to other guests
    :param period: microseconds to which `quota` applies
    :param quota: microseconds of CPU time of each vCPU in a period; -1 for no limit
    :param pmu: whether the guest has a performance monitoring unit, which can delay realtime vCPUs
    :param address_mode: one of ADDRESS_MODES
    :param address_bits: number of the bits of physical addresses, with mode emulate
    """

    shares: int | None = None
    period: int | None = None
    quota: int | None = None
    pmu: bool | None = None
    address_mode: str | None = None
    address_bits: int | None = None


def tuning(flavor: Flavor, image: Mapping[str, object] | None = None) -> Tuning:
    """Read the quotas of a flavor, and the performance counters and the addresses of flavor and image.

    :raises: :class:`~numaplace.exception.InvalidRequest`, :class:`~numaplace.exception.FlavorImageConflict`
    """
    properties = Properties(flavor, image or {})
    mode, bits = addresses(properties)
    limits = {name: _number(flavor, name) for name in RANGES}
    return Tuning(**limits, pmu=_pmu(properties), address_mode=mode, address_bits=bits)


def _pmu(properties: Properties) -> bool | None:
    """Return whether counters are switched on or off (Nova 34, `get_pmu_constraint`)."""
    of_flavor, of_image = properties.of_flavor('pmu'), properties.of_image('pmu')
    if of_flavor and of_image and is_true(of_flavor) != is_true(of_image):
        flavor_place = properties.flavor_place('hw:pmu', of_flavor)
        raise exception.FlavorImageConflict(
            f'{properties.image_place("hw_pmu", of_image)}: {flavor_place} says otherwise'
        )
    text = of_flavor or of_image
    return None if text is None else is_true(text)


def addresses(properties: Properties) -> tuple[str | None, int | None]:
    """Return the mode and the number of bits of physical addresses (Nova 34, `get_maxphysaddr_mode`).

    :raises: FlavorImageConflict, Invalid for an unknown mode; InvalidRequest for bits that are missing or
        not used: libvirt starts no guest with mode emulate without them, or with passthrough and some
    """
    key, key_of_bits = 'maxphysaddr_mode', 'maxphysaddr_bits'
    of_flavor, of_image = properties.of_flavor(key), properties.of_image(key)
    mode, bits = of_flavor or of_image, properties.of_flavor(key_of_bits) or properties.of_image(key_of_bits)
    if mode is None:
        return None, None
    place = properties.flavor_place(f'hw:{key}', mode) if of_flavor else properties.image_place(f'hw_{key}', mode)
    if of_flavor and of_image and of_flavor != of_image:
        raise exception.FlavorImageConflict(f'{properties.image_place(f"hw_{key}", of_image)}: {place} says otherwise')
    if mode not in ADDRESS_MODES:
        raise exception.Invalid(f'{place}: expected {" or ".join(ADDRESS_MODES)}')
    if mode == PASSTHROUGH:
        if bits is not None:
            raise exception.InvalidRequest(f'{place}: expected no hw:maxphysaddr_bits with it, which is {bits!r}')
        return mode, None
    text = (bits or '').strip()
    if not (text.isascii() and text.isdigit() and len(text) < 4 and _ADDRESS_BITS[0] <= int(text) <= _ADDRESS_BITS[1]):
        low, high = _ADDRESS_BITS
        raise exception.InvalidRequest(
            f'{place}: expected hw:maxphysaddr_bits with it, an integer from {low} to {high}, and not {bits!r}'
        )
    return mode, int(text)


def _number(flavor: Flavor, name: str) -> int | None:
    key = f'quota:cpu_{name}'
    text = flavor.extra_specs.get(key)
    if not text:
        return None
    low, high = RANGES[name]
    digits = text.strip()
    if digits.isascii() and digits.isdigit() and len(digits) < 15 and low <= int(digits) <= high:
        return int(digits)
    if name == 'quota' and digits == str(_NO_QUOTA):
        return _NO_QUOTA
    none = ', or -1 for no limit' if name == 'quota' else ''
    raise exception.InvalidRequest(
        f'flavor {flavor.name!r}: {key}={text!r}: expected an integer from {low} to {high}{none}'
    )
