# SPDX-License-Identifier: Apache-2.0
"""The names of filters and weighers that a nova.conf may have, and which of them do something here."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

from oslo_config import cfg

from numaplace import conf as configuration
from numaplace import exception, plugins
from numaplace.conf import filter_scheduler

__all__ = [
    'FILTERS',
    'IDLE_FILTERS',
    'IDLE_WEIGHERS',
    'REMOVED_FILTERS',
    'STRATEGY',
    'WEIGHERS',
    'check',
    'filters',
    'place',
    'weighers',
]

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
    'PCIWeigher': 'hosts are not ordered by their PCI devices',
}
_AVAILABLE = 'available_filters'
#: The weigher that works against those of Nova's default, and so is not one of all.
PRESERVE = 'NUMAPreserveWeigher'
#: Group and name of the options that have the names.
FILTERS, WEIGHERS = ('filter_scheduler', 'enabled_filters'), ('filter_scheduler', 'weight_classes')
STRATEGY = ('numaplace', 'strategy')


def filters(conf: cfg.ConfigOpts) -> list[str]:
    """Return the names of the enabled filters, without their modules; old names are replaced by the new.

    :raises: :class:`~numaplace.exception.UnknownPlugin` for those that are not known, or one that is not available
    """
    group = conf.filter_scheduler
    available = set(group.available_filters)
    names = [_RENAMED.get(name, name) for name in map(_last, group.enabled_filters)]
    _check(conf, FILTERS, plugins.FILTERS, names, {*IDLE_FILTERS, *REMOVED_FILTERS})
    if filter_scheduler.ALL_FILTERS not in available:
        classes = set(map(_last, available))
        for name in names:
            if name not in classes:
                raise exception.UnknownPlugin(
                    f'{place(conf, FILTERS)}: {name!r} is not one of {_AVAILABLE}, which has '
                    f'{", ".join(sorted(available))}: add it, or {filter_scheduler.ALL_FILTERS}'
                )
    return names


def weighers(conf: cfg.ConfigOpts) -> list[str]:
    """Return the names of the weighers, without their modules.

    :raises: :class:`~numaplace.exception.UnknownPlugin` for those that are not known
    """
    classes = conf.filter_scheduler.weight_classes
    if filter_scheduler.ALL_WEIGHERS in classes:
        return [name for name in plugins.known(plugins.WEIGHTS) if name != PRESERVE]
    names = list(map(_last, classes))
    _check(conf, WEIGHERS, plugins.WEIGHTS, names, IDLE_WEIGHERS)
    return names


def check(conf: cfg.ConfigOpts) -> None:
    """Check the names of all filters, of all weighers and of the strategy, without loading any.

    :raises: :class:`~numaplace.exception.UnknownPlugin` with the faults of all three
    """
    faults = []
    for names in (filters, weighers, _strategy):
        try:
            names(conf)
        except exception.UnknownPlugin as error:
            faults.append(str(error))
    if faults:
        raise exception.UnknownPlugin('; '.join(faults))


def place(conf: cfg.ConfigOpts, option: tuple[str, str]) -> str:
    """Return group and name of an option, after the file or the variable that sets it.

    :param option: its group and name
    """
    group, name = option
    found = conf.get_location(name, group)
    if found is None or not found.location.is_user_controlled:
        return f'[{group}] {name}'
    variable = 'environment variable ' if found.location is cfg.Locations.environment else ''
    return f'{variable}{found.detail}: [{group}] {name}'


def _strategy(conf: cfg.ConfigOpts) -> None:
    _check(conf, STRATEGY, plugins.STRATEGIES, [configuration.strategy(conf)])


def _last(name: str) -> str:
    return name.strip().rpartition('.')[2]


def _check(
    conf: cfg.ConfigOpts, option: tuple[str, str], group: str, names: Iterable[str], idle: Iterable[str] = ()
) -> None:
    known = {*plugins.known(group), *idle}
    unknown = []
    for name in dict.fromkeys(names):
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            unknown.append(f'{name!r}{f" (did you mean {near[0]!r}?)" if near else ""}')
    if unknown:
        raise exception.UnknownPlugin(
            f'{place(conf, option)}: unknown name{"s" if len(unknown) > 1 else ""} {", ".join(unknown)}; known are '
            f'{", ".join(sorted(known))}'
        )
