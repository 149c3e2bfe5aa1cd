# SPDX-License-Identifier: Apache-2.0
"""What processes of the scheduler tell each other: which hosts have changed. Whoever misses it finds it by a look."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from numaplace.services import messaging
from numaplace.services.threading_backend import oslo_messaging

if TYPE_CHECKING:
    from oslo_config import cfg

    from numaplace.model.records import InstanceRecord

__all__ = ['News']

LOG = logging.getLogger(__name__)

#: The method that hears it, and the version of the methods that came before it.
_METHOD, _BEFORE = 'changed', '1.0'


class News:
    """Hosts that a process has changed, told to all others together.

    :param arguments: the configuration files as options
    :param worker: name of the process, which knows them already
    """

    def __init__(self, conf: cfg.ConfigOpts, arguments: Sequence[str], worker: str) -> None:
        self._worker = worker
        self._is_known = messaging.level(conf) != _BEFORE
        self._all = messaging.client(conf, arguments).prepare(fanout=True)
        self._noting = threading.Lock()
        self._hosts: set[str] = set()

    def note(self, servers: Iterable[InstanceRecord]) -> None:
        """Note the hosts of servers that were created, moved or deleted, to be told soon."""
        sides = [(server.move.old.host, server.move.new.host) for server in servers if server.move is not None]
        hosts = [host for host in (*(server.host for server in servers), *sum(sides, ())) if host is not None]
        with self._noting:
            self._hosts.update(hosts)

    def tell(self) -> None:
        """Send what is noted; where the bus is away, it is forgotten."""
        with self._noting:
            hosts, self._hosts = self._hosts, set()
        if not hosts or not self._is_known:
            return
        try:
            self._all.cast({}, _METHOD, worker=self._worker, hosts=sorted(hosts))
        except oslo_messaging.MessagingException as error:
            LOG.debug('the others find %d hosts by a look: %s', len(hosts), error)
