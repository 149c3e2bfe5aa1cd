# SPDX-License-Identifier: Apache-2.0
"""What a weigher is, and the order of hosts that several weighers make."""

import abc
from collections.abc import Iterable, Sequence

from numaplace.db.records import HostRecord

__all__ = ['Weigher', 'order']


class Weigher(abc.ABC):
    """One measure of hosts."""

    #: The option of ``[filter_scheduler]`` that says how much the measure counts.
    multiplier_option: str

    @abc.abstractmethod
    def weigh(self, host: HostRecord) -> float:
        """Return the measure; only its place between the smallest and the largest of all hosts counts."""


def order(hosts: Iterable[HostRecord], weighers: Sequence[tuple[Weigher, float]]) -> list[HostRecord]:
    """Return the hosts, best first: by the sum of all measures, each brought to 0..1 and multiplied; ties by name.

    :param weighers: each with its multiplier
    """
    hosts = sorted(hosts, key=lambda host: host.name)
    totals = dict.fromkeys((host.name for host in hosts), 0.0)
    for weigher, multiplier in weighers:
        measures = [weigher.weigh(host) for host in hosts]
        low, high = min(measures, default=0.0), max(measures, default=0.0)
        for host, measure in zip(hosts, measures, strict=True):
            totals[host.name] += multiplier * (measure - low) / (high - low) if high > low else 0.0
    return sorted(hosts, key=lambda host: -totals[host.name])
