# SPDX-License-Identifier: Apache-2.0
"""Ask a scheduler on the message bus to choose hosts."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from numaplace import exception
from numaplace.services import messaging
from numaplace.services.threading_backend import oslo_messaging
from numaplace.wire import messages

if TYPE_CHECKING:
    from oslo_config import cfg

    from numaplace.db.api import Database
    from numaplace.db.records import InstanceRequest
    from numaplace.model import Flavor
    from numaplace.model.records import InstanceRecord

__all__ = ['Remote']

#: How often a request is sent: a scheduler that dies takes it along, and none carries it out twice.
_ATTEMPTS = 2


@dataclass(frozen=True)
class Remote:
    """Lets a scheduler choose, as :class:`numaplace.operations.servers.Direct` does itself.

    :param files: the configuration files
    :param told: called with the name of the process that decided, and how long that took
    """

    conf: cfg.ConfigOpts
    files: Sequence[str] = ()
    told: Callable[[str], object] = lambda _worker: None

    def create(
        self,
        database: Database,
        wanted: Sequence[InstanceRequest],
        name: str,  # noqa: ARG002 - the scheduler names it
        *,
        at_least: int = 1,
        host: str | None = None,
        claimed: Callable[[], object] = lambda: None,
        read: Callable[[int, int], object] = lambda _read, _of: None,  # noqa: ARG002 - the scheduler has read them
    ) -> list[InstanceRecord]:
        """Have servers created.

        :raises: as :meth:`numaplace.operations.servers.Direct.create`, and
            :class:`~numaplace.exception.NoAnswer`
        """
        decision = self.decide(wanted, at_least=at_least, host=host)
        for _ in decision.uuids:
            claimed()
        found = {server.uuid: server for server in database.instances_of(decision.uuids)}
        return [found[each] for each in decision.uuids if each in found]

    def decide(
        self, wanted: Sequence[InstanceRequest], *, at_least: int = 1, host: str | None = None
    ) -> messages.Decision:
        """Have servers created, and return what the scheduler says; nothing is read. Errors as :meth:`create`."""
        one = wanted[0]
        request = messages.CreateRequest(
            str(uuid.uuid4()),
            tuple([each.uuid for each in wanted]),
            tuple([each.name for each in wanted]),
            one.flavor,
            dict(one.image_properties),
            at_least,
            tuple(map(str, one.devices.nics)),
            tuple(map(str, one.devices.disks)),
            tuple([f'{key}={value}' for key, values in one.hints.items() for value in values]),
            one.availability_zone,
            host,
            one.project,
            one.group,
        )
        return self.call('create', request)

    def do(
        self, database: Database, verb: str, uuid_: str, *, flavor: Flavor | None = None, host: str | None = None
    ) -> InstanceRecord:
        """Have something done with a server; errors as :meth:`create`."""
        before = database.instance(uuid_)
        self.call('do', messages.ServerRequest(str(uuid.uuid4()), uuid_, verb, flavor, host))
        return before if verb == 'delete' else database.instance(uuid_)

    def call(self, method: str, request: messages.CreateRequest | messages.ServerRequest) -> messages.Decision:
        """Send a request, and return what was decided.

        :raises: what the scheduler raised, and :class:`~numaplace.exception.NoAnswer`
        """
        arguments = [word for path in self.files for word in ('--config-file', path)]
        client = messaging.client(self.conf, arguments)
        decision: messages.Decision = messages.read(self._answer(client, method, request), 'Decision')
        self.told(decision.worker + (f' in {decision.took_ms} ms' if decision.took_ms else ''))
        if decision.fault is not None:
            raise _fault(decision)
        return decision

    def _answer(self, client: Any, method: str, request: messages.CreateRequest | messages.ServerRequest) -> object:
        patience_s = self.conf.numaplace.scheduler_timeout
        client, level = client.prepare(timeout=patience_s / _ATTEMPTS), messaging.level(self.conf)
        for attempt in range(_ATTEMPTS):
            try:
                answer: object = client.call({}, method, request=messages.write(request, level))
            except oslo_messaging.MessagingTimeout as error:
                if attempt + 1 == _ATTEMPTS:
                    raise exception.NoAnswer(
                        f'no scheduler answered request {request.uuid} within {patience_s} s: it may be carried out '
                        'all the same, see `numaplace server list`; is a numaplace-scheduler running?'
                    ) from error
            except oslo_messaging.MessagingException as error:
                text = ' '.join(str(error).split())[:200]
                raise exception.NoAnswer(f'the schedulers cannot be reached: {type(error).__name__}: {text}') from error
            else:
                return answer
        raise AssertionError(attempt)


def _fault(decision: messages.Decision) -> exception.NumaplaceException:
    """Return the exception that a scheduler tells, of its class if there is one."""
    text = decision.text or ''
    if decision.fault == exception.NoValidHost.__name__:
        refusals, counts = decision.refusals or '[]', decision.counts or '[]'
        return exception.NoValidHost(text, partial(json.loads, refusals), json.loads(counts))
    kind = getattr(exception, decision.fault or '', None)
    is_known = isinstance(kind, type) and issubclass(kind, exception.NumaplaceException)
    return kind(text) if is_known and kind is not None else exception.NumaplaceException(f'{decision.fault}: {text}')
