# SPDX-License-Identifier: Apache-2.0
"""Sockets, cores and threads that a guest sees.

Nova 34, `get_best_cpu_topology`: many sockets before many cores before many threads, the wish of flavor or image
before that.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from numaplace import exception
from numaplace.model import CpuTopology
from numaplace.request.properties import Properties

__all__ = ['choose']

_PARTS = ('sockets', 'cores', 'threads')
_NO_LIMIT = 65536

_Wish = tuple[int, int, int]  # sockets, cores, threads; 0 is no wish


def _number(text: str | None, place: str) -> int:
    if text is None:
        return 0
    if not (text.strip().isascii() and text.strip().isdigit() and len(text) < 10):
        raise exception.InvalidRequest(f'{place}: expected an integer from 0 to 999999999')
    return int(text)


def _wishes(properties: Properties, prefix: str) -> tuple[_Wish, _Wish]:
    """Return the flavor's and the image's values of ``PREFIXsockets``, ``PREFIXcores`` and ``PREFIXthreads``."""
    keys = [prefix + part for part in _PARTS]
    of_flavor = [
        _number(properties.of_flavor(key), properties.flavor_place(f'hw:{key}', properties.of_flavor(key)))
        for key in keys
    ]
    of_image = [
        _number(properties.of_image(key), properties.image_place(f'hw_{key}', properties.of_image(key))) for key in keys
    ]
    return (of_flavor[0], of_flavor[1], of_flavor[2]), (of_image[0], of_image[1], of_image[2])


def _text(wish: _Wish) -> str:
    return ':'.join(map(str, wish))


def _limits(properties: Properties) -> _Wish:
    of_flavor, of_image = _wishes(properties, 'cpu_max_')
    if any(flavor and image > flavor for flavor, image in zip(of_flavor, of_image, strict=True)):
        raise exception.ImageVCPULimitsRangeExceeded(
            f'image: hw_cpu_max_sockets:cores:threads={_text(of_image)}: flavor {properties.flavor.name!r} allows at '
            f'most {_text(of_flavor)} (0 is no limit)'
        )
    sockets, cores, threads = (image or flavor or _NO_LIMIT for flavor, image in zip(of_flavor, of_image, strict=True))
    return sockets, cores, threads


def _preferred(properties: Properties, limits: _Wish) -> _Wish:
    """Return the image's wish if it has any, otherwise the flavor's unless it is above the limits."""
    of_flavor, of_image = _wishes(properties, 'cpu_')
    if any(wish > limit for wish, limit in zip(of_image, limits, strict=True)):
        raise exception.ImageVCPUTopologyRangeExceeded(
            f'image: hw_cpu_sockets:cores:threads={_text(of_image)}: at most {_text(limits)} are allowed'
        )
    if any(of_image):
        return of_image
    if any(wish > limit for wish, limit in zip(of_flavor, limits, strict=True)):
        return 0, 0, 0
    return of_flavor


def _possible(vcpus: int, limits: _Wish) -> Iterator[CpuTopology]:
    """Yield the topologies with exactly that many vCPUs; time is the root of that, and the pairs of divisors."""
    small = [number for number in range(1, math.isqrt(vcpus) + 1) if vcpus % number == 0]
    divisors = {*small, *(vcpus // number for number in small)}
    for sockets in divisors:
        for cores in divisors:
            threads, rest = divmod(vcpus, sockets * cores)
            if not rest and sockets <= limits[0] and cores <= limits[1] and threads <= limits[2]:
                yield CpuTopology(sockets, cores, threads)


def choose(properties: Properties) -> CpuTopology:
    """Choose the topology that a guest sees.

    :raises: ImageVCPULimitsRangeExceeded, ImageVCPUTopologyRangeExceeded; ImageVCPULimitsRangeImpossible if no
        topology within the limits has that many vCPUs; InvalidRequest for what is no number
    """
    limits = _limits(properties)
    wish = _preferred(properties, limits)

    def rank(topology: CpuTopology) -> tuple[int, int, int, int]:
        has = (topology.sockets, topology.cores, topology.threads)
        score = sum(bool(wanted) and wanted == got for wanted, got in zip(wish, has, strict=True))
        return score, topology.sockets * topology.cores, topology.sockets, topology.threads

    best = max(_possible(properties.flavor.vcpus, limits), key=rank, default=None)
    if best is None:
        raise exception.ImageVCPULimitsRangeImpossible(
            f'flavor {properties.flavor.name!r}: no sockets:cores:threads within {_text(limits)} have '
            f'{properties.flavor.vcpus} vCPUs'
        )
    return best
