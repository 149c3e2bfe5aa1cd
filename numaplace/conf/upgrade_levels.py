# SPDX-License-Identifier: Apache-2.0
"""Group ``[upgrade_levels]``: what the other side of the message bus knows during an upgrade."""

from oslo_config import cfg

from numaplace.conf import types

GROUP = 'upgrade_levels'

#: Versions of the methods of numaplace-scheduler, those of numaplace.wire.messages.
VERSIONS = ('1.0', '1.1')

OPTIONS: list[cfg.Opt] = [
    cfg.Opt(
        'numaplace',
        type=types.Choice(*VERSIONS),
        help="""
Version of the methods and messages that commands use when they ask numaplace-scheduler: that of the oldest scheduler on
the bus, while commands are upgraded before all schedulers are. If not set, the newest one. Schedulers answer each
client in its own version.

Form: 1.0 or 1.1.
""",
    ),
]
