# SPDX-License-Identifier: Apache-2.0
"""What the database answers with: frozen values, read in one transaction and independent of it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from numaplace.model import Guest, Host, Placement
from numaplace.request import Flavor

__all__ = ['DISABLED', 'DOWN', 'ENABLED', 'UP', 'FlavorRecord', 'HostRecord', 'InstanceRecord', 'InstanceRequest']

#: Status of a host: whether its operator lets guests come.
ENABLED, DISABLED = 'enabled', 'disabled'
#: State of a host: whether it answers.
UP, DOWN = 'up', 'down'


@dataclass(frozen=True, slots=True)
class FlavorRecord(Flavor):
    """A flavor as it is stored.

    :param id: what users may name it by instead of its name
    """

    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    swap_mib: int = 0
    ephemeral_gib: int = 0
    is_public: bool = True


@dataclass(frozen=True, slots=True)
class HostRecord:
    """A host, with the usage that its servers make.

    :param host: cells with usage, and the usage of the whole host
    :param facts: what the filters ask for and the model does not hold: plain JSON values by name, such as
        ``architecture`` and ``cpu_model``
    :param generation: number of changes of the row, for the guard against lost updates
    :param cpu_allocation_ratio: how far shared CPUs may be overcommitted; None where not configured
    :param ram_allocation_ratio: how far memory may be overcommitted; None where not configured
    :param status: ENABLED or DISABLED
    :param state: UP or DOWN
    """

    name: str
    host: Host
    uuid: str = field(default_factory=lambda: str(uuid.uuid4()))
    availability_zone: str = 'nova'
    facts: Mapping[str, Any] = field(default_factory=dict)
    cpu_allocation_ratio: float | None = None
    ram_allocation_ratio: float | None = None
    status: str = ENABLED
    state: str = UP
    generation: int = 0
    created_at: datetime | None = None
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class InstanceRequest:
    """A server that is not there yet.

    :param guest: what it asks for
    :param availability_zone: zone that was asked for, or None for any
    """

    name: str
    flavor: FlavorRecord
    guest: Guest
    image_properties: Mapping[str, str] = field(default_factory=dict)
    availability_zone: str | None = None
    uuid: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass(frozen=True, slots=True)
class InstanceRecord:
    """A server and its claim.

    :param number: counts servers; never used twice in a database
    :param host: name of the host that it is claimed on
    :param flavor: the flavor as it was when the server was created
    :param placement: where it is on the host; without cells if it floats
    """

    uuid: str
    name: str
    number: int
    host: str
    flavor: FlavorRecord
    image_properties: Mapping[str, str]
    placement: Placement
    availability_zone: str | None
    status: str
    created_at: datetime

    @property
    def domain_name(self) -> str:
        """Name of the libvirt domain, as Nova's default template makes it."""
        return f'instance-{self.number:08x}'
