# SPDX-License-Identifier: Apache-2.0
"""The virtual IOMMU of a guest: ``hw:viommu_model`` and ``hw_viommu_model``, or one that its vCPUs need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from numaplace import architecture, exception
from numaplace.model import Flavor, Guest
from numaplace.request import machines
from numaplace.request.machines import Machine
from numaplace.request.properties import Properties

__all__ = ['AUTO', 'INTEL', 'MODELS', 'SMMUV3', 'VIRTIO', 'Viommu', 'resolve', 'viommu']

#: Models of QEMU, and the one that numaplace chooses.
INTEL, SMMUV3, VIRTIO, AUTO = MODELS = ('intel', 'smmuv3', 'virtio', 'auto')

_KEY = 'viommu_model'


@dataclass(frozen=True, slots=True)
class Viommu:
    """The virtual IOMMU that a flavor or an image requests.

    :param place: where it was requested, for the errors
    """

    model: str
    place: str = field(default='', compare=False)


def viommu(flavor: Flavor, image: Mapping[str, object] | None = None) -> Viommu | None:
    """Read the IOMMU of a flavor and an image; the flavor's value takes precedence.

    Nova 34, `_get_iommu_model`.

    :raises: :class:`~numaplace.exception.InvalidRequest` for a model that is not known, in either of them
    """
    properties = Properties(flavor, image or {})
    of_flavor, of_image = properties.of_flavor(_KEY), properties.of_image(_KEY)
    asked = []
    if of_flavor is not None:
        asked.append(Viommu(of_flavor, properties.flavor_place(f'hw:{_KEY}', of_flavor)))
    if of_image is not None:
        asked.append(Viommu(of_image, properties.image_place(f'hw_{_KEY}', of_image)))
    for one in asked:
        if one.model not in MODELS:
            raise exception.InvalidRequest(f'{one.place}: expected {", ".join(MODELS[:-1])} or {MODELS[-1]}')
    return asked[0] if asked else None


def resolve(asked: Viommu | None, guest: Guest, machine: Machine, *, virtio: bool = True) -> str | None:
    """Return the model of the IOMMU that a guest gets, or None if it gets none.

    Nova 34, `_get_iommu_model`, with two exceptions: ``auto`` is ``intel`` if the vCPUs need interrupt remapping,
    which ``virtio`` does not have, and ``smmuv3`` on aarch64, where ``virtio`` needs ACPI and therefore UEFI firmware,
    which numaplace does not write.

    :param virtio: whether libvirt supports the model ``virtio``, as it does since 8.3
    :raises: :class:`~numaplace.exception.InvalidVIOMMUArchitecture`,
        :class:`~numaplace.exception.InvalidVIOMMUMachineType`; :class:`~numaplace.exception.InvalidRequest` for a
        model that the machine type does not have, or that does not reach all vCPUs
    """
    required = machines.needs_eim(guest, machine)
    if asked is None:
        return INTEL if required and machine.kind == machines.Q35 else None
    if machine.arch != 'aarch64' and not architecture.is_x86(machine.arch):
        raise exception.InvalidVIOMMUArchitecture(
            f'{asked.place}: architecture {machine.arch!r}: expected i686, x86_64 or aarch64'
        )
    expected = machines.VIRT if machine.arch == 'aarch64' else machines.Q35
    if machine.kind != expected:
        raise exception.InvalidVIOMMUMachineType(
            f'{asked.place}: machine type {machine.type!r} of {machine.arch}: expected {expected}'
        )
    if machine.arch == 'aarch64':
        return _one_of(asked, (SMMUV3,), machine, '')
    if required:
        return _one_of(asked, (INTEL,), machine, f' with {guest.most_vcpus} vCPUs, some beyond APIC ID 254')
    return _one_of(asked, (VIRTIO, INTEL) if virtio else (INTEL,), machine, '')


def _one_of(asked: Viommu, models: tuple[str, ...], machine: Machine, more: str) -> str:
    if asked.model == AUTO:
        return models[0]
    if asked.model not in models:
        raise exception.InvalidRequest(
            f'{asked.place}: machine type {machine}{more}: expected {", ".join(models)} or {AUTO}'
        )
    return asked.model
