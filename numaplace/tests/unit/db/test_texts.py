# SPDX-License-Identifier: Apache-2.0
"""Texts of hosts are parsed once, and what is known of them is neither stale nor without bound."""

from dataclasses import replace

import pytest

from numaplace import exception, fit, wire
from numaplace.db import details, texts
from numaplace.tests import samples


@pytest.fixture(autouse=True)
def known(monkeypatch):
    """Yield what is known, which is nothing at first."""
    empty = texts.Known(3)
    monkeypatch.setattr(texts, 'KNOWN', empty)
    return empty


def written(host):
    """Return the texts as anybody else would write them."""
    return wire.dumps(wire.write_host(host)), wire.dumps(details.write_host(host))


def test_equal_texts_are_parsed_once(known):
    first = texts.read_cells(*written(samples.host()))
    assert texts.read_cells(*written(samples.host())) is first
    assert first == samples.host().cells
    assert len(known) == 1


def test_what_was_written_is_known_when_it_is_read():
    host = samples.host()
    assert texts.read_cells(*texts.write_host(host)) is host.cells


def test_a_text_that_somebody_changed_is_read_anew():
    """Either of the two: the usage of a cell, the distance to another."""
    topology, beside = texts.write_host(samples.host())
    usage = texts.read_cells(topology.replace('"memory_usage": 0', '"memory_usage": 7'), beside)
    assert [cell.memory_usage_mib for cell in usage] == [7, 7]
    distances = texts.read_cells(topology, beside.replace('21', '31'))
    assert distances[0].shape.distances == ((0, 10), (1, 31))
    assert texts.read_cells(topology, beside) == samples.host().cells


def test_no_more_hosts_are_known_than_there_is_room_for(known):
    """Those go that were asked for longest ago."""
    hosts = [samples.host(memory_mib=1024 * number) for number in range(1, 5)]
    for host in hosts[:3]:
        texts.write_host(host)
    texts.read_cells(*written(hosts[0]))
    texts.write_host(hosts[3])
    assert len(known) == 3
    assert [known.find(written(host)) for host in hosts] == [hosts[0].cells, None, hosts[2].cells, hosts[3].cells]


def test_a_text_that_cannot_be_read_is_a_fault_each_time(known):
    for _ in range(2):
        with pytest.raises(exception.InvalidObject):
            texts.read_cells('{"nova_object.name": "InstanceNUMATopology"}', None)
    assert len(known) == 0


def test_a_host_without_cells_or_details_is_read():
    assert texts.read_cells(None, None) == ()
    topology, _beside = written(samples.host())
    assert texts.read_cells(topology, None) == wire.read_host(wire.loads(topology)).cells


def test_a_name_with_signs_of_formats_and_json_is_written_as_it_is():
    cell = samples.host(1).cells[0]
    odd = replace(cell, shape=replace(cell.shape, physnets=frozenset({'%d', '100%', '"cpu_usage": 0', '[]{}', 'ü'})))
    host = replace(samples.host(1), cells=(odd,))
    assert texts.write_host(host) == written(host)


def test_only_the_cells_that_a_claim_changed_are_written_anew():
    host = samples.host()
    texts.write_host(host)
    used = host.consume(fit.place(host, samples.guest()))
    assert texts.write_host(used) == written(used)
    changed = [before is not after for before, after in zip(host.cells, used.cells, strict=True)]
    assert sum(changed) == 1
