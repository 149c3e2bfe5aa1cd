# SPDX-License-Identifier: Apache-2.0
"""The base of weighers, and the weights of hosts by several weighers."""

from __future__ import annotations

import abc
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar, Final

from numaplace.model.records import HostRecord
from numaplace.scheduler.filters import Request, metadata

if TYPE_CHECKING:
    from oslo_config import cfg

    from numaplace.scheduler.index import HostIndex, Measures

__all__ = ['ALIKE', 'Weigher', 'scaled', 'weigh']

#: In place of a column: all hosts have the same measure.
ALIKE: Final = ''


class Weigher(abc.ABC):
    """One measure of hosts."""

    #: The option of ``[filter_scheduler]`` that says how much the measure counts, and the key of aggregates that does.
    multiplier_option: str
    #: The measure that counts as nothing; None for the smallest measure of all hosts.
    lowest: ClassVar[float | None] = None

    @classmethod
    def of(cls, conf: cfg.ConfigOpts) -> Weigher:  # noqa: ARG003 - most have only a multiplier
        """Return the weigher that a configuration describes."""
        return cls()

    @abc.abstractmethod
    def weigh(self, host: HostRecord, request: Request) -> float:
        """Return the measure; only its position between `lowest` and the largest of all hosts counts."""

    def weigh_all(self, index: HostIndex, request: Request) -> Measures | None:  # noqa: ARG002
        """Return the measures of all hosts at once, None where there is no such form."""
        return None

    def order(self, request: Request) -> str | None:  # noqa: ARG002
        """Return the column of :data:`numaplace.db.capacity.ORDERS` that has the measure, if `lowest` is 0.

        ALIKE where all hosts have the same measure; None where no column has it: then all hosts are read.
        """
        return None

    def multiplier(self, host: HostRecord, multiplier: float) -> float:
        """Return how much the measure counts on a host: the smallest value of its aggregates, or that of the option."""
        return metadata.least(host, self.multiplier_option, float, multiplier)

    def multipliers(self, index: HostIndex, multiplier: float) -> Measures | float:
        """Return how much the measure counts on each host, or on all of them."""
        return index.numbers_by(('aggregates',), lambda host: self.multiplier(host, multiplier))


def weigh(
    hosts: Iterable[HostRecord], weighers: Sequence[tuple[Weigher, float]], request: Request
) -> list[tuple[HostRecord, float]]:
    """Return the hosts with their weights, the heaviest first, ties by name (Nova 34, `get_weighed_objects`).

    The weight is the sum of all measures, each scaled to 0..1 and multiplied. The smallest multiplier that an aggregate
    of a host has takes the place of the option's.

    :param weighers: each with the multiplier of its option
    """
    hosts = sorted(hosts, key=lambda host: host.name)
    totals = [0.0] * len(hosts)
    for weigher, multiplier in weighers:
        measures = _scaled([weigher.weigh(host, request) for host in hosts], weigher.lowest)
        for index, (host, measure) in enumerate(zip(hosts, measures, strict=True)):
            totals[index] += weigher.multiplier(host, multiplier) * measure
    return sorted(zip(hosts, totals, strict=True), key=lambda pair: -pair[1])


def _scaled(measures: Sequence[float], lowest: float | None) -> list[float]:
    """Return the position of each measure between the lowest and the highest; 0 if they are equal."""
    low = min(measures, default=0.0) if lowest is None else lowest
    raised = [max(measure, low) for measure in measures]
    high = max(raised, default=low)
    return [scaled(measure, low, high) for measure in raised]


def scaled(measure: float, low: float, high: float) -> float:
    """Return the position of a measure between the lowest and the highest; 0 if they are equal."""
    return (measure - low) / (high - low) if high > low else 0.0
