# SPDX-License-Identifier: Apache-2.0
"""Texts of hosts are parsed once, and what is known of them is neither stale nor without bound."""

from dataclasses import replace

import pytest

from numaplace import exception, fit, wire
from numaplace.db import topology_json
from numaplace.tests import samples
from numaplace.wire import details


@pytest.fixture(autouse=True)
def _nothing_known():
    topology_json.known_cells.cache_clear()


def written(host):
    """Return the texts as anybody else would write them."""
    return wire.dumps(wire.write_host(host)), wire.dumps(details.write_host(host))


def test_equal_texts_are_parsed_once():
    first = topology_json.read_cells(*written(samples.host()))
    assert topology_json.read_cells(*written(samples.host())) is first
    assert first == samples.host().cells
    assert 1 == topology_json.known_cells.cache_info().currsize


def test_what_was_written_is_known_when_it_is_read():
    host = samples.host()
    assert topology_json.read_cells(*topology_json.write_host(host)) is host.cells


def test_a_text_that_somebody_changed_is_read_anew():
    """Either of the two: the usage of a cell, the distance to another."""
    topology, host_details = topology_json.write_host(samples.host())
    usage = topology_json.read_cells(topology.replace('"memory_usage": 0', '"memory_usage": 7'), host_details)
    assert [cell.memory_usage_mib for cell in usage] == [7, 7]
    distances = topology_json.read_cells(topology, host_details.replace('21', '31'))
    assert distances[0].shape.distances == ((0, 10), (1, 31))
    assert topology_json.read_cells(topology, host_details) == samples.host().cells


def test_no_more_hosts_are_known_than_the_cache_holds():
    most = topology_json.known_cells.cache_info().maxsize
    for number in range(most + 1):
        topology_json.write_host(samples.host(1, memory_mib=1024 * (number + 1)))
    assert most == topology_json.known_cells.cache_info().currsize


def test_a_text_that_cannot_be_read_is_a_fault_each_time():
    for _ in range(2):
        with pytest.raises(exception.InvalidObject, match="expected a NUMATopology, found 'InstanceNUMATopology'"):
            topology_json.read_cells('{"nova_object.name": "InstanceNUMATopology"}', None)


def test_a_host_without_cells_or_details_is_read():
    assert topology_json.read_cells(None, None) == ()
    topology, _ = written(samples.host())
    assert topology_json.read_cells(topology, None) == wire.read_host(wire.loads(topology)).cells


def test_a_name_with_signs_of_formats_and_json_is_written_as_it_is():
    cell = samples.host(1).cells[0]
    odd = replace(cell, shape=replace(cell.shape, physnets=frozenset({'%d', '100%', '"cpu_usage": 0', '[]{}', 'ü'})))
    host = replace(samples.host(1), cells=(odd,))
    assert topology_json.write_host(host) == written(host)


def test_only_the_cells_that_a_claim_changed_are_written_anew():
    host = samples.host()
    topology_json.write_host(host)
    used = host.consume(fit.place(host, samples.guest()))
    assert topology_json.write_host(used) == written(used)
    changed = [before is not after for before, after in zip(host.cells, used.cells, strict=True)]
    assert sum(changed) == 1
