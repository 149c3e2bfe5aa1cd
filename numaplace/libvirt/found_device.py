# SPDX-License-Identifier: Apache-2.0
"""A PCI device as a source describes it, and those of them that ``[pci] device_spec`` offers to guests."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from numaplace.model import PciDevice
from numaplace.model.pci import INTERFACE, PCI, PF, VDPA_DEVICE
from numaplace.pci_specs import DeviceSpec

__all__ = ['FoundDevice', 'offered']

#: The base class of bridges, which no guest can have: the upper byte of the class code.
_BRIDGE = 0x06
#: Length of an address with a domain of four digits.
_ADDRESS_LENGTH = len('0000:00:00.0')


@dataclass(frozen=True, slots=True)
class FoundDevice:
    """A PCI device of a machine.

    :param address: as in ``0000:0a:00.1``
    :param vendor_id: four hexadecimal digits, as is `product_id`
    :param dev_type: PCI, PF, VF or VDPA of ``numaplace.model.pci``
    :param numa_node: id of its node, or None where it is not known
    :param parent: address of the PF of a VF
    :param pci_class: class code with subclass and interface, such as 0x020000; None where it is not known
    :param driver: kernel driver that it is bound to
    :param interfaces: names of its network interfaces
    :param vdpa_device: path of the character device of its vDPA device
    """

    address: str
    vendor_id: str
    product_id: str
    dev_type: str = PCI
    numa_node: int | None = None
    parent: str | None = None
    pci_class: int | None = None
    driver: str | None = None
    interfaces: tuple[str, ...] = ()
    vdpa_device: str | None = None

    @property
    def is_assignable(self) -> bool:
        """Whether a guest can have it: no bridge, and in a domain of four digits, unlike those behind an Intel VMD."""
        is_bridge = self.pci_class is not None and self.pci_class >> 16 == _BRIDGE
        return not is_bridge and len(self.address) == _ADDRESS_LENGTH

    def tags(self, given: Mapping[str, str | None]) -> Mapping[str, str | None]:
        """Return the tags of its spec, for a device of a network with those of what a guest can be attached to."""
        if given.get('physical_network') is None or self.dev_type == PF:
            return given
        found = {INTERFACE: next(iter(self.interfaces), None), VDPA_DEVICE: self.vdpa_device}
        return {**given, **{key: value for key, value in found.items() if value is not None}}


def offered(found: Iterable[FoundDevice], specs: Sequence[DeviceSpec], cells: Collection[int]) -> tuple[PciDevice, ...]:
    """Return the devices that guests may have, by address, each with the tags of the first spec that it matches.

    What no guest can have is left out. Complexity: devices x specs.

    :param cells: ids of the host cells; on any other node the cell of a device is not known
    """
    listed = sorted(found, key=lambda device: device.address)
    interfaces = {name: device.address for device in listed for name in device.interfaces}
    return tuple(
        [
            PciDevice(
                device.address,
                device.vendor_id,
                device.product_id,
                device.dev_type,
                device.numa_node if device.numa_node in cells else None,
                device.parent,
                device.tags(spec.tags),
            )
            for device in listed
            if device.is_assignable and (spec := _first(device, specs, interfaces)) is not None
        ]
    )


def _first(device: FoundDevice, specs: Iterable[DeviceSpec], interfaces: Mapping[str, str]) -> DeviceSpec | None:
    names = device.vendor_id, device.product_id, device.address, device.parent
    return next((spec for spec in specs if spec.matches(*names, interfaces)), None)
