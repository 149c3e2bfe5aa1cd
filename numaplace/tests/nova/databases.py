# SPDX-License-Identifier: Apache-2.0
"""Databases of a Nova and of placement in their own schema, and a healthy fleet to store in them."""

import contextlib
import importlib
import os
import subprocess
import sys
import uuid
import warnings
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import sqlalchemy as sa

from numaplace import novadb
from numaplace.model.fleet import Aggregate, Fleet
from numaplace.model.records import InstanceRecord, RequestSpec
from numaplace.tests import nova_rows, real
from numaplace.tests.unit.fleet import fleets

__all__ = ['KINDS', 'Databases', 'healthy', 'manage', 'scratch', 'uuid_of']

KINDS = ('sqlite', 'mysql', 'postgresql')
#: What is read, of which the schema is that of the service.
TABLES = {
    'api': (
        'cell_mappings',
        'flavors',
        'flavor_extra_specs',
        'aggregates',
        'aggregate_hosts',
        'aggregate_metadata',
        'build_requests',
        'request_specs',
    ),
    'main': (
        'services',
        'compute_nodes',
        'pci_devices',
        'instances',
        'instance_extra',
        'instance_metadata',
        'instance_system_metadata',
        'migrations',
    ),
}
#: Makes the schema of a database: the program, the variable with the URL, and its words.
_SYNC = {
    'api': ('nova-manage', 'OS_API_DATABASE__CONNECTION', 'api_db', 'sync'),
    'main': ('nova-manage', 'OS_DATABASE__CONNECTION', 'db', 'sync', '--local_cell'),
    'placement': ('placement-manage', 'OS_PLACEMENT_DATABASE__CONNECTION', 'db', 'sync'),
}


class Databases:
    """An API database, two cells, and that of placement if there is a URL for it."""

    def __init__(self, urls: list[str]) -> None:
        kinds = ('api', 'main', 'main', 'placement')[: len(urls)]
        self.api, self.cell0, self.cell1, *placement = map(create, urls, kinds)
        self.placement = placement[0] if placement else None

    def store(self, fleet: Fleet, **urls: str) -> None:
        """Store a fleet in the first cell; a URL of a cell may be replaced."""
        known = {'cell0': self.cell0, 'cell1': self.cell1}
        cells = {name: urls.get(name, url(engine)) for name, engine in known.items()}
        with self.api.begin() as connection:
            nova_rows.store_api(connection, fleet, cells)
        with self.cell1.begin() as connection:
            nova_rows.store_cell(connection, fleet)
        if self.placement is not None:
            with self.placement.begin() as connection:
                nova_rows.store_placement(connection, fleet)

    def damage(self, table: str, **values: Any) -> None:
        """Change a column of all rows of a table."""
        with (self.api if table in TABLES['api'] else self.cell1).begin() as connection:
            nova_rows.Tables(connection).update(table, values)

    def read(self, *, lists_servers: bool = True) -> Fleet:
        """Read what is stored."""
        placement = self.placement and url(self.placement)
        return novadb.read(url(self.api), url(self.cell1), placement, lists_servers=lists_servers)


def url(engine: sa.Engine) -> str:
    """Return the URL of a database with its password."""
    return engine.url.render_as_string(hide_password=False)


def create(url: str, kind: str) -> sa.Engine:
    """Create the tables that are read as the models of the service have them, unless the database has tables."""
    engine, models = sa.create_engine(url, poolclass=sa.NullPool), _models(kind)
    if sa.inspect(engine).get_table_names():
        return engine
    wanted = TABLES.get(kind)
    tables = [table for table in models.BASE.metadata.sorted_tables if wanted is None or table.name in wanted]
    with engine.begin() as connection:
        if engine.dialect.name != 'mysql':
            models.BASE.metadata.create_all(connection, tables)
            return engine
        for table in tables:  # without indexes: one of Nova's is too long for utf8mb4
            connection.execute(sa.schema.CreateTable(table))
    return engine


def _models(kind: str) -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        name = 'placement.db.sqlalchemy.models' if kind == 'placement' else f'nova.db.{kind}.models'
        return importlib.import_module(name)


def manage(url: str, kind: str) -> None:
    """Let the program of the service make the whole schema in an empty database."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    if engine.dialect.name == 'mysql':  # one of Nova's indexes is too long for utf8mb4
        with engine.begin() as connection:
            connection.exec_driver_sql(f'ALTER DATABASE {engine.url.database} CHARACTER SET utf8mb3')
    program, variable, *words = _SYNC[kind]
    command = [Path(sys.executable).with_name(program), *words]
    done = subprocess.run(command, env={**os.environ, variable: url}, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr


@contextlib.contextmanager
def scratch(kind: str, directory: Path, number: int = 3) -> Iterator[list[str]]:
    """Yield the URLs of empty databases of a kind."""
    if kind == 'sqlite':
        yield [f'sqlite:///{directory}/{name}.sqlite' for name in ('api', 'cell0', 'cell1', 'placement')[:number]]
        return
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(real.scratch_database(kind)) for _ in range(number)]


def uuid_of(name: str) -> str:
    """Return the UUID of a host or a server of the healthy fleet."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, name))


_FACTS = {'architecture': 'x86_64', 'cpus': 16, 'domains': [['x86_64', 'kvm', 'hvm']]}


def healthy() -> Fleet:
    """Return the healthy fleet, with UUIDs that a column holds, and facts as a Nova reports them."""
    known = fleets.fleet()
    hosts = [
        replace(
            record,
            uuid=uuid_of(record.name),
            facts=_FACTS | ({'pci_devices': 2} if record.name == 'h1' else {}),
            updated_at=datetime.now(UTC),
            availability_zone='az1' if record.name == 'h1' else 'nova',
        )
        for record in known.hosts
    ]
    servers = [
        replace(
            server,
            uuid=uuid_of(server.name),
            move=server.move and replace(server.move, uuid=uuid_of('move')),
            image_properties={'hw_machine_type': 'q35'},
            metadata={'owner': 'ops'},
            request_spec=_spec(server),
        )
        for server in known.servers
    ]
    zone = Aggregate('rack', {'availability_zone': 'az1', 'pinned': 'true'}, ('h1',))
    return replace(known, hosts=tuple(hosts), servers=tuple(servers), aggregates=(zone,))


def _spec(server: InstanceRecord) -> RequestSpec | None:
    """Return what a server was requested with: another flavor for s2, on a certain host for s5, unknown for s1."""
    if server.name == 's1':
        return None
    flavor = replace(server.flavor, vcpus=64) if server.name == 's2' else server.flavor
    return RequestSpec(flavor, 'az1', ('h2',) if server.name == 's5' else (), server.name == 's3')
