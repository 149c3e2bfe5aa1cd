# SPDX-License-Identifier: Apache-2.0
"""Groups ``[api_database]``, ``[database]`` and ``[placement_database]``: databases of a Nova, which are only read."""

from oslo_config import cfg

API, MAIN, PLACEMENT = 'api_database', 'database', 'placement_database'

_HELP = {
    API: """
Nova's API database. ``--from nova`` reads it, with every cell that it names; nothing is ever written there.
""",
    MAIN: """
Nova's main database, which fills in the templates of cell mappings. numaplace stores nothing there; its own database is
``[numaplace] connection``.
""",
    PLACEMENT: """
The database of the placement service. If it is set, ``--from nova`` reads inventories, allocations and traits too.
""",
}

OPTIONS: dict[str, list[cfg.Opt]] = {
    group: [cfg.StrOpt('connection', secret=True, help=f'{about}\nForm: an SQLAlchemy URL.\n')]
    for group, about in _HELP.items()
}
