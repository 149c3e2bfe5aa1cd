# SPDX-License-Identifier: Apache-2.0
"""Convert Nova's objects to the model and back: read their attributes, write Nova's own classes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from nova import objects

from numaplace import wire
from numaplace.model import Guest, Host, Limits, Networks, Placement

__all__ = [
    'NOVA',
    'read_guest',
    'read_host',
    'read_limits',
    'read_networks',
    'read_placement',
    'write_host',
    'write_placement',
]


def _make(name: str, data: dict[str, Any]) -> Any:
    return getattr(objects, name)(**data)


#: Writes objects of Nova's classes.
NOVA = wire.Target(_make, set)


def read_host(topology: Any) -> Host:
    """Read a ``nova.objects.NUMATopology``.

    :raises: :class:`~numaplace.exception.InvalidObject`, :class:`~numaplace.exception.IncompatibleObjectVersion`
    """
    return wire.read_host(topology)


def read_guest(topology: Any) -> Guest:
    """Read a ``nova.objects.InstanceNUMATopology`` as a request; pins of an earlier placement are skipped.

    :raises: as :func:`read_host`
    """
    return wire.read_guest(topology)


def read_placement(topology: Any, host: Host) -> Placement:
    """Read a ``nova.objects.InstanceNUMATopology`` that was placed on a host.

    :raises: as :func:`read_host`
    """
    return wire.read_placement(topology, host)


def read_limits(limits: Any) -> tuple[Limits | None, Networks | None]:
    """Read a ``nova.objects.NUMATopologyLimits`` or None, which sets no limit.

    :raises: as :func:`read_host`
    """
    return wire.read_limits(limits) if limits else (None, None)


def read_networks(networks: Any) -> Networks | None:
    """Read a ``nova.objects.NetworkMetadata`` or None."""
    return Networks(frozenset(networks.physnets), networks.tunneled) if networks else None


def write_host(host: Host) -> Any:
    """Write a host as a new ``nova.objects.NUMATopology``."""
    return wire.write_host(host, NOVA)


def write_placement(placement: Placement) -> Any:
    """Write a placed guest as a new ``nova.objects.InstanceNUMATopology``; as in Nova, without an instance UUID."""
    return wire.write_placement(replace(placement, guest=replace(placement.guest, instance_uuid=None)), NOVA)
