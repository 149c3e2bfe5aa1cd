# SPDX-License-Identifier: Apache-2.0
"""Make the record of a host from a source and the configuration, and store it with what its libvirt runs."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from numaplace import exception, explain, units
from numaplace.conf.numaplace import REFUSE, WARN
from numaplace.operations import naming, unmanaged

if TYPE_CHECKING:
    from oslo_config import cfg

    from numaplace.db.api import Database
    from numaplace.libvirt.topology import HostFacts, Options
    from numaplace.model import Host, HostResources, PciDevice
    from numaplace.model.holding import Holding
    from numaplace.model.records import HostRecord
    from numaplace.operations import sources

__all__ = ['Stored', 'before', 'options', 'record_of', 'store', 'uri_of']

#: Most addresses that a line names.
_SHOWN = 3


def options(conf: cfg.ConfigOpts, before: Host | None = None) -> Options:
    """Return the operator's options for a host.

    :param before: the host as it is stored
    """
    from numaplace import conf as configuration
    from numaplace.model import Networks

    physnets: dict[int, set[str]] = {}
    for physnet in conf.neutron.physnets:
        for cell in conf[f'neutron_physnet_{physnet}'].numa_nodes:
            physnets.setdefault(cell, set()).add(physnet)
    tunneled = conf.neutron_tunnel.numa_nodes
    shared, dedicated = configuration.cpu_sets(conf)
    return {
        'shared_cpus': shared,
        'dedicated_cpus': dedicated,
        'reserved': configuration.reserved_pages(conf),
        'networks': {
            cell: Networks(frozenset(physnets.get(cell, ())), cell in tunneled) for cell in {*physnets, *tunneled}
        },
        'power_strategy': configuration.power_strategy(conf),
        'before': before,
        'general_memory': conf.numaplace.general_memory,
    }


def _facts(found: HostFacts) -> dict[str, Any]:
    """Return the facts that the filters need, as JSON.

    Domains are triples of architecture, type and mode; machines are the vCPU limits of machine types, by architecture.
    """
    from numaplace.request import machines

    facts = {
        'architecture': found.arch,
        'cpu_model': found.cpu_model,
        'cpu_vendor': found.vendor,
        'domains': [[guest.arch, kind, guest.os_type] for guest in found.guests for kind in guest.domain_types],
        'machines': {
            guest.arch: limits
            for guest in found.guests
            if guest.arch in machines.DEFAULTS and (limits := machines.shorten(guest.arch, dict(guest.max_vcpus)))
        },
    }
    return {key: value for key, value in facts.items() if value}


def record_of(
    conf: cfg.ConfigOpts,
    name: str,
    found: sources.Found,
    known: HostRecord | None = None,
    zone: str | None = None,
) -> HostRecord:
    """Return the record of a host, with its settings from the configuration.

    :param known: as it is stored; None for a new one
    :param zone: its availability zone, or None for that of the configuration
    """
    from numaplace import conf as configuration
    from numaplace.model import HostDevices
    from numaplace.model.records import HostRecord

    stored = (known.cpu_allocation_ratio, known.ram_allocation_ratio) if known else (None, None)
    cpu_ratio, ram_ratio = configuration.ratios(conf, stored)
    return HostRecord(
        name=name,
        host=replace(found.host, devices=HostDevices(found.pci_devices or ()), resources=_resources(found, known)),
        availability_zone=zone or naming.name('[DEFAULT] default_availability_zone:', conf.default_availability_zone),
        facts=_with_architecture(_facts(found.facts), known.facts if known else {}) | _address(conf, known),
        cpu_allocation_ratio=cpu_ratio,
        ram_allocation_ratio=ram_ratio,
        libvirt_uri=found.libvirt_uri or (known.libvirt_uri if known else None),
    )


def _resources(found: sources.Found, known: HostRecord | None) -> HostResources:
    """Return what a source reports, and what is stored where it says nothing."""
    from numaplace.model.host_resources import NO_RESOURCES, HostResources

    stored = known.host.resources if known else NO_RESOURCES
    return HostResources(
        stored.encryption if found.encryption is None else found.encryption,
        stored.namespaces if found.namespaces is None else found.namespaces,
    )


def _address(conf: cfg.ConfigOpts, known: HostRecord | None) -> dict[str, str]:
    address = conf.my_ip or (known.facts.get('host_ip') if known else None)
    return {'host_ip': address} if address else {}


def before(database: Database, name: str) -> HostRecord:
    """Return a host as it is stored, or one without cells, facts and ratios if its row cannot be read.

    :raises: :class:`~numaplace.exception.NotFound`
    """
    from numaplace.model import Host
    from numaplace.model.records import HostRecord

    try:
        return database.host(name)
    except exception.InvalidObject:
        return HostRecord(name, Host())


def uri_of(template: str, host_name: str) -> str:
    """Return the URI of a libvirt, in which ``{host}`` stands for the name of its host."""
    return template.replace('{host}', host_name)


@dataclass(frozen=True, slots=True)
class Stored:
    """A host as it was stored.

    :param warnings: what the operator should know
    """

    record: HostRecord
    warnings: tuple[str, ...]


def store(
    database: Database,
    record: HostRecord,
    place: str,
    *,
    known: HostRecord | None,
    keeps_devices: bool,
    policy: str,
    zone: str | None,
    must_answer: bool = False,
    force: bool = False,
    only_if_changed: bool = False,
) -> Stored:
    """Register or refresh a host, with the domains of its libvirt.

    :param place: where it was read from
    :param known: as it is stored, to refresh it; None registers it
    :param keeps_devices: as for :func:`numaplace.compute.resource_tracker.refresh`
    :param policy: ``[numaplace] unknown_guests``
    :param zone: availability zone that a refreshed host is moved to; None leaves it where it is
    :param must_answer: as for :func:`numaplace.operations.unmanaged.look`
    :param force: as for :func:`numaplace.compute.resource_tracker.refresh`, as is `only_if_changed`
    :raises: :class:`~numaplace.exception.AlreadyExists`, :class:`~numaplace.exception.Conflict` for a new host that is
        refused for its domains; for a known one :class:`~numaplace.exception.NotFound`, and the faults of
        :func:`numaplace.compute.resource_tracker.refresh`; and those of its libvirt
    """
    from numaplace.compute import resource_tracker
    from numaplace.compute.unmanaged import found as find_unmanaged

    seen, warnings = unmanaged.look(database, record, is_registered=known is not None, must_answer=must_answer)
    others: tuple[Holding, ...] = ()

    def strangers(uuids: Collection[str]) -> tuple[Holding, ...]:
        nonlocal others
        domains, mine = (seen.domains, {*seen.ours, *uuids}) if seen else ((), ())
        others = find_unmanaged(domains, mine)
        return find_unmanaged(domains, mine, is_held=policy != WARN)

    if known:
        record = resource_tracker.refresh(
            database,
            record.name,
            record.host,
            record,
            unmanaged=strangers if seen else None,
            zone=zone,
            keeps_devices=keeps_devices,
            force=force,
            only_if_changed=only_if_changed,
        )
        warnings += tuple(_lost(database, record.name)) if force and not only_if_changed else ()
        warnings += tuple(filter(None, [_device_changes(known.host, record.host)]))
    else:
        record = replace(record, unmanaged=strangers(()))
        if others and policy == REFUSE:
            raise exception.Conflict(unmanaged.refusal(record.name, others))
        record = _register(database, record)
    if seen:
        warnings += tuple(unmanaged.warnings(record.name, others, seen, policy))
    return Stored(record, (*warnings, *_doubts(record, place)))


def _register(database: Database, record: HostRecord) -> HostRecord:
    from numaplace.compute import resource_tracker

    try:
        return resource_tracker.register(database, record)
    except exception.AlreadyExists as error:
        raise exception.AlreadyExists(f'{error}; update it with --refresh, or use another name') from error


def _lost(database: Database, name: str) -> Iterator[str]:
    """Yield what servers hold that their host does not have."""
    from numaplace.compute import audit

    for finding in audit.audit(database, name).faults:
        yield f'server {finding.server}: {finding.warning}'


def _doubts(record: HostRecord, place: str) -> Iterator[str]:
    from numaplace.libvirt import power

    yield from _unknown_architecture(record, place)
    yield from _overdrawn(record.host)
    for finding in power.check(record.name, record.host):
        yield finding.warning


def _device_changes(before: Host, now: Host) -> str:
    """Return a line about the devices that were added, removed or changed; nothing without any."""
    from numaplace.model.pci_changes import pci_changes

    found = pci_changes(before.devices.known, now.devices.known)
    parts = {'added': found.added, 'removed': found.removed, 'changed': [new for _, new in found.changed]}
    told = [f'{len(devices)} {word} ({_addresses(devices)})' for word, devices in parts.items() if devices]
    return f'PCI devices: {", ".join(told)}' if told else ''


def _addresses(devices: Sequence[PciDevice]) -> str:
    return ', '.join([device.address for device in devices[:_SHOWN]]) + (', ...' if devices[_SHOWN:] else '')


def _with_architecture(facts: dict[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts of a host that is read again, with the stored architecture if its source reports none."""
    stored = {'architecture': known['architecture']} if 'architecture' in known else {}
    return stored | facts


def _unknown_architecture(record: HostRecord, place: str) -> Iterator[str]:
    if not record.facts.get('architecture'):
        yield (
            f'{place} does not report the architecture: no XML is written for servers on host '
            f"'{explain.shorten(record.name)}' until it is given with --refresh --architecture ARCH"
        )


def _overdrawn(host: Host) -> Iterator[str]:
    """Yield the pages of which a host has fewer than its servers hold."""
    for cell in host.cells:
        for pages in cell.pages:
            if pages.used and pages.free < 0:
                yield (
                    f'host cell {cell.id}: its servers hold {pages.used} {units.size(pages.size_kib)} pages, but it '
                    f'has {pages.total}, and {pages.reserved} of them are reserved'
                )
