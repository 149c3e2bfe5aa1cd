# SPDX-License-Identifier: Apache-2.0
"""Group ``[compute]``: which CPUs of a host are for whom."""

from oslo_config import cfg

from numaplace.conf import types

GROUP = 'compute'

OPTIONS: list[cfg.Opt] = [
    cfg.Opt(
        'cpu_shared_set',
        type=types.CpuList(),
        help="""
CPUs of a host on which shared vCPUs float. With neither this nor ``cpu_dedicated_set``, every CPU serves both.

Form: a list of CPUs such as ``4-12,^8,15``.
""",
    ),
    cfg.Opt(
        'cpu_dedicated_set',
        type=types.CpuList(),
        help="""
CPUs of a host that are pinned to vCPUs of guests with the CPU policy dedicated or mixed. May share no CPU with
``cpu_shared_set``.

Form: a list of CPUs such as ``4-12,^8,15``.
""",
    ),
    cfg.Opt(
        'packing_host_numa_cells_allocation_strategy',
        type=types.Switch(),
        default=False,
        help="""
Fill the fullest host cell first (true) or use the emptiest (false) where ``[numaplace] strategy`` is unset.

Form: true or false.
""",
    ),
]
