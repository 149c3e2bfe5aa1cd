# SPDX-License-Identifier: Apache-2.0
"""Convert the extra specs of a flavor and the properties of an image to the guest that they request."""

from numaplace.request.constraints import read
from numaplace.request.devices import devices, own_devices
from numaplace.request.hotplug import Hotplug, hotplug
from numaplace.request.machines import Machine
from numaplace.request.pci import pci_requests, with_networks
from numaplace.request.tuning import Tuning, tuning
from numaplace.request.viommu import Viommu, viommu

__all__ = [
    'Hotplug',
    'Machine',
    'Tuning',
    'Viommu',
    'devices',
    'hotplug',
    'own_devices',
    'pci_requests',
    'read',
    'tuning',
    'viommu',
    'with_networks',
]
