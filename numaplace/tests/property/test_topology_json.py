# SPDX-License-Identifier: Apache-2.0
"""Laws of what is stored: texts written cell by cell are those of the whole; what a claim returns is what is read."""

from dataclasses import replace

from hypothesis import assume, given
from hypothesis import strategies as st

from numaplace import fit, wire
from numaplace.db import convert, topology_json
from numaplace.db.records import InstanceRequest
from numaplace.db.tables import MIGRATIONS
from numaplace.model import Flavor
from numaplace.tests.property import cases, strategies, worlds
from numaplace.tests.property.test_wire import HOSTS
from numaplace.wire import details


@given(HOSTS)
def test_the_texts_of_a_host_are_those_of_json(host):
    whole = wire.dumps(wire.write_host(host)), wire.dumps(details.write_host(host))
    assert topology_json.write_host(host) == whole
    assert topology_json.write_host(host) == whole, 'the second time from the remembered texts'


@given(st.data())
def test_the_texts_after_claims_are_those_of_json(data):
    host = data.draw(worlds.hosts())
    for _ in range(3):
        topology_json.write_host(host)
        host = host.consume(data.draw(worlds.placements(host)))
        assert topology_json.write_host(host) == (
            wire.dumps(wire.write_host(host)),
            wire.dumps(details.write_host(host)),
        )


@given(HOSTS)
def test_what_is_known_of_a_text_is_what_it_says(host):
    """The cells that are remembered are those that a process reads which never saw them."""
    topology, host_details = topology_json.write_host(host)
    parsed = details.read_host(wire.loads(host_details), wire.read_host(wire.loads(topology)))
    assert topology_json.read_cells(topology, host_details) == parsed.cells == host.cells


def read_back(stored, host):
    """Return a server as it is read from its rows."""
    values = convert.INSTANCE.write(stored) | {'id': 1, 'generation': 0}
    values['created_at'] = str(values['created_at'])
    rows = [values, convert.extra_values(stored), dict.fromkeys(MIGRATIONS.c.keys())]
    found = [row[each.name] for fields, row in zip(convert.SERVER, rows, strict=True) for each in fields.columns]
    return convert.instance_record(found, {stored.host: host})


@given(strategies.fits())
def test_what_a_claim_returns_is_what_is_read_afterwards(case):
    host, guest = cases.build(case)[:2]
    placement = fit.place(host, guest)
    assume(placement)
    request = InstanceRequest('guest', Flavor('m1', guest.vcpus, guest.memory_mib, id='m1'), guest)
    returned = replace(convert.new_instance(request, 'host', placement), number=1)
    assert read_back(returned, host.consume(placement)) == returned
