# SPDX-License-Identifier: Apache-2.0
"""How much CPU time a guest gets beside others: ``quota:cpu_shares``, ``quota:cpu_quota`` and ``quota:cpu_period``."""

from __future__ import annotations

from dataclasses import dataclass

from numaplace import exception
from numaplace.request.properties import Flavor

__all__ = ['Tuning', 'tuning']

#: What libvirt accepts, in the order of its elements; times are microseconds. A quota of -1 is none.
_RANGES = {
    'shares': (2, 262144),
    'period': (1000, 1000000),
    'quota': (1000, 17592186044415),
}
_NO_QUOTA = -1


@dataclass(frozen=True, slots=True)
class Tuning:
    """Weights and limits of the kernel's scheduler; None leaves one to libvirt.

    :param shares: weight beside other guests
    :param period: microseconds in which `quota` holds
    :param quota: microseconds of CPU time of each vCPU in a period; -1 for no limit
    """

    shares: int | None = None
    period: int | None = None
    quota: int | None = None


def tuning(flavor: Flavor) -> Tuning:
    """Read the quotas of a flavor.

    :raises: :class:`~numaplace.exception.InvalidRequest`
    """
    return Tuning(**{name: _number(flavor, name) for name in _RANGES})


def _number(flavor: Flavor, name: str) -> int | None:
    key = f'quota:cpu_{name}'
    text = flavor.extra_specs.get(key)
    if not text:
        return None
    low, high = _RANGES[name]
    digits = text.strip()
    if digits.isascii() and digits.isdigit() and len(digits) < 15 and low <= int(digits) <= high:
        return int(digits)
    if name == 'quota' and digits == str(_NO_QUOTA):
        return _NO_QUOTA
    none = ', or -1 for no limit' if name == 'quota' else ''
    raise exception.InvalidRequest(
        f'flavor {flavor.name!r}: {key}={text!r}: expected an integer from {low} to {high}{none}'
    )
