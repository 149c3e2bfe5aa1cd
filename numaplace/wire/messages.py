# SPDX-License-Identifier: Apache-2.0
"""Messages between the command and the scheduler, as JSON values."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from numaplace import exception
from numaplace.model import Flavor
from numaplace.wire.primitives import open_object
from numaplace.wire.writing import JSON

__all__ = ['CreateRequest', 'Decision', 'ServerRequest', 'read', 'write']


@dataclass(frozen=True, slots=True)
class CreateRequest:
    """Servers to place.

    :param uuid: of the request: a message that is delivered twice is carried out once
    :param uuids: of the servers, whose names are `names`
    :param nics: their own interfaces and `disks`, in the forms of the command
    :param hints: each is KEY=VALUE
    :param at_least: how many have to fit
    :param host: the only host to consider, or None
    """

    uuid: str
    uuids: tuple[str, ...]
    names: tuple[str, ...]
    flavor: Flavor
    image_properties: dict[str, str]
    at_least: int = 1
    nics: tuple[str, ...] = ()
    disks: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    availability_zone: str | None = None
    host: str | None = None
    project: str | None = None
    group: str | None = None


@dataclass(frozen=True, slots=True)
class ServerRequest:
    """Something to do with a server that exists.

    :param verb: see :data:`numaplace.operations.servers.VERBS`
    :param flavor: the new one of a resize
    :param host: the only host to consider, or None
    """

    uuid: str
    server_uuid: str
    verb: str
    flavor: Flavor | None = None
    host: str | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What a scheduler did, or why not.

    :param worker: who did it
    :param uuids: of the servers that exist then, on `hosts`
    :param fault: name of the exception, with its `text`; None if it was done
    :param refusals: the reasons of each host, as JSON
    """

    worker: str
    uuids: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    fault: str | None = None
    text: str | None = None
    refusals: str | None = None


_KINDS = {kind.__name__: kind for kind in (CreateRequest, ServerRequest, Decision)}


def write(message: CreateRequest | ServerRequest | Decision) -> dict[str, Any]:
    """Write a message."""
    data = {name: getattr(message, name) for name in type(message).__slots__}
    for name, value in data.items():
        if isinstance(value, tuple):
            data[name] = list(value)
        if isinstance(value, Flavor):
            data[name] = JSON.make('FleetFlavor', asdict(value))
    written: dict[str, Any] = JSON.make(type(message).__name__, data)
    return written


def read(source: object, name: str) -> Any:
    """Read a message.

    :param name: of its class
    :raises: :class:`~numaplace.exception.InvalidObject`, :class:`~numaplace.exception.IncompatibleObjectVersion`
    """
    if not isinstance(source, dict):
        raise exception.InvalidObject(f'expected a {name}, found {source!r:.60}')
    data = dict(open_object(source, name))
    if data.get('flavor') is not None:
        data['flavor'] = Flavor(**data['flavor'])
    message = _KINDS[name](**data)
    if isinstance(message, CreateRequest) and not len(message.uuids) == len(message.names) >= 1:
        raise exception.InvalidObject(
            f'{name}: {len(message.uuids)} uuids and {len(message.names)} names: expected as many, and at least one'
        )
    return message
