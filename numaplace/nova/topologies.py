# SPDX-License-Identifier: Apache-2.0
"""Topologies of hosts that become Nova's objects when they are read, and values of ours without that way.

nova-scheduler parses the topology of each host for each request, which costs more than all else that it does with the
host, and hardly anything reads the result but the filter. Here the parse waits for a reader.
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
    """A topology that nobody has read yet.

    The first read of whatever attribute, and the first write, makes it what Nova would have made of it at once: the
    class is Nova's from then on, and the objects inside belong to it alone.
    """

    def __init__(self, source: str | Host, parse: Callable[[], Any]) -> None:
        object.__setattr__(self, _SOURCE, source)
        object.__setattr__(self, _PARSE, parse)

    def __getattribute__(self, name: str) -> Any:
        _open(self)
        return getattr(self, name)

    def __len__(self) -> int:
        """Return the number of cells, by which Nova tells whether a host has a topology at all."""
        try:
            return len(read(self).cells)
        except exception.InvalidObject:  # for Nova to refuse, or to read
            _open(self)
            return len(self)

    def __setattr__(self, name: str, value: Any) -> None:
        _open(self)
        setattr(self, name, value)


def _open(topology: Any) -> None:
    """Make a deferred topology one of Nova's; of several threads one does it, and the others wait.

    :raises: what Nova's parse raises; the topology stays as it is then
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
    """Return what stands in the place of ``NUMATopology.obj_from_db_obj``: the parse waits for the first reader.

    :param parse: Nova's own; what it raises is raised to the reader
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

    A topology that somebody has read is read from its attributes, as they may have been changed.

    :param lasting: remember the values of many texts and not of the last ones alone, so that each host that has not
        changed is read once for many requests
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

# A claim asks several times for the same; a compute node has no use for more.
_recent = functools.lru_cache(maxsize=8)(_value)
