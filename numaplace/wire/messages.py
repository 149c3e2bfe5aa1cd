# SPDX-License-Identifier: Apache-2.0
"""Messages between the command and the scheduler, as JSON values, in the versions that both sides know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from numaplace import exception
from numaplace.model import Flavor
from numaplace.wire.primitives import older_primitive, open_object
from numaplace.wire.writing import JSON

__all__ = ['FIRST', 'LEVELS', 'NEWEST', 'CreateRequest', 'Decision', 'ServerRequest', 'read', 'write']

#: The versions of the messages by the version of the methods of the scheduler, oldest first.
LEVELS: Final[Mapping[str, Mapping[str, str]]] = {
    version: dict.fromkeys(('CreateRequest', 'ServerRequest', 'Decision'), version) for version in ('1.0', '1.1')
}
FIRST, *_, NEWEST = LEVELS


@dataclass(frozen=True, slots=True)
class CreateRequest:
    """Servers to place.

    :param uuid: of the request: a message that is delivered twice is carried out once
    :param uuids: of the servers, whose names are `names`
    :param nics: their own interfaces and `disks`, in the forms of the command
    :param hints: each is KEY=VALUE
    :param at_least: how many have to fit
    :param host: the only host to consider, or None
    :param answer_version: of the Decision that the client reads
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
    answer_version: str = NEWEST


@dataclass(frozen=True, slots=True)
class ServerRequest:
    """Something to do with a server that exists.

    :param verb: see :data:`numaplace.operations.servers.VERBS`
    :param flavor: the new one of a resize
    :param host: the only host to consider, or None
    :param answer_version: of the Decision that the client reads
    """

    uuid: str
    server_uuid: str
    verb: str
    flavor: Flavor | None = None
    host: str | None = None
    answer_version: str = NEWEST


@dataclass(frozen=True, slots=True)
class Decision:
    """What a scheduler did, or why not.

    :param worker: who did it
    :param uuids: of the servers that exist then, on `hosts`
    :param fault: name of the exception, with its `text`; None if it was done
    :param refusals: the reasons of each host, as JSON
    :param counts: how many hosts refuse the servers, by cause, as JSON; None if it is not known
    :param took_ms: how long that took, in milliseconds; 0 if it is not known
    """

    worker: str
    uuids: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    fault: str | None = None
    text: str | None = None
    refusals: str | None = None
    took_ms: int = 0
    counts: str | None = None


_KINDS = {kind.__name__: kind for kind in (CreateRequest, ServerRequest, Decision)}


def write(message: CreateRequest | ServerRequest | Decision, level: str = NEWEST) -> dict[str, Any]:
    """Write a message.

    :param level: a key of LEVELS
    """
    data = {name: getattr(message, name) for name in type(message).__slots__}
    for name, value in data.items():
        if isinstance(value, tuple):
            data[name] = list(value)
        if isinstance(value, Flavor):
            data[name] = JSON.make('FleetFlavor', asdict(value))
    name = type(message).__name__
    if 'answer_version' in data:
        data['answer_version'] = LEVELS[level]['Decision']
    return older_primitive(name, data, LEVELS[level][name])


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
    if not isinstance(message, Decision) and message.answer_version not in LEVELS:
        raise exception.InvalidObject(
            f'{name}: answer_version {message.answer_version!r:.60}: expected one of {", ".join(LEVELS)}'
        )
    if isinstance(message, CreateRequest) and not len(message.uuids) == len(message.names) >= 1:
        raise exception.InvalidObject(
            f'{name}: {len(message.uuids)} uuids and {len(message.names)} names: expected as many, and at least one'
        )
    return message
