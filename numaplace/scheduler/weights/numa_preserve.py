# SPDX-License-Identifier: Apache-2.0
"""Prefer hosts that stay useful for further guests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from numaplace import conf as configuration
from numaplace.fit.usefulness import ANY, Mix, price
from numaplace.model.records import HostRecord
from numaplace.scheduler.filters import Request
from numaplace.scheduler.weights.base import Weigher

if TYPE_CHECKING:
    from oslo_config import cfg

    from numaplace.scheduler.index import HostIndex, Measures

__all__ = ['NUMAPreserveWeigher']


class NUMAPreserveWeigher(Weigher):
    """What the guest costs on the host, by the measure of the strategy ``preserve``.

    :param mix: the guests that are expected
    """

    multiplier_option = 'numa_preserve_weight_multiplier'

    def __init__(self, mix: Mix = ANY) -> None:
        self._mix = mix

    @classmethod
    def of(cls, conf: cfg.ConfigOpts) -> NUMAPreserveWeigher:
        """Return the weigher for the mix of a configuration."""
        return cls(Mix.of(configuration.preserve_mix(conf)))

    def weigh(self, host: HostRecord, request: Request) -> float:
        """Return the price, negative: hosts that lose least come first."""
        return -price(host.host, request.instance.guest, self._mix)

    def weigh_all(self, index: HostIndex, request: Request) -> Measures:
        """Return the prices of all hosts, negative; those that have not changed since the last such guest are kept."""
        guest = request.instance.guest
        key = type(self), self._mix, guest.cells, guest.emulator_policy, bool(guest.pci_requests)
        return index.kept(key, lambda record: self.weigh(record, request))
