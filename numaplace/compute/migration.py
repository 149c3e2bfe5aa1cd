# SPDX-License-Identifier: Apache-2.0
"""Moves from their claim to their end: each step is a function of the server, and one transaction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

from numaplace import exception
from numaplace.db import api
from numaplace.db.records import (
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
from numaplace.db.retry import retry_waiting
from numaplace.model import Guest, Placement

__all__ = [
    'begin',
    'confirm',
    'drop_move_claim',
    'drop_move_claim_at_destination',
    'drop_move_claim_at_source',
    'finish',
    'invalid_state',
    'on_host',
    'revert',
    'shelve',
]

Step: TypeAlias = Callable[[InstanceRecord], InstanceRecord]


@dataclass(frozen=True, slots=True)
class _Course:
    """Nova's words for how far a move of one kind is.

    :param claimed: both sides are held, the guest is where it was
    :param arrived: the guest is where it goes; that is the end of the move unless `confirms`
    :param aborted: it came to nothing
    :param confirms: whether both sides stay held until somebody confirms the move, or takes it back
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


def invalid_state(instance: InstanceRecord, deed: str, expected: str) -> exception.InstanceInvalidState:
    """Return the fault for a server whose state does not allow something.

    :param deed: what was to be done, as in ``cannot shelve``
    :param expected: the status in which it could be
    """
    return exception.InstanceInvalidState(
        f'cannot {deed} server {instance.name!r} ({instance.uuid}): its status is {instance.status}; '
        f'expected {expected}'
    )


def on_host(instance: InstanceRecord, deed: str) -> Side:
    """Return the place of a server that nothing else is done with.

    :raises: :class:`~numaplace.exception.InstanceInvalidState` if it is in a move, or on no host
    """
    if instance.vm_state != ACTIVE or instance.move is not None or instance.host is None:
        raise invalid_state(instance, deed, 'ACTIVE')
    return Side(instance.host, instance.flavor, instance.placement)


def begin(instance: InstanceRecord, kind: str, new: Side, move_uuid: str) -> InstanceRecord:
    """Return a server that holds its new side beside its own.

    :param move_uuid: of the move, which nobody else has
    :raises: :class:`~numaplace.exception.InstanceInvalidState`
    """
    old = on_host(instance, f'move ({kind})')
    return replace(instance, move=Move(kind, _COURSES[kind].claimed, old, new, move_uuid))


def finish(database: api.Database, instance_uuid: str) -> InstanceRecord:
    """Record that the guest runs where it goes.

    After a resize or a cold migration both sides stay held until :func:`confirm` or :func:`revert`; after a live
    migration or an evacuation the old one is free.

    :raises: :class:`~numaplace.exception.NotFound` if there is no such server,
        :class:`~numaplace.exception.InstanceInvalidState` if it is in no move, or has arrived already,
        :class:`~numaplace.exception.ConcurrentUpdate` if the race for its hosts was lost again and again
    """
    return _step(database, instance_uuid, _finished)


def _finished(instance: InstanceRecord) -> InstanceRecord:
    move, course = _under_way(instance, 'finish the move of')
    if course.confirms:
        return replace(_at(instance, move.new, course.arrived), vm_state=RESIZED)
    return _at(instance, move.new, course.arrived)


def confirm(database: api.Database, instance_uuid: str) -> InstanceRecord:
    """End a resize or a cold migration: the guest stays where it went, what it held before is free.

    :raises: as :func:`finish`, :class:`~numaplace.exception.InstanceInvalidState` if nothing waits to be confirmed
    """
    return _step(database, instance_uuid, _confirmed)


def _confirmed(instance: InstanceRecord) -> InstanceRecord:
    return replace(_at(instance, _waiting(instance, 'confirm').new, _CONFIRMED), vm_state=ACTIVE)


def revert(database: api.Database, instance_uuid: str) -> InstanceRecord:
    """Take a resize or a cold migration back: the guest is where it was, with the flavor that it had.

    :raises: as :func:`confirm`
    """
    return _step(database, instance_uuid, _reverted)


def _reverted(instance: InstanceRecord) -> InstanceRecord:
    return replace(_at(instance, _waiting(instance, 'revert').old, _REVERTED), vm_state=ACTIVE)


def drop_move_claim(database: api.Database, instance_uuid: str, move_uuid: str | None = None) -> InstanceRecord:
    """Give up a move that has not arrived: the guest is where it was, what it would have held is free.

    :param move_uuid: the move that is meant; any, if it is None
    :raises: as :func:`finish`, :class:`~numaplace.exception.InstanceInvalidState` too if it is in another move
    """

    def dropped(instance: InstanceRecord) -> InstanceRecord:
        move, course = _under_way(instance, 'abort the move of')
        if move_uuid not in (None, move.uuid):
            raise exception.InstanceInvalidState(f'server {instance.uuid} is in another move than {move_uuid}')
        return _at(instance, move.old, course.aborted)

    return _step(database, instance_uuid, dropped)


def drop_move_claim_at_source(database: api.Database, instance_uuid: str) -> InstanceRecord:
    """End a move at its destination, of whatever kind it is, and free what the server held at the source.

    :raises: as :func:`finish`, :class:`~numaplace.exception.InstanceInvalidState` if the guest of a resize has not
        arrived
    """

    def dropped(instance: InstanceRecord) -> InstanceRecord:
        move = instance.move
        ends_there = move is not None and not _COURSES[move.kind].confirms
        return _finished(instance) if ends_there else _confirmed(instance)

    return _step(database, instance_uuid, dropped)


def drop_move_claim_at_destination(database: api.Database, instance_uuid: str) -> InstanceRecord:
    """End a move at its source, wherever the guest is, and free what the server held at the destination.

    :raises: as :func:`finish`, :class:`~numaplace.exception.InstanceInvalidState` if it is in no move
    """

    def dropped(instance: InstanceRecord) -> InstanceRecord:
        if instance.vm_state == RESIZED:
            return _reverted(instance)
        move, course = _under_way(instance, 'abort the move of')
        return _at(instance, move.old, course.aborted)

    return _step(database, instance_uuid, dropped)


def shelve(database: api.Database, instance_uuid: str, generation: int | None = None) -> InstanceRecord:
    """Take a server off its host: it holds nothing until :func:`numaplace.compute.claims.unshelve_claim`.

    :param generation: of the server that is meant; any, if it is None
    :raises: as :func:`finish`, :class:`~numaplace.exception.InstanceInvalidState` if it is not ACTIVE, or was changed
        since
    """

    def shelved(instance: InstanceRecord) -> InstanceRecord:
        on_host(instance, 'shelve')
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
    return retry_waiting(
        lambda wait: database.change_instance(instance_uuid, lambda instance, _hosts: step(instance), lock=wait)
    )


def _under_way(instance: InstanceRecord, deed: str) -> tuple[Move, _Course]:
    """Return the move of a server whose guest has not arrived."""
    if instance.move is None or instance.vm_state != ACTIVE:
        raise invalid_state(instance, deed, 'RESIZE, MIGRATING or REBUILD')
    return instance.move, _COURSES[instance.move.kind]


def _waiting(instance: InstanceRecord, deed: str) -> Move:
    """Return the move of a server that waits to be confirmed."""
    if instance.move is None or instance.vm_state != RESIZED:
        raise invalid_state(instance, f'{deed} the resize of', 'VERIFY_RESIZE')
    return instance.move


def _at(instance: InstanceRecord, side: Side, status: str) -> InstanceRecord:
    """Return a server on one side of its move, which gets a new status."""
    move = instance.move and replace(instance.move, status=status)
    return replace(instance, host=side.host, flavor=side.flavor, placement=side.placement, move=move)
