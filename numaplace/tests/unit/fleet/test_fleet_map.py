# SPDX-License-Identifier: Apache-2.0
"""The compact values of a map are those of the fleet."""

import json
from dataclasses import replace

from numaplace import cpuset, fit
from numaplace.fleet import audit, fleet_map
from numaplace.fleet.explain import Answer
from numaplace.model import Reason, Refusal
from numaplace.model.allocations import holds
from numaplace.model.fleet import Fleet
from numaplace.tests import samples
from numaplace.tests.unit.fleet import fleets

FLEET = fleets.fleet()


def _drawn(fleet=FLEET, asked=()):
    drawn = fleet_map.draw(fleet, audit.audit(fleet), asked)
    return json.loads(json.dumps(drawn.plain)), drawn.kinds


def test_hosts_have_their_usage_and_a_symbol_for_each_cpu():
    plain, _ = _drawn()
    for record, shown in zip(FLEET.hosts, plain['hosts'], strict=True):
        host = record.host
        assert [record.name, 'nova', 'enabled', 'up'] == [shown[0], plain['texts'][shown[2]], *shown[3:5]]
        assert [host.vcpus_used, host.memory_mib, host.general_memory_used_mib, host.floating_vcpus] == shown[5:9]
        for cell, (symbols, shared, mib, used, held, pages) in zip(host.cells, shown[9], strict=True):
            assert 8 == len(symbols)
            assert cell.pinned_cpus.bit_count() == symbols.count('x')
            assert [cell.cpu_usage, cell.shape.memory_mib, cell.memory_usage_mib, 0] == [shared, mib, used, held]
            assert [[one.size_kib, one.total, one.used, one.reserved, one.held] for one in cell.pages] == [
                pages[place : place + 5] for place in range(0, len(pages), 5)
            ]


def test_hosts_that_differ_in_use_alone_are_of_one_kind():
    plain, kinds = _drawn()
    assert [0, 0] == [shown[1] for shown in plain['hosts']]
    assert (FLEET.hosts[0].host,) == tuple(kinds)
    ((first, _second),) = plain['kinds']
    assert [
        0,
        '0-7',
        '2-7',
        '0-1',
        ['0-1', '2-3', '4-5', '6-7'],
        0,
        'general',
        [[0, 10], [1, 21]],
        ['physnet0'],
    ] == first
    other = replace(FLEET.hosts[1], host=samples.host(3))
    plain, kinds = _drawn(Fleet((FLEET.hosts[0], other)))
    assert [0, 1] == [shown[1] for shown in plain['hosts']]
    assert [2, 3] == [len(host.cells) for host in kinds]


def test_a_guest_has_each_place_that_it_holds_with_its_pins_in_order():
    plain, _ = _drawn()
    for server, shown in zip(FLEET.servers, plain['guests'], strict=True):
        sides = holds(server)
        assert [server.name, server.uuid] == shown[:2]
        assert [side.host for side in sides] == [plain['hosts'][place[0]][0] for place in shown[6]]
        for side, place in zip(sides, shown[6], strict=True):
            assert bool(place[1]) == any(placed.taken for placed in side.placement.cells)
            for placed, values in zip(side.placement.cells, place[2], strict=True):
                cell, mib, page, vcpus, cpus, floating, more = [*values, *[''] * (7 - len(values))]
                assert (placed.host_cell, placed.guest_cell.memory_mib) == (cell, mib)
                assert (placed.pagesize_kib or 0) == (page or 0)
                assert (
                    cpuset.mask(cpu for _, cpu in placed.pins) == cpuset.parse(cpus or '') if cpus else not placed.pins
                )
                assert placed.guest_cell.dedicated_vcpus == (cpuset.parse(vcpus) if vcpus else 0)
                assert placed.guest_cell.shared_vcpus == (cpuset.parse(floating) if floating else 0)
                assert '' == more
    assert 2 == len(plain['guests'][3][6])  # s4 is resized
    assert [] == plain['guests'][4][6]  # s5 has no host


def test_pins_that_are_not_in_the_order_of_the_cpus_keep_their_order_and_siblings_are_named():
    host = samples.host(1)
    placed = fit.place(host, samples.guest(vcpus=2, thread_policy='prefer'))
    (cell,) = placed.cells
    crossed = replace(placed, cells=(replace(cell, pins=((0, 5), (1, 4), (2, 6)), taken=0b11110000),))
    server = fleets.server('s1', 'h1', crossed)
    record = replace(FLEET.hosts[0], host=host)
    plain, _ = _drawn(Fleet((record,), (server,)))
    assert ['0-2', '5,4,6', '', '7'] == plain['guests'][0][6][0][2][0][3:]


def test_findings_name_hosts_and_guests_of_the_map_and_others_by_name():
    fleet = fleets.with_cell(FLEET, 'h1', 0, pinned_cpus=0)
    fleet = fleets.with_server(fleet, 's3', host='gone')
    plain, _ = _drawn(fleet)
    expected = [[one.severity, one.code, one.text, one.host, one.server] for one in audit.audit(fleet)]
    names = [record.name for record in fleet.hosts]
    shown = []
    for severity, code, text, host, guest, subject in plain['findings']:
        words = [plain['texts'][number] for number in (severity, code, text)]
        name = names[host] if host >= 0 else plain['texts'][subject] or None
        shown.append([*words, name, plain['guests'][guest][1] if guest >= 0 else None])
    assert expected == shown
    assert {'h1', 'gone'} <= {one[3] for one in shown}


def test_an_answer_is_the_reasons_of_a_refusal_or_none_and_equal_refusals_are_kept_once():
    refusal = Refusal.of(Reason('memory.total', 8192, 4096, 'MiB', (0,), (1,)), Reason('host.disabled'))
    answers = [Answer('h1', 'Filter', refusal), Answer('h2'), Answer('unread', 'row', refusal)]
    asked = [fleet_map.Asked('one', answers), fleet_map.Asked('two', answers), fleet_map.Asked('bad', fault='no such')]
    plain, _ = _drawn(asked=asked)
    assert [['one', '', [0, -1]], ['two', '', [0, -1]], ['bad', 'no such', []]] == plain['flavors']
    (texts,) = plain['refusals']
    filter_name, *sentences = [plain['texts'][number] for number in texts]
    assert 'Filter' == filter_name
    assert '8192' in sentences[0]
    assert 2 == len(sentences)
