# SPDX-License-Identifier: Apache-2.0
"""Groups ``[neutron]``, ``[neutron_tunnel]`` and ``[neutron_physnet_NAME]``: networks with affinity to host cells."""

from oslo_config import cfg

from numaplace.conf import types

GROUP = 'neutron'
TUNNEL_GROUP = 'neutron_tunnel'
PHYSNET_PREFIX = 'neutron_physnet_'

OPTIONS: list[cfg.Opt] = [
    cfg.ListOpt(
        'physnets',
        default=[],
        help="""
Physical networks that have affinity to host cells. Each needs a group ``[neutron_physnet_NAME]`` with ``numa_nodes``.

Form: names, separated by commas.
""",
    ),
]

TUNNEL_OPTIONS: list[cfg.Opt] = [
    cfg.Opt(
        'numa_nodes',
        type=types.NodeList(),
        default=(),
        help="""
Host cells to which all tunnelled networks have affinity.

Form: numbers of host cells, separated by commas.
""",
    ),
]


def physnet_options() -> list[cfg.Opt]:
    """Return the options of one group ``[neutron_physnet_NAME]``."""
    return [
        cfg.Opt(
            'numa_nodes',
            type=types.NodeList(),
            help="""
Host cells to which this physical network has affinity.

Form: numbers of host cells, separated by commas.
""",
        )
    ]
