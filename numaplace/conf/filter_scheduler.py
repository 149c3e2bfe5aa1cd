# SPDX-License-Identifier: Apache-2.0
"""Group ``[filter_scheduler]``: which hosts may take a guest, and which is best."""

from oslo_config import cfg

from numaplace.conf import types

GROUP = 'filter_scheduler'

#: Stands for every weigher that is installed, as in Nova's default.
ALL_WEIGHERS = 'nova.scheduler.weights.all_weighers'

OPTIONS: list[cfg.Opt] = [
    cfg.ListOpt(
        'enabled_filters',
        default=[
            'ComputeFilter',
            'AvailabilityZoneFilter',
            'ComputeCapabilitiesFilter',
            'ImagePropertiesFilter',
            'PciPassthroughFilter',
            'RamFilter',
            'NUMATopologyFilter',
        ],
        help="""
Filters that a host must pass, in this order; the first that refuses a host names the reason.

Form: names from the entry point group ``numaplace.scheduler.filters``, separated by commas.
""",
    ),
    cfg.ListOpt(
        'weight_classes',
        default=[ALL_WEIGHERS],
        help="""
Weighers that order the hosts which pass the filters.

Form: names from the entry point group ``numaplace.scheduler.weights``, separated by commas, with or without the
module before them; ``nova.scheduler.weights.all_weighers`` stands for all of them.
""",
    ),
    cfg.Opt(
        'ram_weight_multiplier',
        type=types.Weight(),
        default=1.0,
        help="""
How much free memory counts. Above 0 guests are spread over the hosts, below 0 they fill one host after the other.

Form: a number.
""",
    ),
]
