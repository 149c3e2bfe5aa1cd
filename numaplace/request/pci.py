# SPDX-License-Identifier: Apache-2.0
"""PCI devices of a flavor: ``pci_passthrough:alias``, and the NUMA affinity policy of flavor and image."""

from __future__ import annotations

import re
from collections.abc import Mapping

from numaplace import exception
from numaplace.model import Flavor, PciRequest
from numaplace.pci_specs import POLICIES, Alias
from numaplace.request.properties import Properties

__all__ = ['ALIAS_KEY', 'affinity_policy', 'pci_requests']

#: The flavor's key for devices: ``alias:count`` pairs, separated by commas.
ALIAS_KEY = 'pci_passthrough:alias'

_POLICY_KEY = 'pci_numa_affinity_policy'
_PAIR = re.compile(r'\s*([^:]+?)\s*:\s*0*([1-9][0-9]{0,3})\s*')


def affinity_policy(properties: Properties) -> str | None:
    """Return the policy of flavor and image, None without one (Nova 34, `get_pci_numa_policy_constraint`).

    :raises: :class:`~numaplace.exception.ImagePCINUMAPolicyForbidden` if they differ,
        :class:`~numaplace.exception.InvalidPCINUMAAffinity`
    """
    flavor, image = properties.of_flavor(_POLICY_KEY), properties.of_image(_POLICY_KEY)
    of_flavor = properties.flavor_place(f'hw:{_POLICY_KEY}', flavor)
    of_image = properties.image_place(f'hw_{_POLICY_KEY}', image)
    if flavor and image and flavor != image:
        raise exception.ImagePCINUMAPolicyForbidden(
            f'{of_flavor} and {of_image}: the image may not override the flavor: expected the same policy'
        )
    policy = flavor or image
    if policy is not None and policy not in POLICIES:
        raise exception.InvalidPCINUMAAffinity(
            f'{of_flavor if flavor else of_image}: expected one of {", ".join(POLICIES)}'
        )
    return policy


def pci_requests(
    flavor: Flavor, image: Mapping[str, object] | None, aliases: Mapping[str, Alias]
) -> tuple[PciRequest, ...]:
    """Return the devices that a flavor requests; the policy of flavor and image precedes that of an alias.

    :param aliases: by name, as the configuration defines them
    :raises: :class:`~numaplace.exception.PciRequestAliasNotDefined`, :class:`~numaplace.exception.InvalidRequest`, and
        as :func:`affinity_policy`
    """
    policy = affinity_policy(Properties(flavor, image or {}))
    text = flavor.extra_specs.get(ALIAS_KEY, '')
    place = f'flavor {flavor.name!r}: {ALIAS_KEY}={text!r}'
    found = []
    for word in text.split(',') if text.strip() else ():
        pair = _PAIR.fullmatch(word)
        if pair is None:
            raise exception.InvalidRequest(
                f"{place}: expected names of [pci] alias with a number from 1 to 9999 each, such as 'gpu:1, nic:2'"
            )
        name, count = pair.groups()
        if name not in aliases:
            known = ', '.join(sorted(aliases)) or 'none is defined'
            raise exception.PciRequestAliasNotDefined(f'{place}: alias {name!r}: expected one of [pci] alias: {known}')
        alias = aliases[name]
        if not all({'vendor_id', 'product_id'} <= wanted.keys() for wanted in alias.alternatives):
            raise exception.InvalidRequest(
                f'{place}: [pci] alias {name!r} has only a resource_class of placement: expected vendor_id '
                'and product_id with it'
            )
        found.append(PciRequest(int(count), alias.alternatives, policy or alias.policy, name))
    return tuple(found)
