# SPDX-License-Identifier: Apache-2.0
"""Claims: a guest is placed on a host and recorded there, in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeAlias, TypedDict, Unpack

from numaplace import exception, fit, partition
from numaplace import request as requests
from numaplace.compute import live_devices, migration
from numaplace.db import api
from numaplace.db.records import Chosen, Claimed, InstanceRequest
from numaplace.db.retry import retry
from numaplace.model import Flavor, Guest, Host, Limits, Networks, Placement, Refusal, allocations, held
from numaplace.model.records import (
    ACTIVE,
    DOWN,
    EVACUATION,
    LIVE_MIGRATION,
    MIGRATION,
    RESIZE,
    SHELVED_OFFLOADED,
    HostRecord,
    InstanceRecord,
    Side,
)

__all__ = [
    'Claim',
    'FitOptions',
    'RequestReader',
    'check_down',
    'check_shelved',
    'check_up',
    'fixed_host_cell_ids',
    'instance_claim',
    'live_migration_claim',
    'moving_guest',
    'read_request',
    'rebuild',
    'rebuild_claim',
    'release',
    'resize_claim',
    'running_guest',
    'several_claims',
    'undo_on_interrupt',
    'unshelve_claim',
]

#: Returns what a flavor and the properties of an image request; the PCI devices too, which a move would lose otherwise.
RequestReader: TypeAlias = Callable[[Flavor, Mapping[str, str]], Guest]


def read_request(flavor: Flavor, image_properties: Mapping[str, str]) -> Guest:
    """Return what a flavor and an image request where no configuration defines aliases of PCI devices.

    A server whose flavor requests devices is not moved with it, as it would lose them.

    :raises: :class:`~numaplace.exception.PciRequestAliasNotDefined` for a flavor with ``pci_passthrough:alias``, and as
        :func:`numaplace.request.read`
    """
    guest = requests.read(flavor, image_properties)
    return replace(guest, pci_requests=requests.pci_requests(flavor, image_properties, {}))


def _asked(read: RequestReader, flavor: Flavor, instance: InstanceRecord) -> Guest:
    """Return what a server requests with a flavor, with the devices of its own NICs."""
    guest = read(flavor, instance.image_properties)
    return requests.with_networks(guest, flavor, instance.image_properties, instance.devices)


class FitOptions(TypedDict, total=False):
    """Options of the fit that every claim accepts.

    :param limits: how far the host's cells may be overcommitted; without them, there is no limit
    :param networks: the networks of the guest
    :param strategy: the order in which the host's cells are tried
    """

    limits: Limits | None
    networks: Networks | None
    strategy: fit.Strategy


class Claim:
    """A guest that holds its place. As a context manager it releases the place when the body raises anything.

    :param instance: the server as it is stored
    :param undo: releases what was claimed
    :param is_new: whether it was stored now, and not when the same request came before
    """

    def __init__(self, instance: InstanceRecord, undo: Callable[[], object], *, is_new: bool = True) -> None:
        self.instance, self.is_new = instance, is_new
        self._undo = undo
        self._closed = False

    @property
    def side(self) -> Side:
        """The place that was claimed."""
        return allocations.holds(self.instance)[-1]

    def abort(self) -> None:
        """Release what was claimed; do nothing after a first call or the end of a ``with`` block.

        :raises: as :func:`release`, but a claim that another process has ended is not a fault
        """
        if self._closed:
            return
        with suppress(exception.NotFound, exception.InstanceInvalidState):  # the other process freed it
            self._undo()
        self._closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _error: object, _traceback: TracebackType | None) -> None:
        if kind is not None:
            self.abort()
        self._closed = True


def instance_claim(
    database: api.Database,
    request: InstanceRequest,
    host_name: str,
    **options: Unpack[FitOptions],
) -> Claim | Refusal:
    """Place a new server on a host and record it, in one transaction.

    If another claim on the host came first, the guest is fitted again to what is left.

    :param options: see :class:`FitOptions`
    :returns: the claim, or the refusal of the fit, which leaves the database unchanged
    :raises: :class:`~numaplace.exception.NotFound` for an unknown host,
        :class:`~numaplace.exception.ConcurrentUpdate` if the race for the host was lost too often
    """

    def place(host: Host) -> Placement | Refusal:
        return partition.place(host, request.guest, **options)

    is_ours = False

    def storing() -> None:
        nonlocal is_ours
        is_ours = True

    def undo() -> None:
        if is_ours:  # and not an earlier server with that UUID
            release(database, request.uuid)

    try:
        with undo_on_interrupt(undo):
            answer = retry(lambda: database.claim(request, host_name, place, storing=storing))
    except exception.AlreadyCarriedOut:  # and this is what it claimed, which belongs to whoever did it
        return Claim(database.instance(request.uuid), lambda: None, is_new=False)
    return answer if isinstance(answer, Refusal) else Claim(answer, undo)


def several_claims(
    database: api.Database, chosen: Sequence[Chosen], again: Callable[[int, HostRecord], Placement | None]
) -> tuple[list[Claim | None], Claimed]:
    """Record new servers on the hosts that were chosen for them, all in one transaction.

    :param again: returns the place of the server with this number on a host that has changed, or None
    :returns: a claim for each server, or None for one that has to be claimed alone, and what is known of the hosts
    :raises: as :meth:`numaplace.db.api.Database.claim_several`, but for what holds for one of the servers
    """
    ours: set[str] = set()

    def undo() -> None:
        for uuid in ours:
            with suppress(exception.NotFound, exception.InstanceInvalidState):
                release(database, uuid)

    try:
        with undo_on_interrupt(undo):
            found = retry(lambda: database.claim_several(chosen, again, storing=ours.update))
    except (exception.AlreadyCarriedOut, exception.AlreadyExists, exception.ConcurrentUpdate):
        # The claim of each server says of which, or goes on with other hosts.
        return [None] * len(chosen), Claimed((None,) * len(chosen))
    stored = [None if one is None else Claim(one, partial(release, database, one.uuid)) for one in found.servers]
    return stored, found


@contextmanager
def undo_on_interrupt(undo: Callable[[], object]) -> Iterator[None]:
    """Release what an interrupt leaves behind: it may arrive when a claim is stored but not returned yet."""
    try:
        yield
    except Exception:
        raise
    except BaseException:
        with suppress(exception.NotFound, exception.InstanceInvalidState):
            undo()
        raise


def release(database: api.Database, instance_uuid: str, *, is_left: bool = False) -> InstanceRecord:
    """Delete a server and free all that it holds, on both sides of a move too, in one transaction.

    :param is_left: its domain stays: what it has counts from then on as held by a domain that numaplace does not manage
    :returns: the server as it was
    :raises: :class:`~numaplace.exception.NotFound` if there is no such server,
        :class:`~numaplace.exception.ConcurrentUpdate` if the race for its hosts was lost too often;
        :class:`~numaplace.exception.UsageInvalid`, :class:`~numaplace.exception.CPUUnpinningInvalid` or
        :class:`~numaplace.exception.CPUUnpinningUnknown` if the usage of a host does not include the server
    """
    return retry(lambda: database.change_instance(instance_uuid, lambda _instance, _hosts: None, is_left=is_left))


def resize_claim(
    database: api.Database,
    instance_uuid: str,
    host_name: str,
    *,
    flavor: Flavor | None = None,
    read: RequestReader = read_request,
    **options: Unpack[FitOptions],
) -> Claim | Refusal:
    """Claim a place on a host for a server that gets another flavor, or is moved while it is off.

    A resize may stay on the present host: then both places are held there.

    :param flavor: the new flavor; None keeps the server's own
    :param read: returns what flavor and image request
    :returns: the claim, or the refusal of the fit, which leaves the database unchanged
    :raises: :class:`~numaplace.exception.NotFound` for an unknown server or host,
        :class:`~numaplace.exception.InstanceInvalidState` if the server is not ACTIVE,
        :class:`~numaplace.exception.ComputeServiceUnavailable` if its host is down,
        :class:`~numaplace.exception.UnableToMigrateToSelf` for its own host without a flavor,
        :class:`~numaplace.exception.ConcurrentUpdate` if the race for a host was lost too often,
        and what `read` raises
    """

    def ask(instance: InstanceRecord, source: HostRecord) -> _Wanted:
        check_up(source)
        wanted = flavor or instance.flavor
        return _Wanted(RESIZE if flavor else MIGRATION, wanted, _asked(read, wanted, instance))

    return _move_claim(database, instance_uuid, host_name, ask, options)


def rebuild_claim(
    database: api.Database,
    instance_uuid: str,
    host_name: str,
    *,
    read: RequestReader = read_request,
    **options: Unpack[FitOptions],
) -> Claim | Refusal:
    """Claim a place on a host for a server that is evacuated from a host that is down.

    :returns: as :func:`resize_claim`
    :raises: as :func:`resize_claim`, but :class:`~numaplace.exception.ComputeServiceInUse` if its host is up
    """

    def ask(instance: InstanceRecord, source: HostRecord) -> _Wanted:
        check_down(source)
        return _Wanted(EVACUATION, instance.flavor, _asked(read, instance.flavor, instance))

    return _move_claim(database, instance_uuid, host_name, ask, options)


def live_migration_claim(
    database: api.Database,
    instance_uuid: str,
    host_name: str,
    *,
    read: RequestReader = read_request,
    **options: Unpack[FitOptions],
) -> Claim | Refusal:
    """Claim a place on a host for a server that is moved while it runs.

    The request is what the guest has: its cells, vCPUs and policies, and in each cell pages of the size that backs it
    now. None of that can change in a running guest. The cores that its flavor leaves free stay free. See
    :func:`fixed_host_cell_ids` for guests whose cells share a host cell.

    :param read: as for :func:`resize_claim`, asked for a server with PCI devices
    :returns: as :func:`resize_claim`
    :raises: as :func:`resize_claim`, and :func:`numaplace.compute.live_devices.requested`
    """

    def ask(instance: InstanceRecord, source: HostRecord) -> _Wanted:
        check_up(source)
        if held := instance.placement.resources:
            raise exception.Conflict(
                f'server {instance.name!r} ({instance.uuid}) holds memory ({", ".join(held)}), which does not move '
                'while it runs; expected a server without it, or a cold migration: `numaplace server migrate`'
            )
        guest = moving_guest(instance, read)
        return _Wanted(LIVE_MIGRATION, instance.flavor, guest, fixed_host_cell_ids(instance.placement))

    return _move_claim(database, instance_uuid, host_name, ask, options)


def running_guest(instance: InstanceRecord) -> Guest:
    """Return a guest as it runs, with the wish of its flavor for which cores it may use.

    :raises: :class:`~numaplace.exception.InvalidRequest` if this release cannot read the flavor
    """
    wish = requests.read(instance.flavor, instance.image_properties).wish
    return replace(instance.placement.guest, wish=wish)


def moving_guest(instance: InstanceRecord, read: RequestReader) -> Guest:
    """Return a guest as it runs, as it requests a place to which it moves while it runs.

    :param read: as for :func:`live_migration_claim`
    :raises: as :func:`running_guest` and :func:`numaplace.compute.live_devices.requested`
    """
    guest = running_guest(instance)
    if not instance.placement.devices:
        return guest
    asked = _asked(read, instance.flavor, instance)
    return replace(guest, pci_requests=live_devices.requested(instance, asked))


def fixed_host_cell_ids(placement: Placement) -> tuple[int, ...] | None:
    """Return the host cells that the cells of a running guest are bound to.

    Cells that share a host cell must still share one, but the fit searches host cells only for guests whose cells have
    one each. So such a guest goes to the host cells with the same ids. The result is None for all other guests.
    """
    taken = tuple(placed.host_cell for placed in placement.cells)
    return taken if len(set(taken)) < len(taken) else None


def unshelve_claim(
    database: api.Database,
    instance_uuid: str,
    host_name: str,
    *,
    read: RequestReader = read_request,
    **options: Unpack[FitOptions],
) -> Claim | Refusal:
    """Place a server without a host on a host, and record it, in one transaction.

    :returns: as :func:`resize_claim`
    :raises: as :func:`resize_claim`, :class:`~numaplace.exception.InstanceInvalidState` if it is not SHELVED_OFFLOADED
    """
    generation = None

    def change(instance: InstanceRecord, hosts: Mapping[str, HostRecord]) -> InstanceRecord | Refusal:
        nonlocal generation
        check_shelved(instance)
        generation = instance.generation + 1
        guest = _asked(read, instance.flavor, instance)
        placement = _place(hosts[host_name], instance, guest, **options)
        if isinstance(placement, Refusal):
            return placement
        return replace(instance, host=host_name, placement=placement, vm_state=ACTIVE)

    def undo() -> None:
        if generation is not None:
            migration.shelve(database, instance_uuid, generation)

    with undo_on_interrupt(undo):
        answer = retry(lambda: database.change_instance(instance_uuid, change, more_hosts=[host_name]))
    return answer if isinstance(answer, Refusal) else Claim(answer, undo)


def rebuild(
    database: api.Database,
    instance_uuid: str,
    image_properties: Mapping[str, str],
    *,
    read: RequestReader = requests.read,
) -> InstanceRecord:
    """Change the image of a server in place; what it holds stays.

    :raises: :class:`~numaplace.exception.NotFound` for an unknown server,
        :class:`~numaplace.exception.InstanceInvalidState` if it is not ACTIVE,
        :class:`~numaplace.exception.ImageNUMATopologyRebuildConflict` if the new image changes the requested NUMA
        topology, :class:`~numaplace.exception.ConcurrentUpdate`, and what `read` raises
    """

    def change(instance: InstanceRecord, _hosts: object) -> InstanceRecord:
        migration.on_host(instance, 'rebuild')
        before, after = (read(instance.flavor, image) for image in (instance.image_properties, image_properties))
        if any(
            getattr(before, part) != getattr(after, part)
            for part in ('cells', 'emulator_policy', 'wish', 'resource_requests')
        ):
            raise exception.ImageNUMATopologyRebuildConflict(
                f'server {instance.name!r} ({instance.uuid}): the image changes its NUMA topology, which a rebuild '
                'cannot do; expected an image that requests the same cells, CPU policies, page sizes and encryption'
            )
        parts = ('cpu_topology', 'realtime_vcpus', 'locked_memory')
        changed: dict[str, Any] = {
            part: getattr(after, part) for part in parts if getattr(before, part) != getattr(after, part)
        }
        placement = replace(instance.placement, guest=replace(instance.placement.guest, **changed))
        return replace(instance, image_properties=image_properties, placement=placement)

    return retry(lambda: database.change_instance(instance_uuid, change))


class _Wanted(NamedTuple):
    """What a server requests at its destination.

    :param kind: of the move
    :param host_cell_ids: the ids of host cells by guest cell, or None where host cells are searched
    """

    kind: str
    flavor: Flavor
    guest: Guest
    host_cell_ids: tuple[int, ...] | None = None


def _move_claim(
    database: api.Database,
    instance_uuid: str,
    host_name: str,
    ask: Callable[[InstanceRecord, HostRecord], _Wanted],
    options: FitOptions,
) -> Claim | Refusal:
    """Place a server a second time and record both sides.

    :param ask: returns what is requested, from the server and its host
    """
    move_uuid = database.move_uuid(instance_uuid)

    def change(instance: InstanceRecord, hosts: Mapping[str, HostRecord]) -> InstanceRecord | Refusal:
        source = migration.on_host(instance, 'move').host
        wanted = ask(instance, hosts[source])
        if host_name == source and wanted.kind != RESIZE:
            raise exception.UnableToMigrateToSelf(
                f'server {instance.name!r} ({instance.uuid}) is on {host_name!r} already'
            )
        if wanted.kind != LIVE_MIGRATION and not (wanted.guest.pci_requests or wanted.guest.resource_requests):
            migration.check_devices(instance)
        placement = _place(hosts[host_name], instance, wanted.guest, host_cell_ids=wanted.host_cell_ids, **options)
        if wanted.kind == LIVE_MIGRATION and not isinstance(placement, Refusal):
            placement = live_devices.in_place(instance, wanted.guest.pci_requests, placement)
        if isinstance(placement, Refusal):
            return placement
        return migration.begin(instance, wanted.kind, Side(host_name, wanted.flavor, placement), move_uuid)

    def undo() -> None:
        migration.drop_move_claim(database, instance_uuid, move_uuid)

    with undo_on_interrupt(undo):
        answer = retry(lambda: database.change_instance(instance_uuid, change, more_hosts=[host_name]))
    return answer if isinstance(answer, Refusal) else Claim(answer, undo)


def _place(
    record: HostRecord,
    instance: InstanceRecord,
    guest: Guest,
    host_cell_ids: tuple[int, ...] | None = None,
    **options: Unpack[FitOptions],
) -> Placement | Refusal:
    """Place a server on another host, unless a domain there has one of its names."""
    taken = held.name_taken(record.unmanaged, instance.uuid, instance.name, instance.domain_name)
    return partition.place(record.host, guest, host_cell_ids=host_cell_ids, **options) if taken is None else taken


def check_up(source: HostRecord) -> None:
    """Make sure that servers on a host can be moved or changed.

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
    """Make sure that a server has no host.

    :raises: :class:`~numaplace.exception.InstanceInvalidState`
    """
    if instance.vm_state != SHELVED_OFFLOADED:
        raise migration.invalid_state(instance, 'unshelve', SHELVED_OFFLOADED.upper())
