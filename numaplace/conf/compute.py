# SPDX-License-Identifier: Apache-2.0
"""Group ``[compute]``: which CPUs of a host are for which guests."""

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
CPUs of a host that are pinned to vCPUs of guests with the CPU policy dedicated or mixed. Must not overlap with
``cpu_shared_set``. They must be online, or with ``[libvirt] cpu_power_management`` at least present.

Form: a list of CPUs such as ``4-12,^8,15``.
""",
    ),
    cfg.Opt(
        'packing_host_numa_cells_allocation_strategy',
        type=types.Switch(),
        default=False,
        help="""
Whether the fullest host cell is filled first, if ``[numaplace] strategy`` is not set.

Form: true or false.
""",
    ),
]
