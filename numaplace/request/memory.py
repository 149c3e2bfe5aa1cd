# SPDX-License-Identifier: Apache-2.0
"""Read how to back the memory of a guest: page size, locking, persistent memory."""

from __future__ import annotations

from contextlib import suppress

from numaplace import exception, units
from numaplace.model import PAGES_ANY, PAGES_LARGE, PAGES_SMALL
from numaplace.request.properties import Properties, is_true

__all__ = ['locked_memory', 'page_size', 'wants_pmem']

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


def wants_pmem(properties: Properties) -> bool:
    """Return whether the flavor requests persistent memory (``hw:pmem=LABEL,LABEL``)."""
    return any(label.strip() for label in (properties.of_flavor('pmem') or '').split(','))
