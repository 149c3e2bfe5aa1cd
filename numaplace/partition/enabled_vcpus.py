# SPDX-License-Identifier: Apache-2.0
"""Which vCPUs of a guest are on when not all of them are."""

from __future__ import annotations

from collections.abc import Sequence

from numaplace import cpuset

__all__ = ['enabled']


def enabled(cells: Sequence[int], number: int) -> int:
    """Return the mask of the vCPUs that are on, dealt so that the guest cells stay even.

    In each cell the lowest vCPUs are on, dealt to the cells in turn; vCPU 0 is always on.

    :param cells: masks of the vCPUs of each guest cell
    :param number: how many are on, from 1 to all
    """
    queues = [list(cpuset.ids(vcpus)) for vcpus in cells]
    turns = sorted((vcpu > 0, turn, cell, vcpu) for cell, queue in enumerate(queues) for turn, vcpu in enumerate(queue))
    return cpuset.mask(vcpu for *_, vcpu in turns[:number])
