# SPDX-License-Identifier: Apache-2.0
"""Fleets with any damage: written and read again, and anonymised, they have the same findings; whole ones have none."""

import json
from collections import Counter
from dataclasses import replace
from functools import partial

from hypothesis import given, settings
from hypothesis import strategies as st

from numaplace import fit, objects, wire
from numaplace.fleet import explain
from numaplace.fleet.anonymise import anonymise
from numaplace.fleet.audit import audit
from numaplace.model import Guest, Pages
from numaplace.model.fleet import Fleet
from numaplace.model.records import LIVE_MIGRATION, HostRecord, Move, Side
from numaplace.tests import samples
from numaplace.tests.unit.fleet import fleets
from numaplace.tests.unit.fleet.fleets import NOW, recounted
from numaplace.wire.fleet import read_fleet, write_fleet

GUESTS = (
    samples.guest(1, 2, 256),
    samples.guest(2, 1, 128),
    samples.guest(1, 2, 256, policy=None),
    samples.guest(1, 1, 64, pagesize_kib=2048),
    Guest(2, 256),
)


@st.composite
def whole(draw):
    """Return a fleet whose servers were placed one after the other, some of them on the way to another host."""
    hosts = {f'h{number}': fleets.apart(samples.host(draw(st.integers(1, 3)), 8)) for number in range(3)}
    servers = []
    for number in range(draw(st.integers(0, 8))):
        here, there = draw(st.permutations(sorted(hosts)))[:2]
        asked = draw(st.sampled_from(GUESTS))
        place = fit.place(hosts[here], asked)
        if not place:
            continue
        hosts[here] = hosts[here].consume(place)
        server = fleets.server(f's{number}', here, place)
        other = fit.place(hosts[there], asked) if draw(st.booleans()) else None
        if other:
            hosts[there] = hosts[there].consume(other)
            sides = Side(here, server.flavor, place), Side(there, server.flavor, other)
            server = replace(server, move=Move(LIVE_MIGRATION, 'running', *sides, f'm{number}', number, NOW))
        servers.append(server)
    records = [HostRecord(name, host, name) for name, host in hosts.items()]
    return recounted(Fleet(tuple(records), tuple(servers)))


@st.composite
def damaged(draw):
    """Return a fleet with usage, pins and host cells that are not what they should be."""
    fleet = draw(whole())
    hosts = list(fleet.hosts)
    for number in draw(st.sets(st.integers(0, len(hosts) - 1))):
        hosts[number] = replace(hosts[number], host=_damaged_host(draw, hosts[number].host))
    servers = list(fleet.servers)
    for number in draw(st.sets(st.integers(0, max(len(servers) - 1, 0)))):
        if number < len(servers):
            servers[number] = _damaged_server(draw, servers[number])
    return replace(fleet, hosts=tuple(hosts), servers=tuple(servers))


def _damaged_host(draw, host):
    cells = [
        replace(
            cell,
            pinned_cpus=draw(st.integers(0, 2**24)),
            cpu_usage=draw(st.integers(-4, 4)),
            pages=tuple([Pages(p.size_kib, p.total, draw(st.integers(-9, 9)), p.reserved) for p in cell.pages]),
        )
        for cell in host.cells
    ]
    return replace(host, cells=tuple(cells), vcpus_used=draw(st.integers(0, 9)))


def _damaged_server(draw, server):
    cells = [
        replace(
            placed,
            host_cell=draw(st.integers(0, 4)),
            pins=tuple((vcpu, draw(st.integers(0, 30))) for vcpu, _cpu in placed.pins if draw(st.booleans())),
        )
        for placed in server.placement.cells
    ]
    cells = [replace(placed, taken=sum({1 << cpu for _vcpu, cpu in placed.pins})) for placed in cells]
    host = draw(st.sampled_from(['h0', 'h1', 'h9']))
    return replace(server, host=host, placement=replace(server.placement, cells=tuple(cells)), move=None)


@given(whole())
@settings(max_examples=150, deadline=None)
def test_a_fleet_that_was_placed_has_no_findings(fleet):
    assert [] == audit(fleet, now=NOW)


@given(damaged())
@settings(max_examples=150, deadline=None)
def test_a_fleet_has_the_same_findings_and_refusals_wherever_it_is_read(fleet):
    again = read_fleet(wire.loads(wire.dumps(write_fleet(fleet))))
    assert audit(fleet, now=NOW) == audit(again, now=NOW)
    for asked in GUESTS:
        checks = [('fit', lambda record, asked=asked: fit.place(record.host, asked))]
        answers = [list(explain.lines(explain.ask(source, checks), [])) for source in (fleet, again)]
        assert answers[0] == answers[1]


@given(damaged())
@settings(max_examples=25, deadline=None)
def test_a_fleet_is_the_same_as_an_object_and_for_a_reader_that_knows_older_versions(fleet):
    written = write_fleet(fleet)
    stored = objects.Fleet.from_json(wire.dumps(written))
    assert json.loads(wire.dumps(written)) == json.loads(stored.to_json())
    older = read_fleet(wire.loads(stored.to_json({'FleetHost': '1.0', 'FleetServer': '1.0'})))
    assert read_fleet(written) == older  # what is old in the format of a row is not compared


@given(damaged())
@settings(max_examples=100, deadline=None)
def test_an_anonymised_fleet_has_the_same_findings(fleet):
    def kinds(found):
        return Counter(
            (finding.code, finding.cell, finding.found) for finding in found if finding.code != 'server.host'
        )

    audited = partial(audit, now=NOW)
    assert kinds(audited(fleet)) == kinds(audited(anonymise(fleet)))
