# SPDX-License-Identifier: Apache-2.0
"""Replace Nova's fit and usage with numaplace's, in the calling process.

Importing this module imports nothing of Nova: a launcher must import its service first, and then call install.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from numaplace import conf, exception

__all__ = ['KNOWN_SERIES', 'install', 'install_compute']

#: The first and the last major version of Nova whose functions can be replaced.
KNOWN_SERIES = (29, 34)

_EMPTY = inspect.Parameter.empty

#: The parameters of the replaced functions, with their defaults.
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
    '_update_available_resource': dict.fromkeys(('self', 'context', 'resources'), _EMPTY) | {'startup': False},
    '_get_traits': dict.fromkeys(('self', 'context', 'nodename', 'provider_tree'), _EMPTY),
}


def install() -> str:
    """Make filter, claims and resource tracker of this process use numaplace; a second call does nothing.

    The configuration of the service must be read before.

    :returns: the mode, ``enforce`` or ``shadow``
    :raises: :class:`~numaplace.exception.UnsupportedNova` if this Nova is not known, and
        :class:`~numaplace.exception.InvalidConfiguration` if its configuration is wrong; then nothing is replaced
    """
    # In a launcher, Nova's command has to be the first that imports these.
    from nova import conf as nova_conf  # noqa: PLC0415
    from nova import version  # noqa: PLC0415

    _check_version(version.version_string())
    mode = conf.mode(nova_conf.CONF)
    conf.register_strategy(nova_conf.CONF)
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
    """Make nova-compute report the trait and log its claims or, in shadow mode, remove the trait and compare claims.

    With ``[numaplace] audit = continue`` a guest that cannot be counted no longer ends the audit; in shadow mode the
    audit is Nova's.

    :param mode: as :func:`install` returns it
    :raises: :class:`~numaplace.exception.UnsupportedNova` or :class:`~numaplace.exception.InvalidConfiguration`; then
        nothing is replaced
    """
    from nova import conf as nova_conf  # noqa: PLC0415
    from nova.compute import claims, resource_tracker  # noqa: PLC0415
    from nova.virt import hardware  # noqa: PLC0415

    from numaplace.nova import audit, claim_log, shadow, trait  # noqa: PLC0415

    goes_on = conf.audit(nova_conf.CONF) == conf.CONTINUE
    tracker = resource_tracker.ResourceTracker
    owners = {
        '_get_traits': tracker,
        '_get_usage_dict': tracker,
        '_update_available_resource': tracker,
        '_test_numa_topology': claims.Claim,
        'numa_usage_from_instance_numa': hardware,
    }
    ours: dict[str, Callable[[Any], Any]] = {'_get_traits': functools.partial(trait.reporting, mode)}
    if mode == conf.SHADOW:
        ours |= {'_get_usage_dict': shadow.naming_usage, '_test_numa_topology': shadow.naming_claims}
    else:
        ours['_test_numa_topology'] = claim_log.naming
        if goes_on:
            ours |= {
                '_get_usage_dict': audit.naming,
                '_update_available_resource': audit.auditing,
                'numa_usage_from_instance_numa': audit.counting,
            }
    _replace(owners, ours)


def _replace(owners: Mapping[str, Any], ours: Mapping[str, Callable[[Any], Any]]) -> None:
    """Replace Nova's functions with what is made of them, if all of them are known."""
    theirs = {name: getattr(owner, name, None) for name, owner in owners.items()}
    for name, function in theirs.items():
        _check_parameters(name, function)
    for name, make in ours.items():
        setattr(owners[name], name, make(theirs[name]))


def _ours(mode: str) -> dict[str, Callable[[Any], Any]]:
    """Return, by name, what makes each replacement from Nova's own function."""
    from numaplace.nova import replacements, shadow, topologies  # noqa: PLC0415

    if mode == conf.SHADOW:
        return {
            'numa_fit_instance_to_host': shadow.fitting,
            'numa_usage_from_instance_numa': shadow.counting,
            '_locked_consume_from_request': shadow.naming,
            # Nova then reads its own objects, as without numaplace.
        }
    return {
        'numa_fit_instance_to_host': lambda _theirs: replacements.numa_fit_instance_to_host,
        'numa_usage_from_instance_numa': replacements.counting,
        '_locked_consume_from_request': replacements.restoring,
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
