# SPDX-License-Identifier: Apache-2.0
"""Read how to back the memory of a guest: page size, locking, encryption, persistent memory."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from numaplace import exception, units
from numaplace.model import PAGES_ANY, PAGES_LARGE, PAGES_SMALL, host_resources
from numaplace.model.host_resources import AMD_SEV, AMD_SEV_ES, AMD_SEV_SNP, ENCRYPTIONS, INTEL_TDX
from numaplace.request.properties import Properties, is_true

__all__ = ['encryption', 'locked_memory', 'page_size', 'pmem']

#: Models of encryption whose guests have their memory locked (Nova 34, `needs_locked_memory`).
LOCKED = (AMD_SEV, AMD_SEV_ES)

_CLASSES = {'small': PAGES_SMALL, 'large': PAGES_LARGE, 'any': PAGES_ANY}


def _size(text: str, place: str) -> int:
    if text in _CLASSES:
        return _CLASSES[text]
    size_kib = 0
    if not text.isascii() or not text.isdigit():
        with suppress(exception.Invalid):
            size_kib = units.parse_kib(text)
    elif len(text) < 16:
        size_kib = int(text)
    if not units.is_page_size(size_kib):
        raise exception.MemoryPageSizeInvalid(
            f"{place}: expected small, large, any, a size in KiB or a size with a unit such as '2MB', which is "
            f'{units.PAGE_SIZE}'
        )
    return size_kib


def page_size(properties: Properties) -> int | None:
    """Return the page size in KiB, one of the PAGES classes, or None; an image may only narrow large or any.

    :raises: MemoryPageSizeInvalid, MemoryPageSizeForbidden
    """
    of_flavor, of_image = properties.of_flavor('mem_page_size'), properties.of_image('mem_page_size')
    image_place = properties.image_place('hw_mem_page_size', of_image)
    if not of_flavor:
        if of_image:
            raise exception.MemoryPageSizeForbidden(
                f'{image_place}: flavor {properties.flavor.name!r} has no hw:mem_page_size that allows it'
            )
        return None
    flavor_place = properties.flavor_place('hw:mem_page_size', of_flavor)
    size = _size(of_flavor, flavor_place)
    if not of_image:
        return size
    if size not in (PAGES_LARGE, PAGES_ANY):
        raise exception.MemoryPageSizeForbidden(f'{image_place}: {flavor_place} does not allow it; large or any would')
    return _size(of_image, image_place)


def locked_memory(properties: Properties) -> bool:
    """Return whether the guest's memory is locked.

    :raises: FlavorImageLockedMemoryConflict; LockMemoryForbidden if there is no page size
    """
    of_flavor, of_image = properties.of_flavor('locked_memory'), properties.of_image('locked_memory')
    if of_flavor and of_image and is_true(of_flavor) != is_true(of_image):
        raise exception.FlavorImageLockedMemoryConflict(
            f'{properties.image_place("hw_locked_memory", of_image)}: '
            f'{properties.flavor_place("hw:locked_memory", of_flavor)} says otherwise'
        )
    locked = is_true(of_flavor or of_image or '')
    if locked and not (properties.of_flavor('mem_page_size') or properties.of_image('mem_page_size')):
        place = (
            properties.flavor_place('hw:locked_memory', of_flavor)
            if of_flavor
            else properties.image_place('hw_locked_memory', of_image)
        )
        raise exception.LockMemoryForbidden(f'{place}: locked memory needs hw:mem_page_size, which is not set')
    return locked


def encryption(properties: Properties, has_image: bool = True) -> str | None:
    """Return the model of memory encryption that flavor or image request, or None.

    Nova 34, `get_mem_encryption_constraint`. Whether the machine type of the configuration suits is left to others.

    :param has_image: whether the image is known, so that it must have what encryption needs
    :raises: FlavorImageConflict if they contradict each other, or the image has other firmware than it needs;
        InvalidMachineType, StatelessFirmwareRequired, InvalidVideoMode; InvalidRequest for a model that is not known
    """
    of_flavor, of_image = properties.of_flavor('mem_encryption'), properties.of_image('mem_encryption')
    if not any(text and is_true(text) for text in (of_flavor, of_image)):
        return None
    if of_flavor and of_image and is_true(of_flavor) != is_true(of_image):
        raise _contradiction(properties, 'mem_encryption', of_flavor, of_image)
    model = _encryption_model(properties)
    if has_image:
        place = (
            properties.flavor_place('hw:mem_encryption', of_flavor)
            if of_flavor
            else properties.image_place('hw_mem_encryption', of_image)
        )
        _check_encrypted(properties.image, model, place)
    return model


def _check_encrypted(image: Mapping[str, object], model: str, place: str) -> None:
    """Check that an image has what memory encryption needs."""
    if image.get('hw_firmware_type') != 'uefi':
        raise exception.FlavorImageConflict(f'{place}: the image needs hw_firmware_type=uefi with it')
    if (machine := image.get('hw_machine_type')) and 'q35' not in str(machine):
        raise exception.InvalidMachineType(f'{place}: the image has hw_machine_type={str(machine)!r}; q35 is needed')
    if model in (AMD_SEV_SNP, INTEL_TDX) and not is_true(str(image.get('hw_firmware_stateless') or '')):
        raise exception.StatelessFirmwareRequired(f'{place}: the image needs hw_firmware_stateless=true with {model}')
    if model == INTEL_TDX and image.get('hw_video_model') != 'none':
        raise exception.InvalidVideoMode(f'{place}: the image needs hw_video_model=none with {model}')


def _encryption_model(properties: Properties) -> str:
    key = 'mem_encryption_model'
    of_flavor, of_image = properties.of_flavor(key), properties.of_image(key)
    if of_flavor and of_image and of_flavor != of_image:
        raise _contradiction(properties, key, of_flavor, of_image)
    model = of_flavor or of_image or AMD_SEV
    if model not in ENCRYPTIONS:
        place = properties.flavor_place(f'hw:{key}', model) if of_flavor else properties.image_place(f'hw_{key}', model)
        raise exception.InvalidRequest(f'{place}: expected one of {", ".join(ENCRYPTIONS)}')
    return model


def _contradiction(properties: Properties, key: str, of_flavor: str, of_image: str) -> exception.FlavorImageConflict:
    flavor_place = properties.flavor_place(f'hw:{key}', of_flavor)
    image_place = properties.image_place(f'hw_{key}', of_image)
    return exception.FlavorImageConflict(f'{image_place}: {flavor_place} says otherwise')


def pmem(properties: Properties) -> tuple[str, ...]:
    """Return the requests for persistent memory (``hw:pmem=LABEL,LABEL``), one for each namespace."""
    labels = (label.strip() for label in (properties.of_flavor('pmem') or '').split(','))
    return tuple([host_resources.pmem(label) for label in labels if label])
