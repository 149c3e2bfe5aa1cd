# SPDX-License-Identifier: Apache-2.0
"""Rows that cannot be read are findings themselves, and nothing is inferred from what is missing with them."""

from dataclasses import replace

from numaplace.fleet.audit import audit
from numaplace.model.fleet import Inventory, Provider, Unread
from numaplace.tests.unit.fleet import fleets


def test_a_host_is_not_said_to_count_too_much_where_a_server_cannot_be_read():
    known = fleets.fleet()
    server = next(server for server in known.servers if server.host == 'h1' and server.move is None)
    rest = tuple([other for other in known.servers if other is not server])
    row = Unread('row.unreadable', 'cell1: instance_extra', server.uuid, 'not JSON', 'h1', server.uuid)
    assert {'h1'} == {finding.host for finding in audit(replace(known, servers=rest, providers=()))}
    found = audit(replace(known, servers=rest, providers=(), unread=(row,)))
    assert [('row.unreadable', 'h1', server.uuid)] == [(one.code, one.host, one.server) for one in found]


def test_nothing_is_said_of_the_provider_of_a_host_that_is_there_twice():
    """Its servers may have their allocations with the other one, which is not read."""
    known = fleets.fleet()
    provider = Provider('h1', 'h1', {'PCPU': Inventory(4)}, {'gone': {'PCPU': 2}})
    fleet = replace(known, providers=(provider,))
    assert {'allocation.missing', 'allocation.orphan', 'inventory.pcpu'} == {one.code for one in audit(fleet)}
    row = Unread('host.twice', 'cell1: compute_nodes', 'h1', 'another compute node has the same host', 'h1')
    assert ['host.twice'] == [one.code for one in audit(replace(fleet, unread=(row,)))]
