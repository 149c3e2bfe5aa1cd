# SPDX-License-Identifier: Apache-2.0
"""The database of the placement service: what it knows of the hosts of a Nova."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Set
from typing import TypeAlias

from sqlalchemy.engine import Connection

from numaplace.model.fleet import Inventory, Provider
from numaplace.novadb.rows import select

__all__ = ['Allocations', 'read_allocations', 'read_providers']

_INVENTORIES = """
SELECT i.resource_provider_id AS provider, c.name, i.total, i.reserved, i.allocation_ratio, i.min_unit, i.max_unit,
       i.step_size
FROM inventories i JOIN resource_classes c ON c.id = i.resource_class_id
"""
_ALLOCATIONS = """
SELECT p.uuid AS provider, a.consumer_id AS consumer, c.name, a.used
FROM allocations a JOIN resource_classes c ON c.id = a.resource_class_id
     JOIN resource_providers p ON p.id = a.resource_provider_id
"""
_TRAITS = """
SELECT t.resource_provider_id AS provider, n.name
FROM resource_provider_traits t JOIN traits n ON n.id = t.trait_id
"""


#: Amounts by UUID of the provider, UUID of the consumer, and resource class.
Allocations: TypeAlias = Mapping[str, Mapping[str, Mapping[str, int]]]


def read_allocations(connection: Connection) -> Allocations:
    """Return all allocations."""
    found: dict[str, dict[str, dict[str, int]]] = defaultdict(lambda: defaultdict(dict))
    for row in select(connection, _ALLOCATIONS):
        found[row.provider][row.consumer][row.name] = row.used
    return found


def read_providers(
    connection: Connection,
    hosts: Mapping[str, str],
    before: Allocations,
    known: Collection[str],
    others: Set[str],
) -> list[Provider]:
    """Return the providers of hosts, by host name.

    What came or went while the cells were read is left out: of a consumer that is not known, the allocations that are
    not there before and after; a known one has those from before and those from after.

    :param hosts: names of hosts by the UUIDs of their compute nodes, which are those of their providers
    :param before: the allocations before the cells were read
    :param known: UUIDs of the consumers that the fleet has
    :param others: UUIDs of consumers that exist and are not in the fleet, whose allocations are left out
    """
    providers = {
        row.id: row.uuid for row in select(connection, 'SELECT id, uuid FROM resource_providers') if row.uuid in hosts
    }
    inventories: dict[int, dict[str, Inventory]] = defaultdict(dict)
    for row in select(connection, _INVENTORIES):
        inventories[row.provider][row.name] = Inventory(
            row.total, row.reserved, row.allocation_ratio, row.min_unit, row.max_unit, row.step_size
        )
    traits: dict[int, set[str]] = defaultdict(set)
    for row in select(connection, _TRAITS):
        traits[row.provider].add(row.name)
    after = read_allocations(connection)

    def allocations(uuid: str) -> dict[str, Mapping[str, int]]:
        first, last = before.get(uuid, {}), after.get(uuid, {})
        lasting = (first.keys() & last.keys()) - others
        return {
            consumer: held for consumer, held in {**first, **last}.items() if consumer in known or consumer in lasting
        }

    found = [
        Provider(hosts[uuid], uuid, inventories[number], allocations(uuid), frozenset(traits[number]))
        for number, uuid in providers.items()
    ]
    return sorted(found, key=lambda provider: provider.host)
