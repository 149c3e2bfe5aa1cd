# SPDX-License-Identifier: Apache-2.0
"""CPU weight and limits of a guest, ``quota:cpu_shares`` and the like, and its performance counters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from numaplace import exception
from numaplace.model import Flavor
from numaplace.request.properties import Properties, is_true

__all__ = ['RANGES', 'Tuning', 'tuning']

#: What libvirt accepts, in the order of its elements; times are microseconds. A quota of -1 is no limit.
RANGES = {
    'shares': (2, 262144),
    'period': (1000, 1000000),
    'quota': (1000, 17592186044415),
}
_NO_QUOTA = -1


@dataclass(frozen=True, slots=True)
class Tuning:
    """Weights and limits of the kernel's scheduler, and performance counters; None leaves one to libvirt.

    :param shares: weight relative to other guests
    :param period: microseconds to which `quota` applies
    :param quota: microseconds of CPU time of each vCPU in a period; -1 for no limit
    :param pmu: whether the guest has a performance monitoring unit, which can delay realtime vCPUs
    """

    shares: int | None = None
    period: int | None = None
    quota: int | None = None
    pmu: bool | None = None


def tuning(flavor: Flavor, image: Mapping[str, object] | None = None) -> Tuning:
    """Read the quotas of a flavor, and the performance counters of flavor and image.

    :raises: :class:`~numaplace.exception.InvalidRequest`, :class:`~numaplace.exception.FlavorImageConflict`
    """
    pmu = _pmu(Properties(flavor, image or {}))
    return Tuning(**{name: _number(flavor, name) for name in RANGES}, pmu=pmu)


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
