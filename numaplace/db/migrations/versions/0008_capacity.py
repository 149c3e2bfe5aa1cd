# SPDX-License-Identifier: Apache-2.0
"""What hosts are compared and sorted by, so that a database finds candidates."""

import logging
from typing import Any

import sqlalchemy as sa
from alembic import op

from numaplace import exception, wire
from numaplace.conf import default
from numaplace.db import topology_json
from numaplace.db.capacity import capacity_of
from numaplace.db.migrations import steps
from numaplace.model import Host, Limits
from numaplace.wire.holdings import read_holding

revision = '0008'
down_revision = '0007'

LOG = logging.getLogger(__name__)

_ORDERS = ('memory_order', 'vcpus_order')
_ROOMS = (
    'room_cpus',
    'room_cell_cpus',
    'room_cell_memory_mb',
    'room_cell_huge_mb',
    'room_cell_giant_mb',
    'room_cell_vcpus',
    'room_vcpus',
    'room_memory_mb',
)
_READ = (
    'id',
    'host',
    'numa_topology',
    'host_details',
    'vcpus_used',
    'memory_mb_used',
    'floating_vcpus',
    'cpu_allocation_ratio',
    'ram_allocation_ratio',
)
_HOSTS = sa.table('compute_nodes', *map(sa.column, (*_READ, *_ORDERS, *_ROOMS)))
_DOMAINS = sa.table('unmanaged_domains', sa.column('host'), sa.column('holding'))


def upgrade() -> None:
    """Add the columns, fill them, and create the indexes."""
    for name in _ORDERS:
        steps.add_column('compute_nodes', sa.Column(name, sa.Double()))
    for name in _ROOMS:
        steps.add_column('compute_nodes', sa.Column(name, sa.Integer))
    _fill(op.get_bind())
    for first, second in (_ORDERS, _ORDERS[::-1]):
        steps.create_index(
            f'ix_compute_nodes_{first}', 'compute_nodes', first, 'host', second, 'status', 'state', *_ROOMS
        )


def _fill(bind: sa.Connection) -> None:
    for number in bind.scalars(sa.select(_HOSTS.c.id).order_by(_HOSTS.c.id)).all():
        row = bind.execute(sa.select(*(_HOSTS.c[name] for name in _READ)).where(_HOSTS.c.id == number)).one()
        try:
            values = _capacity(bind, row)
        except (exception.NumaplaceException, ValueError, TypeError, KeyError) as error:
            LOG.warning('host %r is not among the candidates before it is repaired: %s', row.host, error)
        else:
            bind.execute(sa.update(_HOSTS).where(_HOSTS.c.id == number).values(values))


def _capacity(bind: sa.Connection, row: sa.Row[Any]) -> dict[str, float]:
    cells = topology_json.read_cells(row.numa_topology, row.host_details)
    host = Host(cells, row.vcpus_used, row.memory_mb_used, row.floating_vcpus)
    held = bind.scalars(sa.select(_DOMAINS.c.holding).where(_DOMAINS.c.host == row.host)).all()
    ratios = Limits(
        row.cpu_allocation_ratio or default.INITIAL_CPU_RATIO, row.ram_allocation_ratio or default.INITIAL_RAM_RATIO
    )
    return capacity_of(host, [read_holding(wire.loads(text)) for text in held], ratios)
