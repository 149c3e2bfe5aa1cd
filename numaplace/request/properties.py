# SPDX-License-Identifier: Apache-2.0
"""Extra specs of a flavor and properties of an image: how to look up a value and name it in an error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from numaplace.model import Flavor

__all__ = ['Properties', 'is_true']

_TRUE = frozenset({'1', 't', 'true', 'on', 'y', 'yes'})


@dataclass(frozen=True, slots=True)
class Properties:
    """A flavor and an image, queried by a common key: ``hw:KEY`` and ``hw_KEY``."""

    flavor: Flavor
    image: Mapping[str, object]

    def of_flavor(self, key: str) -> str | None:
        """Return the flavor's value of ``hw:KEY``; None if it is absent or empty."""
        return _text(self.flavor.extra_specs, f'hw:{key}')

    def of_image(self, key: str) -> str | None:
        """Return the image's value of ``hw_KEY``; None if it is absent or empty."""
        return _text(self.image, f'hw_{key}')

    def flavor_place(self, key: str, value: object) -> str:
        """Name a value of the flavor for an error."""
        return f'flavor {self.flavor.name!r}: {key}={str(value)!r}'

    def image_place(self, key: str, value: object) -> str:
        """Name a value of the image for an error."""
        return f'image: {key}={str(value)!r}'

    def listed(self, key: str) -> tuple[Sequence[str], Sequence[str]]:
        """Return the values of ``KEY.0``, ``KEY.1``, ... up to the first gap, of flavor and image."""
        return _listed(self.flavor.extra_specs, f'hw:{key}'), _listed(self.image, f'hw_{key}')


def _text(source: Mapping[str, object], key: str) -> str | None:
    value = source.get(key)
    return None if value is None or value == '' else str(value)


def _listed(source: Mapping[str, object], key: str) -> list[str]:
    values: list[str] = []
    while (name := f'{key}.{len(values)}') in source:
        values.append(str(source[name]))
    return values


def is_true(text: str) -> bool:
    """Return whether a value means true; any other value is false."""
    return text.strip().lower() in _TRUE
