# SPDX-License-Identifier: Apache-2.0
"""Sockets, cores and threads that a guest sees.

Nova 34, `get_best_cpu_topology`: the preference of flavor or image comes first, then many sockets, many cores and
many threads, in this order.
"""

from __future__ import annotations

from collections.abc import Iterator

from numaplace import exception
from numaplace.model import CpuTopology, Guest
from numaplace.model.cpu_topology import UNLIMITED, divisors
from numaplace.request.properties import Properties

__all__ = ['choose', 'limits', 'warnings']

_PARTS = ('sockets', 'cores', 'threads')

_Wish = tuple[int, int, int]  # sockets, cores, threads; 0 is no preference


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


def _parts(topology: CpuTopology) -> _Wish:
    return topology.sockets, topology.cores, topology.threads


def limits(properties: Properties) -> CpuTopology:
    """Return the most sockets, cores and threads that flavor and image allow.

    :raises: ImageVCPULimitsRangeExceeded; InvalidRequest for a value that is not a number
    """
    of_flavor, of_image = _wishes(properties, 'cpu_max_')
    if any(flavor and image > flavor for flavor, image in zip(of_flavor, of_image, strict=True)):
        raise exception.ImageVCPULimitsRangeExceeded(
            f'image: hw_cpu_max_sockets:cores:threads={_text(of_image)}: flavor {properties.flavor.name!r} allows at '
            f'most {_text(of_flavor)} (0 is no limit)'
        )
    given = (image or flavor for flavor, image in zip(of_flavor, of_image, strict=True))
    return CpuTopology(*(number or unlimited for number, unlimited in zip(given, _parts(UNLIMITED), strict=True)))


def _preferred(properties: Properties, most: _Wish) -> _Wish:
    """Return the image's preference if it has any, otherwise the flavor's unless it is above the limits."""
    of_flavor, of_image = _wishes(properties, 'cpu_')
    if any(wish > limit for wish, limit in zip(of_image, most, strict=True)):
        raise exception.ImageVCPUTopologyRangeExceeded(
            f'image: hw_cpu_sockets:cores:threads={_text(of_image)}: at most {_text(most)} are allowed'
        )
    if any(of_image):
        return of_image
    if any(wish > limit for wish, limit in zip(of_flavor, most, strict=True)):
        return 0, 0, 0
    return of_flavor


def _possible(vcpus: int, most: CpuTopology) -> Iterator[CpuTopology]:
    """Yield the topologies with exactly that many vCPUs, in time O(sqrt(vcpus) + divisors^2)."""
    numbers = divisors(vcpus)
    for sockets in numbers:
        for cores in numbers:
            threads, rest = divmod(vcpus, sockets * cores)
            if not rest and sockets <= most.sockets and cores <= most.cores and threads <= most.threads:
                yield CpuTopology(sockets, cores, threads)


def choose(properties: Properties) -> CpuTopology:
    """Choose the topology that a guest sees.

    :raises: ImageVCPULimitsRangeExceeded, ImageVCPUTopologyRangeExceeded; ImageVCPULimitsRangeImpossible if no
        topology within the limits has that many vCPUs; InvalidRequest for a value that is not a number
    """
    most = limits(properties)
    wish = _preferred(properties, _parts(most))

    def rank(topology: CpuTopology) -> tuple[int, int, int, int]:
        has = zip(wish, _parts(topology), strict=True)
        score = sum(bool(wanted) and wanted == got for wanted, got in has)
        return score, topology.sockets * topology.cores, topology.sockets, topology.threads

    best = max(_possible(properties.flavor.vcpus, most), key=rank, default=None)
    if best is None:
        raise exception.ImageVCPULimitsRangeImpossible(
            f'flavor {properties.flavor.name!r}: no sockets:cores:threads within {_text(_parts(most))} have '
            f'{properties.flavor.vcpus} vCPUs'
        )
    return best


def warnings(guest: Guest) -> Iterator[str]:
    """Yield what the kernel of a guest will report because its cores or sockets lie in several guest cells."""
    topology, dies = guest.topology, guest.dies
    if not guest.has_whole_cores:
        yield (
            f'cores of {topology.threads} threads lie in several guest cells: Linux warns at boot that an smt-sibling '
            '"is not on the same node", and ignores that they share a core; expected whole cores in each cell '
            '(hw:numa_cpus.N), or hw:cpu_threads=1'
        )
    elif dies > 1:
        yield (
            f'sockets of {topology.cores} cores lie in several guest cells: on x86 each gets {dies} dies, and with an '
            'AMD CPU model Linux still warns at boot that an llc-sibling "is not on the same node"; expected '
            f'{topology.sockets * dies} sockets (hw:cpu_sockets, hw:cpu_max_sockets)'
        )
