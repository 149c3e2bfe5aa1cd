# SPDX-License-Identifier: Apache-2.0
"""The transactions of flavors."""

from __future__ import annotations

import abc
import uuid
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace

from sqlalchemy.engine import Connection

from numaplace import exception
from numaplace.db import flavors, rows
from numaplace.db.retry import repeated
from numaplace.model import Flavor

__all__ = ['FlavorTransactions']


class FlavorTransactions(abc.ABC):
    """The part of a database that knows flavors."""

    @abc.abstractmethod
    def _transaction(
        self, happened: Callable[[Connection], bool] | None = None, *, reads: bool = False
    ) -> AbstractContextManager[Connection]:
        """Begin a transaction, and commit it if the body completes."""

    @repeated
    def flavors(self, unread: rows.Unread | None = None) -> list[Flavor]:
        """Return all flavors by name.

        :param unread: collects the flavors whose rows cannot be read, by name
        :raises: :class:`~numaplace.exception.InvalidObject` for such a row, without `unread`
        """
        with self._transaction(reads=True) as connection:
            return flavors.find_all(connection, unread)

    @repeated
    def flavor(self, name_or_id: str) -> Flavor:
        """Return a flavor; an id takes precedence over a name.

        :raises: :class:`~numaplace.exception.NotFound`
        """
        with self._transaction(reads=True) as connection:
            return flavors.find(connection, name_or_id)

    @repeated
    def create_flavor(self, flavor: Flavor) -> Flavor:
        """Store a new flavor.

        :raises: :class:`~numaplace.exception.AlreadyExists` for a known name or id,
            :class:`~numaplace.exception.Invalid` for a name that no database can hold
        """
        flavor = replace(flavor, id=flavor.id or str(uuid.uuid4()))
        with self._transaction(lambda later: flavors.is_stored(later, flavor)) as connection:
            flavors.insert(connection, flavor)
        return flavor

    @repeated
    def change_extra_specs(
        self, name_or_id: str, *, change: Mapping[str, str] | None = None, remove: Iterable[str] = ()
    ) -> Flavor:
        """Set extra specs of a flavor, and remove others.

        One transaction with a lock on the row, so that two simultaneous changes are both kept.

        :raises: :class:`~numaplace.exception.NotFound` for an unknown flavor or a key to remove that it does not have
        """
        with self._transaction(lambda later: flavors.has_become(later, flavor, specs)) as connection:
            flavor = flavors.find(connection, name_or_id, lock=True)
            specs = {**flavor.extra_specs, **(change or {})}
            for key in remove:
                if key not in specs:
                    raise exception.NotFound(f'flavor {flavor.name!r} has no property {key!r}')
                del specs[key]
            flavors.replace_extra_specs(connection, flavor, specs)
        return replace(flavor, extra_specs=specs)

    @repeated
    def delete_flavor(self, name_or_id: str) -> None:
        """Delete a flavor; servers keep their copy of it.

        :raises: :class:`~numaplace.exception.NotFound`
        """
        with self._transaction(lambda later: flavors.is_gone(later, flavor)) as connection:
            flavor = flavors.find(connection, name_or_id, lock=True)
            flavors.delete(connection, flavor)
