# SPDX-License-Identifier: Apache-2.0
"""Extra specs that Nova has but that do nothing in their flavor, because others that they need are missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from numaplace.model import SHARE, Flavor, Guest
from numaplace.request.properties import Properties, is_true

__all__ = ['idle_keys']

_NO_CELLS = 'nothing requests guest cells, as hw:numa_nodes would'
_OF_CELLS = ('numa_cpus', 'numa_mem')


def idle_keys(flavor: Flavor, guest: Guest, image: Mapping[str, object] | None = None) -> Iterator[tuple[str, str]]:
    """Yield each extra spec that does nothing as the flavor stands, with a text for people.

    Nova 34, `numa_get_constraints`: what describes guest cells is not read for a guest without any, and numbered keys
    are read up to the first gap.

    :param guest: what the flavor requests, with the image
    :param image: properties of the image, or None if it is not known
    """
    properties = Properties(flavor, image or {})
    for key, value in flavor.extra_specs.items():
        if reason := _reason(properties, guest, key):
            unknown = reason == _NO_CELLS and image is None
            rest = '; only an image may still do so' if unknown else ''
            yield key, f'{properties.flavor_place(key, value)}: it does nothing: {reason}{rest}'


def _reason(properties: Properties, guest: Guest, key: str) -> str:
    """Return why a key does nothing, as a clause; nothing for any other key."""
    base, _, number = key.removeprefix('hw:').partition('.')
    if base in _OF_CELLS and number.isascii() and number.isdigit():
        listed, _of_image = properties.listed(base)
        if key not in [f'hw:{base}.{one}' for one in range(len(listed))]:
            return f'the numbers begin with 0 and have no gap, and hw:{base}.{len(listed)} is not set'
        return _without_cells(guest)
    if key == 'hw:emulator_threads_policy' and properties.of_flavor('emulator_threads_policy') == SHARE:
        return _without_cells(guest)
    if key == 'hw:cpu_realtime_mask' and not is_true(properties.of_flavor('cpu_realtime') or ''):
        return 'hw:cpu_realtime is not true'
    return ''


def _without_cells(guest: Guest) -> str:
    if guest.cells or guest.wish is not None:
        return ''
    return _NO_CELLS
