# SPDX-License-Identifier: Apache-2.0
"""A fleet gets the same answers from the database, from a file, and from a file of that file."""

import tempfile
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from numaplace import fit, wire
from numaplace.db import api
from numaplace.fleet import explain
from numaplace.fleet.audit import audit
from numaplace.model import Pages
from numaplace.tests import own_rows
from numaplace.tests.property.test_fleet import GUESTS, whole
from numaplace.tests.unit.fleet.fleets import NOW, seen
from numaplace.wire.fleet import read_fleet, write_fleet


@st.composite
def miscounted(draw):
    """Return a fleet whose hosts count what their servers do not hold, within what a row may say."""
    fleet = draw(whole())
    hosts = list(fleet.hosts)
    for number in draw(st.sets(st.integers(0, len(hosts) - 1))):
        cells = [
            replace(
                cell,
                pinned_cpus=cell.shape.dedicated_cpus & draw(st.integers(0, 2**24)),
                cpu_usage=draw(st.integers(0, 4)),
                pages=tuple([Pages(p.size_kib, p.total, draw(st.integers(0, 9)), p.reserved) for p in cell.pages]),
            )
            for cell in hosts[number].host.cells
        ]
        hosts[number] = replace(hosts[number], host=replace(hosts[number].host, cells=tuple(cells)))
    return replace(fleet, hosts=tuple(hosts))


def answers(fleet):
    """Return what is found, and who takes each of some guests and why the others do not."""
    told = []
    for asked in GUESTS:
        checks = [('fit', lambda record, asked=asked: fit.place(record.host, asked))]
        told.append(list(explain.lines(explain.ask(fleet, checks), [])))
    return audit(fleet, now=NOW), told


def exported(fleet):
    """Return a fleet as a file of it is read."""
    return read_fleet(wire.loads(wire.dumps(write_fleet(fleet))))


@given(miscounted())
@settings(max_examples=60, deadline=None)
def test_all_sources_give_the_same_answers(fleet):
    with tempfile.TemporaryDirectory() as directory:
        url = f'sqlite:///{directory}/own.sqlite'
        api.upgrade(url)
        with api.connect(url) as database:
            own_rows.store(database, fleet)
            read, unlisted = database.fleet(), database.fleet(lists_servers=False)
    assert seen(read) == seen(unlisted)
    assert answers(fleet) == answers(read) == answers(exported(read)) == answers(exported(exported(read)))
