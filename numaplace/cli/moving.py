# SPDX-License-Identifier: Apache-2.0
"""One move of a server: find a host or take the one that is named, claim it, and record that the server is there."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from numaplace import exception
from numaplace.cli import server_request, server_xml

if TYPE_CHECKING:
    from oslo_config import cfg

    from numaplace.db.api import Database
    from numaplace.model import Guest
    from numaplace.model.records import InstanceRecord, Side
    from numaplace.scheduler.select import Claiming

__all__ = ['go', 'move']


def move(
    conf: cfg.ConfigOpts,
    database: Database,
    server: InstanceRecord,
    kind: str,
    *,
    host: str | None = None,
    all_hosts: bool = False,
) -> tuple[InstanceRecord, Side]:
    """Move a server that keeps its flavor to another host.

    :param kind: LIVE_MIGRATION, MIGRATION or EVACUATION
    :param host: the only host to consider, or None for all
    :param all_hosts: whether a refusal names each host
    :returns: as :func:`go`
    :raises: as :func:`go`, and the faults of the claim
    """
    from numaplace.compute import claims, migration
    from numaplace.model.records import EVACUATION, LIVE_MIGRATION

    is_evacuated = kind == EVACUATION
    side = migration.on_host(server, 'evacuate' if is_evacuated else 'migrate')
    (claims.check_down if is_evacuated else claims.check_up)(database.host(side.host))
    there = partial(go, conf, database, server, host=host, leaves=side.host, all_hosts=all_hosts)
    if kind == LIVE_MIGRATION:
        claim: Claiming = partial(claims.live_migration_claim, database, server.uuid)
        fixed = claims.fixed_host_cell_ids(server.placement)
        return there(claims.running_guest(server), claim, host_cell_ids=fixed)
    read = partial(server_request.read, conf)
    claim = partial(claims.rebuild_claim if is_evacuated else claims.resize_claim, database, server.uuid, read=read)
    return there(read(server.flavor, server.image_properties), claim)


def go(
    conf: cfg.ConfigOpts,
    database: Database,
    server: InstanceRecord,
    guest: Guest,
    claim: Claiming,
    *,
    host: str | None = None,
    leaves: str | None = None,
    host_cell_ids: tuple[int, ...] | None = None,
    all_hosts: bool = False,
) -> tuple[InstanceRecord, Side]:
    """Choose a host, claim it and move the server there.

    :returns: the server after the move, and its destination
    :raises: :class:`~numaplace.exception.NoValidHost` if no host takes it,
        :class:`~numaplace.exception.UnableToMigrateToSelf` for the host that it leaves
    """
    from numaplace.compute import migration
    from numaplace.scheduler import filters, select

    if host is not None and host == leaves:
        raise exception.UnableToMigrateToSelf(f'server {server.name!r} is on host {host!r} already')
    asked = server_request.again(server, guest)
    request = filters.Request(
        asked,
        strategy=select.strategy(conf, asked.flavor),
        host_cell_ids=host_cell_ids,
        machine_types=conf.libvirt.hw_machine_type,
    )
    answer = select.select(database, request, select.Policy.of(conf), host=host, leaves=leaves, claim=claim)
    if isinstance(answer, select.NoHost):
        raise server_request.refuse(server.name, answer, all_hosts=all_hosts)
    # A guest whose XML cannot be written must not keep its claim.
    with answer.claim as claimed:
        new, begun = claimed.side, claimed.instance.move
        there = replace(claimed.instance, host=new.host, flavor=new.flavor, placement=new.placement)
        server_xml.check(conf, database, there)
        return migration.finish(database, server.uuid, begun.uuid if begun else None), new
