# SPDX-License-Identifier: Apache-2.0
"""Put numaplace's fit and usage in the place of Nova's, in the process that asks for it.

Importing this imports nothing of Nova: a launcher has to import its service first, and installs then.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from numaplace import exception

__all__ = ['KNOWN_SERIES', 'install']

#: The first and the last major version of Nova of which the replaced functions are known.
KNOWN_SERIES = (31, 34)

_EMPTY = inspect.Parameter.empty

#: The parameters of what is replaced, with their defaults.
_PARAMETERS: dict[str, dict[str, Any]] = {
    'numa_fit_instance_to_host': {
        'host_topology': _EMPTY,
        'instance_topology': _EMPTY,
        'provider_mapping': _EMPTY,
        'limits': None,
        'pci_requests': None,
        'pci_stats': None,
    },
    'numa_usage_from_instance_numa': {'host_topology': _EMPTY, 'instance_topology': _EMPTY, 'free': False},
    '_locked_consume_from_request': {'self': _EMPTY, 'spec_obj': _EMPTY},
    'obj_from_db_obj': {'db_obj': _EMPTY},
}


def install() -> None:
    """Let this process decide by numaplace: filter, claims and resource tracker alike; the second time nothing happens.

    :raises: :class:`~numaplace.exception.UnsupportedNova` if this Nova is not known; then nothing is replaced
    """
    # In a launcher, Nova's command has to be the first that imports these.
    from nova import version  # noqa: PLC0415

    _check_version(version.version_string())
    from nova.objects import numa  # noqa: PLC0415
    from nova.scheduler import host_manager  # noqa: PLC0415
    from nova.virt import hardware  # noqa: PLC0415

    from numaplace.nova import hooks, topologies  # noqa: PLC0415

    if getattr(hardware, 'numa_fit_instance_to_host', None) is hooks.numa_fit_instance_to_host:
        return
    replaced = [
        (hardware, 'numa_fit_instance_to_host'),
        (hardware, 'numa_usage_from_instance_numa'),
        (host_manager.HostState, '_locked_consume_from_request'),
        (numa.NUMATopology, 'obj_from_db_obj'),
    ]
    for owner, name in replaced:
        _check_parameters(name, getattr(owner, name, None))
    consume = host_manager.HostState._locked_consume_from_request
    hardware.numa_fit_instance_to_host = hooks.numa_fit_instance_to_host
    hardware.numa_usage_from_instance_numa = hooks.numa_usage_from_instance_numa
    host_manager.HostState._locked_consume_from_request = hooks.restoring(consume)
    numa.NUMATopology.obj_from_db_obj = topologies.deferring(numa.NUMATopology.obj_from_db_obj)


def _check_version(found: str) -> None:
    first, last = KNOWN_SERIES
    major = found.partition('.')[0]
    if not major.isdigit() or not first <= int(major) <= last:
        raise exception.UnsupportedNova(f'Nova {found} is not known to numaplace; known are {first} to {last}')


def _check_parameters(name: str, function: Callable[..., Any] | None) -> None:
    wanted = _PARAMETERS[name]
    if function is None:
        raise exception.UnsupportedNova(f'this Nova has no {name}({", ".join(wanted)}) to replace')
    found = {key: parameter.default for key, parameter in inspect.signature(function).parameters.items()}
    if list(found.items()) != list(wanted.items()):
        raise exception.UnsupportedNova(
            f'{name} of this Nova takes ({", ".join(found)}); expected ({", ".join(wanted)})'
        )
