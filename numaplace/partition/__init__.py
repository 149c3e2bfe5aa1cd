# SPDX-License-Identifier: Apache-2.0
"""Automatic vNUMA: a wish and a host to guest cells that are bound to host cells."""

from numaplace.partition.dividing import Partition, divide
from numaplace.partition.hotplug import enabled
from numaplace.partition.placing import place

__all__ = ['Partition', 'divide', 'enabled', 'place']
