# SPDX-License-Identifier: Apache-2.0
"""The engine: where the cells of a guest go on a host, exactly and the same in every process."""

from numaplace.fit.devices import Devices
from numaplace.fit.placing import place, refusal
from numaplace.fit.strategies import LINEAR, PACK, SPREAD, Strategy

__all__ = ['LINEAR', 'PACK', 'SPREAD', 'Devices', 'Strategy', 'place', 'refusal']
