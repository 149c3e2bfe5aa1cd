# SPDX-License-Identifier: Apache-2.0
"""The tables. Column names are Nova's where Nova has the column."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import DateTime, Dialect, Double, ForeignKey, MetaData, String, Text, TypeDecorator
from sqlalchemy.dialects import mysql
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from numaplace import exception, wire

__all__ = ['Base', 'ComputeNode', 'Flavor', 'Instance', 'InstanceExtra', 'JsonObject', 'Migration', 'PciDevice', 'now']

#: Longest name; MariaDB can index as many characters of four bytes.
NAME_LENGTH = 255

# MariaDB's Text ends at 64 KiB, which a host of many cells with many siblings passes.
_LONG_TEXT = Text().with_variant(mysql.MEDIUMTEXT(), 'mysql')


def now() -> datetime:
    """Return the time in UTC, in whole seconds as every database can hold it, without its zone."""
    return datetime.now(UTC).replace(microsecond=0, tzinfo=None)


class JsonObject(TypeDecorator[dict[str, Any]]):
    """A column that holds a JSON object as text.

    :param name: the versioned object that it holds; None for any object
    :param namespace: prefix of the versioned object's keys, less ``_object``
    """

    impl = _LONG_TEXT
    cache_ok = True

    def __init__(self, name: str | None = None, namespace: str = 'nova') -> None:
        super().__init__()
        self.name = name
        self.namespace = namespace

    def _check(self, data: dict[str, Any]) -> dict[str, Any]:
        found = data.get(f'{self.namespace}_object.name')
        if self.name is not None and found != self.name:
            raise exception.InvalidObject(f'expected a {self.name} in the column, found {found or "something else"}')
        return data

    def process_bind_param(self, value: dict[str, Any] | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Write the object as text."""
        return None if value is None else wire.dumps(self._check(value))

    def process_result_value(self, value: str | None, dialect: Dialect) -> dict[str, Any] | None:  # noqa: ARG002
        """Read the object from text.

        :raises: :class:`~numaplace.exception.InvalidObject` if it is no JSON, or another object
        """
        return None if value is None else self._check(wire.loads(value))


class Base(DeclarativeBase):
    """Base of the tables."""

    metadata = MetaData(
        naming_convention={
            'ix': 'ix_%(table_name)s_%(column_0_name)s',
            'uq': 'uq_%(table_name)s_%(column_0_name)s',
            'fk': 'fk_%(table_name)s_%(column_0_name)s',
            'pk': 'pk_%(table_name)s',
        }
    )
    # Names compare as SQLite and PostgreSQL compare them: by code point, spaces at the end included.
    __table_args__ = {  # noqa: RUF012 - typed in the base class
        'mysql_engine': 'InnoDB',
        'mysql_charset': 'utf8mb4',
        'mysql_collate': 'utf8mb4_nopad_bin',
        # A number once given to a server must not come back with the next one.
        'sqlite_autoincrement': True,
    }


class ComputeNode(Base):
    """A host; `generation` counts its changes, and the usage in it is derived from the instances."""

    __tablename__ = 'compute_nodes'

    id: Mapped[int] = mapped_column(primary_key=True)
    uuid: Mapped[str] = mapped_column(String(36), unique=True)
    host: Mapped[str] = mapped_column(String(NAME_LENGTH), unique=True)
    hypervisor_hostname: Mapped[str] = mapped_column(String(NAME_LENGTH))
    vcpus: Mapped[int]
    memory_mb: Mapped[int]
    vcpus_used: Mapped[int]
    floating_vcpus: Mapped[int]
    memory_mb_used: Mapped[int]
    cpu_allocation_ratio: Mapped[float | None] = mapped_column(Double)
    ram_allocation_ratio: Mapped[float | None] = mapped_column(Double)
    # JSON as text: see numaplace.db.texts.
    numa_topology: Mapped[str | None] = mapped_column(_LONG_TEXT)
    host_details: Mapped[str | None] = mapped_column(_LONG_TEXT)
    facts: Mapped[str] = mapped_column(_LONG_TEXT)
    availability_zone: Mapped[str] = mapped_column(String(NAME_LENGTH))
    status: Mapped[str] = mapped_column(String(16))
    state: Mapped[str] = mapped_column(String(16))
    generation: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(DateTime, default=now)
    updated_at: Mapped[datetime | None] = mapped_column(DateTime, onupdate=now)


class Flavor(Base):
    """A flavor."""

    __tablename__ = 'flavors'

    id: Mapped[int] = mapped_column(primary_key=True)
    flavorid: Mapped[str] = mapped_column(String(NAME_LENGTH), unique=True)
    name: Mapped[str] = mapped_column(String(NAME_LENGTH), unique=True)
    memory_mb: Mapped[int]
    vcpus: Mapped[int]
    root_gb: Mapped[int]
    swap: Mapped[int]
    ephemeral_gb: Mapped[int]
    is_public: Mapped[bool]
    extra_specs: Mapped[dict[str, Any]] = mapped_column(JsonObject())
    created_at: Mapped[datetime] = mapped_column(DateTime, default=now)
    updated_at: Mapped[datetime | None] = mapped_column(DateTime, onupdate=now)


class Instance(Base):
    """A server; `generation` counts its changes.

    The rows of this table, of `instance_extra` and of `migrations` are the truth about what a host's guests hold.
    """

    __tablename__ = 'instances'

    id: Mapped[int] = mapped_column(primary_key=True)
    uuid: Mapped[str] = mapped_column(String(36), unique=True)
    display_name: Mapped[str] = mapped_column(String(NAME_LENGTH), index=True)
    host: Mapped[str | None] = mapped_column(String(NAME_LENGTH), ForeignKey('compute_nodes.host'), index=True)
    vm_state: Mapped[str] = mapped_column(String(32))
    vcpus: Mapped[int]
    memory_mb: Mapped[int]
    root_gb: Mapped[int]
    flavor: Mapped[dict[str, Any]] = mapped_column(JsonObject())
    image_properties: Mapped[dict[str, Any]] = mapped_column(JsonObject())
    devices: Mapped[dict[str, Any] | None] = mapped_column(JsonObject())
    availability_zone: Mapped[str | None] = mapped_column(String(NAME_LENGTH))
    generation: Mapped[int] = mapped_column(default=0, server_default='0')
    created_at: Mapped[datetime] = mapped_column(DateTime, default=now)
    updated_at: Mapped[datetime | None] = mapped_column(DateTime, onupdate=now)


class InstanceExtra(Base):
    """The larger parts of a server; `numa_topology` is NULL for a guest that floats, or is on no host.

    `migration_context` and `move_details` are NULL but while a move is in progress.
    """

    __tablename__ = 'instance_extra'

    id: Mapped[int] = mapped_column(primary_key=True)
    instance_uuid: Mapped[str] = mapped_column(
        String(36), ForeignKey('instances.uuid', ondelete='CASCADE'), unique=True
    )
    numa_topology: Mapped[dict[str, Any] | None] = mapped_column(JsonObject('InstanceNUMATopology'))
    guest_details: Mapped[dict[str, Any] | None] = mapped_column(JsonObject('GuestDetails', 'numaplace'))
    migration_context: Mapped[dict[str, Any] | None] = mapped_column(JsonObject('MigrationContext'))
    move_details: Mapped[dict[str, Any] | None] = mapped_column(JsonObject('MoveDetails', 'numaplace'))


class Migration(Base):
    """A move of a server, from one host to another or to another flavor; in progress or over."""

    __tablename__ = 'migrations'

    id: Mapped[int] = mapped_column(primary_key=True)
    uuid: Mapped[str] = mapped_column(String(36), unique=True)
    instance_uuid: Mapped[str] = mapped_column(String(36), ForeignKey('instances.uuid', ondelete='CASCADE'), index=True)
    source_compute: Mapped[str] = mapped_column(String(NAME_LENGTH), index=True)
    dest_compute: Mapped[str] = mapped_column(String(NAME_LENGTH), index=True)
    status: Mapped[str] = mapped_column(String(32))
    migration_type: Mapped[str] = mapped_column(String(32))
    old_flavor: Mapped[dict[str, Any] | None] = mapped_column(JsonObject())
    new_flavor: Mapped[dict[str, Any] | None] = mapped_column(JsonObject())
    created_at: Mapped[datetime] = mapped_column(DateTime, default=now)
    updated_at: Mapped[datetime | None] = mapped_column(DateTime, onupdate=now)


class PciDevice(Base):
    """A PCI device of a host, and the server that holds it."""

    __tablename__ = 'pci_devices'

    id: Mapped[int] = mapped_column(primary_key=True)
    uuid: Mapped[str] = mapped_column(String(36), unique=True)
    compute_node_id: Mapped[int] = mapped_column(ForeignKey('compute_nodes.id', ondelete='CASCADE'), index=True)
    address: Mapped[str] = mapped_column(String(12))
    vendor_id: Mapped[str] = mapped_column(String(4))
    product_id: Mapped[str] = mapped_column(String(4))
    dev_type: Mapped[str] = mapped_column(String(8))
    parent_addr: Mapped[str | None] = mapped_column(String(12))
    numa_node: Mapped[int | None]
    status: Mapped[str] = mapped_column(String(32))
    instance_uuid: Mapped[str | None] = mapped_column(
        String(36), ForeignKey('instances.uuid', ondelete='SET NULL'), index=True
    )
    extra_info: Mapped[dict[str, Any] | None] = mapped_column(JsonObject())
