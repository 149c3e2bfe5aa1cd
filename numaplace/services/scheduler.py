# SPDX-License-Identifier: Apache-2.0
"""``numaplace-scheduler``: processes that choose hosts for requests on the message bus."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from oslo_config import cfg

from numaplace import exception, explain
from numaplace.db import api
from numaplace.scheduler.fresh import FreshIndex
from numaplace.services import launching, messaging, metrics
from numaplace.services.endpoint import Endpoint
from numaplace.services.news import News

__all__ = ['Worker', 'main']

LOG = logging.getLogger(__name__)

#: How long a request is remembered, and how often old ones are forgotten.
_MEMORY, _FORGET_S = timedelta(days=1), 3600
_RETRY_S = 2
#: How often the index looks for changes, and for how long a look is believed: a slow one is not late at once.
_LOOK_S, _TRUST_S = 1.0, 3.0
#: How long hosts that have changed are collected before the other processes are told.
_TELL_S = 0.1


class Worker(launching.ServiceBase):  # type: ignore[misc]  # oslo.service has no types
    """One process of the scheduler."""

    def __init__(self, given: launching.Given, conf: cfg.ConfigOpts, number: int) -> None:
        self._given, self._conf, self._number = given, conf, number
        self._ended = threading.Event()
        self._server: Any = None
        self._database: api.Database | None = None
        self._index: FreshIndex | None = None
        self._news: News | None = None

    def start(self) -> None:
        """Begin to answer, once the database is there."""
        try:
            self._conf = launching.load(self._given)
        except exception.NumaplaceException as error:  # changed since the program was started
            LOG.error('%s; the configuration stays as it was', explain.escape(str(error)))
        metrics.serve(self._conf, self._number)
        self._database = self._connect()
        if self._database is None:
            return
        name = f'{socket.gethostname()}:{os.getpid()}'
        index = self._index = FreshIndex(self._database, trust_s=_TRUST_S, lost=metrics.LOST.inc)
        metrics.follow(index)
        self._look()
        self._news = News(self._conf, self._given.arguments, name)
        endpoint = Endpoint(self._conf, self._database, name, index, self._news.note)
        self._server = messaging.server(self._conf, self._given.arguments, name, endpoint)
        self._server.start()
        LOG.info('worker %s answers', name)

    def _connect(self) -> api.Database | None:
        fault = ''
        while not self._ended.is_set():
            try:
                return api.connect(self._conf.numaplace.connection)
            except exception.NumaplaceException as error:
                if fault != str(error):
                    fault = str(error)
                    LOG.error('%s; the next attempt is in %s s', explain.escape(fault), _RETRY_S)
            self._ended.wait(_RETRY_S)
        return None

    def stop(self) -> None:
        """Take no more requests."""
        self._ended.set()

    def wait(self) -> None:
        """Wait for the end; what is under way is answered."""
        look_s, forget_s = (time.monotonic() + interval_s for interval_s in (_LOOK_S, _FORGET_S))
        while not self._ended.wait(_TELL_S):
            if self._news is not None:
                self._news.tell()
            if time.monotonic() >= look_s:
                self._look()
                look_s = time.monotonic() + _LOOK_S
            if time.monotonic() >= forget_s:
                self._forget()
                forget_s += _FORGET_S
        if self._server is not None:
            self._server.stop()
            self._server.wait()
        if self._database is not None:
            self._database.close()

    def _look(self) -> None:
        """Let the index follow the database; what it misses now, it finds by the next look, and by claims."""
        if self._index is None:
            return
        try:
            self._index.refresh()
        except exception.NumaplaceException as error:
            LOG.warning('the hosts cannot be read: %s', explain.escape(str(error)))

    def _forget(self) -> None:
        if self._database is None:
            return
        try:
            self._database.forget_requests(datetime.now(UTC) - _MEMORY)
        except exception.NumaplaceException as error:
            LOG.warning('%s', explain.escape(str(error)))

    def reset(self) -> None:
        """Do nothing: after SIGHUP, a new process reads the configuration."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the scheduler."""

    def make(given: launching.Given, conf: cfg.ConfigOpts) -> list[Worker]:
        messaging.check(conf)
        return [Worker(given, conf, number) for number in range(conf.numaplace.scheduler_workers)]

    return launching.run(
        'numaplace-scheduler',
        'Chooses hosts for servers, for all who ask over the message bus.',
        make,
        argv,
    )
