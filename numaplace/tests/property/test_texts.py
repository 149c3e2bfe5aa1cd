# SPDX-License-Identifier: Apache-2.0
"""Laws of what is stored: texts written cell by cell are those of the whole; what a claim returns is what is read."""

from hypothesis import assume, given
from hypothesis import strategies as st

from numaplace import fit, wire
from numaplace.db import convert, details, models, texts
from numaplace.db.records import FlavorRecord, InstanceRequest
from numaplace.tests.property import cases, strategies, worlds
from numaplace.tests.property.test_wire import HOSTS


@given(HOSTS)
def test_the_texts_of_a_host_are_those_of_json(host):
    whole = wire.dumps(wire.write_host(host)), wire.dumps(details.write_host(host))
    assert texts.write_host(host) == whole
    assert texts.write_host(host) == whole, 'the second time they are put together of what is known'


@given(st.data())
def test_the_texts_after_claims_are_those_of_json(data):
    host = data.draw(worlds.hosts())
    for _ in range(3):
        texts.write_host(host)
        host = host.consume(data.draw(worlds.placements(host)))
        assert texts.write_host(host) == (wire.dumps(wire.write_host(host)), wire.dumps(details.write_host(host)))


@given(HOSTS)
def test_what_is_known_of_a_text_is_what_it_says(host):
    """The cells that are remembered are those that a process reads which never saw them."""
    topology, beside = texts.write_host(host)
    parsed = details.read_host(wire.loads(beside), wire.read_host(wire.loads(topology)))
    assert texts.read_cells(topology, beside) == parsed.cells == host.cells


def read_back(request, values, placement, host):
    """Return a server as it is read from rows whose JSON went through text."""
    extra = convert.instance_extra_values(request.uuid, placement)
    row = models.Instance(id=1, **values)
    for name, value in extra.items():
        if isinstance(value, dict):
            extra[name] = wire.loads(wire.dumps(value))
    return convert.instance_record(row, models.InstanceExtra(**extra), None, {values['host']: host})


@given(strategies.fits())
def test_what_a_claim_returns_is_what_is_read_afterwards(case):
    host, guest = cases.build(case)[:2]
    placement = fit.place(host, guest)
    assume(placement)
    request = InstanceRequest('guest', FlavorRecord('m1', guest.vcpus, guest.memory_mib), guest)
    values = convert.instance_values(request, 'host')
    returned = convert.new_instance_record(request, 1, values, convert.as_stored(placement))
    assert read_back(request, values, placement, host.consume(placement)) == returned
