# SPDX-License-Identifier: Apache-2.0
"""Put numaplace's fit and usage in the place of Nova's, in the process that asks for it.

Importing this imports nothing of Nova: a launcher has to import its service first, and installs then.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from numaplace import conf, exception

__all__ = ['KNOWN_SERIES', 'REQUIRED', 'check_parameters', 'install']

#: The first and the last major version of Nova of which the replaced functions are known.
KNOWN_SERIES = (31, 34)

#: Stands in a table of parameters for the default of one that has none.
REQUIRED = inspect.Parameter.empty

#: The parameters of what is replaced, with their defaults.
_PARAMETERS: dict[str, dict[str, Any]] = {
    'numa_fit_instance_to_host': {
        'host_topology': REQUIRED,
        'instance_topology': REQUIRED,
        'provider_mapping': REQUIRED,
        'limits': None,
        'pci_requests': None,
        'pci_stats': None,
    },
    'numa_usage_from_instance_numa': {'host_topology': REQUIRED, 'instance_topology': REQUIRED, 'free': False},
    '_locked_consume_from_request': {'self': REQUIRED, 'spec_obj': REQUIRED},
    'obj_from_db_obj': {'db_obj': REQUIRED},
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

    owners = {
        'numa_fit_instance_to_host': hardware,
        'numa_usage_from_instance_numa': hardware,
        '_locked_consume_from_request': host_manager.HostState,
        'obj_from_db_obj': numa.NUMATopology,
    }
    theirs = {name: getattr(owner, name, None) for name, owner in owners.items()}
    if getattr(theirs['numa_fit_instance_to_host'], '__module__', '').startswith('numaplace.nova.'):
        return mode
    for name, function in theirs.items():
        check_parameters(name, function, _PARAMETERS[name])
    for name, make in _ours(mode).items():
        setattr(owners[name], name, make(theirs[name]))
    return mode


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


def check_parameters(name: str, function: Callable[..., Any] | None, wanted: Mapping[str, Any]) -> None:
    """Check that a function of Nova is what numaplace takes it for, before it is replaced.

    :param wanted: the default by parameter, REQUIRED for one without
    :raises: :class:`~numaplace.exception.UnsupportedNova`
    """
    if function is None:
        raise exception.UnsupportedNova(f'this Nova has no {name}({", ".join(wanted)}) to replace')
    found = {key: parameter.default for key, parameter in inspect.signature(function).parameters.items()}
    if list(found.items()) != list(wanted.items()):
        raise exception.UnsupportedNova(
            f'{name} of this Nova takes ({", ".join(found)}); expected ({", ".join(wanted)})'
        )
