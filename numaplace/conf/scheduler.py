# SPDX-License-Identifier: Apache-2.0
"""Group ``[scheduler]``: how many hosts are tried, and which are kept for guests that ask for them."""

from oslo_config import cfg

from numaplace.conf import types

GROUP = 'scheduler'

OPTIONS: list[cfg.Opt] = [
    cfg.Opt(
        'max_attempts',
        type=types.Integer(1),
        default=3,
        help="""
How many hosts, best first, are tried for a guest when other claims take the room on them. After that all hosts are read
again.

Form: a whole number from 1 on.
""",
    ),
    cfg.BoolOpt(
        'enable_isolated_aggregate_filtering',
        default=False,
        help="""
Keep the hosts of an aggregate with metadata ``trait:NAME=required`` for guests whose flavor or image requires the same
trait: IsolatedAggregatesFilter is asked, whatever ``[filter_scheduler] enabled_filters`` has.

Form: true or false.
""",
    ),
]
