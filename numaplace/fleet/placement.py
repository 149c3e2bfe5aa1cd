# SPDX-License-Identifier: Apache-2.0
"""What the placement service answers to a request, as far as its rows tell: Nova asks it before any filter."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from numaplace.model import ISOLATE, Flavor, Guest, Reason, Refusal
from numaplace.model.fleet import Fleet, Provider
from numaplace.model.records import HostRecord, InstanceRecord

__all__ = ['NAME', 'Wanted', 'check', 'times', 'wanted']

#: What refused a host, as the name of a filter.
NAME = 'placement'
#: Classes that a compute node has itself; others may be with providers below it or beside it, which are not read.
_OWN = ('VCPU', 'PCPU', 'MEMORY_MB')
_DISABLED = 'COMPUTE_STATUS_DISABLED'
_MIB_PER_GIB = 1024


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request asks placement for.

    :param resources: amounts by resource class
    :param traits: those that a host must have
    :param forbidden: those that it must not have
    """

    resources: Mapping[str, int]
    traits: frozenset[str] = frozenset()
    forbidden: frozenset[str] = frozenset()


def wanted(flavor: Flavor, image: Mapping[str, str], guest: Guest, *, boots_from_volume: bool = False) -> Wanted:
    """Return what Nova asks placement for, without the numbered groups of ``resources1:`` and so on.

    Source: Nova 34, ``ResourceRequest.from_request_spec``.

    :param guest: what flavor and image request
    :param boots_from_volume: the root disk is not on the host
    """
    dedicated = sum([cell.dedicated_vcpus.bit_count() for cell in guest.cells])
    amounts = {
        'VCPU': flavor.vcpus - dedicated,
        'PCPU': dedicated + (guest.emulator_policy == ISOLATE and dedicated > 0),
        'MEMORY_MB': flavor.memory_mib,
        'DISK_GB': (0 if boots_from_volume else flavor.disk_gib)
        + flavor.ephemeral_gib
        - (-flavor.swap_mib // _MIB_PER_GIB),
    }
    traits: dict[str, set[str]] = {'required': set(), 'forbidden': {_DISABLED}}
    for key, value in (*image.items(), *flavor.extra_specs.items()):
        scope, _, name = key.partition(':')
        if scope == 'trait' and value in traits:
            traits[value].add(name)
        if scope == 'resources' and value.strip().isdecimal() and name not in ('VCPU', 'PCPU'):
            amounts[name] = int(value)
    needed = {name: amount for name, amount in amounts.items() if amount > 0}
    return Wanted(needed, frozenset(traits['required']), frozenset(traits['forbidden']))


def check(
    fleet: Fleet, request: Wanted, server: InstanceRecord | None = None
) -> Callable[[HostRecord], Refusal | None]:
    """Return a function that refuses a host which placement would not offer.

    :param server: what it holds counts as free
    """
    by_host = {provider.host: provider for provider in fleet.providers}
    own = frozenset(() if server is None else (server.uuid, *((server.move.uuid,) if server.move else ())))

    def ask(record: HostRecord) -> Refusal | None:
        provider = by_host.get(record.name)
        if provider is None:
            return Refusal.of(Reason('placement.unknown'))
        reasons = list(_reasons(provider, request, own))
        return Refusal.of(*reasons) if reasons else None

    return ask


def times(fleet: Fleet, request: Wanted) -> Callable[[HostRecord, int], Refusal | None]:
    """Return a function that refuses a host which placement would not offer a number of times."""
    checks: dict[int, Callable[[HostRecord], Refusal | None]] = {}

    def ask(record: HostRecord, number: int) -> Refusal | None:
        if number not in checks:
            amounts = {name: number * amount for name, amount in request.resources.items()}
            checks[number] = check(fleet, Wanted(amounts, request.traits, request.forbidden))
        return checks[number](record)

    return ask


def _reasons(provider: Provider, request: Wanted, own: frozenset[str]) -> Iterator[Reason]:
    for name, amount in request.resources.items():
        inventory = provider.inventories.get(name)
        if inventory is None:
            if name in _OWN:
                yield Reason('placement.free', amount, 0, '', subject=name)
            continue
        others = [held.get(name, 0) for consumer, held in provider.allocations.items() if consumer not in own]
        free = max(0, inventory.capacity - sum(others))
        if free < amount:
            yield Reason('placement.free', amount, free, '', subject=name)
    for trait in sorted(request.traits - provider.traits):
        yield Reason('placement.trait', subject=trait)
    for trait in sorted(request.forbidden & provider.traits):
        yield Reason('placement.forbidden', subject=trait)
