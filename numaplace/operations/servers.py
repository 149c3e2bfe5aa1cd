# SPDX-License-Identifier: Apache-2.0
"""Create, move, shelve and delete servers: hosts are chosen and claimed, and the XML is checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING

from numaplace import exception
from numaplace.compute import claims, migration
from numaplace.model.records import EVACUATION, LIVE_MIGRATION, MIGRATION
from numaplace.operations import domain_xml, requests
from numaplace.scheduler import filters, select

if TYPE_CHECKING:
    from oslo_config import cfg

    from numaplace.db.api import Database
    from numaplace.db.records import InstanceRequest
    from numaplace.model import Flavor, Guest
    from numaplace.model.records import InstanceRecord
    from numaplace.scheduler.fresh import FreshIndex
    from numaplace.scheduler.select import Claiming

__all__ = ['MOVES', 'VERBS', 'Direct']

#: The verbs of moves that keep the flavor, by the kind of the move.
MOVES = {LIVE_MIGRATION: 'live_migrate', MIGRATION: 'migrate', EVACUATION: 'evacuate'}


@dataclass(frozen=True)
class Direct:
    """Chooses hosts in the database, in this process.

    :param all_hosts: as for :func:`numaplace.operations.requests.refuse`
    :param index: the hosts, where they are known and kept fresh
    """

    conf: cfg.ConfigOpts
    all_hosts: bool = False
    index: FreshIndex | None = None

    @cached_property
    def policy(self) -> select.Policy:
        """How hosts are chosen."""
        return select.Policy.of(self.conf)

    def create(
        self,
        database: Database,
        wanted: Sequence[InstanceRequest],
        name: str,
        *,
        at_least: int = 1,
        host: str | None = None,
        claimed: Callable[[], object] = lambda: None,
        read: Callable[[int, int], object] = lambda _read, _of: None,
    ) -> list[InstanceRecord]:
        """Claim a host for each server that fits, and give all claims back if that fails.

        :param name: what the refusal names
        :param at_least: as for :func:`numaplace.scheduler.select.select_many`, as are `host`, `claimed` and `read`
        :raises: :class:`~numaplace.exception.NoValidHost`, the faults of
            :func:`numaplace.scheduler.select.select_many`, and of :func:`numaplace.operations.domain_xml.check`
        """
        first = select.asked(self.conf, wanted[0])
        asked = [first, *(replace(first, instance=each) for each in wanted[1:])]
        answer = select.select_many(
            database,
            asked,
            self.policy,
            at_least=at_least,
            host=host,
            claimed=claimed,
            read=read,
            index=self.index,
        )
        if isinstance(answer, select.NoHost):
            raise requests.refuse(name, answer, all_hosts=self.all_hosts)
        with ExitStack() as undo:
            # Guests whose XML cannot be written must not keep their claims.
            servers = [undo.enter_context(selection.claim).instance for selection in answer.found]
            for server, selection in zip(servers, answer.found, strict=True):
                # What the same request has made before may be elsewhere.
                record = selection.record if selection.claim.is_new else None
                domain_xml.check(self.conf, database, server, record)
        return servers

    def do(
        self, database: Database, verb: str, uuid: str, *, flavor: Flavor | None = None, host: str | None = None
    ) -> InstanceRecord:
        """Do something with a server, and return it as it is then; a deleted one as it was.

        :param verb: a key of VERBS
        :param flavor: the new one of a resize
        :param host: the only host to move to, or None
        :raises: :class:`~numaplace.exception.NotFound`, :class:`~numaplace.exception.Conflict` if its state does not
            allow it, :class:`~numaplace.exception.NoValidHost`, and the faults of the claims
        """
        if verb not in VERBS:
            raise exception.Invalid(f'verb {verb!r}: expected one of {", ".join(VERBS)}')
        if (flavor is None) == (verb == 'resize'):
            raise exception.Invalid(f'{verb}: expected a flavor with resize, and with nothing else')
        return VERBS[verb](self, database, database.instance(uuid), flavor, host)

    def _read(self, flavor: Flavor, server: InstanceRecord) -> Guest:
        return requests.read_again(self.conf, server, flavor)

    def _select(
        self,
        database: Database,
        request: filters.Request,
        claim: Claiming,
        *,
        host: str | None = None,
        leaves: str | None = None,
    ) -> claims.Claim:
        if self.index is None or host is not None:
            answer = select.select(database, request, self.policy, claim=claim, host=host, leaves=leaves)
        else:
            answer = self.index.select(request, self.policy, claim=claim, leaves=leaves)
        if isinstance(answer, select.NoHost):
            raise requests.refuse(request.instance.name, answer, all_hosts=self.all_hosts)
        return answer.claim

    def _go(
        self,
        database: Database,
        server: InstanceRecord,
        guest: Guest,
        claim: Claiming,
        *,
        host: str | None = None,
        leaves: str | None = None,
        host_cell_ids: tuple[int, ...] | None = None,
    ) -> InstanceRecord:
        """Choose a host, claim it and move the server there; return the server after the move."""
        if host is not None and host == leaves:
            raise exception.UnableToMigrateToSelf(f'server {server.name!r} is on host {host!r} already')
        request = select.asked(self.conf, requests.again(server, guest), host_cell_ids=host_cell_ids)
        # A guest whose XML cannot be written must not keep its claim.
        with self._select(database, request, claim, host=host, leaves=leaves) as claimed:
            new, move = claimed.side, claimed.instance.move
            there = replace(claimed.instance, host=new.host, flavor=new.flavor, placement=new.placement)
            domain_xml.check(self.conf, database, there)
            return migration.finish(database, server.uuid, move.uuid if move else None)

    def _resize(
        self, database: Database, server: InstanceRecord, flavor: Flavor | None, host: str | None
    ) -> InstanceRecord:
        side = migration.on_host(server, 'resize')
        claims.check_up(database.host(side.host))
        if flavor is None or flavor == server.flavor:
            raise exception.Conflict(f'server {server.name!r} has the flavor {server.flavor.name!r} already')
        read = partial(requests.read, self.conf)
        claim = partial(claims.resize_claim, database, server.uuid, flavor=flavor, read=read)
        leaves = None if self.conf.allow_resize_to_same_host else side.host
        guest = self._read(flavor, server)
        requests.check_keys(flavor)
        return self._go(database, replace(server, flavor=flavor), guest, claim, host=host, leaves=leaves)

    def _migrate(
        self, database: Database, server: InstanceRecord, _flavor: Flavor | None, host: str | None
    ) -> InstanceRecord:
        side = migration.on_host(server, 'migrate')
        claims.check_up(database.host(side.host))
        claim = partial(claims.resize_claim, database, server.uuid, read=partial(requests.read, self.conf))
        guest = self._read(server.flavor, server)
        return self._go(database, server, guest, claim, host=host, leaves=side.host)

    def _live_migrate(
        self, database: Database, server: InstanceRecord, _flavor: Flavor | None, host: str | None
    ) -> InstanceRecord:
        side = migration.on_host(server, 'migrate')
        claims.check_up(database.host(side.host))
        read = partial(requests.read, self.conf)
        claim = partial(claims.live_migration_claim, database, server.uuid, read=read)
        guest, cells = claims.moving_guest(server, read), claims.fixed_host_cell_ids(server.placement)
        return self._go(database, server, guest, claim, host=host, leaves=server.host, host_cell_ids=cells)

    def _evacuate(
        self, database: Database, server: InstanceRecord, _flavor: Flavor | None, host: str | None
    ) -> InstanceRecord:
        side = migration.on_host(server, 'evacuate')
        claims.check_down(database.host(side.host))
        claim = partial(claims.rebuild_claim, database, server.uuid, read=partial(requests.read, self.conf))
        guest = self._read(server.flavor, server)
        return self._go(database, server, guest, claim, host=host, leaves=side.host)

    def _unshelve(
        self, database: Database, server: InstanceRecord, _flavor: Flavor | None, host: str | None
    ) -> InstanceRecord:
        claims.check_shelved(server)
        guest = self._read(server.flavor, server)
        request = select.asked(self.conf, requests.again(server, guest))
        claim = partial(claims.unshelve_claim, database, server.uuid, read=partial(requests.read, self.conf))
        # A guest whose XML cannot be written must not keep its claim.
        with self._select(database, request, claim, host=host) as claimed:
            domain_xml.check(self.conf, database, claimed.instance)
            return claimed.instance

    def _shelve(
        self, database: Database, server: InstanceRecord, _flavor: Flavor | None, _host: str | None
    ) -> InstanceRecord:
        side = migration.on_host(server, 'shelve')
        claims.check_up(database.host(side.host))
        return migration.shelve(database, server.uuid)

    def _confirm(
        self, database: Database, server: InstanceRecord, _flavor: Flavor | None, _host: str | None
    ) -> InstanceRecord:
        return migration.confirm(database, server.uuid)

    def _revert(
        self, database: Database, server: InstanceRecord, _flavor: Flavor | None, _host: str | None
    ) -> InstanceRecord:
        return migration.revert(database, server.uuid)

    def _delete(
        self, database: Database, server: InstanceRecord, _flavor: Flavor | None, _host: str | None
    ) -> InstanceRecord:
        return claims.release(database, server.uuid)


#: What may be done with a server, by name.
VERBS: dict[str, Callable[..., InstanceRecord]] = {
    'resize': Direct._resize,
    'migrate': Direct._migrate,
    'live_migrate': Direct._live_migrate,
    'evacuate': Direct._evacuate,
    'unshelve': Direct._unshelve,
    'shelve': Direct._shelve,
    'confirm': Direct._confirm,
    'revert': Direct._revert,
    'delete': Direct._delete,
}
