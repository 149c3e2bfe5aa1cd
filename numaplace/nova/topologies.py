# SPDX-License-Identifier: Apache-2.0
"""Topologies of hosts: parsed into Nova's objects only when those are read, and read as our values directly.

nova-scheduler parses the topology of each host for each request. That costs more than everything else that it does with
the host, and hardly anything but the filter reads the result. Here the parse waits for a reader.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any

from nova.objects import numa

from numaplace import exception, wire
from numaplace.model import Host
from numaplace.nova import convert

__all__ = ['MEMO_SIZE', 'deferring', 'read', 'write']

#: How many texts nova-scheduler remembers as values: several times the hosts that one request looks at.
MEMO_SIZE = 4096

_LOCK = threading.RLock()
_SOURCE, _PARSE = '_deferred_source', '_deferred_parse'


class _Deferred(numa.NUMATopology):  # type: ignore[misc]  # Nova's are untyped
    """A topology that was not read yet.

    The first read or write of any attribute parses it, as Nova would have done immediately: from then on its class is
    Nova's, and the objects inside belong to it alone.
    """

    def __init__(self, source: str | Host, parse: Callable[[], Any]) -> None:
        object.__setattr__(self, _SOURCE, source)
        object.__setattr__(self, _PARSE, parse)

    def __getattribute__(self, name: str) -> Any:
        _open(self)
        return getattr(self, name)

    def __len__(self) -> int:
        """Return the number of cells, by which Nova decides whether a host has a topology at all."""
        try:
            return len(read(self).cells)
        except Exception:  # noqa: BLE001 - for Nova to refuse, or to read
            _open(self)
            return len(self)

    def __setattr__(self, name: str, value: Any) -> None:
        _open(self)
        setattr(self, name, value)


def _open(topology: Any) -> None:
    """Turn a deferred topology into one of Nova's; one thread does it, and other threads wait.

    :raises: what Nova's parse raises; then the topology stays deferred
    """
    with _LOCK:
        if type(topology) is _Deferred:
            fields = object.__getattribute__(topology, '__dict__')
            opened = vars(fields[_PARSE]())
            fields.update(opened)
            del fields[_SOURCE], fields[_PARSE]
            # The last step, as others may read without the lock from here on.
            object.__setattr__(topology, '__class__', numa.NUMATopology)


def deferring(parse: Callable[[str], Any]) -> Any:
    """Return the replacement of ``NUMATopology.obj_from_db_obj``: the parse waits for the first reader.

    :param parse: Nova's own; the reader gets its exceptions
    """

    @functools.wraps(parse)
    def obj_from_db_obj(_cls: type[Any], db_obj: str) -> Any:
        return _Deferred(db_obj, functools.partial(parse, db_obj))

    return classmethod(obj_from_db_obj)


def write(host: Host) -> Any:
    """Return a host as a ``nova.objects.NUMATopology``, whose parts are made when they are read."""
    return _Deferred(host, functools.partial(convert.write_host, host))


def read(topology: Any, *, lasting: bool = False) -> Host:
    """Return a ``nova.objects.NUMATopology`` as a value.

    A topology that was read before is read from its attributes, which may have been changed.

    :param lasting: remember the values of many texts, not only of the last ones, so that an unchanged host is read
        once for many requests
    :raises: :class:`~numaplace.exception.InvalidObject`, :class:`~numaplace.exception.IncompatibleObjectVersion`
    """
    source = object.__getattribute__(topology, '__dict__').get(_SOURCE) if type(topology) is _Deferred else None
    if source is None:
        return convert.read_host(topology)
    found = source if isinstance(source, Host) else (_remembered if lasting else _recent)(source)
    if isinstance(found, exception.NumaplaceException):
        raise type(found)(str(found))
    return found


def _value(text: str) -> Host | exception.NumaplaceException:
    """Return the host of a text, or why there is none: a text that cannot be read is read once, too."""
    try:
        return wire.read_host(wire.loads(text))
    except exception.InvalidObject as error:
        return type(error)(str(error))


_remembered = functools.lru_cache(maxsize=MEMO_SIZE)(_value)

# A claim reads the same text several times; a compute node needs no more.
_recent = functools.lru_cache(maxsize=8)(_value)
