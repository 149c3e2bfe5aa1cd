# SPDX-License-Identifier: Apache-2.0
"""An exported fleet: what its servers keep, and what files of older releases mean."""

from dataclasses import replace

from numaplace import objects, wire
from numaplace.fleet.anonymise import anonymise
from numaplace.tests.unit.fleet import fleets
from numaplace.wire.fleet import read_fleet, write_fleet


def _adopted():
    fleet = fleets.fleet()
    first, *others = fleet.servers
    return replace(fleet, servers=(replace(first, adopted_name='old-pinned'), *others))


def _again(fleet):
    return read_fleet(wire.loads(wire.dumps(write_fleet(fleet))))


def test_an_adopted_server_keeps_the_name_of_its_domain():
    first, second, *_ = _again(_adopted()).servers
    assert ('old-pinned', 'instance-00000002') == (first.domain_name, second.domain_name)


def test_an_anonymised_server_has_a_name_by_its_number():
    first, *_ = _again(anonymise(_adopted())).servers
    assert 'instance-00000001' == first.domain_name


def test_a_file_without_the_name_of_the_domain_is_read():
    older = objects.Fleet.from_json(wire.dumps(write_fleet(_adopted()))).to_json({'FleetServer': '1.2'})
    assert 'old-pinned' not in older
    assert read_fleet(wire.loads(older)).servers == fleets.fleet().servers
