# SPDX-License-Identifier: Apache-2.0
"""Laws of the stored form: JSON to model to JSON is the identity, and the two ways to read it agree."""

import json
import uuid

from hypothesis import given
from hypothesis import strategies as st

from numaplace import objects, wire
from numaplace.model import (
    DEDICATED,
    ISOLATE,
    MIXED,
    PREFER,
    REQUIRE,
    SHARE,
    SHARED,
    Cache,
    CellPlacement,
    CellShape,
    CpuTopology,
    Guest,
    GuestCell,
    Host,
    HostCell,
    Limits,
    MemoryAccess,
    MemoryModule,
    Networks,
    Offline,
    Pages,
    Placement,
)
from numaplace.tests import nova_requests
from numaplace.wire import details

MASKS = st.sets(st.integers(0, 200), max_size=12).map(lambda cpus: sum(1 << cpu for cpu in cpus))
NUMBERS = st.integers(0, 2**40)
NAMES = st.frozensets(st.text(max_size=8), max_size=3)
UUIDS = st.none() | st.uuids().map(str)
PAGES = st.builds(Pages, st.sampled_from([4, 64, 2048, 1048576]), NUMBERS, NUMBERS, NUMBERS)
DISTANCES = st.dictionaries(st.integers(0, 63), st.integers(10, 254), max_size=4).map(lambda by: tuple(by.items()))
CACHES = st.builds(Cache, st.integers(3, 4), NUMBERS, MASKS)
ACCESSES = st.builds(MemoryAccess, st.integers(0, 63), *[st.none() | NUMBERS] * 4)
MODULES = st.builds(
    MemoryModule,
    NUMBERS,
    st.integers(0, 63),
    st.none() | st.text(max_size=8),
    st.none() | NUMBERS,
    st.none() | NUMBERS,
    st.booleans(),
)


def shapes(cell_id):
    return st.builds(
        CellShape,
        st.just(cell_id),
        MASKS,
        MASKS,
        NUMBERS,
        st.lists(MASKS, max_size=4).map(tuple),
        st.none() | st.integers(0, 7),
        NAMES,
        st.booleans(),
        DISTANCES,
        MASKS,
        *(st.lists(part, max_size=3).map(tuple) for part in (MASKS, MASKS, CACHES, ACCESSES)),
    )


def host_cells(cell_id):
    return st.builds(HostCell, shapes(cell_id), MASKS, NUMBERS, NUMBERS, st.lists(PAGES, max_size=3).map(tuple))


HOSTS = (
    st.lists(st.integers(0, 63), unique=True, max_size=4)
    .flatmap(lambda ids: st.tuples(*map(host_cells, ids)))
    .map(Host)
)


@st.composite
def guests(draw):
    cells = []
    for number in range(draw(st.integers(0, 4))):
        policy = draw(st.sampled_from([None, SHARED, DEDICATED, MIXED]))
        shared = 0 if policy == DEDICATED else draw(MASKS)
        dedicated = draw(MASKS) if policy in (DEDICATED, MIXED) else 0
        cells.append(
            GuestCell(
                number,
                shared,
                dedicated & ~shared,
                draw(NUMBERS),
                draw(st.sampled_from([None, -1, -2, -3, 4, 2048])),
                policy,
                draw(st.sampled_from([None, PREFER, ISOLATE, REQUIRE])),
            )
        )
    return Guest(
        sum(cell.vcpus.bit_count() for cell in cells),
        sum(cell.memory_mib for cell in cells),
        tuple(cells),
        draw(st.sampled_from([None, SHARE, ISOLATE])),
        instance_uuid=draw(UUIDS),
    )


@st.composite
def placed(draw):
    """Return a host and the JSON of a guest that was claimed on it."""
    host, guest = draw(HOSTS), draw(guests())
    cells = []
    for cell in guest.cells:
        pins = [
            (vcpu, draw(st.integers(0, 200)))
            for vcpu in range(cell.vcpus.bit_length())
            if cell.dedicated_vcpus >> vcpu & 1
        ]
        host_cell = draw(st.sampled_from([cell.id for cell in host.cells] or [0]))
        pagesize = draw(st.sampled_from([None, 4, 2048]))
        cells.append(CellPlacement(cell, host_cell, pagesize, tuple(pins), draw(MASKS)))
    return host, wire.dumps(wire.write_placement(Placement(guest, tuple(cells))))


@given(HOSTS)
def test_a_host_comes_back_from_its_json(host):
    """Its cells do, with the distances from their own column, whichever way they are read."""
    text = wire.dumps(wire.write_host(host))
    host_details = json.dumps(details.write_host(host))
    assert details.read_host(json.loads(host_details), wire.read_host(wire.loads(text))).cells == host.cells
    assert (
        objects.HostDetails.from_json(host_details).apply(objects.NUMATopology.from_json(text).to_model()).cells
        == host.cells
    )


@given(HOSTS)
def test_the_json_of_a_host_is_the_same_both_ways(host):
    written = wire.write_host(host)
    assert wire.write_host(wire.read_host(written)) == written
    stored = objects.NUMATopology.from_model(host)
    assert json.loads(stored.to_json()) == written
    assert objects.NUMATopology.from_json(stored.to_json()) == stored
    assert json.loads(objects.HostDetails.from_model(host).to_json()) == details.write_host(host)


@given(guests())
def test_a_guest_comes_back_from_its_json_both_ways(guest):
    written = nova_requests.write_guest(guest)
    assert wire.read_guest(written) == guest
    stored = objects.InstanceNUMATopology.from_json(wire.dumps(written))
    assert json.loads(stored.to_json()) == json.loads(wire.dumps(written))
    assert stored.to_model() == guest


@given(placed())
def test_a_placement_is_read_the_same_both_ways(host_and_text):
    host, text = host_and_text
    placement = wire.read_placement(wire.loads(text), host)
    assert wire.write_placement(placement) == wire.loads(text)
    stored = objects.InstanceNUMATopology.from_json(text)
    assert stored.to_placement(host) == placement
    assert json.loads(stored.to_json()) == wire.loads(text)
    assert objects.InstanceNUMATopology.from_model(placement) == stored


@given(st.builds(Limits, st.floats(0, 64), st.floats(0, 64)), st.none() | st.builds(Networks, NAMES, st.booleans()))
def test_limits_come_back_from_their_json_both_ways(limits, networks):
    written = nova_requests.write_limits(limits, networks)
    assert wire.read_limits(written) == (limits, networks)
    stored = objects.NUMATopologyLimits.from_json(wire.dumps(written))
    assert json.loads(stored.to_json()) == written
    assert stored.to_model() == (limits, networks)


@given(
    st.builds(
        Guest,
        st.integers(1, 64),
        NUMBERS,
        cpu_topology=st.none() | st.builds(CpuTopology, *[st.integers(1, 64)] * 3),
        realtime_vcpus=MASKS,
        locked_memory=st.booleans(),
        offline=st.lists(st.builds(Offline, MASKS, MASKS), max_size=3).map(tuple),
        modules=st.lists(MODULES, max_size=3).map(tuple),
    )
)
def test_details_of_a_guest_come_back_both_ways(guest):
    text = json.dumps(details.write_guest(guest))
    plain = Guest(guest.vcpus, guest.memory_mib)
    assert details.read_guest(json.loads(text), plain) == guest
    assert objects.GuestDetails.from_json(text).apply(plain) == guest
    assert json.loads(objects.GuestDetails.from_model(guest).to_json()) == json.loads(text)


@given(st.lists(st.builds(Guest, st.integers(1, 64), NUMBERS, realtime_vcpus=MASKS), min_size=2, max_size=2))
def test_details_of_a_move_come_back(guests):
    sides = tuple(map(Placement, guests))
    written = details.write_move(*sides)
    assert details.read_move(json.loads(json.dumps(written))) == sides
    stored = objects.MoveDetails.from_model(*guests)
    assert json.loads(stored.to_json()) == written
    assert stored.to_model() == tuple(guests)


@given(st.builds(CpuTopology, *[st.integers(1, 65536)] * 3))
def test_a_vcpu_topology_comes_back(topology):
    assert (
        objects.VirtCPUTopology.from_json(objects.VirtCPUTopology.from_model(topology).to_json()).to_model() == topology
    )


@given(guests(), guests(), st.integers(1, 2**31))
def test_a_migration_context_comes_back(old, new, number):
    context = objects.MigrationContext(
        instance_uuid=str(uuid.UUID(int=number)),
        migration_id=number,
        old_numa_topology=objects.InstanceNUMATopology.from_json(wire.dumps(nova_requests.write_guest(old))),
        new_numa_topology=objects.InstanceNUMATopology.from_json(wire.dumps(nova_requests.write_guest(new))),
        old_pci_devices=None,
    )
    again = objects.MigrationContext.from_json(context.to_json())
    assert again == context
    assert (again.old_numa_topology.to_model(), again.new_numa_topology.to_model()) == (old, new)


@given(placed(), placed(), st.integers(1, 2**31), st.booleans())
def test_a_migration_context_is_the_same_both_ways(old, new, number, floats):
    """A side that floats has no topology."""
    placements = [None if floats else wire.read_placement(wire.loads(text), host) for host, text in (old, new)]
    context = wire.Context(str(uuid.UUID(int=number)), number, *placements)
    written = wire.write_context(context)
    assert wire.read_context(json.loads(json.dumps(written)), old[0], new[0]) == context
    stored = objects.MigrationContext.from_json(json.dumps(written))
    assert json.loads(stored.to_json()) == written
    assert objects.MigrationContext.from_model(context) == stored
    assert stored.to_model(old[0], new[0]) == context
