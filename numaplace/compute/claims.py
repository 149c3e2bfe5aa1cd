# SPDX-License-Identifier: Apache-2.0
"""Claims: a guest placed on a host and recorded there, in one step that others cannot come between."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeAlias, TypedDict, Unpack

from numaplace import exception, fit, partition
from numaplace import request as requests
from numaplace.compute import migration
from numaplace.db import api, holding
from numaplace.db.records import (
    ACTIVE,
    DOWN,
    EVACUATION,
    LIVE_MIGRATION,
    MIGRATION,
    RESIZE,
    SHELVED_OFFLOADED,
    FlavorRecord,
    HostRecord,
    InstanceRecord,
    InstanceRequest,
    Side,
)
from numaplace.db.retry import retry_waiting
from numaplace.model import Guest, Host, Limits, Networks, Placement, Refusal

__all__ = [
    'Claim',
    'Read',
    'Terms',
    'bindings',
    'check_down',
    'check_shelved',
    'check_up',
    'instance_claim',
    'live_migration_claim',
    'rebuild',
    'rebuild_claim',
    'release',
    'resize_claim',
    'unshelve_claim',
]

#: Tells what a flavor and the properties of an image ask for.
Read: TypeAlias = Callable[[FlavorRecord, Mapping[str, str]], Guest]


class Terms(TypedDict, total=False):
    """What every claim may be given for the fit.

    :param limits: how far the host's cells may be overcommitted; without them, as far as asked
    :param networks: what the guest attaches to
    :param strategy: in which order the host's cells are tried
    """

    limits: Limits | None
    networks: Networks | None
    strategy: fit.Strategy


class Claim:
    """A guest that holds its place. As a context manager it gives all back when the body raises, whatever it raises.

    :param instance: the server as it is stored
    :param undo: gives back what was claimed
    """

    def __init__(self, instance: InstanceRecord, undo: Callable[[], object]) -> None:
        self.instance = instance
        self._undo = undo
        self._settled = False

    @property
    def side(self) -> Side:
        """The place that was claimed."""
        return holding.holds(self.instance)[-1]

    def abort(self) -> None:
        """Give back what was claimed; does nothing when that, or a ``with`` block, is over.

        :raises: as :func:`release`, but a claim that others ended already is no fault
        """
        if self._settled:
            return
        with suppress(exception.NotFound, exception.InstanceInvalidState):  # whoever ended it freed it
            self._undo()
        self._settled = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _error: object, _traceback: TracebackType | None) -> None:
        if kind is not None:
            self.abort()
        self._settled = True


def instance_claim(
    database: api.Database, request: InstanceRequest, host_name: str, **terms: Unpack[Terms]
) -> Claim | Refusal:
    """Place a new server on a host and record it, in one transaction.

    When another claim on the host came first, the guest is fitted anew to what is left.

    :param terms: see :class:`Terms`
    :returns: the claim, or the refusal of the fit, which leaves the database unchanged
    :raises: :class:`~numaplace.exception.NotFound` for an unknown host,
        :class:`~numaplace.exception.ConcurrentUpdate` if the race for the host was lost again and again
    """

    def place(host: Host) -> Placement | Refusal:
        return partition.place(host, request.guest, **terms)

    is_ours = False

    def storing() -> None:
        nonlocal is_ours
        is_ours = True

    def undo() -> None:
        if is_ours:  # and no server of that UUID that was there before
            release(database, request.uuid)

    with _undone(undo):
        answer = retry_waiting(lambda wait: database.claim(request, host_name, place, lock=wait, storing=storing))
    return answer if isinstance(answer, Refusal) else Claim(answer, undo)


@contextmanager
def _undone(undo: Callable[[], object]) -> Iterator[None]:
    """Give back what an interrupt leaves behind: it may come when a claim is stored and nobody holds it yet."""
    try:
        yield
    except Exception:
        raise
    except BaseException:
        with suppress(exception.NotFound, exception.InstanceInvalidState):
            undo()
        raise


def release(database: api.Database, instance_uuid: str) -> InstanceRecord:
    """Delete a server and free all that it holds, on both sides of a move too, in one transaction.

    :returns: the server as it was
    :raises: :class:`~numaplace.exception.NotFound` if there is no such server,
        :class:`~numaplace.exception.ConcurrentUpdate` if the race for its hosts was lost again and again;
        :class:`~numaplace.exception.UsageInvalid`, :class:`~numaplace.exception.CPUUnpinningInvalid` or
        :class:`~numaplace.exception.CPUUnpinningUnknown` if the usage of a host does not hold the server
    """
    return retry_waiting(lambda wait: database.release(instance_uuid, lock=wait))


def resize_claim(
    database: api.Database,
    instance_uuid: str,
    host_name: str,
    *,
    flavor: FlavorRecord | None = None,
    read: Read = requests.read,
    **terms: Unpack[Terms],
) -> Claim | Refusal:
    """Hold a place on a host for a server that gets another flavor, or is moved while it is off.

    The host of a resize may be the one that it is on: then both places are held there.

    :param flavor: the new flavor; None moves the server with its own
    :param read: tells what flavor and image ask for
    :returns: the claim, or the refusal of the fit, which leaves the database unchanged
    :raises: :class:`~numaplace.exception.NotFound` for an unknown server or host,
        :class:`~numaplace.exception.InstanceInvalidState` if the server is not ACTIVE,
        :class:`~numaplace.exception.ComputeServiceUnavailable` if its host is down,
        :class:`~numaplace.exception.UnableToMigrateToSelf` for its own host without a flavor,
        :class:`~numaplace.exception.ConcurrentUpdate` if the race for a host was lost again and again,
        and what `read` raises
    """

    def ask(instance: InstanceRecord, source: HostRecord) -> _Wanted:
        check_up(source)
        wanted = flavor or instance.flavor
        return _Wanted(RESIZE if flavor else MIGRATION, wanted, read(wanted, instance.image_properties))

    return _move_claim(database, instance_uuid, host_name, ask, terms)


def rebuild_claim(
    database: api.Database, instance_uuid: str, host_name: str, *, read: Read = requests.read, **terms: Unpack[Terms]
) -> Claim | Refusal:
    """Hold a place on a host for a server that is evacuated from a host that is down.

    :returns: as :func:`resize_claim`
    :raises: as :func:`resize_claim`, but :class:`~numaplace.exception.ComputeServiceInUse` if its host is up
    """

    def ask(instance: InstanceRecord, source: HostRecord) -> _Wanted:
        check_down(source)
        return _Wanted(EVACUATION, instance.flavor, read(instance.flavor, instance.image_properties))

    return _move_claim(database, instance_uuid, host_name, ask, terms)


def live_migration_claim(
    database: api.Database, instance_uuid: str, host_name: str, **terms: Unpack[Terms]
) -> Claim | Refusal:
    """Hold a place on a host for a server that is moved while it runs.

    What is asked for is what the guest has: its cells, vCPUs and policies, and in each cell pages of the size that
    backs it now, for none of that can change in a running guest. See :func:`bindings` for guests whose cells share.

    :returns: as :func:`resize_claim`
    :raises: as :func:`resize_claim`
    """

    def ask(instance: InstanceRecord, source: HostRecord) -> _Wanted:
        check_up(source)
        return _Wanted(LIVE_MIGRATION, instance.flavor, instance.placement.guest, bindings(instance.placement))

    return _move_claim(database, instance_uuid, host_name, ask, terms)


def bindings(placement: Placement) -> tuple[int, ...] | None:
    """Return the host cells that the cells of a running guest are bound to.

    Cells that share a host cell go on sharing one, and the fit searches host cells only for guests whose cells have one
    each; so such a guest goes to the host cells of the same ids. None stands for all other guests.
    """
    taken = tuple(placed.host_cell for placed in placement.cells)
    return taken if len(set(taken)) < len(taken) else None


def unshelve_claim(
    database: api.Database, instance_uuid: str, host_name: str, *, read: Read = requests.read, **terms: Unpack[Terms]
) -> Claim | Refusal:
    """Place a server that is on no host on one, and record it, in one transaction.

    :returns: as :func:`resize_claim`
    :raises: as :func:`resize_claim`, :class:`~numaplace.exception.InstanceInvalidState` if it is not SHELVED_OFFLOADED
    """
    generation = None

    def change(instance: InstanceRecord, hosts: Mapping[str, HostRecord]) -> InstanceRecord | Refusal:
        nonlocal generation
        check_shelved(instance)
        generation = instance.generation + 1
        placement = partition.place(hosts[host_name].host, read(instance.flavor, instance.image_properties), **terms)
        if isinstance(placement, Refusal):
            return placement
        return replace(instance, host=host_name, placement=placement, vm_state=ACTIVE)

    def undo() -> None:
        if generation is not None:
            migration.shelve(database, instance_uuid, generation)

    with _undone(undo):
        answer = retry_waiting(
            lambda wait: database.change_instance(instance_uuid, change, more_hosts=[host_name], lock=wait)
        )
    return answer if isinstance(answer, Refusal) else Claim(answer, undo)


def rebuild(
    database: api.Database, instance_uuid: str, image_properties: Mapping[str, str], *, read: Read = requests.read
) -> InstanceRecord:
    """Give a server another image where it is; what it holds stays.

    :raises: :class:`~numaplace.exception.NotFound` for an unknown server,
        :class:`~numaplace.exception.InstanceInvalidState` if it is not ACTIVE,
        :class:`~numaplace.exception.ImageNUMATopologyRebuildConflict` if the new image changes the NUMA topology that
        is asked for, :class:`~numaplace.exception.ConcurrentUpdate`, and what `read` raises
    """

    def change(instance: InstanceRecord, _hosts: object) -> InstanceRecord:
        migration.on_host(instance, 'rebuild')
        before, after = (read(instance.flavor, image) for image in (instance.image_properties, image_properties))
        if any(getattr(before, part) != getattr(after, part) for part in ('cells', 'emulator_policy', 'wish')):
            raise exception.ImageNUMATopologyRebuildConflict(
                f'server {instance.name!r} ({instance.uuid}): the image changes its NUMA topology, which a rebuild '
                'cannot do; expected an image that asks for the same cells, CPU policies and page sizes'
            )
        parts = ('cpu_topology', 'realtime_vcpus', 'locked_memory')
        changed: dict[str, Any] = {
            part: getattr(after, part) for part in parts if getattr(before, part) != getattr(after, part)
        }
        placement = replace(instance.placement, guest=replace(instance.placement.guest, **changed))
        return replace(instance, image_properties=image_properties, placement=placement)

    return retry_waiting(lambda wait: database.change_instance(instance_uuid, change, lock=wait))


class _Wanted(NamedTuple):
    """What a server wants at its destination.

    :param kind: of the move
    :param bindings: the ids of host cells by guest cell, or None where host cells are searched
    """

    kind: str
    flavor: FlavorRecord
    guest: Guest
    bindings: tuple[int, ...] | None = None


def _move_claim(
    database: api.Database,
    instance_uuid: str,
    host_name: str,
    ask: Callable[[InstanceRecord, HostRecord], _Wanted],
    terms: Terms,
) -> Claim | Refusal:
    """Place a server a second time and record both sides.

    :param ask: tells by the server and its host what is wanted
    """
    move_uuid = str(uuid.uuid4())

    def change(instance: InstanceRecord, hosts: Mapping[str, HostRecord]) -> InstanceRecord | Refusal:
        source = migration.on_host(instance, 'move').host
        wanted = ask(instance, hosts[source])
        if host_name == source and wanted.kind != RESIZE:
            raise exception.UnableToMigrateToSelf(
                f'server {instance.name!r} ({instance.uuid}) is on {host_name!r} already'
            )
        placement = partition.place(hosts[host_name].host, wanted.guest, bindings=wanted.bindings, **terms)
        if isinstance(placement, Refusal):
            return placement
        return migration.begin(instance, wanted.kind, Side(host_name, wanted.flavor, placement), move_uuid)

    def undo() -> None:
        migration.drop_move_claim(database, instance_uuid, move_uuid)

    with _undone(undo):
        answer = retry_waiting(
            lambda wait: database.change_instance(instance_uuid, change, more_hosts=[host_name], lock=wait)
        )
    return answer if isinstance(answer, Refusal) else Claim(answer, undo)


def check_up(source: HostRecord) -> None:
    """Make sure that what runs on a host can be moved or changed.

    :raises: :class:`~numaplace.exception.ComputeServiceUnavailable` if the host is down
    """
    if source.state == DOWN:
        raise exception.ComputeServiceUnavailable(
            f'host {source.name!r} is down: what runs there can be evacuated or deleted, and nothing else; see '
            '`numaplace server evacuate`'
        )


def check_down(source: HostRecord) -> None:
    """Make sure that a host may be evacuated.

    :raises: :class:`~numaplace.exception.ComputeServiceInUse` if it is up
    """
    if source.state != DOWN:
        raise exception.ComputeServiceInUse(
            f'host {source.name!r} is up: servers are evacuated from hosts that are down; see '
            '`numaplace host set --down`'
        )


def check_shelved(instance: InstanceRecord) -> None:
    """Make sure that a server is on no host.

    :raises: :class:`~numaplace.exception.InstanceInvalidState`
    """
    if instance.vm_state != SHELVED_OFFLOADED:
        raise migration.invalid_state(instance, 'unshelve', SHELVED_OFFLOADED.upper())
