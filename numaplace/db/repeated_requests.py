# SPDX-License-Identifier: Apache-2.0
"""The part of the database that carries a request out once, though its message may be delivered twice."""

from __future__ import annotations

import copy
import uuid
from abc import abstractmethod
from collections.abc import Iterable
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Self

from sqlalchemy.engine import Connection

from numaplace.db import carried_out
from numaplace.db.retry import repeated

__all__ = ['RepeatedRequests']


class RepeatedRequests:
    """Each method is one transaction."""

    _request: str | None = None
    _carried_out: frozenset[str] = frozenset()

    @abstractmethod
    def _transaction(self, happened: Any = None, *, reads: bool = False) -> AbstractContextManager[Connection]:
        """Begin a transaction, as :class:`numaplace.db.api.Database` does."""

    def for_request(self, request_uuid: str) -> Self:
        """Return this database for a request: its first change of each server happens once, whoever repeats it.

        Then its claims and changes raise :class:`~numaplace.exception.AlreadyCarriedOut`.
        """
        view = copy.copy(self)
        view._request, view._carried_out = request_uuid, frozenset()
        return view

    def move_uuid(self, instance_uuid: str) -> str:
        """Return the UUID of a move that begins now: the same one for the same request."""
        return str(uuid.uuid4()) if self._request is None else carried_out.key(self._request, instance_uuid)

    @repeated
    def was_carried_out(self, instance_uuids: Iterable[str]) -> set[str]:
        """Return which of these servers the request has changed before."""
        if self._request is None:
            return set()
        keys = {carried_out.key(self._request, each): each for each in instance_uuids}
        with self._transaction(reads=True) as connection:
            found = {keys[key] for key in carried_out.find(connection, keys)}
        self._carried_out |= found  # what follows is a later change
        return found

    @repeated
    def forget_requests(self, before: datetime) -> None:
        """Forget the requests that were carried out before a moment."""
        with self._transaction(lambda _later: False) as connection:
            carried_out.forget(connection, before)

    def _carry_out(self, connection: Connection, *instance_uuids: str) -> None:
        """Record in its transaction that servers are changed."""
        if self._request is None:
            return
        keys = {each: carried_out.key(self._request, each) for each in instance_uuids}
        if repeated_keys := [key for each, key in keys.items() if each in self._carried_out]:
            later = carried_out.find(connection, repeated_keys)  # a later change of the same request
            keys = {each: key for each, key in keys.items() if key not in later}
        if keys:
            carried_out.record(connection, keys.values())
            self._carried_out |= keys.keys()
