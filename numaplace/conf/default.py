# SPDX-License-Identifier: Apache-2.0
"""Group ``[DEFAULT]``: what a host keeps back and how far it is overcommitted."""

from oslo_config import cfg

from numaplace.conf import types

GROUP = 'DEFAULT'

INITIAL_CPU_RATIO, INITIAL_RAM_RATIO = 4.0, 1.0

OPTIONS: list[cfg.Opt] = [
    cfg.MultiOpt(
        'reserved_huge_pages',
        item_type=types.ReservedPages(),
        help="""
Memory pages of a host cell that guests do not get. Give the option once for each cell and page size.

Form: ``node:N,size:S,count:C``, where N is the number of the host cell, S the size of a page in KiB or with a
unit (``2MB``, ``1GiB``), and C how many pages are kept back. Small pages may be kept back as well.
""",
    ),
    cfg.Opt(
        'vcpu_pin_set',
        type=types.CpuList(),
        help="""
CPUs of a host that guests may use, for shared and for pinned vCPUs alike: the old way to say it, read for the sake
of older files. Does not go together with ``[compute] cpu_dedicated_set``.

Form: a list of CPUs such as ``4-12,^8,15``.
""",
    ),
    cfg.Opt(
        'cpu_allocation_ratio',
        type=types.Ratio(),
        help="""
Shared vCPUs for each shared CPU of a host that is imported with this file. Pinned vCPUs are never overcommitted.
Unset, ``initial_cpu_allocation_ratio`` counts.

Form: a number above 0, up to 1000000.
""",
    ),
    cfg.Opt(
        'ram_allocation_ratio',
        type=types.Ratio(),
        help="""
Memory of guests for each unit of memory of a host that is imported with this file. Memory with an explicit page size
is never overcommitted. Unset, ``initial_ram_allocation_ratio`` counts.

Form: a number above 0, up to 1000000.
""",
    ),
    cfg.Opt(
        'initial_cpu_allocation_ratio',
        type=types.Ratio(),
        default=INITIAL_CPU_RATIO,
        help='Used where ``cpu_allocation_ratio`` is unset. Form: a number above 0, up to 1000000.',
    ),
    cfg.Opt(
        'initial_ram_allocation_ratio',
        type=types.Ratio(),
        default=INITIAL_RAM_RATIO,
        help='Used where ``ram_allocation_ratio`` is unset. Form: a number above 0, up to 1000000.',
    ),
    cfg.Opt(
        'allow_resize_to_same_host',
        type=types.Switch(),
        default=False,
        help="""
Whether a resize may stay on the host that the server is on. There it holds both sizes until it is confirmed or
reverted.

Form: true or false.
""",
    ),
    cfg.StrOpt(
        'default_availability_zone',
        default='nova',
        help="""
Availability zone of a host that is imported with this file.

Form: a name.
""",
    ),
]
