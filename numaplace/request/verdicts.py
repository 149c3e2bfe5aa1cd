# SPDX-License-Identifier: Apache-2.0
"""What is said of the keys of a flavor and an image: nothing that is requested is ignored silently."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence

from numaplace import exception
from numaplace.model import Flavor, Reason
from numaplace.request import devices, keys
from numaplace.request.keys import Key

__all__ = ['bad_values', 'check', 'unknown', 'unsupported', 'without_effect']

#: The scopes of flavors and images in which a key that Nova does not have is told.
_SCOPES = ('hw:', 'quota:', 'os:', 'hw_rng:', 'hw_video:', 'accel:', 'vmware:')
_NUMBER = re.compile(r'\.[0-9]+$')


def check(name: str, extra_specs: Mapping[str, str]) -> None:
    """Refuse extra specs of a flavor that only numaplace could have, but does not.

    :param name: of the flavor

    :raises: :class:`~numaplace.exception.InvalidRequest`
    """
    faults = [
        f'{place}: there is no such key: expected {_near(key, "numaplace:", keys.OWN) or _own()}'
        for key, place in _others(extra_specs, 'numaplace:', keys.OWN, f'flavor {name!r}')
        if not devices.is_key(key)  # their reader says what is wrong with the number
    ]
    if faults:
        raise exception.InvalidRequest('; '.join(faults))


def unknown(flavor: Flavor | None, image: Mapping[str, object] | None = None) -> Iterator[str]:
    """Yield a text for each key of Nova's scopes that Nova does not have either, so that it does nothing."""
    names = [key.name for key in keys.FLAVOR_KEYS]
    sources: list[tuple[Mapping[str, object], str, Sequence[str], str]] = [(image or {}, 'hw_', keys.IMAGE, 'image')]
    if flavor is not None:
        sources = [*((flavor.extra_specs, scope, names, f'flavor {flavor.name!r}') for scope in _SCOPES), *sources]
    for values, scope, known, owner in sources:
        for key, place in _others(values, scope, known, owner):
            near = _near(key, scope, known)
            yield f'{place}: there is no such key, and it does nothing' + (f'; the nearest is {near}' if near else '')


def bad_values(flavor: Flavor | None, image: Mapping[str, object] | None = None) -> Iterator[str]:
    """Yield a text for each value that does not have the form that Nova 34 accepts."""
    for key, value, place in _known(flavor, image):
        if not key.form.accepts(value):
            yield f'{place}: expected {key.form.about}'


def unsupported(flavor: Flavor | None, image: Mapping[str, object] | None = None) -> Iterator[Reason]:
    """Yield ``request.unsupported`` for everything that Nova provides and numaplace alone cannot.

    Inside Nova, and for what Nova has placed, all of it is provided.
    """
    for key, value, place in _known(flavor, image):
        if key.verdict == keys.REFUSED and key.asks(value):
            yield Reason('request.unsupported', subject=f'{place}: {key.about}')


def without_effect(
    flavor: Flavor | None, image: Mapping[str, object] | None = None, *, is_encrypted: bool = False
) -> Iterator[str]:
    """Yield a line for the keys of the flavor, and one for those of the image, that have no bearing on placement.

    :param is_encrypted: whether the guest has memory encryption, for which some have
    """
    for owner, values, table in _sources(flavor, image):
        found = [
            f'{name}={str(value)!r}'
            for name, value in values.items()
            if (key := keys.find(name, table)) is not None
            and key.verdict == keys.WITHOUT_EFFECT
            and not (is_encrypted and key.about)
        ]
        if found:
            yield f'{owner}: {", ".join(found)}: no bearing on placement, and the XML of a guest is without it'


def _known(flavor: Flavor | None, image: Mapping[str, object] | None) -> Iterator[tuple[Key, str, str]]:
    """Yield each key of a flavor and an image that Nova has, with its value, and its place for an error."""
    for owner, values, table in _sources(flavor, image):
        for name, value in values.items():
            if (key := keys.find(name, table)) is not None:
                yield key, str(value), f'{owner}: {name}={str(value)!r}'


def _sources(
    flavor: Flavor | None, image: Mapping[str, object] | None
) -> Iterator[tuple[str, Mapping[str, object], tuple[Key, ...]]]:
    if flavor is not None:
        yield f'flavor {flavor.name!r}', flavor.extra_specs, keys.FLAVOR_KEYS
    yield 'image', image or {}, keys.IMAGE_KEYS


def _own() -> str:
    return f'one of {", ".join(keys.OWN)}'


def _others(values: Mapping[str, object], scope: str, known: Sequence[str], owner: str) -> Iterator[tuple[str, str]]:
    """Yield the keys of a scope that are not known, each with its place for an error."""
    for key, value in values.items():
        if key.startswith(scope) and _NUMBER.sub('.N', key) not in known:
            yield key, f'{owner}: {key}={str(value)!r}'


def _near(key: str, scope: str, known: Sequence[str]) -> str:
    """Return the known key of a scope with the most similar name, or nothing."""
    by_name = {each.removeprefix(scope): each for each in known if each.startswith(scope)}
    name = _NUMBER.sub('.N', key.removeprefix(scope))
    return next((by_name[near] for near in difflib.get_close_matches(name, by_name, n=1)), '')
