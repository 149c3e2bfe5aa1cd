# SPDX-License-Identifier: Apache-2.0
"""Every query and every transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from numaplace.db.records import FlavorRecord, HostRecord, InstanceRecord, InstanceRequest
from numaplace.model import Placement, Refusal

__all__ = ['Database', 'connect', 'default_url', 'upgrade']


def default_url() -> str:
    """Return the URL of the SQLite file in the user's data directory (``XDG_DATA_HOME``)."""
    raise NotImplementedError


def connect(url: str | None = None) -> Database:
    """Open a database; a new SQLite file is created with its tables.

    :param url: an SQLAlchemy URL of SQLite, MariaDB or PostgreSQL; by default :func:`default_url`
    :raises: :class:`~numaplace.exception.UnknownDatabase` if it cannot be opened, is not numaplace's, has no
        tables yet (MariaDB, PostgreSQL), or is of another release and needs an upgrade
    """
    raise NotImplementedError


def upgrade(url: str | None = None) -> str:
    """Bring the tables of a database up to this release, creating them in an empty one.

    :returns: the revision that the tables are at now
    :raises: :class:`~numaplace.exception.UnknownDatabase` as :func:`connect`, and for any tables that are not ours
    """
    raise NotImplementedError


class Database:
    """An open database. Each method is one transaction, and answers with records."""

    def close(self) -> None:
        """Close all connections."""

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    # --- flavors

    def flavors(self) -> list[FlavorRecord]:
        """Return all flavors by name."""
        raise NotImplementedError

    def flavor(self, name_or_id: str) -> FlavorRecord:
        """Return a flavor.

        :raises: :class:`~numaplace.exception.NotFound`
        """
        raise NotImplementedError

    def create_flavor(self, flavor: FlavorRecord) -> FlavorRecord:
        """Store a new flavor.

        :raises: :class:`~numaplace.exception.AlreadyExists` for a known name or id,
            :class:`~numaplace.exception.Invalid` for a name that no database can hold
        """
        raise NotImplementedError

    def change_extra_specs(
        self, name_or_id: str, *, change: Mapping[str, str] | None = None, remove: Iterable[str] = ()
    ) -> FlavorRecord:
        """Set extra specs of a flavor, and remove others.

        One transaction with a lock on the row, so that two changes of different keys both last.

        :raises: :class:`~numaplace.exception.NotFound` for an unknown flavor or a key to remove that it does not have
        """
        raise NotImplementedError

    def delete_flavor(self, name_or_id: str) -> None:
        """Delete a flavor; servers keep their copy of it.

        :raises: :class:`~numaplace.exception.NotFound`
        """
        raise NotImplementedError

    # --- hosts

    def hosts(self) -> list[HostRecord]:
        """Return all hosts by name."""
        raise NotImplementedError

    def host(self, name: str) -> HostRecord:
        """Return a host.

        :raises: :class:`~numaplace.exception.NotFound`
        """
        raise NotImplementedError

    def create_host(self, record: HostRecord) -> HostRecord:
        """Store a new host.

        :raises: :class:`~numaplace.exception.AlreadyExists`, :class:`~numaplace.exception.Invalid`
        """
        raise NotImplementedError

    def change_host(
        self, name: str, change: Callable[[HostRecord, tuple[InstanceRecord, ...]], HostRecord]
    ) -> HostRecord:
        """Replace what is stored of a host by what `change` makes of it and of its servers.

        One transaction guarded by the generation: a claim that came between reading and writing is not lost.

        :raises: :class:`~numaplace.exception.NotFound`, :class:`~numaplace.exception.ConcurrentUpdate`
        """
        raise NotImplementedError

    def delete_host(self, name: str) -> None:
        """Delete a host.

        :raises: :class:`~numaplace.exception.NotFound`, :class:`~numaplace.exception.Conflict` if it has servers
        """
        raise NotImplementedError

    # --- instances

    def instances(self, host: str | None = None) -> list[InstanceRecord]:
        """Return all servers by number, or those of one host."""
        raise NotImplementedError

    def instance(self, name_or_uuid: str) -> InstanceRecord:
        """Return a server.

        :raises: :class:`~numaplace.exception.NotFound`; :class:`~numaplace.exception.Conflict` if several have the name
        """
        raise NotImplementedError

    def claim(
        self, request: InstanceRequest, host_name: str, place: Callable[[HostRecord], Placement | Refusal]
    ) -> InstanceRecord | Refusal:
        """Place a server on a host and store it together with the usage that it makes.

        One transaction, because the usage is derived from the servers: neither may be stored without the other.
        Guarded by the generation of the host. Callers use :func:`numaplace.compute.claims.instance_claim`.

        :param place: decides by the host as it is now; a refusal leaves the database unchanged
        :raises: :class:`~numaplace.exception.NotFound` for an unknown host,
            :class:`~numaplace.exception.ConcurrentUpdate` if another change of the host came first
        """
        raise NotImplementedError

    def release(self, instance_uuid: str) -> InstanceRecord:
        """Delete a server and take its usage off its host: one transaction, for the reason of :meth:`claim`.

        Callers use :func:`numaplace.compute.claims.release`.

        :raises: :class:`~numaplace.exception.NotFound`, :class:`~numaplace.exception.ConcurrentUpdate`, and the faults
            of :meth:`numaplace.model.Host.release` if the usage of the host does not hold the server
        """
        raise NotImplementedError

