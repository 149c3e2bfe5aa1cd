# SPDX-License-Identifier: Apache-2.0
"""Group ``[numaplace]``: what only numaplace has."""

from oslo_config import cfg

from numaplace.conf import types

GROUP = 'numaplace'

#: How numaplace takes part in a service of Nova.
ENFORCE, SHADOW = 'enforce', 'shadow'

#: The one option that is read inside Nova.
MODE = cfg.Opt(
    'mode',
    type=types.Choice(ENFORCE, SHADOW),
    default=ENFORCE,
    help="""
How numaplace takes part in a service of Nova that has loaded it. It decides (enforce), or Nova decides as ever, and
numaplace works out its own answer beside it, and logs and counts where it would not have agreed (shadow). Only
nova-scheduler and numaplace-nova-compute read it, from nova.conf and at start.

Form: enforce or shadow.
""",
)

OPTIONS: list[cfg.Opt] = [
    MODE,
    cfg.StrOpt(
        'connection',
        secret=True,
        sample_default='sqlite:///$XDG_DATA_HOME/numaplace/numaplace.sqlite',
        help="""
Database of numaplace. Unset, an SQLite file in the data directory of the user is used, and made when it is missing.
``[database] connection`` belongs to Nova and is never used.

Form: a URL such as ``sqlite:////var/lib/numaplace/numaplace.sqlite``, ``mysql+pymysql://user:password@host/numaplace``
or ``postgresql+psycopg2://user:password@host/numaplace``.
""",
    ),
    cfg.Opt(
        'strategy',
        type=types.Choice('linear', 'spread', 'pack'),
        help="""
Which host cells a guest gets where several would do: the first by number (linear), the emptiest (spread) or the
fullest (pack). Unset, ``[compute] packing_host_numa_cells_allocation_strategy`` decides between spread and pack.

Form: linear, spread or pack.
""",
    ),
    cfg.Opt(
        'default_guest_numa',
        type=types.Choice('none', 'single'),
        default='none',
        help="""
What a guest gets that asks for no NUMA topology: nothing, so that it floats over the whole host (none), or one NUMA
cell, so that it stays within one host cell (single).

Form: none or single.
""",
    ),
]
