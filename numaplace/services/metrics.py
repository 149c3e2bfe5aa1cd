# SPDX-License-Identifier: Apache-2.0
"""What the services count, for Prometheus; nothing listens unless a port is configured."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from prometheus_client import Counter, Gauge, Histogram, start_http_server

if TYPE_CHECKING:
    from oslo_config import cfg

__all__ = ['DECISIONS', 'FAULTS', 'FINDINGS', 'HEARTBEATS', 'LATENCY', 'REFUSALS', 'serve']

LOG = logging.getLogger(__name__)

HEARTBEATS = Counter('numaplace_heartbeats', 'How often the agent said that its host is up.')
FINDINGS = Gauge('numaplace_findings', 'What is wrong on the host of the agent now.')
FAULTS = Gauge('numaplace_waiting', 'Whether a task of the agent waits for something that is away.', ['task'])
DECISIONS = Counter('numaplace_decisions', 'Requests that the scheduler has answered.', ['method', 'outcome'])
LATENCY = Histogram('numaplace_decision_seconds', 'How long an answer takes.', ['method'])
REFUSALS = Counter('numaplace_refusals', 'Hosts that refused a server, by the first word of the cause.', ['cause'])


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
