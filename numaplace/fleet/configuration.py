# SPDX-License-Identifier: Apache-2.0
"""Whether hosts, flavors and placement are what the configuration and the hosts say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from numaplace import cpuset, exception, explain, partition, request
from numaplace.fleet.findings import Finding
from numaplace.fleet.servers import Held, pinned
from numaplace.fleet.usage import count
from numaplace.model import Flavor, Host, Refusal
from numaplace.model.fleet import Provider
from numaplace.model.records import GONE, HostRecord, InstanceRecord

__all__ = ['Settings', 'check_flavors', 'check_host', 'check_provider']

#: The share of its CPUs that a host has in its sets at least; operators keep some for the host itself.
_USUAL_SHARE = 0.75


@dataclass(frozen=True, slots=True)
class Settings:
    """What a configuration file says of hosts; None where it says nothing.

    :param dedicated_cpus: mask (``[compute] cpu_dedicated_set``)
    :param shared_cpus: mask (``[compute] cpu_shared_set``)
    """

    dedicated_cpus: int | None = None
    shared_cpus: int | None = None
    cpu_allocation_ratio: float | None = None
    ram_allocation_ratio: float | None = None


def check_host(record: HostRecord, settings: Settings, holders: Iterable[Held]) -> Iterator[Finding]:
    """Compare a host and its servers with the configuration, and its sets with all CPUs that it has."""
    if record.state == GONE:
        yield Finding('host.service', record.name)
    for subject, found, expected in (
        ('dedicated', record.host.dedicated_cpus, settings.dedicated_cpus),
        ('shared', record.host.shared_cpus, settings.shared_cpus),
    ):
        if expected is not None and found != expected:
            texts = [cpuset.text(cpus) or 'none' for cpus in (found, expected)]
            yield Finding('host.sets', record.name, found=texts[0], expected=texts[1], subject=subject)
    for subject, ratio, wanted in (
        ('cpu_allocation_ratio', record.cpu_allocation_ratio, settings.cpu_allocation_ratio),
        ('ram_allocation_ratio', record.ram_allocation_ratio, settings.ram_allocation_ratio),
    ):
        if wanted is not None and ratio is not None and ratio != wanted:
            yield Finding('host.ratio', record.name, found=str(ratio), expected=str(wanted), subject=subject)
    yield from _check_cpus(record)
    if settings.dedicated_cpus is not None:
        yield from _check_pins(record, settings.dedicated_cpus, holders)


def _check_cpus(record: HostRecord) -> Iterator[Finding]:
    in_sets = record.host.shared_cpus | record.host.dedicated_cpus
    total = int(record.facts.get('cpus') or record.host.online_cpus.bit_count())
    if in_sets.bit_count() < _USUAL_SHARE * total:
        found = f'{in_sets.bit_count()} ({cpuset.text(in_sets) or "none"})'
        yield Finding('host.cpus', record.name, None, None, found, str(total))


def _check_pins(record: HostRecord, configured: int, holders: Iterable[Held]) -> Iterator[Finding]:
    """Find pins on CPUs that only the host still has in its dedicated set."""
    left = record.host.dedicated_cpus & ~configured
    for one in holders:
        for placed in one.placement.cells:
            if outside := pinned(placed) & left:
                texts = cpuset.text(outside), cpuset.text(configured) or '(none)'
                yield Finding('cpus.outside', record.name, one.uuid, placed.host_cell, *texts)


def check_flavors(
    flavors: Iterable[Flavor], hosts: Sequence[HostRecord], image: Mapping[str, str] | None = None
) -> Iterator[Finding]:
    """Find flavors that cannot be read, and those that no host takes even when it is empty.

    One fit for each flavor and each kind of host.

    :param image: properties of the image with which they are used
    """
    are_known = any(record.host.resources for record in hosts)  # not of the hosts of a Nova
    empty = list({count(record.host, ()): None for record in hosts})
    for flavor in flavors:
        try:
            guest = request.read(flavor, image)
        except exception.Invalid as error:
            yield Finding('flavor.invalid', found=str(error), subject=flavor.name)
            continue
        refusals: dict[str, Refusal] = {}
        for number, host in enumerate(empty):
            answer = partition.place(host, guest if are_known else replace(guest, resource_requests=()))
            if not isinstance(answer, Refusal):
                break
            refusals[str(number)] = answer
        else:
            if empty:
                yield Finding('flavor.unplaceable', found=_least(refusals), subject=flavor.name)


def _least(refusals: Mapping[str, Refusal]) -> str:
    nearest = min(refusals.values(), key=explain.nearness)
    return '; '.join(map(explain.sentence, nearest.reasons[:1]))


def check_provider(
    provider: Provider, host: Host, servers: Mapping[str, InstanceRecord], moves: frozenset[str], here: Iterable[str]
) -> Iterator[Finding]:
    """Compare what placement knows of a host with the host and its servers.

    :param servers: by UUID, all of the fleet
    :param moves: UUIDs of moves, which hold allocations for the side that a server leaves
    :param here: UUIDs of the servers that hold something on this host
    """
    name = provider.host
    for consumer, amounts in provider.allocations.items():
        if consumer not in servers and consumer not in moves:
            found = ', '.join(f'{amount} {name}' for name, amount in sorted(amounts.items()))
            yield Finding('allocation.orphan', name, None, None, found, '', consumer)
    for uuid in here:
        move = servers[uuid].move
        if uuid not in provider.allocations and (move is None or move.uuid not in provider.allocations):
            yield Finding('allocation.missing', name, uuid)
    pcpus = provider.inventories['PCPU'].total if 'PCPU' in provider.inventories else 0
    dedicated = host.dedicated_cpus & ~host.shared_cpus
    if pcpus != dedicated.bit_count() and (pcpus or dedicated):
        yield Finding('inventory.pcpu', name, None, None, str(pcpus), str(dedicated.bit_count()))
