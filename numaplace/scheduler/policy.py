# SPDX-License-Identifier: Apache-2.0
"""How hosts are chosen: the filters, the weighers and the strategy that a configuration names."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from numaplace import conf as configuration
from numaplace import fit, plugins
from numaplace.fit.usefulness import Mix
from numaplace.model import Flavor
from numaplace.model.records import HostRecord
from numaplace.request import keys
from numaplace.scheduler import names
from numaplace.scheduler.filters import Filter, Request
from numaplace.scheduler.weights import Weigher

if TYPE_CHECKING:
    from oslo_config import cfg

    from numaplace.db.records import InstanceRequest

__all__ = ['Policy', 'asked', 'strategy']

LOG = logging.getLogger(__name__)

#: What Nova asks placement, whatever filters are enabled: always the zone, and where an option says so, aggregates.
_ZONE, _AGGREGATES = 'AvailabilityZoneFilter', 'IsolatedAggregatesFilter'


@dataclass(frozen=True, slots=True)
class Policy:
    """How hosts are chosen.

    :param filters: names and filters, in their order
    :param weighers: weighers and their multipliers
    :param max_attempts: number of hosts on which a claim is tried before all are checked again
    :param subset_size: of how many hosts, the best ones, a random one comes first
    :param shuffles: whether hosts that are as good as the best one come in a random order
    """

    filters: tuple[tuple[str, Filter], ...]
    weighers: tuple[tuple[Weigher, float], ...]
    max_attempts: int
    subset_size: int = 1
    shuffles: bool = False

    @classmethod
    def of(cls, conf: cfg.ConfigOpts) -> Policy:
        """Return the policy that a configuration describes.

        :raises: :class:`~numaplace.exception.UnknownPlugin` for a name that is not installed
        """
        group = conf.filter_scheduler
        checks = _filter_names(conf)
        kinds = plugins.load(plugins.FILTERS, checks, names.place(conf, names.FILTERS))
        weighers = plugins.load(plugins.WEIGHTS, _weigher_names(conf), names.place(conf, names.WEIGHERS))
        return cls(
            filters=tuple((name, kind.of(group)) for name, kind in zip(checks, kinds, strict=True)),
            weighers=tuple((kind.of(conf), group[kind.multiplier_option]) for kind in weighers),
            max_attempts=conf.scheduler.max_attempts,
            subset_size=group.host_subset_size,
            shuffles=group.shuffle_best_same_weighed_hosts,
        )

    def order(self, weighed: Iterable[tuple[HostRecord, float]], *, is_shuffled: bool = False) -> Iterator[HostRecord]:
        """Yield the hosts in the order in which they are tried (Nova 34, `_get_sorted_hosts`).

        :param weighed: hosts and their weights, the heaviest first; no more are taken than are needed
        :param is_shuffled: those of the same weight come in a random order already, if they should
        """
        shuffles = self.shuffles and not is_shuffled
        hosts = self._shuffled(iter(weighed)) if shuffles else (host for host, _weight in weighed)
        if self.subset_size > 1:
            best = list(islice(hosts, self.subset_size))
            if best:
                yield best.pop(random.randrange(len(best)))  # noqa: S311 - no secret
            yield from best
        yield from hosts

    @staticmethod
    def _shuffled(weighed: Iterator[tuple[HostRecord, float]]) -> Iterator[HostRecord]:
        """Yield those that weigh as much as the first in a random order, then the others."""
        best: list[tuple[HostRecord, float]] = []
        for host, weight in weighed:
            if best and weight != best[0][1]:
                yield from (host for host, _weight in random.sample(best, len(best)))
                best = []
                yield host
                break
            best.append((host, weight))
        yield from (host for host, _weight in random.sample(best, len(best)))
        yield from (host for host, _weight in weighed)


def _filter_names(conf: cfg.ConfigOpts) -> list[str]:
    """Return the names of the filters to run, and log those that have nothing to check."""
    enabled = names.filters(conf)
    for name in enabled:
        if name in names.REMOVED_FILTERS:
            LOG.warning('%s is no longer a filter of Nova, and checks nothing: %s', name, names.REMOVED_FILTERS[name])
        elif name in names.IDLE_FILTERS:
            LOG.debug('%s checks nothing: %s', name, names.IDLE_FILTERS[name])
    running = [name for name in enabled if name not in names.REMOVED_FILTERS and name not in names.IDLE_FILTERS]
    first = [_ZONE, _AGGREGATES] if conf.scheduler.enable_isolated_aggregate_filtering else [_ZONE]
    return [*(name for name in first if name not in running), *running]


def _weigher_names(conf: cfg.ConfigOpts) -> list[str]:
    """Return the names of the weighers to run, and log those that have nothing to weigh."""
    named = names.weighers(conf)
    for name in named:
        if name in names.IDLE_WEIGHERS:
            LOG.debug('%s weighs nothing: %s', name, names.IDLE_WEIGHERS[name])
    return [name for name in named if name not in names.IDLE_WEIGHERS]


def asked(conf: cfg.ConfigOpts, instance: InstanceRequest, **more: Any) -> Request:
    """Return what hosts are asked for a server, with the strategy and the machine types that hold for it.

    :param more: other fields of the request
    :raises: as :func:`strategy`
    """
    return Request(
        instance, strategy=strategy(conf, instance.flavor), machine_types=conf.libvirt.hw_machine_type, **more
    )


def strategy(conf: cfg.ConfigOpts, flavor: Flavor) -> fit.Strategy:
    """Return the strategy that a flavor names, or else the configuration.

    :raises: :class:`~numaplace.exception.UnknownPlugin`
    """
    if keys.STRATEGY in flavor.extra_specs:
        name, place = flavor.extra_specs[keys.STRATEGY], f'flavor {flavor.name!r}: extra spec {keys.STRATEGY}'
    else:
        name, place = configuration.strategy(conf), names.place(conf, names.STRATEGY)
    found: fit.Strategy = plugins.load(plugins.STRATEGIES, [name], place)[0]
    return fit.preserve(Mix.of(configuration.preserve_mix(conf))) if found is fit.PRESERVE else found
