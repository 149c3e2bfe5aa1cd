# SPDX-License-Identifier: Apache-2.0
"""Domains on hosts that numaplace does not manage: which they are, and what is stored of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from numaplace.db import api
from numaplace.db.retry import retry
from numaplace.model.held import named
from numaplace.model.holding import Holding
from numaplace.model.records import HostRecord, InstanceRecord

__all__ = ['found', 'update']


def found(domains: Iterable[Holding], ours: Collection[str], *, is_held: bool = True) -> tuple[Holding, ...]:
    """Return the domains that numaplace does not manage, by name.

    :param domains: all domains of a host
    :param ours: the UUIDs of the servers that hold something there, or did so before the domains were read
    :param is_held: whether what they hold counts as used; otherwise only their names are taken
    """
    others = sorted([one for one in domains if one.uuid not in ours], key=lambda one: one.name)
    return tuple(others if is_held else map(named, others))


def update(
    database: api.Database,
    name: str,
    uri: str,
    domains: Iterable[Holding],
    ours: Collection[str],
    *,
    is_held: bool = True,
) -> tuple[Holding, ...]:
    """Store the domains of a host that numaplace does not manage, in place of those that were stored.

    :param uri: the libvirt that has the domains; the host keeps it if it has none
    :param ours: the UUIDs of the servers that held something there before the domains were read: one that was deleted
        since, or has left the host, is no stranger
    :returns: the domains, with what they hold
    :raises: :class:`~numaplace.exception.NotFound`, :class:`~numaplace.exception.ConcurrentUpdate`
    """
    seen = list(domains)
    others: tuple[Holding, ...] = ()

    def change(record: HostRecord, instances: list[InstanceRecord]) -> HostRecord:
        nonlocal others
        known = {*ours, *(instance.uuid for instance in instances)}
        others = found(seen, known)
        return replace(record, libvirt_uri=record.libvirt_uri or uri, unmanaged=found(seen, known, is_held=is_held))

    record, instances = database.holders(name, {})
    if change(record, instances) != record:
        retry(lambda: database.change_host(name, change, {}))
    return others
