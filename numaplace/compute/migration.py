# SPDX-License-Identifier: Apache-2.0
"""Moves from their claim to their end: each step is a function of the server, and one transaction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

from numaplace import exception
from numaplace import request as requests
from numaplace.db import api
from numaplace.db.retry import retry
from numaplace.model import Guest, Placement
from numaplace.model.records import (
    ACTIVE,
    EVACUATION,
    LIVE_MIGRATION,
    MIGRATION,
    RESIZE,
    RESIZED,
    SHELVED_OFFLOADED,
    InstanceRecord,
    Move,
    Side,
)
from numaplace.request.pci import ALIAS_KEY, requests_devices

__all__ = [
    'begin',
    'check_devices',
    'confirm',
    'drop_move_claim',
    'finish',
    'invalid_state',
    'on_host',
    'revert',
    'shelve',
]

Step: TypeAlias = Callable[[InstanceRecord], InstanceRecord]


@dataclass(frozen=True, slots=True)
class _Course:
    """Nova's status names for the stages of one kind of move.

    :param claimed: both sides are held, the guest is where it was
    :param arrived: the guest is at its destination; that ends the move unless `confirms`
    :param aborted: the move was aborted
    :param confirms: whether both sides stay held until the move is confirmed or reverted
    """

    claimed: str
    arrived: str
    aborted: str
    confirms: bool = False


_COURSES = {
    RESIZE: _Course('pre-migrating', 'finished', 'error', confirms=True),
    MIGRATION: _Course('pre-migrating', 'finished', 'error', confirms=True),
    LIVE_MIGRATION: _Course('running', 'completed', 'failed'),
    EVACUATION: _Course('pre-migrating', 'done', 'failed'),
}
_CONFIRMED, _REVERTED = 'confirmed', 'reverted'


def invalid_state(instance: InstanceRecord, action: str, expected: str) -> exception.InstanceInvalidState:
    """Return the fault for a server whose state does not allow something.

    :param action: what was to be done, as in ``cannot shelve``
    :param expected: the status that would allow it
    """
    return exception.InstanceInvalidState(
        f'cannot {action} server {instance.name!r} ({instance.uuid}): its status is {instance.status}; '
        f'expected {expected}'
    )


def on_host(instance: InstanceRecord, action: str) -> Side:
    """Return the place of a server that is not in a move.

    :raises: :class:`~numaplace.exception.InstanceInvalidState` if it is in a move, or has no host
    """
    if instance.vm_state != ACTIVE or instance.move is not None or instance.host is None:
        raise invalid_state(instance, action, 'ACTIVE')
    return Side(instance.host, instance.flavor, instance.placement)


def begin(instance: InstanceRecord, kind: str, new: Side, move_uuid: str) -> InstanceRecord:
    """Return a server that holds its new side in addition to its own.

    :param move_uuid: of the move; not used before
    :raises: :class:`~numaplace.exception.InstanceInvalidState`
    """
    old = on_host(instance, f'move ({kind})')
    return replace(instance, move=Move(kind, _COURSES[kind].claimed, old, new, move_uuid))


def finish(database: api.Database, instance_uuid: str, move_uuid: str | None = None) -> InstanceRecord:
    """Record that the guest runs at its destination.

    After a resize or a cold migration both sides stay held until :func:`confirm` or :func:`revert`; after a live
    migration or an evacuation the old one is free.

    :param move_uuid: of the move that ends; None for any move. A move that began since is not ended with it
    :raises: :class:`~numaplace.exception.NotFound` if there is no such server,
        :class:`~numaplace.exception.InstanceInvalidState` if it is not in that move, or has arrived already,
        :class:`~numaplace.exception.ConcurrentUpdate` if the race for its hosts was lost too often
    """
    return _step(database, instance_uuid, lambda instance: _finished(instance, move_uuid))


def _finished(instance: InstanceRecord, move_uuid: str | None = None) -> InstanceRecord:
    move, course = _under_way(instance, 'finish the move of', move_uuid)
    if course.confirms:
        return replace(_at(instance, move.new, course.arrived), vm_state=RESIZED)
    return _at(instance, move.new, course.arrived)


def confirm(database: api.Database, instance_uuid: str, move_uuid: str | None = None) -> InstanceRecord:
    """Confirm a resize or a cold migration: the guest stays at its destination, and what it held before is freed.

    :param move_uuid: as for :func:`finish`
    :raises: as :func:`finish`, :class:`~numaplace.exception.InstanceInvalidState` if no move waits for confirmation
    """
    return _step(database, instance_uuid, lambda instance: _confirmed(instance, move_uuid))


def _confirmed(instance: InstanceRecord, move_uuid: str | None = None) -> InstanceRecord:
    return replace(_at(instance, _waiting(instance, 'confirm', move_uuid).new, _CONFIRMED), vm_state=ACTIVE)


def revert(database: api.Database, instance_uuid: str, move_uuid: str | None = None) -> InstanceRecord:
    """Revert a resize or a cold migration: the guest is back at its source, with its old flavor.

    :param move_uuid: as for :func:`finish`
    :raises: as :func:`confirm`
    """
    return _step(database, instance_uuid, lambda instance: _reverted(instance, move_uuid))


def _reverted(instance: InstanceRecord, move_uuid: str | None = None) -> InstanceRecord:
    return replace(_at(instance, _waiting(instance, 'revert', move_uuid).old, _REVERTED), vm_state=ACTIVE)


def drop_move_claim(database: api.Database, instance_uuid: str, move_uuid: str | None = None) -> InstanceRecord:
    """Abort a move whose guest has not arrived: the guest stays, and its claim at the destination is freed.

    :param move_uuid: as for :func:`finish`
    :raises: as :func:`finish`
    """

    def dropped(instance: InstanceRecord) -> InstanceRecord:
        move, course = _under_way(instance, 'abort the move of', move_uuid)
        return _at(instance, move.old, course.aborted)

    return _step(database, instance_uuid, dropped)


def check_devices(instance: InstanceRecord) -> None:
    """Check that a server gets PCI devices and other resources again where it is placed anew, if it has some.

    A domain that was adopted has some that its flavor does not request.

    :raises: :class:`~numaplace.exception.Conflict`
    """
    placement, flavor = instance.placement, instance.flavor
    devices = [granted.device.address for granted in placement.devices]
    asks = placement.resources and requests.read(flavor, instance.image_properties).resource_requests
    for what, held, is_requested, key in (
        ('PCI devices', devices, requests_devices(flavor, instance.devices), ALIAS_KEY),
        ('memory', placement.resources, asks, 'hw:mem_encryption or hw:pmem'),
    ):
        if held and not is_requested:
            raise exception.Conflict(
                f'server {instance.name!r} ({instance.uuid}) holds {what} ({", ".join(held)}) that its flavor does '
                f'not request, so that it would lose them; expected one without, or a flavor with {key}'
            )


def shelve(database: api.Database, instance_uuid: str, generation: int | None = None) -> InstanceRecord:
    """Remove a server from its host: it holds nothing until :func:`numaplace.compute.claims.unshelve_claim`.

    :param generation: that the server must have; None for any
    :raises: as :func:`finish`, :class:`~numaplace.exception.InstanceInvalidState` if it is not ACTIVE, or was changed
        since
    """

    def shelved(instance: InstanceRecord) -> InstanceRecord:
        on_host(instance, 'shelve')
        check_devices(instance)
        if generation not in (None, instance.generation):
            raise exception.InstanceInvalidState(f'server {instance.uuid} was changed since it was unshelved')
        guest = instance.placement.guest
        details = Guest(
            guest.most_vcpus,
            guest.memory_mib - guest.plugged_mib,
            cpu_topology=guest.cpu_topology,
            realtime_vcpus=guest.realtime_vcpus,
            locked_memory=guest.locked_memory,
        )
        return replace(instance, host=None, placement=Placement(details), vm_state=SHELVED_OFFLOADED)

    return _step(database, instance_uuid, shelved)


def _step(database: api.Database, instance_uuid: str, step: Step) -> InstanceRecord:
    return retry(lambda: database.change_instance(instance_uuid, lambda instance, _hosts: step(instance)))


def _under_way(instance: InstanceRecord, action: str, move_uuid: str | None = None) -> tuple[Move, _Course]:
    """Return the move of a server whose guest has not arrived."""
    if instance.move is None or instance.vm_state != ACTIVE:
        raise invalid_state(instance, action, 'RESIZE, MIGRATING or REBUILD')
    _check_move(instance.move, instance, move_uuid)
    return instance.move, _COURSES[instance.move.kind]


def _waiting(instance: InstanceRecord, action: str, move_uuid: str | None = None) -> Move:
    """Return the move of a server that waits for confirmation."""
    if instance.move is None or instance.vm_state != RESIZED:
        raise invalid_state(instance, f'{action} the resize of', 'VERIFY_RESIZE')
    _check_move(instance.move, instance, move_uuid)
    return instance.move


def _check_move(move: Move, instance: InstanceRecord, move_uuid: str | None) -> None:
    if move_uuid not in (None, move.uuid):
        raise exception.InstanceInvalidState(f'server {instance.uuid} is in another move than {move_uuid}')


def _at(instance: InstanceRecord, side: Side, status: str) -> InstanceRecord:
    """Return a server on one side of its move, which gets a new status."""
    move = instance.move and replace(instance.move, status=status)
    return replace(instance, host=side.host, flavor=side.flavor, placement=side.placement, move=move)
