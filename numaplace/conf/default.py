# SPDX-License-Identifier: Apache-2.0
"""Group ``[DEFAULT]``: what a host reserves and how far it is overcommitted."""

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
unit (``2MB``, ``1GiB``), and C the number of reserved pages. Small pages can be reserved too.
""",
    ),
    cfg.Opt(
        'vcpu_pin_set',
        type=types.CpuList(),
        help="""
CPUs of a host that guests may use, for both shared and pinned vCPUs. This is the old option, read for compatibility
with older files. It conflicts with ``[compute] cpu_dedicated_set``.

Form: a list of CPUs such as ``4-12,^8,15``.
""",
    ),
    cfg.Opt(
        'cpu_allocation_ratio',
        type=types.Ratio(unset=True),
        help="""
Shared vCPUs for each shared CPU of a host that is registered or refreshed with this file. Pinned vCPUs are never
overcommitted. If it is not set, or 0, ``initial_cpu_allocation_ratio`` applies to new hosts, and others keep theirs.

Form: a number from 0 to 1000000.
""",
    ),
    cfg.Opt(
        'ram_allocation_ratio',
        type=types.Ratio(unset=True),
        help="""
Memory of guests for each unit of memory of a host that is registered or refreshed with this file. Memory with an
explicit page size is never overcommitted. If it is not set, or 0, ``initial_ram_allocation_ratio`` applies to new
hosts, and others keep theirs.

Form: a number from 0 to 1000000.
""",
    ),
    cfg.Opt(
        'initial_cpu_allocation_ratio',
        type=types.Ratio(),
        default=INITIAL_CPU_RATIO,
        help='That of new hosts if ``cpu_allocation_ratio`` is not set. Form: a number above 0, up to 1000000.',
    ),
    cfg.Opt(
        'initial_ram_allocation_ratio',
        type=types.Ratio(),
        default=INITIAL_RAM_RATIO,
        help='That of new hosts if ``ram_allocation_ratio`` is not set. Form: a number above 0, up to 1000000.',
    ),
    cfg.Opt(
        'allow_resize_to_same_host',
        type=types.Switch(),
        default=False,
        help="""
Whether a resize may stay on the present host of the server. The server then holds both sizes there until the resize is
confirmed or reverted.

Form: true or false.
""",
    ),
    cfg.IPOpt(
        'my_ip',
        help="""
Address of a host that is registered with this file, for the hint ``build_near_host_ip``.

Form: an IPv4 or IPv6 address.
""",
    ),
    cfg.StrOpt(
        'host',
        sample_default='<the name of the machine>',
        help="""
Name of the host whose agent, ``numaplace-compute``, reads this file.

Form: a name.
""",
    ),
    cfg.Opt(
        'report_interval',
        type=types.Integer(1),
        default=10,
        help="""
How often the agent of a host says that the host is up, in seconds. It must be shorter than ``service_down_time``.

Form: a whole number from 1 on.
""",
    ),
    cfg.Opt(
        'service_down_time',
        type=types.Integer(1),
        default=60,
        help="""
How long a host counts as up after its agent last said so, in seconds. The agent reads this option and stores the end of
that time with the host; after it, no server is placed there, and those that are there can be evacuated.

Form: a whole number from 1 on.
""",
    ),
    cfg.StrOpt(
        'transport_url',
        secret=True,
        help="""
Message bus between the commands and numaplace-scheduler. Other options of the bus, such as those of
``[oslo_messaging_rabbit]``, are read by oslo.messaging.

Form: a URL such as ``rabbit://user:password@host:5672/``.
""",
    ),
    cfg.StrOpt(
        'default_availability_zone',
        default='nova',
        help="""
Availability zone of a host that is registered with this file.

Form: a name.
""",
    ),
]
