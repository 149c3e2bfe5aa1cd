# SPDX-License-Identifier: Apache-2.0
"""The methods of the scheduler on the message bus."""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from numaplace import exception, explain
from numaplace import request as requested
from numaplace.operations import requests
from numaplace.operations.servers import Direct
from numaplace.services import metrics
from numaplace.services.threading_backend import oslo_messaging
from numaplace.wire import messages

if TYPE_CHECKING:
    from oslo_config import cfg

    from numaplace.db.api import Database
    from numaplace.db.records import InstanceRequest
    from numaplace.model.records import InstanceRecord
    from numaplace.scheduler.fresh import FreshIndex

__all__ = ['Endpoint']

LOG = logging.getLogger(__name__)

#: Faults of a message that no client of numaplace sends.
_INVALID = (exception.InvalidObject, exception.IncompatibleObjectVersion)

#: Faults of a server on which a request has been carried out already.
_OVERTAKEN = (
    exception.InstanceNotFound,
    exception.InstanceInvalidState,
    exception.ComputeServiceInUse,
    exception.UnableToMigrateToSelf,
    exception.NoValidHost,
)


class Endpoint:
    """Carries requests out; each method returns a Decision, whatever comes of it.

    :param worker: name of the process
    :param index: of all hosts, which somebody keeps fresh
    :param note: called with servers whose hosts have changed
    """

    target = oslo_messaging.Target(version=messages.NEWEST)

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        database: Database,
        worker: str,
        index: FreshIndex,
        note: Callable[[Sequence[InstanceRecord]], object] = lambda _servers: None,
    ) -> None:
        self._conf, self._database, self._worker = conf, database, worker
        self._index, self._note = index, note
        self._direct = Direct(conf, index=index)
        _ = self._direct.policy  # a plug-in that is missing is a fault of the start

    def create(self, _context: object, **arguments: Any) -> dict[str, Any]:
        """Create servers; takes a CreateRequest as `request`."""
        return self._answer('create', 'CreateRequest', self._create, arguments)

    def do(self, _context: object, **arguments: Any) -> dict[str, Any]:
        """Move, shelve or delete a server; takes a ServerRequest as `request`."""
        return self._answer('do', 'ServerRequest', self._do, arguments)

    def explain(self, _context: object, **arguments: Any) -> dict[str, Any]:
        """Return which hosts take the first of the servers, and why others do not; takes a CreateRequest."""
        return self._answer('explain', 'CreateRequest', self._explain, arguments)

    def changed(self, _context: object, **arguments: Any) -> None:
        """Hear from another process, `worker`, which `hosts` have changed."""
        worker, hosts = arguments.get('worker'), arguments.get('hosts')
        if (
            arguments.keys() != {'worker', 'hosts'}
            or not isinstance(hosts, list)
            or not all(isinstance(host, str) for host in hosts)
        ):
            LOG.warning('changed: an invalid message is refused: expected a worker and a list of hosts')
        elif worker != self._worker:
            self._index.changed(*hosts)

    def _answer(
        self, method: str, kind: str, act: Callable[[Any], messages.Decision], arguments: dict[str, Any]
    ) -> dict[str, Any]:
        started = time.monotonic()
        try:
            if arguments.keys() != {'request'}:
                raise exception.InvalidObject(f'arguments {sorted(arguments)!r:.60}: expected request')
            message = messages.read(arguments['request'], kind)
            _check_uuids(message)
        except _INVALID as error:
            LOG.warning('%s: an invalid message is refused: %s', method, explain.escape(str(error)))
            return messages.write(self._refused(error), messages.FIRST)  # which everybody reads
        try:
            decision = act(message)
        except exception.NumaplaceException as error:
            decision = self._refused(error)
        except Exception as error:
            LOG.exception('%s', method)
            decision = self._refused(
                exception.NumaplaceException(f'unexpected {type(error).__name__} in the scheduler')
            )
        metrics.DECISIONS.labels(method, decision.fault or 'done').inc()
        took_s = time.monotonic() - started
        metrics.LATENCY.labels(method).observe(took_s)
        return messages.write(replace(decision, took_ms=round(took_s * 1000)), message.answer_version)

    def _refused(self, error: exception.NumaplaceException) -> messages.Decision:
        decision = messages.Decision(self._worker, fault=type(error).__name__, text=str(error))
        if not isinstance(error, exception.NoValidHost):
            return decision
        refusals = error.refusals()
        for cause in _causes(refusals):
            metrics.REFUSALS.labels(cause).inc()
        return replace(decision, refusals=json.dumps(refusals), counts=json.dumps(error.counts))

    def _decided(self, servers: Sequence[InstanceRecord]) -> messages.Decision:
        self._note(servers)
        return messages.Decision(
            self._worker, tuple([each.uuid for each in servers]), tuple([each.host or '' for each in servers])
        )

    def _create(self, message: messages.CreateRequest) -> messages.Decision:
        database = self._database.for_request(message.uuid)
        done = database.was_carried_out(message.uuids)
        found = [server for uuid_ in message.uuids if uuid_ in done for server in _found(database, uuid_)]
        if done and not found:
            raise exception.AlreadyCarriedOut('this request was carried out before, and its servers are gone')
        # Each server of a request is a claim of its own: a worker that died left some of them.
        wanted = [each for each in self._wanted(message) if each.uuid not in done]
        more = max(message.at_least - len(found), 0)
        if wanted and (more or not done):
            try:
                found += self._direct.create(database, wanted, message.names[0], at_least=more, host=message.host)
            except exception.NoValidHost:
                # The hosts may be full of what another worker has made of the same message meanwhile.
                found = [server for uuid_ in message.uuids for server in _found(database, uuid_)]
                if len(found) < message.at_least:
                    raise
        return self._decided(found)

    def _wanted(self, message: messages.CreateRequest) -> list[InstanceRequest]:
        hints: dict[str, tuple[str, ...]] = {}
        for word in message.hints:
            key, _, value = word.partition('=')
            hints[key] = (*hints.get(key, ()), value)
        devices = requested.own_devices(message.nics, message.disks)
        first = requests.new_server(
            self._conf,
            message.names[0],
            message.flavor,
            message.image_properties,
            zone=message.availability_zone,
            devices=devices,
            scheduling={'project': message.project, 'hints': hints, 'group': message.group},
        )
        return [replace(first, uuid=uuid_, name=name) for uuid_, name in zip(message.uuids, message.names, strict=True)]

    def _do(self, message: messages.ServerRequest) -> messages.Decision:
        database = self._database.for_request(message.uuid)
        if database.was_carried_out([message.server_uuid]):
            return self._decided(_completed(database, message.server_uuid))
        try:
            server = self._direct.do(
                database, message.verb, message.server_uuid, flavor=message.flavor, host=message.host
            )
        except exception.AlreadyCarriedOut:
            return self._decided(_completed(database, message.server_uuid))
        except _OVERTAKEN:
            # The same message in another worker, or the last commit of one that died, may have come in between.
            if not database.was_carried_out([message.server_uuid]):
                raise
            return self._decided(_completed(database, message.server_uuid))
        return self._decided([server])

    def _explain(self, message: messages.CreateRequest) -> messages.Decision:
        from numaplace.scheduler import select  # noqa: PLC0415 - only this method

        wanted = self._wanted(message)[0]
        hosts, group = self._database.candidates(wanted.group, message.host, {})
        taking, refusals = select.ask(hosts, select.asked(self._conf, wanted, group=group), self._direct.policy)
        reasons = [explain.HostRefusal(each.host, each.filter, each.refusal) for each in refusals]
        return messages.Decision(
            self._worker, (), tuple([host.name for host in taking]), refusals=json.dumps(explain.plain(reasons))
        )


def _check_uuids(message: messages.CreateRequest | messages.ServerRequest) -> None:
    listed = message.uuids if isinstance(message, messages.CreateRequest) else (message.server_uuid,)
    for text in (message.uuid, *listed):
        try:
            is_uuid = str(uuid.UUID(text)) == text
        except ValueError:
            is_uuid = False
        if not is_uuid:
            raise exception.InvalidObject(f'{text!r:.60}: expected a UUID')


def _found(database: Database, server_uuid: str) -> list[InstanceRecord]:
    try:
        return [database.instance(server_uuid)]
    except exception.NotFound:
        return []


def _completed(database: Database, server_uuid: str) -> list[InstanceRecord]:
    """Return a server of which a request was begun before; a move that a dead worker left on its way is finished."""
    from numaplace.compute import migration  # noqa: PLC0415

    move_uuid = database.move_uuid(server_uuid)
    for server in _found(database, server_uuid):
        if server.move is not None and server.move.uuid == move_uuid and not server.move.has_ended:
            try:
                return [migration.finish(database, server_uuid, move_uuid)]
            except exception.InstanceInvalidState:  # it has arrived
                return _found(database, server_uuid)
        return [server]
    return []


def _causes(refusals: Sequence[Any]) -> list[str]:
    """Return the first word of the first cause of each host."""
    return [each['reasons'][0]['code'].partition('.')[0] for each in refusals if each['reasons']]
