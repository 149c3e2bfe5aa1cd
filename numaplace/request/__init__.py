# SPDX-License-Identifier: Apache-2.0
"""What a flavor and an image ask for: extra specs and properties to a guest."""

from numaplace.request.constraints import read
from numaplace.request.devices import Devices, Disk, Nic, devices, own_devices
from numaplace.request.hotplug import Hotplug, hotplug
from numaplace.request.properties import Flavor
from numaplace.request.tuning import Tuning, tuning

__all__ = [
    'Devices',
    'Disk',
    'Flavor',
    'Hotplug',
    'Nic',
    'Tuning',
    'devices',
    'hotplug',
    'own_devices',
    'read',
    'tuning',
]
