# SPDX-License-Identifier: Apache-2.0
"""Group ``[numaplace]``: options of numaplace alone."""

from oslo_config import cfg

from numaplace.conf import types

GROUP = 'numaplace'

#: Modes of numaplace in a Nova service.
ENFORCE, SHADOW = 'enforce', 'shadow'

#: What an audit of nova-compute does after a guest that it cannot count.
NOVA, CONTINUE = 'nova', 'continue'

#: What is done about domains of a host that numaplace does not manage.
HOLD, WARN, REFUSE = 'hold', 'warn', 'refuse'

#: Who chooses hosts.
DIRECT, RPC = 'direct', 'rpc'

#: The options that are read inside Nova.
MODE = cfg.Opt(
    'mode',
    type=types.Choice(ENFORCE, SHADOW),
    default=ENFORCE,
    help="""
Mode of numaplace in a service of Nova that has loaded it. Either numaplace decides (enforce), or Nova decides as
before, and numaplace computes its own answer, and logs and counts disagreements (shadow). Only nova-scheduler and
numaplace-nova-compute read this option, from nova.conf at startup.

Form: enforce or shadow.
""",
)

AUDIT = cfg.Opt(
    'audit',
    type=types.Choice(NOVA, CONTINUE),
    default=NOVA,
    help="""
What the audit of nova-compute does when it cannot count a guest, such as one that is pinned to a CPU of another guest.
Either it ends, as without numaplace, and the row of the compute node is not updated (nova), or it holds the CPUs of the
guest, logs the cause and counts all other guests (continue). Only numaplace-nova-compute reads this option, from
nova.conf at startup; in shadow mode it has no effect.

Form: nova or continue.
""",
)

STRATEGY = cfg.Opt(
    'strategy',
    type=types.Choice('closest', 'preserve', 'linear', 'spread', 'pack'),
    help="""
Which host cells are preferred for a guest: those nearest to each other and of equal ones the emptiest (closest), or
those after whose use the host can take most further guests (preserve), the first by number (linear), the emptiest
(spread) or the fullest (pack). If not set, it is pack where ``[compute]
packing_host_numa_cells_allocation_strategy`` is true, and closest otherwise. Inside Nova, only closest and preserve
have an effect: without them, Nova's option decides between spread and pack.

Form: closest, preserve, linear, spread or pack.
""",
)

PRESERVE_MIX = cfg.Opt(
    'preserve_mix',
    type=types.GuestMix(),
    default=(),
    sample_default='1x1x2048:120,1x4x8192:20,2x8x16384:10',
    help="""
The guests that are expected, for the strategy preserve and for ``NUMAPreserveWeigher``: places for these are kept, each
weighed by the CPUs that its guests request in all. Without it, places of every width are kept alike. Set it on the
hosts of nova-scheduler and of the compute nodes alike.

Form: cells x CPUs of each cell x MiB of each cell : how many of these guests there are, separated by commas; only the
proportion of the numbers counts.
""",
)

OPTIONS: list[cfg.Opt] = [
    MODE,
    AUDIT,
    cfg.StrOpt(
        'connection',
        secret=True,
        sample_default='sqlite:///$XDG_DATA_HOME/numaplace/numaplace.sqlite',
        help="""
Database of numaplace. If not set, an SQLite file in the data directory of the user is used, and created if it does not
exist. ``[database] connection`` belongs to Nova and is never used.

Form: a URL such as ``sqlite:////var/lib/numaplace/numaplace.sqlite``, ``mysql+pymysql://user:password@host/numaplace``
or ``postgresql+psycopg2://user:password@host/numaplace``.
""",
    ),
    STRATEGY,
    PRESERVE_MIX,
    cfg.Opt(
        'default_guest_numa',
        type=types.Choice('none', 'single'),
        default='none',
        help="""
NUMA topology of a guest that requests none: no cells, so that it floats over the whole host (none), or one NUMA cell,
so that it stays within one host cell (single).

Form: none or single.
""",
    ),
    cfg.Opt(
        'discovery_interval',
        type=types.Integer(1),
        default=60,
        help="""
How often the agent of a host reads the configuration and the host anew, in seconds, and compares its domains with the
servers.

Form: a whole number from 1 on.
""",
    ),
    cfg.Opt(
        'scheduler',
        type=types.Choice(DIRECT, RPC),
        default=DIRECT,
        help="""
Who chooses hosts for the commands that create, delete and move servers: the command itself, in the database (direct),
or a numaplace-scheduler over the message bus (rpc), which ``[DEFAULT] transport_url`` names.

Form: direct or rpc.
""",
    ),
    cfg.Opt(
        'scheduler_workers',
        type=types.Integer(1),
        default=2,
        help='Number of processes of numaplace-scheduler. Form: a whole number from 1 on.',
    ),
    cfg.StrOpt(
        'scheduler_topic',
        default='numaplace-scheduler',
        help="""
Name of the queue on the message bus that commands send requests to, and schedulers take them from. Fleets that share a
bus need one each.

Form: a name.
""",
    ),
    cfg.Opt(
        'scheduler_timeout',
        type=types.Integer(1),
        default=60,
        help='How long a command waits for an answer of a scheduler, in seconds. Form: a whole number from 1 on.',
    ),
    cfg.Opt(
        'metrics_port',
        type=types.Integer(1, 65535),
        help="""
Port on which a service offers its metrics over HTTP; the first process of numaplace-scheduler has this one, the next
the port after it, and so on. If not set, none is opened.

Form: a whole number from 1 to 65535.
""",
    ),
    cfg.IPOpt(
        'metrics_address',
        default='127.0.0.1',
        help='Address of ``metrics_port``. Form: an IPv4 or IPv6 address.',
    ),
    cfg.Opt(
        'unknown_guests',
        type=types.Choice(HOLD, WARN, REFUSE),
        default=HOLD,
        help="""
What is done about the guests that a host already runs or has defined, and that numaplace does not manage. What they
hold counts as used until they are adopted or gone (hold), or a warning names them, and their CPUs may be given to
servers too (warn), or a host that has some is not registered (refuse); those that come to a registered host are held.
No server gets the name of such a guest in any case. The option is read when the libvirt of a host is looked at: by
``host discover``, ``host import`` and ``server check``.

Form: hold, warn or refuse.
""",
    ),
    cfg.Opt(
        'general_memory',
        type=types.MemoryList(),
        default=(),
        help="""
Memory of host cells without CPUs that counts as general memory, in addition to that of cells with CPUs: in the totals
of the host, and for guests without NUMA cells. By default none counts; it is reserved for guests that request it
(``numaplace:vnuma_tier``). The kinds are memory on a CXL link (cxl), of a graphics card or an accelerator (gpu), faster
(hbm) or slower (slow) than that of the CPUs by the bandwidths that the firmware reports, and any other (unknown). The
option is read when a host is discovered or imported.

Form: kinds of memory and numbers of host cells, separated by commas, such as ``cxl`` or ``cxl,8``.
""",
    ),
]
