# SPDX-License-Identifier: Apache-2.0
"""What servers hold while their guests run: vCPUs are switched off and on, and memory is plugged in and unplugged.

Each function is one transaction, and claims only what is added: what runs stays where it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import inf
from typing import TypeAlias

from numaplace import cpuset, exception, fit, partition, request
from numaplace.compute import claims, migration, resource_tracker
from numaplace.db import api
from numaplace.db.retry import retry
from numaplace.fit import host_wide
from numaplace.model import (
    DEDICATED,
    ISOLATE,
    MIXED,
    CellPlacement,
    CellShape,
    Guest,
    GuestCell,
    Host,
    Limits,
    MemoryModule,
    Offline,
    Placement,
    Refusal,
)
from numaplace.model.records import HostRecord, InstanceRecord
from numaplace.request.hotplug import MAX_MEMORY, MEMORY_SLOTS, VCPU_HOTPLUG

__all__ = ['attach_memory', 'detach_memory', 'module', 'set_vcpus', 'with_memory', 'with_vcpus']

_Change: TypeAlias = Callable[[InstanceRecord, Host], InstanceRecord | Refusal]

#: Smallest page and smallest alignment of QEMU, in KiB.
_PAGE_KIB = 4
#: Smallest label area that libvirt accepts, in KiB.
_LEAST_LABEL_KIB = 128


def set_vcpus(
    database: api.Database,
    instance_uuid: str,
    number: int,
    *,
    limits: Limits | None = None,
    as_read: InstanceRecord | None = None,
) -> InstanceRecord | Refusal:
    """Set how many vCPUs of a server are on: the lowest of each cell, evenly over the cells.

    :param number: from one for each cell with vCPUs to all of them
    :param limits: how far the host's cells may be overcommitted; without them, there is no limit
    :param as_read: the server as it was read, if it must be unchanged; None for any
    :returns: the server as it is stored then, or the refusal of the fit, which leaves the database unchanged
    :raises: :class:`~numaplace.exception.NotFound` if there is no such server,
        :class:`~numaplace.exception.InstanceInvalidState` if it is not ACTIVE,
        :class:`~numaplace.exception.Conflict` if its flavor does not allow it, or it is no longer `as_read`,
        :class:`~numaplace.exception.Invalid` for any other number,
        :class:`~numaplace.exception.ConcurrentUpdate` if the race for its host was lost too often
    """
    return _change(database, instance_uuid, lambda server, host: with_vcpus(server, host, number, limits), as_read)


def with_vcpus(
    instance: InstanceRecord, host: Host, number: int, limits: Limits | None = None
) -> InstanceRecord | Refusal:
    """Return a server with a number of its vCPUs on, as :func:`set_vcpus` stores it."""
    migration.on_host(instance, 'change the vCPUs of')
    guest = instance.placement.guest
    if not request.hotplug(instance.flavor).vcpus:
        raise _not_allowed(instance, f'{VCPU_HOTPLUG}=true')
    least = sum(1 for vcpus in guest.cell_vcpus if vcpus)
    if not least <= number <= guest.most_vcpus:
        raise exception.Invalid(
            f'server {instance.name!r} ({instance.uuid}): {number} vCPUs: expected {least} to {guest.most_vcpus}, '
            'as each of its cells keeps one'
        )
    on = partition.enabled(guest.cell_vcpus, number)
    if number <= guest.vcpus:
        return replace(instance, placement=_without(instance.placement, host, on))
    if lacks := host_wide.reasons(host, _more(guest, on), limits):
        return Refusal.of(*lacks)
    near = _on_own_cores(instance.placement, host, on)
    rest, running = host.release(instance.placement).consume(near), claims.running_guest(instance)
    placement = _grown(near, partition.available_to(rest, running, running.wish), _more(near.guest, on), limits)
    return placement if isinstance(placement, Refusal) else replace(instance, placement=placement)


def _more(guest: Guest, on: int) -> Guest:
    """Return what is added to a guest when more of its vCPUs are on."""
    off = guest.offline or (Offline(),) * len(guest.cells)
    added = tuple(_added(cell, of_cell, on) for cell, of_cell in zip(guest.cells, off, strict=False))
    return Guest(on.bit_count() - guest.vcpus, 0, added)


def _added(cell: GuestCell, off: Offline, on: int) -> GuestCell:
    """Return what is added to a cell when more of its vCPUs are on."""
    shared, dedicated = off.shared & on, off.dedicated & on
    if not dedicated:
        return GuestCell(cell.id, shared, 0, 0, cpu_policy=None if shared else DEDICATED)
    return GuestCell(
        cell.id, shared, dedicated, 0, cpu_policy=MIXED if shared else DEDICATED, thread_policy=cell.thread_policy
    )


def attach_memory(
    database: api.Database,
    instance_uuid: str,
    module: MemoryModule,
    *,
    limits: Limits | None = None,
    as_read: InstanceRecord | None = None,
) -> InstanceRecord | Refusal:
    """Plug memory into a cell of a server: of its host cell, in pages of the cell's size, or of a file.

    :param limits: as for :func:`set_vcpus`
    :param as_read: likewise
    :returns: as :func:`set_vcpus`
    :raises: as :func:`set_vcpus`; :class:`~numaplace.exception.Conflict` if there is no slot left, or more memory than
        its flavor allows, :class:`~numaplace.exception.Invalid` for an invalid module
    """
    return _change(database, instance_uuid, lambda server, host: with_memory(server, host, module, limits), as_read)


def with_memory(
    instance: InstanceRecord, host: Host, module: MemoryModule, limits: Limits | None = None
) -> InstanceRecord | Refusal:
    """Return a server with a memory module plugged in, as :func:`attach_memory` stores it."""
    migration.on_host(instance, 'attach memory to')
    _check_room(instance, module)
    cells = [GuestCell(number, 0, 0, 0, cpu_policy=DEDICATED) for number in range(len(instance.placement.cells))]
    if module.claimed_mib:
        placed = instance.placement.cells[module.cell]
        policy = placed.guest_cell.cpu_policy
        cells[module.cell] = GuestCell(module.cell, 0, 0, module.claimed_mib, placed.pagesize_kib, policy)
    placement = _grown(instance.placement, host, Guest(0, module.claimed_mib, tuple(cells)), limits)
    if isinstance(placement, Refusal):
        return placement
    modules = (*placement.guest.modules, module)
    return replace(instance, placement=replace(placement, guest=replace(placement.guest, modules=modules)))


def detach_memory(
    database: api.Database, instance_uuid: str, number: int, *, as_read: InstanceRecord | None = None
) -> InstanceRecord:
    """Unplug a memory module from a server, and free what it held.

    :param number: of the module, from 0 in the order in which they were plugged in
    :param as_read: as for :func:`set_vcpus`
    :returns: the server as it is stored then
    :raises: as :func:`set_vcpus`; :class:`~numaplace.exception.NotFound` if there is no such module
    """

    def change(instance: InstanceRecord, _host: Host) -> InstanceRecord:
        migration.on_host(instance, 'detach memory from')
        gone = module(instance, number)
        placement = instance.placement
        cells = [
            _resized(placed, memory_mib=placed.guest_cell.memory_mib - (gone.claimed_mib if cell == gone.cell else 0))
            for cell, placed in enumerate(placement.cells)
        ]
        guest = replace(
            placement.guest,
            memory_mib=placement.guest.memory_mib - gone.claimed_mib,
            modules=placement.guest.modules[:number] + placement.guest.modules[number + 1 :],
        )
        return replace(instance, placement=_placement(guest, cells))

    answer = _change(database, instance_uuid, change, as_read)
    assert not isinstance(answer, Refusal)  # noqa: S101 - nothing is claimed
    return answer


def module(instance: InstanceRecord, number: int) -> MemoryModule:
    """Return a memory module of a server.

    :param number: as for :func:`detach_memory`
    :raises: :class:`~numaplace.exception.NotFound`
    """
    modules = instance.placement.guest.modules
    if 0 <= number < len(modules):
        return modules[number]
    known = f'0 to {len(modules) - 1}' if modules else 'none'
    raise exception.NotFound(
        f'server {instance.name!r} ({instance.uuid}) has no memory module {number}: its modules are {known}'
    )


# --- one transaction


def _change(
    database: api.Database, instance_uuid: str, change: _Change, as_read: InstanceRecord | None
) -> InstanceRecord | Refusal:
    """Change a server; an interrupt takes back what was claimed."""
    tried: list[tuple[InstanceRecord, InstanceRecord | Refusal]] = []

    def changed(instance: InstanceRecord, hosts: Mapping[str, HostRecord]) -> InstanceRecord | Refusal:
        if as_read is not None and as_read.generation != instance.generation:
            raise exception.Conflict(f'server {instance.name!r} ({instance.uuid}) has been changed: try again')
        host = hosts[instance.host].host if instance.host else Host()
        after = change(instance, host)
        if isinstance(after, InstanceRecord):
            held = instance.placement.devices, instance.placement.resources
            after = replace(after, placement=replace(after.placement, devices=held[0], resources=held[1]))
        tried.append((instance, after))
        return tried[-1][1]

    def undo() -> None:
        for before, after in tried[-1:]:
            if isinstance(after, InstanceRecord) and _is_larger(after.placement.guest, before.placement.guest):
                _give_back(database, before, after)

    with claims.undo_on_interrupt(undo):
        return retry(lambda: database.change_instance(instance_uuid, changed))


def _is_larger(guest: Guest, before: Guest) -> bool:
    return guest.vcpus > before.vcpus or len(guest.modules) > len(before.modules)


def _give_back(database: api.Database, before: InstanceRecord, after: InstanceRecord) -> None:
    """Free what a change of a server claimed, if it was stored.

    :raises: :class:`~numaplace.exception.InstanceInvalidState` if the server is not as it was stored
    """
    guest = after.placement.guest

    def restored(instance: InstanceRecord, _hosts: object) -> InstanceRecord:
        found = instance.placement.guest
        is_next = instance.generation == before.generation + 1
        if not is_next or (found.vcpus, found.modules) != (guest.vcpus, guest.modules):
            raise exception.InstanceInvalidState(f'server {instance.uuid} was not changed, or was changed since')
        return replace(instance, placement=before.placement)

    retry(lambda: database.change_instance(before.uuid, restored))


def _not_allowed(instance: InstanceRecord, expected: str) -> exception.Conflict:
    return exception.Conflict(
        f'server {instance.name!r} ({instance.uuid}): its flavor {instance.flavor.name!r} does not allow it; expected '
        f'{expected} when the server was created'
    )


def _check_room(instance: InstanceRecord, module: MemoryModule) -> None:
    """Make sure that a module is valid and allowed.

    :raises: :class:`~numaplace.exception.Invalid`, :class:`~numaplace.exception.Conflict`
    """
    guest, allowed = instance.placement.guest, request.hotplug(instance.flavor)
    who = f'server {instance.name!r} ({instance.uuid})'
    if not allowed.slots:
        raise _not_allowed(instance, f'{MEMORY_SLOTS} and {MAX_MEMORY}')
    if not 0 <= module.cell < len(guest.cells):
        raise exception.Invalid(f'node {module.cell}: the guest has the cells 0 to {len(guest.cells) - 1}')
    _check_nvdimm(module)
    if len(guest.modules) >= allowed.slots:
        raise exception.Conflict(f'{who}: all {allowed.slots} memory slots are taken')
    total_mib = guest.memory_mib - guest.plugged_mib + sum(each.size_mib for each in (*guest.modules, module))
    if total_mib > allowed.max_memory_mib:
        raise exception.Conflict(
            f'{who}: it would have {total_mib} MiB of memory; its flavor allows {MAX_MEMORY}={allowed.max_memory_mib}'
        )


def _check_nvdimm(module: MemoryModule) -> None:
    path, label_kib = module.path, module.label_kib
    if path is None:
        if module.align_kib or label_kib or module.pmem:
            raise exception.Invalid('alignment, label and pmem belong to a module with a path')
        return
    if not path.startswith('/') or not path.isprintable():
        raise exception.Invalid(f'path {path!r}: expected the absolute path of a file or device of the host')
    if module.align_kib is not None and (module.align_kib < _PAGE_KIB or module.align_kib.bit_count() != 1):
        raise exception.Invalid(
            f'alignment of {module.align_kib} KiB: expected a power of two of at least {_PAGE_KIB} KiB, such as 2048'
        )
    if label_kib is not None and not _LEAST_LABEL_KIB <= label_kib < module.size_mib * 1024:
        raise exception.Invalid(
            f'label of {label_kib} KiB: expected {_LEAST_LABEL_KIB} KiB or more, and less than the module has'
        )


# --- more


def _grown(placement: Placement, host: Host, more: Guest, limits: Limits | None) -> Placement | Refusal:
    """Place what is added to a guest on its present host cells.

    :param more: what is added, cell by cell; a cell to which nothing is added is dedicated, so that no limit applies
    """
    host_cell_ids = [placed.host_cell for placed in placement.cells]
    answer = fit.place(host, more, limits=_limits(limits, more), host_cell_ids=host_cell_ids)
    if isinstance(answer, Refusal):
        return answer
    guest = placement.guest
    if not placement.cells:
        on = partition.enabled(guest.cell_vcpus, guest.vcpus + more.vcpus)
        grown = Placement(replace(guest, vcpus=on.bit_count(), offline=_offline([Offline(guest.cell_vcpus[0] & ~on)])))
    else:
        cells = [_joined(placed, new) for placed, new in zip(placement.cells, answer.cells, strict=True)]
        grown = _larger(placement, cells, sum(cell.vcpus for cell in more.cells), more.memory_mib)
    alone = _alone(grown, host, host_cell_ids)
    return grown if alone is None else alone


def _on_own_cores(placement: Placement, host: Host, on: int) -> Placement:
    """Return a placement with more dedicated vCPUs on: those for which its own cores have free threads.

    Otherwise a guest that requires threads could not get back what it released.
    """
    guest, free = placement.guest, {cell.id: cell.free_cpus for cell in host.cells}
    cells, vcpus = [], 0
    for placed, off in zip(placement.cells, guest.offline, strict=False):
        own = host.cell(placed.host_cell).shape.with_siblings(cpuset.mask(cpu for _, cpu in placed.pins))
        pins = tuple(zip(cpuset.ids(off.dedicated & on), cpuset.ids(own & free[placed.host_cell]), strict=False))
        taken, more = cpuset.mask(cpu for _, cpu in pins), cpuset.mask(vcpu for vcpu, _ in pins)
        free[placed.host_cell] &= ~taken
        vcpus |= more
        cell = GuestCell(placed.guest_cell.id, 0, more, 0)
        cells.append(_joined(placed, CellPlacement(cell, placed.host_cell, None, pins, 0, taken)))
    return _larger(placement, cells, vcpus) if vcpus else placement


def _limits(limits: Limits | None, more: Guest) -> Limits | None:
    """Return the limits of what is added; overcommitment of a resource that is not requested refuses nothing."""
    if limits is None:
        return None
    return Limits(
        limits.cpu_allocation_ratio if more.vcpus else inf, limits.ram_allocation_ratio if more.memory_mib else inf
    )


def _alone(placement: Placement, host: Host, host_cell_ids: Sequence[int]) -> Refusal | None:
    """Refuse a guest that overcommits against itself: its shared vCPUs and its memory have to fit an empty host."""
    cells = tuple(
        replace(
            placed.guest_cell,
            dedicated_vcpus=0,
            pagesize_kib=placed.pagesize_kib,
            cpu_policy=None,
            thread_policy=None,
        )
        for placed in placement.cells
    )
    guest = placement.guest
    answer = fit.place(
        resource_tracker.empty(host), Guest(guest.vcpus, guest.memory_mib, cells), host_cell_ids=host_cell_ids
    )
    return answer if isinstance(answer, Refusal) else None


def _larger(placement: Placement, cells: Sequence[CellPlacement], vcpus: int, memory_mib: int = 0) -> Placement:
    """Return a placement with these cells, larger by some vCPUs and memory."""
    guest = placement.guest
    off = [Offline(off.shared & ~vcpus, off.dedicated & ~vcpus) for off in guest.offline]
    return _placement(
        replace(
            guest,
            vcpus=guest.vcpus + vcpus.bit_count(),
            memory_mib=guest.memory_mib + memory_mib,
            offline=_offline(off),
        ),
        cells,
    )


def _joined(placed: CellPlacement, new: CellPlacement) -> CellPlacement:
    cell, more = placed.guest_cell, new.guest_cell
    return replace(
        placed,
        guest_cell=replace(
            cell,
            shared_vcpus=cell.shared_vcpus | more.shared_vcpus,
            dedicated_vcpus=cell.dedicated_vcpus | more.dedicated_vcpus,
            memory_mib=cell.memory_mib + more.memory_mib,
        ),
        pins=tuple(sorted(placed.pins + new.pins)),
        taken=placed.taken | new.taken,
    )


# --- less


def _without(placement: Placement, host: Host, on: int) -> Placement:
    """Return a placement with only some vCPUs on; the others hold nothing."""
    guest = placement.guest
    if not placement.cells:
        off = [Offline(guest.cell_vcpus[0] & ~on)]
        return Placement(replace(guest, vcpus=on.bit_count(), offline=_offline(off)))
    before = guest.offline or (Offline(),) * len(guest.cells)
    off = [
        Offline(old.shared | cell.shared_vcpus & ~on, old.dedicated | cell.dedicated_vcpus & ~on)
        for old, cell in zip(before, guest.cells, strict=True)
    ]
    cells = [_cell_without(placed, host.cell(placed.host_cell).shape, on) for placed in placement.cells]
    return _placement(replace(guest, vcpus=on.bit_count(), offline=_offline(off)), cells)


def _cell_without(placed: CellPlacement, shape: CellShape, on: int) -> CellPlacement:
    cell = placed.guest_cell
    pins = tuple((vcpu, cpu) for vcpu, cpu in placed.pins if on >> vcpu & 1)
    taken = cpuset.mask(cpu for _, cpu in pins) | placed.emulator_cpus
    if cell.thread_policy == ISOLATE:
        taken = shape.with_siblings(taken)
    less = replace(cell, shared_vcpus=cell.shared_vcpus & on, dedicated_vcpus=cell.dedicated_vcpus & on)
    return replace(placed, guest_cell=less, pins=pins, taken=taken if cell.is_pinned else 0)


def _resized(placed: CellPlacement, *, memory_mib: int) -> CellPlacement:
    return replace(placed, guest_cell=replace(placed.guest_cell, memory_mib=memory_mib))


def _offline(found: Sequence[Offline]) -> tuple[Offline, ...]:
    """Return what is off, or nothing if all are on."""
    return tuple(found) if any(off.shared | off.dedicated for off in found) else ()


def _placement(guest: Guest, cells: Sequence[CellPlacement]) -> Placement:
    return Placement(replace(guest, cells=tuple(placed.guest_cell for placed in cells)), tuple(cells))
