# SPDX-License-Identifier: Apache-2.0
"""What if a fleet were changed: each change takes a fleet and returns another one. Nothing is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from numaplace import cpuset, exception, explain
from numaplace.fleet.explain import without
from numaplace.fleet.usage import count
from numaplace.model import Flavor, HostCell, Pages, intern_shape
from numaplace.model.fleet import Fleet, Inventory, Provider
from numaplace.model.held import hold
from numaplace.model.records import HostRecord, InstanceRecord

__all__ = ['HostOptions', 'add_host', 'delete_server', 'remove_host', 'set_hosts', 'set_property']

#: Most hosts that the error for an unknown host names.
_SHOWN = 8


@dataclass(frozen=True, slots=True)
class HostOptions:
    """Options of a host that change; None for one that stays.

    :param dedicated_cpus: mask (``[compute] cpu_dedicated_set``)
    :param shared_cpus: mask (``[compute] cpu_shared_set``)
    :param reserved: numbers of pages by host cell and page size in KiB (``reserved_huge_pages``); others stay
    """

    dedicated_cpus: int | None = None
    shared_cpus: int | None = None
    cpu_allocation_ratio: float | None = None
    ram_allocation_ratio: float | None = None
    reserved: Mapping[tuple[int, int], int] = field(default_factory=dict)


def remove_host(fleet: Fleet, name: str) -> Fleet:
    """Return a fleet without a host; its servers stay, and the audit finds that their host does not exist.

    :raises: :class:`~numaplace.exception.NotFound`
    """
    _host(fleet, name)
    return replace(
        fleet,
        hosts=tuple([host for host in fleet.hosts if host.name != name]),
        aggregates=tuple(
            [replace(each, hosts=tuple([host for host in each.hosts if host != name])) for each in fleet.aggregates]
        ),
        providers=tuple([provider for provider in fleet.providers if provider.host != name]),
        unread=tuple(
            [
                replace(row, host=None) if row.host == name else row
                for row in fleet.unread
                if row.host != name or row.server is not None
            ]
        ),
        remarks=tuple([remark for remark in fleet.remarks if remark.host != name or remark.server is not None]),
    )


def add_host(fleet: Fleet, name: str, like: str) -> Fleet:
    """Return a fleet with one more host: enabled, up, without servers, otherwise like another, in its aggregates.

    :raises: :class:`~numaplace.exception.NotFound` for the other host,
        :class:`~numaplace.exception.AlreadyExists` if there is one of that name
    """
    model = _host(fleet, like)
    if name in {host.name for host in fleet.hosts} | {row.host for row in fleet.unread}:
        raise exception.AlreadyExists(f'there is a host {name!r} already')
    new = HostRecord(
        name,
        count(hold(model.host, ()), ()),
        availability_zone=model.availability_zone,
        facts=model.facts,
        cpu_allocation_ratio=model.cpu_allocation_ratio,
        ram_allocation_ratio=model.ram_allocation_ratio,
    )
    offered = [replace(each, host=name, uuid='', allocations={}) for each in fleet.providers if each.host == like]
    return replace(
        fleet,
        hosts=tuple(sorted([*fleet.hosts, new], key=lambda host: host.name)),
        aggregates=tuple(
            [replace(each, hosts=(*each.hosts, name)) if like in each.hosts else each for each in fleet.aggregates]
        ),
        providers=(*fleet.providers, *offered),
    )


def set_hosts(fleet: Fleet, options: Mapping[str, HostOptions]) -> Fleet:
    """Return a fleet with options of hosts changed, as after a restart of their compute services.

    What servers hold stays counted. The inventories of placement follow, where they are known. If every CPU of a host
    is in both sets, which is the default, the set that is not given is empty. Linear in the number of hosts.

    :param options: by the name of the host
    :raises: :class:`~numaplace.exception.NotFound`, :class:`~numaplace.exception.Invalid` if a host does not have
        these CPUs or pages, or a CPU would be in both sets
    """
    for name in sorted(options.keys() - {host.name for host in fleet.hosts}):
        _host(fleet, name)
    changed = {host.name: _set(host, options[host.name]) for host in fleet.hosts if host.name in options}
    return replace(
        fleet,
        hosts=tuple([changed.get(host.name, host) for host in fleet.hosts]),
        providers=tuple(
            [
                _with_inventories(each, changed[each.host], options[each.host]) if each.host in changed else each
                for each in fleet.providers
            ]
        ),
    )


def delete_server(fleet: Fleet, server: InstanceRecord) -> Fleet:
    """Return a fleet without a server; what it holds is free. What is not counted for it stays."""
    move = server.move
    consumers = {server.uuid} | ({move.uuid} if move is not None else set())
    return replace(
        without(fleet, server),
        servers=tuple([each for each in fleet.servers if each.uuid != server.uuid]),
        providers=tuple([_without_allocations(each, consumers) for each in fleet.providers]),
        remarks=tuple([remark for remark in fleet.remarks if remark.server != server.uuid]),
        server_groups=tuple(
            [
                replace(each, members={uuid: hosts for uuid, hosts in each.members.items() if uuid != server.uuid})
                for each in fleet.server_groups
            ]
        ),
    )


def set_property(fleet: Fleet, flavor: Flavor, key: str, value: str) -> Fleet:
    """Return a fleet with an extra spec of a flavor changed; servers keep their own copies of it."""
    changed = replace(flavor, extra_specs={**flavor.extra_specs, key: value})
    return replace(fleet, flavors=tuple([changed if each is flavor else each for each in fleet.flavors]))


def _host(fleet: Fleet, name: str) -> HostRecord:
    for host in fleet.hosts:
        if host.name == name:
            return host
    known = [host.name for host in fleet.hosts]
    more = f' and {len(known) - _SHOWN} more' if len(known) > _SHOWN else ''
    raise exception.NotFound(
        f'there is no host {name!r}; known hosts: {", ".join(map(explain.escape, known[:_SHOWN])) or "none"}{more}'
    )


# --- options of a host


def _set(record: HostRecord, options: HostOptions) -> HostRecord:
    """Return a host with options changed."""
    shared, dedicated = _sets(record, options)
    cells = tuple([_with_options(record, cell, shared, dedicated, options) for cell in record.host.cells])
    _check_reserved(record, options)
    host = replace(record.host, cells=cells)
    return replace(
        record,
        host=hold(host, record.unmanaged) if record.unmanaged else host,
        cpu_allocation_ratio=options.cpu_allocation_ratio or record.cpu_allocation_ratio,
        ram_allocation_ratio=options.ram_allocation_ratio or record.ram_allocation_ratio,
    )


def _known_cpus(cell: HostCell) -> int:
    """Return the mask of the CPUs of a host cell, in any set or in none."""
    shape = cell.shape
    return shape.shared_cpus | shape.dedicated_cpus | (shape.online_cpus or cpuset.union(shape.siblings))


def _sets(record: HostRecord, options: HostOptions) -> tuple[int, int]:
    """Return the masks of the shared and the dedicated CPUs."""
    shared, dedicated = record.host.shared_cpus, record.host.dedicated_cpus
    if options.shared_cpus is None and options.dedicated_cpus is None:
        return shared, dedicated
    known = cpuset.union(map(_known_cpus, record.host.cells))
    for key, cpus in (('cpu_shared_set', options.shared_cpus), ('cpu_dedicated_set', options.dedicated_cpus)):
        if cpus is not None and (missing := cpus & ~known):
            raise exception.Invalid(
                f'host {record.name!r}: {key} = {cpuset.text(cpus)}: CPUs {cpuset.text(missing)} are not known there: '
                f'expected some of {cpuset.text(known) or "(none)"}'
            )
    if shared & dedicated:  # neither option is set, or one set is for both
        shared = dedicated = 0
    shared = shared if options.shared_cpus is None else options.shared_cpus
    dedicated = dedicated if options.dedicated_cpus is None else options.dedicated_cpus
    if both := shared & dedicated:
        raise exception.Invalid(
            f'host {record.name!r}: cpu_shared_set = {cpuset.text(shared)} and cpu_dedicated_set = '
            f'{cpuset.text(dedicated)} both hold CPUs {cpuset.text(both)}: expected two sets without a common CPU'
        )
    return shared, dedicated


def _with_options(record: HostRecord, cell: HostCell, shared: int, dedicated: int, options: HostOptions) -> HostCell:
    cpus = _known_cpus(cell)
    shape = intern_shape(replace(cell.shape, shared_cpus=shared & cpus, dedicated_cpus=dedicated & cpus))
    return replace(cell, shape=shape, pages=tuple([_reserved(record, cell, each, options) for each in cell.pages]))


def _reserved(record: HostRecord, cell: HostCell, pages: Pages, options: HostOptions) -> Pages:
    number = options.reserved.get((cell.id, pages.size_kib), pages.reserved)
    if number > pages.total and number != pages.reserved:
        raise exception.Invalid(
            f'host {record.name!r}: reserved_huge_pages = node:{cell.id},size:{pages.size_kib},count:{number}: '
            f'expected 0 to {pages.total}, as many as the cell has'
        )
    return replace(pages, reserved=number)


def _check_reserved(record: HostRecord, options: HostOptions) -> None:
    known = [(cell.id, pages.size_kib) for cell in record.host.cells for pages in cell.pages]
    for cell, size_kib in options.reserved:
        if (cell, size_kib) not in known:
            sizes = ', '.join([f'node:{cell},size:{size_kib}' for cell, size_kib in known])
            raise exception.Invalid(
                f'host {record.name!r}: reserved_huge_pages = node:{cell},size:{size_kib},...: there are no such '
                f'pages; expected one of {sizes or "(none)"}'
            )


# --- placement


def _with_inventories(provider: Provider, record: HostRecord, options: HostOptions) -> Provider:
    """Return a provider with what its host reports: shared CPUs as VCPU, others as PCPU, and the ratios."""
    inventories, host = dict(provider.inventories), record.host
    if options.shared_cpus is not None or options.dedicated_cpus is not None:
        new = {'VCPU': Inventory(0, allocation_ratio=record.cpu_allocation_ratio or 1.0), 'PCPU': Inventory(0)}
        for name, cpus in (('VCPU', host.shared_cpus), ('PCPU', host.dedicated_cpus & ~host.shared_cpus)):
            total = cpus.bit_count()
            inventories[name] = replace(inventories.get(name, new[name]), total=total, max_unit=total)
            if not cpus:
                del inventories[name]
    for name, ratio in (('VCPU', options.cpu_allocation_ratio), ('MEMORY_MB', options.ram_allocation_ratio)):
        if ratio is not None and name in inventories:
            inventories[name] = replace(inventories[name], allocation_ratio=ratio)
    return replace(provider, inventories=inventories)


def _without_allocations(provider: Provider, consumers: set[str]) -> Provider:
    left = {uuid: amounts for uuid, amounts in provider.allocations.items() if uuid not in consumers}
    return replace(provider, allocations=left)
