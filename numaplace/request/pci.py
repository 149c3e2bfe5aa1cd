# SPDX-License-Identifier: Apache-2.0
"""PCI devices that a guest requests: ``pci_passthrough:alias``, those of its NICs, and their NUMA affinity policy."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from numaplace import exception
from numaplace.model import Devices, Flavor, Guest, Nic, PciRequest
from numaplace.model.devices import DIRECT_PHYSICAL, VNIC_VDPA
from numaplace.model.pci import LEGACY, PF, VDPA
from numaplace.pci_specs import POLICIES, Alias
from numaplace.request.devices import devices
from numaplace.request.properties import Properties

__all__ = ['ALIAS_KEY', 'affinity_policy', 'pci_requests', 'requests_devices', 'with_networks']

#: The flavor's key for devices: ``alias:count`` pairs, separated by commas.
ALIAS_KEY = 'pci_passthrough:alias'

_POLICY_KEY = 'pci_numa_affinity_policy'
#: The type of the device where a VNIC type names one; for the others it is anything but a PF or a vDPA device.
_TYPES = {DIRECT_PHYSICAL: PF, VNIC_VDPA: VDPA}
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


def with_networks(guest: Guest, flavor: Flavor, image: Mapping[str, object] | None, own: Devices) -> Guest:
    """Return a guest that requests the devices of its NICs, too, after those that it requests already.

    The policy of a NIC precedes that of flavor and image (Nova 34, `create_resource_requests`).

    :param own: the NICs of the server, which come before those of the flavor
    :raises: as :func:`affinity_policy` and :func:`numaplace.request.devices`
    """
    nics = (own + devices(flavor)).on_pci
    if not nics:
        return guest
    policy = affinity_policy(Properties(flavor, image or {})) or LEGACY
    found = [PciRequest(1, (_wanted(nic),), nic.policy or policy, nic.request or '') for nic in nics]
    return replace(guest, pci_requests=(*guest.pci_requests, *found))


def _wanted(nic: Nic) -> dict[str, str | None]:
    wanted = {'physical_network': nic.physnet}
    dev_type = _TYPES.get(nic.vnic or '')
    return wanted if dev_type is None else wanted | {'dev_type': dev_type}


def requests_devices(flavor: Flavor, own: Devices) -> bool:
    """Return whether a server gets PCI devices where it is placed.

    :param own: as for :func:`with_networks`
    """
    return bool(flavor.extra_specs.get(ALIAS_KEY) or (own + devices(flavor)).on_pci)
