# SPDX-License-Identifier: Apache-2.0
"""What the database answers with: frozen values, read in one transaction and independent of it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from numaplace.model import Guest, Host, Placement
from numaplace.request import Devices, Flavor

__all__ = [
    'ACTIVE',
    'DISABLED',
    'DOWN',
    'ENABLED',
    'EVACUATION',
    'LIVE_MIGRATION',
    'MIGRATION',
    'OVER',
    'RESIZE',
    'RESIZED',
    'SHELVED_OFFLOADED',
    'UP',
    'FlavorRecord',
    'HostRecord',
    'HostUsage',
    'InstanceRecord',
    'InstanceRequest',
    'MigrationRecord',
    'Move',
    'Side',
]

#: Status of a host: whether its operator lets guests come.
ENABLED, DISABLED = 'enabled', 'disabled'
#: State of a host: whether it answers.
UP, DOWN = 'up', 'down'
#: State of a server, Nova's ``vm_state``.
ACTIVE, RESIZED, SHELVED_OFFLOADED = 'active', 'resized', 'shelved_offloaded'
#: Kinds of moves, Nova's ``migration_type``.
RESIZE, MIGRATION, LIVE_MIGRATION, EVACUATION = 'resize', 'migration', 'live-migration', 'evacuation'
#: Status of a move that holds nothing any more, Nova's words for it.
OVER = ('confirmed', 'reverted', 'completed', 'done', 'error', 'failed', 'cancelled')

#: What users see of a server on its way.
_ON_THE_WAY = {RESIZE: 'RESIZE', MIGRATION: 'RESIZE', LIVE_MIGRATION: 'MIGRATING', EVACUATION: 'REBUILD'}
#: What users see of a state whose name is another.
_SHOWN = {RESIZED: 'VERIFY_RESIZE'}


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
class HostUsage:
    """What a claim needs to know of a host; its fields are those of :class:`HostRecord`."""

    name: str
    host: Host
    uuid: str
    generation: int


@dataclass(frozen=True, slots=True)
class InstanceRequest:
    """A server that is not there yet.

    :param guest: what it asks for
    :param availability_zone: zone that was asked for, or None for any
    :param devices: its own, beside those of the flavor
    """

    name: str
    flavor: FlavorRecord
    guest: Guest
    image_properties: Mapping[str, str] = field(default_factory=dict)
    availability_zone: str | None = None
    uuid: str = field(default_factory=lambda: str(uuid.uuid4()))
    devices: Devices = field(default_factory=Devices)


@dataclass(frozen=True, slots=True)
class Side:
    """What a server holds on one host: the flavor that it has there, and where it is."""

    host: str
    flavor: FlavorRecord
    placement: Placement


@dataclass(frozen=True, slots=True)
class Move:
    """A move of a server; its two sides stay as they were claimed until the move is over.

    :param kind: RESIZE, MIGRATION, LIVE_MIGRATION or EVACUATION
    :param status: Nova's word for how far it is
    :param old: what the server holds where it comes from
    :param new: what it holds where it goes to; on the same host too, where a resize stays there
    :param number: counts moves; None for one that is not stored yet
    """

    kind: str
    status: str
    old: Side
    new: Side
    uuid: str = field(default_factory=lambda: str(uuid.uuid4()))
    number: int | None = None

    @property
    def is_over(self) -> bool:
        """Whether it holds nothing any more."""
        return self.status in OVER


@dataclass(frozen=True, slots=True)
class MigrationRecord:
    """A move as it is remembered, in progress or over.

    :param kind: as of :class:`Move`
    :param old_flavor: name of the flavor before it; None where the row is older than the column
    :param new_flavor: name of the flavor after it; None as before
    """

    number: int
    uuid: str
    instance_uuid: str
    kind: str
    status: str
    source: str
    dest: str
    old_flavor: str | None
    new_flavor: str | None
    created_at: datetime
    updated_at: datetime | None


@dataclass(frozen=True, slots=True)
class InstanceRecord:
    """A server and what it holds; :func:`numaplace.db.holding.holds` says on which hosts.

    :param number: counts servers; never used twice in a database
    :param host: name of the host that it is on; None for a server that is on none
    :param flavor: the flavor as it was when the server was created or resized
    :param placement: where it is on the host; without cells if it floats, or is on no host
    :param vm_state: ACTIVE, RESIZED or SHELVED_OFFLOADED
    :param generation: number of changes of the server, for the guard against lost updates
    :param move: the move that it is in, or that this change of it ends
    :param devices: its own, which stay as they are as long as it lives
    """

    uuid: str
    name: str
    number: int
    host: str | None
    flavor: FlavorRecord
    image_properties: Mapping[str, str]
    placement: Placement
    availability_zone: str | None
    vm_state: str
    created_at: datetime
    generation: int = 0
    move: Move | None = None
    devices: Devices = field(default_factory=Devices)

    @property
    def domain_name(self) -> str:
        """Name of the libvirt domain, as Nova's default template makes it."""
        return f'instance-{self.number:08x}'

    @property
    def status(self) -> str:
        """The word for its state that Nova's API has."""
        if self.vm_state == ACTIVE and self.move is not None and not self.move.is_over:
            return _ON_THE_WAY[self.move.kind]
        return _SHOWN.get(self.vm_state, self.vm_state.upper())
