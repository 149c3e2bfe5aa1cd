# SPDX-License-Identifier: Apache-2.0
"""Group ``[filter_scheduler]``: which hosts may take a guest, and which is best."""

from oslo_config import cfg

from numaplace.conf import types

GROUP = 'filter_scheduler'

#: Stands for every filter that is installed, as in Nova's default.
ALL_FILTERS = 'nova.scheduler.filters.all_filters'
#: Stands for every weigher that is installed, as in Nova's default.
ALL_WEIGHERS = 'nova.scheduler.weights.all_weighers'

#: Multipliers of weighers: the default, and what has the weight.
_MULTIPLIERS = {
    'ram': (1.0, 'free memory'),
    'cpu': (1.0, 'free vCPUs'),
    'num_instances': (0.0, 'the number of servers'),
    'soft_affinity': (1.0, 'members of a server group with the policy soft-affinity'),
    'soft_anti_affinity': (1.0, 'a host without members of a server group with the policy soft-anti-affinity'),
}


#: The one that numaplace adds to Nova's; a real nova-scheduler reads it too.
PRESERVE = cfg.Opt(
    'numa_preserve_weight_multiplier',
    type=types.Weight(),
    default=1.0,
    help="""
Weight of how useful a host stays for further guests, for ``NUMAPreserveWeigher``. With a negative value hosts that lose
most come first. The key of the same name of an aggregate takes its place on the hosts of the aggregate. Weighers that
spread servers work against it: name it alone in ``weight_classes``, or give the others smaller multipliers.

Form: a number.
""",
)


def _multipliers() -> list[cfg.Opt]:
    return [
        cfg.Opt(
            f'{name}_weight_multiplier',
            type=types.Ratio(unset=True) if name.startswith('soft') else types.Weight(),
            default=default,
            help=f"""
Weight of {what}. With a positive value hosts with more of it come first, with a negative value those with less. The key
of the same name of an aggregate takes its place on the hosts of the aggregate.

Form: a number.
""",
        )
        for name, (default, what) in _MULTIPLIERS.items()
    ]


OPTIONS: list[cfg.Opt] = [
    cfg.ListOpt(
        'enabled_filters',
        default=[
            'ComputeFilter',
            'AvailabilityZoneFilter',
            'ComputeCapabilitiesFilter',
            'ImagePropertiesFilter',
            'ServerGroupAntiAffinityFilter',
            'ServerGroupAffinityFilter',
            'PciPassthroughFilter',
            'RamFilter',
            'NUMATopologyFilter',
        ],
        help="""
Filters that a host must pass, in this order; the first one that refuses a host gives the reasons.

Form: names from the entry point group ``numaplace.scheduler.filters``, separated by commas, with or without the
module before them. ``AvailabilityZoneFilter`` is always checked.
""",
    ),
    cfg.MultiStrOpt(
        'available_filters',
        default=[ALL_FILTERS],
        help="""
Filters that ``enabled_filters`` may name.

Form: classes with their modules; ``nova.scheduler.filters.all_filters`` stands for all of them. May be repeated.
""",
    ),
    cfg.ListOpt(
        'weight_classes',
        default=[ALL_WEIGHERS],
        help="""
Weighers that order the hosts which pass the filters.

Form: names from the entry point group ``numaplace.scheduler.weights``, separated by commas, with or without the
module before them; ``nova.scheduler.weights.all_weighers`` stands for all of them but ``NUMAPreserveWeigher``, which
has to be named.
""",
    ),
    cfg.Opt(
        'host_subset_size',
        type=types.Integer(1),
        default=1,
        help="""
Of how many hosts, the best ones, a random one is tried first.

Form: a whole number from 1 on.
""",
    ),
    cfg.Opt(
        'shuffle_best_same_weighed_hosts',
        type=types.Switch(),
        default=False,
        help="""
Whether hosts that are as good as the best one are tried in a random order. Otherwise the order is that of their names.

Form: true or false.
""",
    ),
    cfg.Opt(
        'max_instances_per_host',
        type=types.Integer(1),
        default=50,
        help="""
How many servers a host may have; for ``NumInstancesFilter``, and for ``AggregateNumInstancesFilter`` without a value of
an aggregate.

Form: a whole number from 1 on.
""",
    ),
    cfg.ListOpt(
        'isolated_hosts',
        default=[],
        help='Hosts for ``isolated_images``; for ``IsolatedHostsFilter``. Form: names, separated by commas.',
    ),
    cfg.ListOpt(
        'isolated_images',
        default=[],
        help="""
Images that run on ``isolated_hosts`` only; for ``IsolatedHostsFilter``.

Form: names, as ``--image`` has them, separated by commas.
""",
    ),
    cfg.Opt(
        'restrict_isolated_hosts_to_isolated_images',
        type=types.Switch(),
        default=True,
        help='Whether other images may not run on ``isolated_hosts``. Form: true or false.',
    ),
    cfg.StrOpt(
        'image_properties_default_architecture',
        help='Architecture of images that request none, for ``ImagePropertiesFilter``. Form: such as ``x86_64``.',
    ),
    cfg.StrOpt(
        'aggregate_image_properties_isolation_namespace',
        help="""
Which keys of aggregates ``AggregateImagePropertiesIsolation`` compares: those that begin with this text and the
separator. Without it, all.

Form: a text.
""",
    ),
    cfg.StrOpt(
        'aggregate_image_properties_isolation_separator',
        default='.',
        help='What follows the namespace in the keys of aggregates. Form: a text.',
    ),
    *_multipliers(),
    PRESERVE,
]
