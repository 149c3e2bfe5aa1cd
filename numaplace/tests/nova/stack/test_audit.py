# SPDX-License-Identifier: Apache-2.0
"""The audit of a whole Nova continues after a guest that cannot be counted."""

import json

import pytest
import sqlalchemy

from numaplace.tests.nova.stack import judging, reading

HOST = 'cmp1'


@pytest.fixture
def move_to(stack):
    """Return a function that moves the pins of a server to those of another, as two faulty claims would."""
    engine = sqlalchemy.create_engine(stack.database('nova_cell1'), poolclass=sqlalchemy.NullPool)

    def move_to(server, topology):
        statement = sqlalchemy.text('UPDATE instance_extra SET numa_topology = :text WHERE instance_uuid = :uuid')
        with engine.begin() as connection:
            connection.execute(statement, {'text': json.dumps(topology), 'uuid': server.id})

    return move_to


def test_two_guests_on_a_cpu_do_not_stop_the_audit_of_their_host(cloud, rows, stack, move_to, tmp_path):
    first, second, third = (cloud.boot(cloud.cells(name, 1), name, host=HOST) for name in ('a', 'b', 'c'))
    assert ['ACTIVE'] * 3 == [server.status for server in (first, second, third)]
    move_to(second, rows.guest_json(first))
    (tmp_path / 'audit.conf').write_text('[numaplace]\naudit = continue\n', 'utf-8')
    log = reading.Log(stack.log(HOST))
    try:
        stack.restart(HOST, config=[tmp_path / 'audit.conf'])
        ((twice,), (alone,)) = ([*judging.pins(rows.guest(server)[0]).values()] for server in (first, third))
        counted = judging.usage(rows.host(HOST)).values()
        assert sorted((twice, alone)) == sorted(cpu for usage in counted for cpu in usage.pinned_cpus)
        held = sum(cell['memory'] for server in (first, second, third) for cell in rows.guest(server))
        assert held == sum(usage.memory_mib for usage in counted)
        (line,) = [line for line in log.lines('numaplace.nova.audit') if line.level == 'WARNING']
        assert f'cpus.twice: CPUs {twice} are pinned' in line.text
        other = cloud.boot(cloud.cells('d', 1), 'd', host=HOST)
        assert 'ACTIVE' == other.status
        assert {twice, alone}.isdisjoint(judging.pins(rows.guest(other)[0]).values())
        cloud.delete([first, second, third, other])
    finally:
        stack.restart(HOST)
    assert [] == [cpu for usage in judging.usage(rows.host(HOST)).values() for cpu in usage.pinned_cpus]
