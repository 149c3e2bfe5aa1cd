# SPDX-License-Identifier: Apache-2.0
"""What the placement service answers to a request, as far as its rows tell: Nova asks it before any filter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from numaplace.model import ISOLATE, Flavor, Guest, Reason, Refusal
from numaplace.model.fleet import Fleet, Inventory, Provider
from numaplace.model.records import HostRecord, InstanceRecord

__all__ = ['NAME', 'Offers', 'Wanted', 'wanted']

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


def wanted(flavor: Flavor, image: Mapping[str, str], guest: Guest, server: InstanceRecord | None = None) -> Wanted:
    """Return what Nova asks placement for, without the numbered groups of ``resources1:`` and so on.

    Source: Nova 34, ``ResourceRequest.from_request_spec``.

    :param guest: what flavor and image request
    :param server: which is moved; one that boots from a volume has no root disk on the host
    """
    is_bfv = server is not None and server.request_spec is not None and server.request_spec.boots_from_volume
    dedicated = sum([cell.dedicated_vcpus.bit_count() for cell in guest.cells])
    amounts = {
        'VCPU': flavor.vcpus - dedicated,
        'PCPU': dedicated + (guest.emulator_policy == ISOLATE and dedicated > 0),
        'MEMORY_MB': flavor.memory_mib,
        'DISK_GB': (0 if is_bfv else flavor.disk_gib) + flavor.ephemeral_gib - (-flavor.swap_mib // _MIB_PER_GIB),
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


class Offers:
    """What placement offers of the hosts of a fleet.

    :param fleet: with providers; see :class:`~numaplace.model.fleet.Provider`
    """

    def __init__(self, fleet: Fleet) -> None:
        self._providers = {provider.host: provider for provider in fleet.providers}
        self._used: dict[str, Counter[str]] = {}

    def check(self, request: Wanted, server: InstanceRecord | None = None) -> Callable[[HostRecord], Refusal | None]:
        """Return a function that refuses a host which placement would not offer.

        :param server: what it holds counts as free
        """
        own = () if server is None else (server.uuid, *((server.move.uuid,) if server.move else ()))
        return lambda record: self.refusal(record.name, [(request, 1)], own)

    def refusal(self, host: str, requests: Sequence[tuple[Wanted, int]], own: Sequence[str] = ()) -> Refusal | None:
        """Return why placement does not offer a host for some servers together; None if it does.

        :param requests: with the number of servers of each; 0 if only its sizes and traits are to count
        :param own: UUIDs of consumers whose allocations count as free
        """
        provider = self._providers.get(host)
        if provider is None:
            return Refusal.of(Reason('placement.unknown'))
        if host not in self._used:
            self._used[host] = Counter()
            for held in provider.allocations.values():
                self._used[host].update(held)
        used = self._used[host]
        for uuid in own:
            used = used - Counter(provider.allocations.get(uuid))
        reasons = list(_reasons(provider, used, requests))
        return Refusal.of(*reasons) if reasons else None


def _reasons(provider: Provider, used: Mapping[str, int], requests: Sequence[tuple[Wanted, int]]) -> Iterator[Reason]:
    amounts = Counter[str]()
    for request, number in requests:
        for name, amount in request.resources.items():
            amounts[name] += number * amount
            yield from _size(provider.inventories.get(name), name, amount)
    for name, amount in amounts.items():
        inventory = provider.inventories.get(name)
        if inventory is not None and (free := max(0, inventory.capacity - used.get(name, 0))) < amount:
            yield Reason('placement.free', amount, free, '', subject=name)
    for trait in sorted({trait for request, _number in requests for trait in request.traits} - provider.traits):
        yield Reason('placement.trait', subject=trait)
    for trait in sorted({trait for request, _number in requests for trait in request.forbidden} & provider.traits):
        yield Reason('placement.forbidden', subject=trait)


def _size(inventory: Inventory | None, name: str, amount: int) -> Iterator[Reason]:
    """Yield why one server never gets an amount, whatever is free."""
    if inventory is None:
        if name in _OWN:
            yield Reason('placement.free', amount, 0, '', subject=name)
    elif amount > inventory.max_unit:
        yield Reason('placement.most', amount, inventory.max_unit, '', subject=name)
    elif amount < inventory.min_unit or amount % max(1, inventory.step_size):
        steps = f'{name} from {inventory.min_unit} up in steps of {inventory.step_size}'
        yield Reason('placement.step', amount, subject=steps)
