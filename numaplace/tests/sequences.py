# SPDX-License-Identifier: Apache-2.0
"""Random guests that come to one small host and leave it, by which strategies are compared."""

import random
from collections import Counter
from itertools import product

from numaplace import fit
from numaplace.tests.unit.fit.builders import cell, guest, guest_cell, host

__all__ = ['accepted', 'mix']

_VCPUS, _CELLS = (1, 1, 2, 2, 3, 4, 6, 8), (1, 1, 1, 2)
_CPUS, _MEMORY_MIB, _GUESTS, _LEAVING = 8, 8192, 60, 0.1


def _memory_mib(vcpus):
    """Return what a cell of so many vCPUs may need, one as likely as the other."""
    return [min(1024 * times, _MEMORY_MIB) for times in (1, vcpus, 2 * vcpus)]


def mix():
    """Return the kinds of guests as ``preserve_mix`` has them."""
    found = Counter((cells, vcpus, mib) for vcpus, cells in product(_VCPUS, _CELLS) for mib in _memory_mib(vcpus))
    return tuple((*kind, number) for kind, number in found.items())


def accepted(seed, strategy):
    """Return how many of 60 guests a host of 2 to 4 cells takes one after the other, while others leave."""
    rng = random.Random(seed)
    where = host(*(cell(each, '0-7', memory_mib=_MEMORY_MIB) for each in range(rng.choice((2, 3, 4)))))
    held, taken = [], 0
    for _ in range(_GUESTS):
        vcpus, number = rng.choice(_VCPUS), rng.choice(_CELLS)
        memory_mib = rng.choice(_memory_mib(vcpus))
        wanted = guest(
            *(
                guest_cell(each, f'{each * _CPUS}-{each * _CPUS + vcpus - 1}', memory_mib=memory_mib)
                for each in range(number)
            )
        )
        leaves = [rng.random() for _ in range(_GUESTS)]
        for place, share in zip(list(held), leaves, strict=False):
            if share < _LEAVING:
                where = where.release(place)
                held.remove(place)
        placed = fit.place(where, wanted, strategy=strategy)
        if placed:
            where = where.consume(placed)
            held.append(placed)
            taken += 1
    return taken
