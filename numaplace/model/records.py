# SPDX-License-Identifier: Apache-2.0
"""A host and a server as they are recorded, wherever the record is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from numaplace.model.devices import Devices
from numaplace.model.flavor import Flavor
from numaplace.model.grouping import Aggregate
from numaplace.model.holding import Holding
from numaplace.model.host import Host
from numaplace.model.placement import Placement

__all__ = [
    'ACTIVE',
    'DISABLED',
    'DOWN',
    'ENABLED',
    'ENDED',
    'EVACUATION',
    'GONE',
    'IN_PROGRESS',
    'KINDS',
    'LIVE_MIGRATION',
    'MIGRATION',
    'RESIZE',
    'RESIZED',
    'SHELVED_OFFLOADED',
    'UP',
    'HostRecord',
    'InstanceRecord',
    'Move',
    'RequestSpec',
    'Side',
]

#: Status of a host: whether its operator allows new guests.
ENABLED, DISABLED = 'enabled', 'disabled'
#: State of a host: whether it answers, or in a Nova that its compute service is deleted.
UP, DOWN, GONE = 'up', 'down', 'gone'
#: State of a server, Nova's ``vm_state``.
ACTIVE, RESIZED, SHELVED_OFFLOADED = 'active', 'resized', 'shelved_offloaded'
#: Kinds of moves, Nova's ``migration_type``.
KINDS = RESIZE, MIGRATION, LIVE_MIGRATION, EVACUATION = 'resize', 'migration', 'live-migration', 'evacuation'
#: Statuses of a move that holds both of its sides, in Nova's words.
IN_PROGRESS = ('pre-migrating', 'running', 'finished')
#: Statuses of a move that no longer holds anything.
ENDED = ('confirmed', 'reverted', 'completed', 'done', 'error', 'failed', 'cancelled')

#: The status that users see for a server in a move.
_ON_THE_WAY = {RESIZE: 'RESIZE', MIGRATION: 'RESIZE', LIVE_MIGRATION: 'MIGRATING', EVACUATION: 'REBUILD'}
#: The status that users see, where it differs from the state's name.
_SHOWN = {RESIZED: 'VERIFY_RESIZE'}


@dataclass(frozen=True, slots=True)
class HostRecord:
    """A host, with the usage of its servers.

    :param host: cells with usage, and the usage of the whole host
    :param uuid: a new host without one gets one when it is stored
    :param facts: what the filters need and the model does not hold: plain JSON values by name, such as
        ``architecture`` and ``cpu_model``
    :param generation: number of changes of the row, for the guard against lost updates
    :param cpu_allocation_ratio: how far shared CPUs may be overcommitted; None where not configured
    :param ram_allocation_ratio: how far memory may be overcommitted; None where not configured
    :param status: ENABLED or DISABLED
    :param state: UP, DOWN or GONE
    :param up_until: until when its agent said that it is up; None for a host without an agent
    :param number: counts hosts; None for one that is not stored yet
    :param libvirt_uri: URI of its libvirt; None where it was read without one
    :param unmanaged: domains there that numaplace does not manage, which `host` counts as held
    :param old_format: what is old in the format in which its topology is stored; empty if it is up to date
    :param aggregates: those that it belongs to, by name, where they were read with it
    :param servers: UUIDs of the servers that hold something on it, where they were read with it
    """

    name: str
    host: Host
    uuid: str = ''
    availability_zone: str = 'nova'
    facts: Mapping[str, Any] = field(default_factory=dict)
    cpu_allocation_ratio: float | None = None
    ram_allocation_ratio: float | None = None
    status: str = ENABLED
    state: str = UP
    generation: int = 0
    created_at: datetime | None = None
    updated_at: datetime | None = None
    number: int | None = None
    libvirt_uri: str | None = None
    up_until: datetime | None = field(default=None, compare=False)
    unmanaged: tuple[Holding, ...] = ()
    old_format: str = field(default='', compare=False)
    aggregates: tuple[Aggregate, ...] = field(default=(), compare=False)
    servers: frozenset[str] = field(default=frozenset(), compare=False)

    def with_server(self, uuid: str, placement: Placement) -> HostRecord:
        """Return the host with the usage of one more server; it raises as :meth:`Host.consume` does."""
        return replace(self, host=self.host.consume(placement), servers=self.servers | {uuid})


@dataclass(frozen=True, slots=True)
class Side:
    """What a server holds on one host: its flavor there, and its placement."""

    host: str
    flavor: Flavor
    placement: Placement


@dataclass(frozen=True, slots=True)
class Move:
    """A move of a server; its two sides stay as they were claimed until the move is over.

    :param kind: RESIZE, MIGRATION, LIVE_MIGRATION or EVACUATION
    :param status: Nova's word for its stage
    :param old: what the server holds at its source
    :param new: what it holds at its destination; that is the same host for a resize that stays there
    :param number: counts moves; None for one that is not stored yet
    :param updated_at: when its status changed, where that is known
    """

    kind: str
    status: str
    old: Side
    new: Side
    uuid: str
    number: int | None = None
    updated_at: datetime | None = field(default=None, compare=False)

    @property
    def has_ended(self) -> bool:
        """Whether it no longer holds anything."""
        return self.status in ENDED


@dataclass(frozen=True, slots=True)
class RequestSpec:
    """What a scheduler was asked for a server, where that is stored: in a Nova, its RequestSpec.

    :param availability_zone: the requested one; the server itself may have that of its host
    :param hosts: names of the only hosts that may take it; empty for any
    :param boots_from_volume: its root disk needs no room on the host
    """

    flavor: Flavor
    availability_zone: str | None = None
    hosts: tuple[str, ...] = ()
    boots_from_volume: bool = False


@dataclass(frozen=True, slots=True)
class InstanceRecord:
    """A server and what it holds; :func:`numaplace.model.allocations.holds` says on which hosts.

    :param number: counts servers; never used twice in a database
    :param host: name of its host; None for a server without one
    :param flavor: the flavor as it was when the server was created or resized
    :param placement: where it is on the host; without cells if it floats, or has no host
    :param vm_state: ACTIVE, RESIZED or SHELVED_OFFLOADED
    :param generation: number of changes of the server, for the guard against lost updates
    :param move: its move, which this change may end
    :param devices: its own, which never change
    :param metadata: what its user stored with it, which means nothing to a scheduler
    :param project: whose it is, or None
    :param hints: its scheduler hints, which apply to its moves too
    :param group: UUID of its server group, or None
    :param adopted_name: name of the libvirt domain that it was before it was adopted; None for one that was created
    :param old_format: as for :class:`HostRecord`, of its topology and of the context of its move
    :param request_spec: what it was requested with, where that is known
    """

    uuid: str
    name: str
    number: int
    host: str | None
    flavor: Flavor
    image_properties: Mapping[str, str]
    placement: Placement
    availability_zone: str | None
    vm_state: str
    created_at: datetime
    generation: int = 0
    move: Move | None = None
    devices: Devices = field(default_factory=Devices)
    metadata: Mapping[str, str] = field(default_factory=dict)
    project: str | None = None
    hints: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    group: str | None = None
    adopted_name: str | None = None
    old_format: str = field(default='', compare=False)
    request_spec: RequestSpec | None = None

    @property
    def domain_name(self) -> str:
        """Name of the libvirt domain: its own, or that of Nova's default template."""
        return self.adopted_name or f'instance-{self.number:08x}'

    @property
    def status(self) -> str:
        """Its status in Nova's API."""
        if self.vm_state == ACTIVE and self.move is not None and not self.move.has_ended:
            return _ON_THE_WAY[self.move.kind]
        return _SHOWN.get(self.vm_state, self.vm_state.upper())
