# SPDX-License-Identifier: Apache-2.0
"""The weigher that nova-scheduler loads beside Nova's: hosts that stay useful for further guests come first."""

from __future__ import annotations

from typing import Any

import nova.conf
from nova.scheduler import utils, weights

from numaplace import conf, exception
from numaplace.fit.usefulness import Mix, price
from numaplace.model import Guest, Host
from numaplace.nova import scheduler_request, topologies

__all__ = ['NUMAPreserveWeigher']

CONF = nova.conf.CONF
conf.register_preserve(CONF)


class NUMAPreserveWeigher(weights.BaseHostWeigher):  # type: ignore[misc]  # Nova's are untyped
    """What the guest costs on the host, by the measure of the strategy ``preserve``; Nova scales it as all weights."""

    def __init__(self) -> None:
        super().__init__()
        self._mix = Mix.of(conf.preserve_mix(CONF))

    def weight_multiplier(self, host_state: Any) -> float:
        """Return the multiplier: that of the host's aggregates, or else of the option."""
        option = 'numa_preserve_weight_multiplier'
        return float(utils.get_weight_multiplier(host_state, option, CONF.filter_scheduler[option]))

    def _weigh_object(self, host_state: Any, weight_properties: Any) -> float:
        """Return the price, negative; that of a host without cells, or with unreadable ones, is 0.

        :param host_state: Nova's HostState
        :param weight_properties: Nova's RequestSpec
        """
        try:
            request, topology = scheduler_request.of(weight_properties), host_state.numa_topology
            host = Host() if topology is None else topologies.read(topology, lasting=True)
            return -price(host, request.guest if request.topology else Guest(0, 0), self._mix)
        except exception.InvalidObject:
            return 0.0
