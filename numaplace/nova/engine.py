# SPDX-License-Identifier: Apache-2.0
"""Put numaplace's fit and usage in the place of Nova's, in the process that asks for it.

Importing this imports nothing of Nova: a launcher has to import its service first, and installs then.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from numaplace import conf, exception

__all__ = ['KNOWN_SERIES', 'install', 'install_compute']

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
    '_test_numa_topology': dict.fromkeys(('self', 'compute_node', 'limit'), _EMPTY),
    '_get_usage_dict': dict.fromkeys(('self', 'object_or_dict', 'instance', 'updates'), _EMPTY),
    '_get_traits': dict.fromkeys(('self', 'context', 'nodename', 'provider_tree'), _EMPTY),
}


def install() -> str:
    """Let this process decide by numaplace: filter, claims and resource tracker alike; the second time nothing happens.

    The configuration of the service has to be read by then.

    :returns: how numaplace takes part, ``enforce`` or ``shadow``
    :raises: :class:`~numaplace.exception.UnsupportedNova` if this Nova is not known, and
        :class:`~numaplace.exception.InvalidConfiguration` if its configuration is wrong; then nothing is replaced
    """
    # In a launcher, Nova's command has to be the first that imports these.
    from nova import conf as nova_conf  # noqa: PLC0415
    from nova import version  # noqa: PLC0415

    _check_version(version.version_string())
    mode = conf.mode(nova_conf.CONF)
    from nova.objects import numa  # noqa: PLC0415
    from nova.scheduler import host_manager  # noqa: PLC0415
    from nova.virt import hardware  # noqa: PLC0415

    fit = getattr(hardware, 'numa_fit_instance_to_host', None)
    if not getattr(fit, '__module__', '').startswith('numaplace.nova.'):
        owners = {
            'numa_fit_instance_to_host': hardware,
            'numa_usage_from_instance_numa': hardware,
            '_locked_consume_from_request': host_manager.HostState,
            'obj_from_db_obj': numa.NUMATopology,
        }
        _replace(owners, _ours(mode))
    return mode


def install_compute(mode: str) -> None:
    """Let nova-compute report the trait or, in shadow mode, take it back and name the instances that it is at.

    :param mode: as :func:`install` returns it
    :raises: :class:`~numaplace.exception.UnsupportedNova`; then nothing is replaced
    """
    from nova.compute import claims, resource_tracker  # noqa: PLC0415

    from numaplace.nova import shadow, trait  # noqa: PLC0415

    tracker = resource_tracker.ResourceTracker
    owners = {'_get_traits': tracker, '_get_usage_dict': tracker, '_test_numa_topology': claims.Claim}
    ours: dict[str, Callable[[Any], Any]] = {'_get_traits': functools.partial(trait.reporting, mode)}
    if mode == conf.SHADOW:
        ours |= {'_get_usage_dict': shadow.naming_usage, '_test_numa_topology': shadow.naming_claims}
    _replace(owners, ours)


def _replace(owners: Mapping[str, Any], ours: Mapping[str, Callable[[Any], Any]]) -> None:
    """Put what is made of Nova's functions in their place, if all of them are known."""
    theirs = {name: getattr(owner, name, None) for name, owner in owners.items()}
    for name, function in theirs.items():
        _check_parameters(name, function)
    for name, make in ours.items():
        setattr(owners[name], name, make(theirs[name]))


def _ours(mode: str) -> dict[str, Callable[[Any], Any]]:
    """Return what makes the replacement out of Nova's own, by name."""
    from numaplace.nova import hooks, shadow, topologies  # noqa: PLC0415

    if mode == conf.SHADOW:
        return {
            'numa_fit_instance_to_host': shadow.fitting,
            'numa_usage_from_instance_numa': shadow.counting,
            '_locked_consume_from_request': shadow.naming,
            # Nova reads its own objects then, as it does without numaplace.
        }
    return {
        'numa_fit_instance_to_host': lambda _theirs: hooks.numa_fit_instance_to_host,
        'numa_usage_from_instance_numa': lambda _theirs: hooks.numa_usage_from_instance_numa,
        '_locked_consume_from_request': hooks.restoring,
        'obj_from_db_obj': topologies.deferring,
    }


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
