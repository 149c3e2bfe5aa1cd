# SPDX-License-Identifier: Apache-2.0
"""What only the database knows: a server that is to be stored, a host's usage, and the moves of the past."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from numaplace.model import Devices, Flavor, Guest, Host, Placement
from numaplace.model.holding import Holding
from numaplace.model.records import HostRecord, InstanceRecord

__all__ = ['Chosen', 'Claimed', 'HostUsage', 'InstanceRequest', 'MigrationRecord', 'UnmanagedDomain']


@dataclass(frozen=True, slots=True)
class HostUsage:
    """What a claim needs to know of a host; its fields are those of :class:`HostRecord`."""

    name: str
    host: Host
    number: int
    generation: int
    unmanaged: tuple[Holding, ...] = ()
    cpu_allocation_ratio: float | None = None
    ram_allocation_ratio: float | None = None


@dataclass(frozen=True, slots=True)
class UnmanagedDomain:
    """A domain of a host that numaplace does not manage."""

    host: str
    holding: Holding


@dataclass(frozen=True, slots=True)
class InstanceRequest:
    """A server that does not exist yet.

    :param guest: what it requests
    :param availability_zone: requested zone, or None for any
    :param devices: its own, in addition to those of the flavor
    :param project: whose it is, or None
    :param hints: its scheduler hints, without that of its group
    :param group: UUID of its server group, or None
    :param adopted_name: name of the libvirt domain that becomes it; None for a new one
    """

    name: str
    flavor: Flavor
    guest: Guest
    image_properties: Mapping[str, str] = field(default_factory=dict)
    availability_zone: str | None = None
    uuid: str = field(default_factory=lambda: str(uuid.uuid4()))
    devices: Devices = field(default_factory=Devices)
    project: str | None = None
    hints: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    group: str | None = None
    adopted_name: str | None = None


@dataclass(frozen=True, slots=True)
class Chosen:
    """A new server, and the host that was chosen for it.

    :param host: as it was known then
    :param placement: what the server gets there while the host is as it was; None if that is to be found
    """

    request: InstanceRequest
    host: HostRecord
    placement: Placement | None


@dataclass(frozen=True, slots=True)
class Claimed:
    """What was stored of several new servers.

    :param servers: one for each that was chosen, or None if others were faster, or its host refuses it
    :param hosts: by name, those that were chosen as they are now; without those that are gone or cannot be read
    :param lost: how many servers met a host that had changed, whether there still was room or not
    """

    servers: tuple[InstanceRecord | None, ...]
    hosts: Mapping[str, HostRecord] = field(default_factory=dict)
    lost: int = 0


@dataclass(frozen=True, slots=True)
class MigrationRecord:
    """A recorded move, in progress or over.

    :param kind: as for :class:`Move`
    :param number: counts moves
    :param old_flavor: the flavor before it; None if the row is older than the column
    :param new_flavor: the flavor after it; None as before
    """

    number: int
    uuid: str
    instance_uuid: str
    kind: str
    status: str
    source: str
    dest: str
    old_flavor: Flavor | None
    new_flavor: Flavor | None
    created_at: datetime
    updated_at: datetime | None
