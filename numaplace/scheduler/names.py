# SPDX-License-Identifier: Apache-2.0
"""The names of filters and weighers that a nova.conf may have, and which of them do something here."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from numaplace import conf as configuration
from numaplace import exception, plugins
from numaplace.conf import filter_scheduler

if TYPE_CHECKING:
    from oslo_config import cfg

__all__ = ['IDLE_FILTERS', 'IDLE_WEIGHERS', 'REMOVED_FILTERS', 'check', 'filters', 'weighers']

#: Nova's filters that pass every host here, and why.
IDLE_FILTERS: Mapping[str, str] = {
    'AggregateIoOpsFilter': 'the input and output of hosts is not known',
    'AllHostsFilter': 'it passes every host',
    'IoOpsFilter': 'the input and output of hosts is not known',
    'MetricsFilter': 'hosts have no metrics',
}
#: Filters that Nova had and removed, and that no host is checked with here, with what takes their place.
REMOVED_FILTERS: Mapping[str, str] = {
    'AggregateDiskFilter': 'disks are not placed',
    'BaremetalExactFilter': 'it was for bare metal',
    'DiskFilter': 'disks are not placed',
    'ExactCoreFilter': 'it was for bare metal',
    'ExactDiskFilter': 'it was for bare metal',
    'ExactRamFilter': 'it was for bare metal',
    'RetryFilter': 'after a lost claim the next host is tried anyway',
    'TrustedFilter': 'hosts are not attested; keep them apart by an aggregate',
    'TypeAffinityFilter': 'use AggregateTypeAffinityFilter',
}
#: Names that filters had before.
_RENAMED = {
    'GroupAffinityFilter': 'ServerGroupAffinityFilter',
    'GroupAntiAffinityFilter': 'ServerGroupAntiAffinityFilter',
}
#: Nova's weighers that weigh all hosts alike here, and why.
IDLE_WEIGHERS: Mapping[str, str] = {
    'BuildFailureWeigher': 'a claim that succeeds is no failed build',
    'CrossCellWeigher': 'hosts are not in cells of Nova',
    'DiskWeigher': 'disks are not placed',
    'HypervisorVersionWeigher': 'the version of the hypervisor is not stored',
    'ImagePropertiesWeigher': 'it is off by default, and not available',
    'IoOpsWeigher': 'the input and output of hosts is not known',
    'MetricsWeigher': 'hosts have no metrics',
    'PCIWeigher': 'PCI devices are not managed',
}
_FILTERS, _WEIGHERS, _AVAILABLE = 'enabled_filters', 'weight_classes', 'available_filters'


def filters(group: cfg.ConfigOpts.GroupAttr) -> list[str]:
    """Return the names of the enabled filters, without their modules; old names are replaced by the new.

    :param group: the options of ``[filter_scheduler]``
    :raises: :class:`~numaplace.exception.UnknownPlugin` for one that is not known, or not available
    """
    available = set(group.available_filters)
    names = [_RENAMED.get(name, name) for name in map(_last, group.enabled_filters)]
    _check(plugins.FILTERS, f'[filter_scheduler] {_FILTERS}', names, {*IDLE_FILTERS, *REMOVED_FILTERS})
    if filter_scheduler.ALL_FILTERS not in available:
        classes = set(map(_last, available))
        for name in names:
            if name not in classes:
                raise exception.UnknownPlugin(
                    f'[filter_scheduler] {_FILTERS}: {name!r} is not one of {_AVAILABLE}, which has '
                    f'{", ".join(sorted(available))}: add it, or {filter_scheduler.ALL_FILTERS}'
                )
    return names


def weighers(group: cfg.ConfigOpts.GroupAttr) -> list[str]:
    """Return the names of the weighers, without their modules.

    :param group: the options of ``[filter_scheduler]``
    :raises: :class:`~numaplace.exception.UnknownPlugin` for one that is not known
    """
    if filter_scheduler.ALL_WEIGHERS in group.weight_classes:
        return plugins.known(plugins.WEIGHTS)
    names = [_last(name) for name in group.weight_classes]
    _check(plugins.WEIGHTS, f'[filter_scheduler] {_WEIGHERS}', names, IDLE_WEIGHERS)
    return names


def check(conf: cfg.ConfigOpts) -> None:
    """Check the names of all filters, of all weighers and of the strategy, without loading any.

    :raises: as :func:`filters` and :func:`weighers`
    """
    filters(conf.filter_scheduler)
    weighers(conf.filter_scheduler)
    _check(plugins.STRATEGIES, '[numaplace] strategy', [configuration.strategy(conf)])


def _last(name: str) -> str:
    return name.strip().rpartition('.')[2]


def _check(group: str, option: str, names: Iterable[str], idle: Iterable[str] = ()) -> None:
    known = {*plugins.known(group), *idle}
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f' (did you mean {near[0]!r}?)' if near else ''
            raise exception.UnknownPlugin(
                f'{option}: unknown name {name!r}{hint}; known are {", ".join(sorted(known))}'
            )
