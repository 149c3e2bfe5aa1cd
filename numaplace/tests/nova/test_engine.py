# SPDX-License-Identifier: Apache-2.0
"""The engine inside a real Nova: its answers through Nova's own names, and what it leaves alone."""

import json
import subprocess
import sys
import textwrap

import pytest

from numaplace import exception, fit, model, wire
from numaplace.tests import audit, nova_requests
from numaplace.tests.property import cases

WISH = '5bb0b3bd-5d3c-4a4e-9d0e-6b0a6e9d7c11'

#: Cases for the hooks; the fit itself is compared with Nova's elsewhere.
SEEDS = range(34500000, 34500400)


@pytest.fixture
def hardware(theirs, monkeypatch):
    """Nova's module with the engine in place, until the test ends."""
    from nova.scheduler import host_manager  # noqa: PLC0415

    from numaplace.nova import engine  # noqa: PLC0415

    for owner, name in _replaced(theirs, host_manager):
        monkeypatch.setattr(owner, name, getattr(owner, name))
    engine.install()
    return theirs.hardware


def _replaced(theirs, host_manager):
    return [
        (theirs.hardware, 'numa_fit_instance_to_host'),
        (theirs.hardware, 'numa_usage_from_instance_numa'),
        (host_manager.HostState, '_locked_consume_from_request'),
        (theirs.objects.NUMATopology, 'obj_from_db_obj'),
    ]


@pytest.fixture
def packing(theirs):
    """Set Nova's option, until the test ends."""
    conf = theirs.conf.CONF
    yield lambda pack: conf.set_override('packing_host_numa_cells_allocation_strategy', pack, group='compute')
    conf.clear_override('packing_host_numa_cells_allocation_strategy', group='compute')


# --- the answers ----------------------------------------------------------------------


def _nova_case(theirs, seed):
    """Return a case in the model, and the host, guest and limits of Nova that say the same."""
    host, guest, limits, networks = cases.build(cases.draw(seed))
    if networks and limits is None:
        limits = model.Limits(16.0, 1.5)  # Nova's networks come with ratios
    written = nova_requests.write_limits(limits, networks) if limits else None
    objects = (
        theirs.read_host(wire.write_host(host)),
        theirs.read_guest(nova_requests.write_guest(guest)),
        theirs.read_limits(written),
    )
    return (host, guest, limits, networks), objects


def _plain(value):
    return audit.canon(wire.loads(wire.dumps(value.obj_to_primitive())))


def test_a_fit_through_novas_name_is_the_engines_and_changes_nothing(theirs, hardware, packing):
    fitted = 0
    for seed in SEEDS:
        (host, guest, limits, networks), asked = _nova_case(theirs, seed)
        before = [value and _plain(value) for value in asked]
        packing(bool(seed % 2))
        answer = hardware.numa_fit_instance_to_host(asked[0], asked[1], {}, asked[2])
        expected = fit.place(
            host, guest, limits=limits, networks=networks, strategy=fit.PACK if seed % 2 else fit.SPREAD
        )
        if expected:
            fitted += 1
            assert isinstance(answer, theirs.objects.InstanceNUMATopology)
            assert _plain(answer) == audit.canon(wire.write_placement(expected)), seed
        else:
            assert answer is None, seed
        assert [value and _plain(value) for value in asked] == before, seed
    assert 50 < fitted < len(SEEDS) - 50


def test_the_strategy_closest_of_nova_conf_keeps_guests_to_few_sockets(theirs, hardware):
    """Of six host cells in two sockets Nova's orders take the emptiest, whichever socket they are in."""
    shapes = [
        model.CellShape(
            number, 0, 0b1111 << 4 * number, 4096, siblings=(), socket=number // 3, physnets=frozenset(), tunneled=False
        )
        for number in range(6)
    ]
    cells = [model.HostCell(shape, pinned_cpus=1 << 4 * shape.id if shape.id in {1, 3} else 0) for shape in shapes]
    host = model.Host(tuple(cells))
    guest = model.Guest(
        3, 3072, tuple(model.GuestCell(number, 0, 1 << number, 1024, cpu_policy='dedicated') for number in range(3))
    )
    asked = theirs.read_host(wire.write_host(host)), theirs.read_guest(nova_requests.write_guest(guest))

    def chosen():
        return sorted(cell.id for cell in hardware.numa_fit_instance_to_host(*asked, {}).cells)

    assert [0, 2, 4] == chosen()
    conf = theirs.conf.CONF
    conf.set_override('strategy', 'closest', group='numaplace')
    try:
        assert [0, 1, 2] == chosen()
        conf.set_override('strategy', 'preserve', group='numaplace')
        assert [0, 1, 2] == chosen()
    finally:
        conf.clear_override('strategy', group='numaplace')


def test_usage_through_novas_name_is_the_models_and_changes_nothing(theirs, hardware):
    counted = 0
    for seed in SEEDS:
        (host, guest, limits, networks), asked = _nova_case(theirs, seed)
        placement = fit.place(host, guest, limits=limits, networks=networks)
        if not placement:
            continue
        counted += 1
        before = _plain(asked[0])
        placed = hardware.numa_fit_instance_to_host(asked[0], asked[1], {}, asked[2])
        used = hardware.numa_usage_from_instance_numa(asked[0], placed)
        assert isinstance(used, theirs.objects.NUMATopology)
        assert _plain(used) == audit.canon(wire.write_host(host.consume(placement))), seed
        freed = hardware.numa_usage_from_instance_numa(used, placed, free=True)
        assert _plain(freed) == _plain(asked[0]) == before, seed
    assert counted > 50


def test_an_answer_shares_nothing_with_the_host_it_came_from(theirs, hardware):
    host = _host(theirs)
    used = hardware.numa_usage_from_instance_numa(host, _placed(theirs))
    before = _plain(host)
    for cell in used.cells:
        cell.pinned_cpus.add(99)
        cell.siblings[0].add(99)
        cell.mempages[0].used += 7
        cell.network_metadata.physnets.add('changed')
    assert _plain(host) == before


@pytest.mark.parametrize('missing', [0, 1])
def test_without_a_topology_there_is_nothing_to_fit_or_to_count(theirs, hardware, missing):
    values = [_host(theirs), _placed(theirs)]
    values[missing] = None
    assert hardware.numa_fit_instance_to_host(*values, provider_mapping=None) is None
    assert hardware.numa_usage_from_instance_numa(*values) is values[0]


# --- usage where Nova is lenient, and its faults ---------------------------------------


def _host(theirs, *, pinned=0, usage_mib=0):
    shapes = [
        model.CellShape(number, 0b11 << 4 * number, 0b1100 << 4 * number, 4096, (0b1100 << 4 * number,))
        for number in (0, 1)
    ]
    cells = tuple(
        model.HostCell(shape, pinned & shape.dedicated_cpus, 0, usage_mib, (model.Pages(4, 1 << 20),))
        for shape in shapes
    )
    return theirs.read_host(wire.write_host(model.Host(cells)))


def _placed(theirs, *cpus, host_cell=0, shared=0):
    pins = tuple(enumerate(cpus))
    cell = model.GuestCell(
        id=0,
        shared_vcpus=(1 << shared) - 1 << len(cpus),
        dedicated_vcpus=(1 << len(cpus)) - 1,
        memory_mib=1024,
        cpu_policy='mixed' if cpus and shared else 'dedicated' if cpus else None,
    )
    placement = model.Placement(
        model.Guest(cell.vcpus.bit_count(), 1024, (cell,)), (model.CellPlacement(cell, host_cell, None, pins),)
    )
    return theirs.read_guest(wire.write_placement(placement))


@pytest.mark.parametrize('free', [False, True])
def test_a_host_cell_that_is_gone_is_passed_over(theirs, hardware, free):
    host = _host(theirs)
    used = hardware.numa_usage_from_instance_numa(host, _placed(theirs, 2, 3, host_cell=7), free)
    assert _plain(used) == _plain(host)


def test_a_release_takes_no_counter_below_zero(theirs, hardware):
    used = hardware.numa_usage_from_instance_numa(_host(theirs, usage_mib=100), _placed(theirs, shared=2), free=True)
    assert (used.cells[0].memory_usage, used.cells[0].cpu_usage, used.cells[0].mempages[0].used) == (0, 0, 0)
    assert used.cells[1].memory_usage == 100


def test_a_cpu_that_nova_does_not_count_is_given_to_one_guest_and_may_be_freed_twice(theirs, hardware):
    """Thread policy isolate, on a CPU in no core."""
    host, guest = _host(theirs), _placed(theirs, 2)
    host.cells[0].siblings, guest.cells[0].cpu_thread_policy = [], model.ISOLATE
    used = hardware.numa_usage_from_instance_numa(host, guest)
    assert {2} == used.cells[0].pinned_cpus
    with pytest.raises(theirs.exception.CPUPinningInvalid, match=r'\[2\]'):
        hardware.numa_usage_from_instance_numa(used, guest)
    for _free in range(2):
        used = hardware.numa_usage_from_instance_numa(used, guest, free=True)
        assert set() == used.cells[0].pinned_cpus


@pytest.mark.parametrize(
    ('name', 'cpus', 'available'),
    [
        ('CPUPinningInvalid', (2, 3), [3]),
        ('CPUPinningUnknown', (0, 2), [2, 3]),
        ('CPUUnpinningInvalid', (2, 3), [2]),
        ('CPUUnpinningUnknown', (0, 2), [2, 3]),
    ],
)
def test_faults_are_novas_own(theirs, hardware, name, cpus, available):
    host = _host(theirs, pinned=0b0100)
    with pytest.raises(getattr(theirs.exception, name), match=r'CPU set to (un)?pin') as raised:
        hardware.numa_usage_from_instance_numa(host, _placed(theirs, *cpus), free='Unpinning' in name)
    assert raised.value.kwargs['requested'] == list(cpus)
    assert raised.value.kwargs['available'] == available


# --- devices --------------------------------------------------------------------------


def _stats(theirs, counts):
    """Return the statistics of a host with that many free devices in each host cell."""
    from nova.pci import stats  # noqa: PLC0415

    pools = [
        theirs.objects.PciDevicePool(
            vendor_id='8086', product_id='1572', numa_node=node, count=count, tags={'dev_type': 'type-PCI'}
        )
        for node, count in counts.items()
    ]
    return stats.PciDeviceStats(_host(theirs), theirs.objects.PciDevicePoolList(objects=pools))


def _wish(theirs, count=1):
    spec = [{'vendor_id': '8086', 'product_id': '1572'}]
    return [
        theirs.objects.InstancePCIRequest(count=count, spec=spec, numa_policy='required', request_id=WISH),
    ]


@pytest.mark.parametrize(
    ('counts', 'wanted', 'host_cell'),
    [
        ({0: 0, 1: 1}, 1, 1),
        ({0: 1, 1: 0}, 1, 0),
        ({0: 1, 1: 2}, 1, 1),
        ({0: 1, 1: 2}, 2, 1),
        ({0: 1, 1: 1}, 2, None),
        ({0: 1, 1: 0}, 0, 1),
        ({0: 0, 1: 1}, 0, 0),
    ],
)
def test_the_devices_are_counted_by_nova(theirs, hardware, counts, wanted, host_cell):
    stats, requests = _stats(theirs, counts), _wish(theirs, wanted) if wanted else []
    before = json.dumps(stats.pools, default=str)
    guest = _placed(theirs, 2, 3)
    placed = hardware.numa_fit_instance_to_host(_host(theirs), guest, {}, pci_requests=requests, pci_stats=stats)
    assert (placed.cells[0].id if placed else None) == host_cell
    assert json.dumps(stats.pools, default=str) == before


# --- several guests of one request ------------------------------------------------------


def test_the_second_guest_of_a_request_asks_for_what_the_first_did(theirs, hardware):
    from nova.scheduler import host_manager  # noqa: PLC0415

    asked = _placed(theirs, 2, 3)
    asked.cells[0].pagesize = model.PAGES_SMALL
    spec = theirs.objects.RequestSpec(
        numa_topology=asked,
        pci_requests=None,
        requested_resources=[],
        flavor=theirs.objects.Flavor(root_gb=1, ephemeral_gb=0, memory_mb=1024, vcpus=2),
    )
    host_state = host_manager.HostState('host', 'host', 'cell')
    host_state.numa_topology, host_state.free_ram_mb, host_state.free_disk_mb = _host(theirs), 8192, 8192
    host_state.limits, host_state.vcpus_used = {}, 0
    before = _plain(asked)
    for count in (1, 2, 3):  # the third does not fit
        host_state._locked_consume_from_request(spec)
        assert spec.numa_topology is asked
        assert _plain(asked) == before
        assert sum(len(cell.pinned_cpus) for cell in host_state.numa_topology.cells) == min(4, 2 * count)


# --- installing -----------------------------------------------------------------------


def test_installing_again_changes_nothing(theirs, hardware):
    from nova.scheduler import host_manager  # noqa: PLC0415

    from numaplace.nova import engine  # noqa: PLC0415

    before = [getattr(owner, name) for owner, name in _replaced(theirs, host_manager)]
    engine.install()
    assert [getattr(owner, name) for owner, name in _replaced(theirs, host_manager)] == before


@pytest.mark.parametrize('found', ['28.3.1', '35.0.0', '35.0.0.0rc1', 'unknown', ''])
def test_a_series_that_is_not_known_is_refused(theirs, monkeypatch, found):
    from nova import version  # noqa: PLC0415

    from numaplace.nova import engine  # noqa: PLC0415

    right = theirs.hardware.numa_fit_instance_to_host
    monkeypatch.setattr(version, 'version_string', lambda: found)
    with pytest.raises(exception.UnsupportedNova, match='29 to 34'):
        engine.install()
    assert theirs.hardware.numa_fit_instance_to_host is right


@pytest.mark.parametrize('number', range(4))
@pytest.mark.parametrize('function', [None, lambda host_topology, instance_topology: None])
def test_other_parameters_are_refused_before_anything_is_replaced(theirs, monkeypatch, number, function):
    from nova.scheduler import host_manager  # noqa: PLC0415

    from numaplace.nova import engine  # noqa: PLC0415

    owners = _replaced(theirs, host_manager)
    owner, name = owners[number]
    if function is None:
        monkeypatch.delattr(owner, name)
    else:
        monkeypatch.setattr(owner, name, function)
    before = [getattr(owner, name, None) for owner, name in owners]
    with pytest.raises(exception.UnsupportedNova, match=name):
        engine.install()
    assert [getattr(owner, name, None) for owner, name in owners] == before


LOADS = """
    import json, sys
    from numaplace.nova import engine
    early = [name for name in sys.modules if name.partition('.')[0] == 'nova']
    import nova.cmd.compute, nova.scheduler.host_manager
    from nova import objects
    from nova.objects import base
    objects.register_all()
    def registered():
        return {name: [str(item) for item in found] for name, found in base.NovaObjectRegistry.obj_classes().items()}
    before, modules = registered(), set(sys.modules)
    engine.install()
    ours = ('nova.', 'numaplace.')
    print(json.dumps({
        'early': [name for name in early if name != 'numaplace'],
        'same': registered() == before,
        'objects': 'numaplace.objects' in sys.modules,
        'new': sorted(name for name in set(sys.modules) - modules if not name.startswith(ours)),
    }))
"""


def test_a_service_of_nova_keeps_its_registry_and_loads_nothing_but_numaplace():
    """In a process of its own: the engine is imported before Nova, installed after Nova's command."""
    run = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', textwrap.dedent(LOADS)], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout.splitlines()[-1])
    assert found == {'early': [], 'same': True, 'objects': False, 'new': []}
