# SPDX-License-Identifier: Apache-2.0
"""What the services count, for Prometheus; nothing listens unless a port is configured."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from prometheus_client import Counter, Gauge, Histogram, start_http_server

from numaplace.model.records import DOWN, UP

if TYPE_CHECKING:
    from oslo_config import cfg

    from numaplace.scheduler.fresh import FreshIndex

__all__ = ['DECISIONS', 'FAULTS', 'FINDINGS', 'HEARTBEATS', 'LATENCY', 'LOST', 'REFUSALS', 'follow', 'serve']

LOG = logging.getLogger(__name__)

HEARTBEATS = Counter('numaplace_heartbeats', 'How often the agent said that its host is up.')
FINDINGS = Gauge('numaplace_findings', 'What is wrong on the host of the agent now.')
FAULTS = Gauge('numaplace_waiting', 'Whether a task of the agent waits for something that is away.', ['task'])
DECISIONS = Counter('numaplace_decisions', 'Requests that the scheduler has answered.', ['method', 'outcome'])
LATENCY = Histogram('numaplace_decision_seconds', 'How long an answer takes.', ['method'])
REFUSALS = Counter('numaplace_refusals', 'Hosts that refused a server, by the first word of the cause.', ['cause'])
LOST = Counter('numaplace_lost_claims', 'Claims on hosts that others had changed since they were chosen.')
INDEX_AGE = Gauge('numaplace_index_age_seconds', 'Time since the scheduler looked for hosts that have changed.')
INDEX_HOSTS = Gauge('numaplace_index_hosts', 'Hosts that the scheduler knows, by state.', ['state'])


def follow(index: FreshIndex) -> None:
    """Let the metrics of an index say what it is like whenever they are read."""
    INDEX_AGE.set_function(lambda: index.age_s)
    for state in (UP, DOWN):
        INDEX_HOSTS.labels(state).set_function(partial(index.count, state))


def serve(conf: cfg.ConfigOpts, number: int) -> None:
    """Offer the metrics of this process, if a port is configured; the service runs without them if it cannot be used.

    :param number: of the process; the port is so much higher
    """
    if conf.numaplace.metrics_port is None:
        return
    port, address = conf.numaplace.metrics_port + number, conf.numaplace.metrics_address
    try:
        start_http_server(port, addr=str(address))
    except (OSError, OverflowError) as error:
        LOG.error(
            '[numaplace] metrics_port, metrics_address: %s:%s cannot be used: %s; expected a port that is free, and '
            'one more for each further process',
            *(address, port, error),
        )
