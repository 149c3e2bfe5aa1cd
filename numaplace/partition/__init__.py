# SPDX-License-Identifier: Apache-2.0
"""Automatic vNUMA: turn a wish and a host into guest cells that are bound to host cells."""

from numaplace.partition.available import available_to
from numaplace.partition.dividing import Partition, divide
from numaplace.partition.enabled_vcpus import enabled
from numaplace.partition.placing import place

__all__ = ['Partition', 'available_to', 'divide', 'enabled', 'place']
