# SPDX-License-Identifier: Apache-2.0
"""The message bus: its transport, and the names and versions that client and scheduler share."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cache
from typing import Any

from oslo_config import cfg

from numaplace import exception
from numaplace.services.threading_backend import opts, oslo_messaging
from numaplace.wire import messages

__all__ = ['check', 'client', 'level', 'server']

_RABBIT = 'oslo_messaging_rabbit'
#: Requests that a process of the scheduler works on at the same time, and takes from the bus at once: the others are
#: for the other processes.
_THREADS = 4
_LOCK = threading.Lock()


def client(conf: cfg.ConfigOpts, arguments: Sequence[str]) -> Any:
    """Return a client of the schedulers.

    :param arguments: the configuration files as options
    :raises: :class:`~numaplace.exception.InvalidConfiguration`
    """
    target = oslo_messaging.Target(topic=conf.numaplace.scheduler_topic, version=messages.FIRST)
    made = oslo_messaging.get_rpc_client(_transport(check(conf), tuple(arguments)), target)
    return made.prepare(version=level(conf))


def level(conf: cfg.ConfigOpts) -> str:
    """Return the version of the methods that all schedulers know."""
    return str(conf.upgrade_levels.numaplace or messages.NEWEST)


def server(conf: cfg.ConfigOpts, arguments: Sequence[str], name: str, endpoint: object) -> Any:
    """Return a server for the methods of an endpoint, which is not started yet.

    :param name: of the process, unlike all others on the bus
    """
    transport = _transport(check(conf), tuple(arguments))
    target = oslo_messaging.Target(topic=conf.numaplace.scheduler_topic, server=name)
    access = oslo_messaging.DefaultRPCAccessPolicy
    made = oslo_messaging.get_rpc_server(transport, target, [endpoint], executor='threading', access_policy=access)
    opts.set_defaults(cfg.CONF, executor_thread_pool_size=_THREADS)
    return made


def check(conf: cfg.ConfigOpts) -> str:
    """Return the URL of the bus.

    :raises: :class:`~numaplace.exception.InvalidConfiguration`
    """
    if conf.transport_url is None:
        raise exception.InvalidConfiguration(
            '[DEFAULT] transport_url is missing: expected the message bus of the schedulers, such as '
            'rabbit://user:password@host:5672/'
        )
    return str(conf.transport_url)


def _transport(url: str, arguments: tuple[str, ...]) -> Any:
    with _LOCK:  # the global configuration is read once, whichever thread comes first
        return _make_transport(url, arguments)


@cache
def _make_transport(url: str, arguments: tuple[str, ...]) -> Any:
    # oslo.messaging knows some of its options in the global configuration alone: it has that one for itself.
    cfg.CONF(list(arguments), 'numaplace', 'numaplace')
    for group, options in opts.list_opts():
        if group == _RABBIT:
            cfg.CONF.register_opts(options, group)
    cfg.CONF.set_default('rabbit_qos_prefetch_count', _THREADS, _RABBIT)
    try:
        return oslo_messaging.get_rpc_transport(cfg.CONF, url=url)
    except oslo_messaging.MessagingException as error:
        raise exception.InvalidConfiguration(
            f'[DEFAULT] transport_url cannot be used: {type(error).__name__}; expected a URL such as '
            'rabbit://user:password@host:5672/'
        ) from None
