# SPDX-License-Identifier: Apache-2.0
"""Group ``[scheduler]``: how often a host is chosen anew."""

from oslo_config import cfg

from numaplace.conf import types

GROUP = 'scheduler'

OPTIONS: list[cfg.Opt] = [
    cfg.Opt(
        'max_attempts',
        type=types.Integer(1),
        default=3,
        help="""
On how many hosts, best first, a guest is tried when others are faster at taking what it needs. After that all hosts
are looked at anew.

Form: a whole number from 1 on.
""",
    ),
]
