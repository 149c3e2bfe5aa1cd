# SPDX-License-Identifier: Apache-2.0
"""Requests from strangers in a real Nova: refused with a reason, counted as Nova counts, never an exception of ours.

Each function that Nova calls is asked with values below zero, huge, not a number and of the wrong type.
"""

import json
import logging

import hypothesis
import pytest
from hypothesis import strategies as st

from numaplace import explain
from numaplace.tests import audit
from numaplace.tests.nova.made import counters

HUGE = 10**250  # as many digits as a property of an image may have


@pytest.fixture
def log(caplog):
    """What numaplace logs, from INFO on; a fault counts as not told yet."""
    from numaplace.nova import faults  # noqa: PLC0415

    faults._warn_once.cache_clear()
    caplog.set_level(logging.INFO, 'numaplace')
    return caplog


def _guest(objects, *cells, **more):
    """Return a guest of cells that are told by their fields."""
    fields = {'cpuset': {0}, 'pcpuset': set(), 'memory': 512, 'cpu_policy': None}
    made = [objects.InstanceNUMACell(**{'id': number} | fields | cell) for number, cell in enumerate(cells)]
    return objects.InstanceNUMATopology(cells=made, **more)


def _host(make, **used):
    """Return a host of two cells of 4 CPUs, 8 GiB and some huge pages, where a guest has 1 GiB of each cell."""
    topology = make.free(4, 3)
    for cell in topology.cells:
        cell.cpuset = set(cell.pcpuset)
        cell.memory_usage, cell.cpu_usage = used.get('memory', 1024), used.get('cpus', 1)
        cell.mempages[0].used = used.get('pages', 262144)
        cell.mempages.append(make.objects.NUMAPagesTopology(size_kb=2048, total=1024, used=3))
    return topology


def _plain(value):
    return audit.canon(json.loads(value._to_json()))


# name: cells, code of the refusal, its words
GUESTS = {
    'the image properties hw_numa_mem.0=-256 and hw_numa_mem.1=768': (
        [{'cpuset': {0, 1}, 'memory': -256}, {'cpuset': {2, 3}, 'memory': 768}],
        'memory.invalid',
        'the memory of guest cell 0 is -256 MiB: expected at least 1',
    ),
    'the image properties hw_numa_mem.0=3 and hw_numa_mem.1=-1, on pages of 2 MiB': (
        [{'memory': 3, 'pagesize': 2048}, {'cpuset': {1}, 'memory': -1, 'pagesize': 2048}],
        'memory.invalid',
        'the memory of guest cell 1 is -1 MiB: expected at least 1',
    ),
    'no memory': ([{'memory': 0}], 'memory.invalid', 'the memory of guest cell 0 is 0 MiB: expected at least 1'),
    'memory of minus a huge number, pinned': (
        [{'cpuset': set(), 'pcpuset': {0}, 'memory': -HUGE, 'cpu_policy': 'dedicated'}],
        'memory.invalid',
        'the memory of guest cell 0 is -1e+250 MiB: expected at least 1',
    ),
    'a huge memory': (
        [{'memory': HUGE}],
        'memory.total',
        'guest cell 0 needs 1e+250 MiB of memory: host cell 0 has 8192 (1e+250 short), host cell 1 has 8192 (1e+250 '
        'short)',
    ),
    'the extra spec hw:mem_page_size=-2MB': (
        [{'pagesize': -2048}],
        'pages.invalid',
        'the page size of guest cell 0 is -2048 KiB: expected at least 1, or small, large or any',
    ),
    'a page size next to those that stand for a choice': (
        [{'pagesize': -4}],
        'pages.invalid',
        'the page size of guest cell 0 is -4 KiB: expected at least 1, or small, large or any',
    ),
    'a huge page size': (
        [{'pagesize': HUGE}],
        'memory.multiple',
        'guest cell 0 needs memory in whole pages, and has 524288 KiB: on host cell 0 a page would be 1e+250 KiB',
    ),
    'a guest cell without vCPUs': (
        [{'cpuset': set()}, {'cpuset': {0, 1, 2, 3}}],
        'cpus.invalid',
        'the number of vCPUs of guest cell 0 is 0: expected at least 1',
    ),
    'a pinned guest cell without vCPUs': (
        [{'cpuset': set(), 'cpu_policy': 'dedicated', 'cpu_thread_policy': 'isolate'}],
        'cpus.invalid',
        'the number of vCPUs of guest cell 0 is 0: expected at least 1',
    ),
    'a vCPU of a number that no list may hold': (
        [{'cpuset': {70000}}],
        'guest.topology.unreadable',
        "the field 'cpuset'",
    ),
}


@pytest.mark.parametrize(('cells', '_code', 'words'), GUESTS.values(), ids=GUESTS)
def test_the_claim_is_refused_and_the_log_says_why(services, make, log, cells, _code, words):
    found = services.hardware.numa_fit_instance_to_host(_host(make), _guest(make.objects, *cells), {})
    assert found is None
    assert len(log.messages) == 1
    assert words in log.messages[0]


@pytest.mark.parametrize('name', GUESTS)
def test_the_filter_refuses_and_one_line_says_why(services, make, log, name):
    cells, code, words = GUESTS[name]
    request = make.request(1)
    request.numa_topology = _guest(make.objects, *cells)
    hosts = [make.host(name, _host(make)) for name in ('cn-1', 'cn-2')]
    ours = services.ours.NUMATopologyFilter()
    assert [] == ours.filter_all(hosts, request)
    (line,) = log.messages
    assert line.startswith(f'NUMA topology fits 0 of 2 hosts: 2 {code}; least short: cn-1, ')
    refusal = ours.host_passes(make.host('cn-3', _host(make)), request)
    assert code in [reason.code for reason in refusal.reasons]
    assert words in '; '.join(explain.lines(refusal))


@pytest.mark.parametrize('free', [False, True])
@pytest.mark.parametrize('cells', [guest[0] for guest in GUESTS.values()], ids=GUESTS)
def test_one_that_runs_is_counted_as_nova_counts_it(services, make, cells, free):
    guest = _guest(make.objects, *cells)
    counted = services.hardware.numa_usage_from_instance_numa(_host(make), guest, free)
    theirs = services.own_usage(_host(make), guest, free)
    assert counters(theirs) == counters(counted)


def test_a_guest_below_zero_does_not_end_the_audit_of_its_node(services, make):
    """It is on a host that is empty without it, and another guest is counted after it."""
    strange = _guest(make.objects, {'cpuset': {0, 1}, 'memory': -256}, {'cpuset': {2, 3}, 'memory': 768})
    other = _guest(make.objects, {'cpuset': {0}, 'memory': 1024})
    topology = _host(make, memory=0, cpus=0, pages=0)
    for guest in (strange, other):
        topology = services.hardware.numa_usage_from_instance_numa(topology, guest)
    assert [(cell.memory_usage, cell.cpu_usage, cell.mempages[0].used) for cell in topology.cells] == [
        (1024, 3, 262144),
        (768, 2, 196608),
    ]


def test_guest_cells_on_one_host_cell_are_added_up_before_the_sum_counts_as_zero(services, make):
    guest = _guest(make.objects, {'id': 1, 'memory': -2048}, {'id': 1, 'cpuset': {1}, 'memory': 1536})
    for free in (False, True):
        counted = services.hardware.numa_usage_from_instance_numa(_host(make), guest, free)
        assert counters(services.own_usage(_host(make), guest, free)) == counters(counted)
    assert counted.cells[1].memory_usage == 1536


def test_pinned_vcpus_that_stand_among_the_shared_are_counted_where_nova_counts_them(services, make):
    """As rows have it that were stored half migrated: `cpuset` with policy dedicated."""
    guest = _guest(make.objects, {'cpuset': {0, 1}, 'cpu_policy': 'dedicated', 'cpu_pinning_raw': {'0': 1, '1': 2}})
    counted = services.hardware.numa_usage_from_instance_numa(_host(make), guest)
    assert counters(services.own_usage(_host(make), guest)) == counters(counted)
    assert (counted.cells[0].cpu_usage, counted.cells[0].pinned_cpus) == (3, {1, 2})


def test_a_page_size_of_0_is_none_as_in_nova(services, make):
    guest = _guest(make.objects, {'pagesize': 0})
    placed = services.hardware.numa_fit_instance_to_host(_host(make), guest, {})
    theirs = services.own_fit(_host(make), guest.obj_clone(), {})
    assert [cell.id for cell in theirs.cells] == [cell.id for cell in placed.cells]
    counted = services.hardware.numa_usage_from_instance_numa(_host(make), guest)
    assert counters(services.own_usage(_host(make), guest)) == counters(counted)


def test_a_fault_is_a_warning_once_and_what_it_comes_from_is_for_debugging(services, make, log):
    log.set_level(logging.DEBUG, 'numaplace.nova.faults')
    guest = _guest(make.objects, {'cpuset': {70000}})
    for _host_number in range(3):
        assert services.hardware.numa_fit_instance_to_host(_host(make), guest, {}) is None
    levels = [record.levelname for record in log.records]
    assert levels == ['WARNING', 'DEBUG', 'DEBUG', 'DEBUG']
    assert [bool(record.exc_info) for record in log.records] == [False, True, True, True]
    assert log.messages[0] == (
        "numaplace cannot fit a NUMA topology: InvalidObject: InstanceNUMACell: the field 'cpuset' is "
        'CoercedSet({70000}); expected a list of CPU numbers up to 65535; it counts as one that does not fit'
    )


def test_the_consumption_of_the_scheduler_leaves_the_host_as_it_is(services, make):
    asked = _guest(make.objects, {'memory': -256}, {'cpuset': {1}, 'memory': 768})
    request = make.request(1, requested_resources=[])
    request.numa_topology = asked
    state = make.host('cn-1', _host(make))
    before = _plain(state.numa_topology)
    state._locked_consume_from_request(request)
    assert before == _plain(state.numa_topology)
    assert request.numa_topology is asked


def test_shadow_mode_disagrees_and_has_no_fault(services, make):
    """Nova fits and counts the guest; that numaplace would not is a disagreement, that it counts as Nova is none."""
    from numaplace.nova import shadow  # noqa: PLC0415

    faults, before = shadow.TALLY.faults.copy(), shadow.TALLY.disagreements.copy()
    for cells, _code, _words in GUESTS.values():
        guest = _guest(make.objects, *cells)
        asked = _host(make), guest, {}
        found = shadow.fitting(services.own_fit)(*asked)
        assert bool(found) == bool(services.own_fit(*asked))
        if guest.cells[0].memory < HUGE:  # of that many pages Nova's count is that of a float
            shadow.counting(services.own_usage)(_host(make), guest)
    told = shadow.TALLY.disagreements - before
    assert shadow.TALLY.faults - faults == {('claim', 'InvalidObject'): 1, ('usage', 'InvalidObject'): 1}
    assert set(told) == {('claim', 'nova-fits')}


# --- whatever it is ----------------------------------------------------------------------


WRONG = [None, 5, -1, float('nan'), float('inf'), '', 'cells', b'\0', [], [None], {}, {'cells': 5}, object(), True]


def _name(value):
    """Return a name that each worker gives: an object of no other class has its address in its own."""
    return 'object()' if type(value) is object else repr(value)


@pytest.mark.parametrize('wrong', WRONG, ids=_name)
@pytest.mark.parametrize('place', range(6))
def test_no_wrong_type_raises_from_the_fit(services, make, log, wrong, place):
    asked = [_host(make), _guest(make.objects, {}), {}, None, None, None]
    asked[place] = wrong
    found = services.hardware.numa_fit_instance_to_host(*asked)
    assert found is None or isinstance(found, make.objects.InstanceNUMATopology)


@pytest.mark.parametrize('wrong', WRONG, ids=_name)
@pytest.mark.parametrize('place', range(2))
def test_of_a_wrong_type_the_usage_raises_what_novas_own_raises(services, make, log, wrong, place):
    answers = []
    for usage in (services.own_usage, services.hardware.numa_usage_from_instance_numa):
        asked = [_host(make), _guest(make.objects, {})]
        asked[place] = wrong
        try:
            answers.append(_answer(usage(*asked)))
        except Exception as error:  # noqa: BLE001 - compared
            answers.append(type(error))
    assert answers[0] == answers[1]


def _answer(found):
    return counters(found) if hasattr(found, 'cells') else repr(found)


RATIOS = [float('nan'), float('inf'), -1.0, 0.0, 1e308]


@pytest.mark.parametrize('ratio', RATIOS)
def test_limits_that_are_no_number_decide_as_in_nova(services, make, ratio):
    limits = make.objects.NUMATopologyLimits(cpu_allocation_ratio=ratio, ram_allocation_ratio=ratio)
    found = services.hardware.numa_fit_instance_to_host(_host(make), _guest(make.objects, {}), {}, limits)
    theirs = services.own_fit(_host(make), _guest(make.objects, {}), {}, limits)
    assert bool(theirs) == bool(found)


def test_limits_without_their_numbers_do_not_fit(services, make, log):
    limits = make.objects.NUMATopologyLimits()
    assert services.hardware.numa_fit_instance_to_host(_host(make), _guest(make.objects, {}), {}, limits) is None
    assert 'cpu_allocation_ratio' in log.text


def test_a_fault_beyond_reading_is_a_refusal_of_the_filter(services, make, log):
    state = make.host('cn-1', _host(make))
    state.pci_stats = 5
    request = make.request(2, requests=[make.wish('11111111-1111-4111-8111-111111111111')])
    ours = services.ours.NUMATopologyFilter()
    assert [] == ours.filter_all([state], request)
    warnings = log.messages
    assert warnings[0].startswith('numaplace cannot judge a host: AttributeError: ')
    assert (
        'NUMA topology fits 0 of 1 host: 1 fault; least short: cn-1, numaplace could not judge the host' in warnings[1]
    )


def _row(objects, make, **changes):
    data = json.loads(_host(make)._to_json())
    data['nova_object.data']['cells'][0]['nova_object.data'] |= changes
    return data


# name: what is changed in the row of a host
ROWS = {
    'memory that is not a number': {'memory': float('nan')},
    'memory without end': {'memory': float('inf')},
    'CPUs that are none': {'pcpuset': [10**12]},
    'CPUs below zero': {'pcpuset': [-1]},
    'pages that are none': {'mempages': 5},
    'cores that are none': {'siblings': {'0': 1}},
}


@pytest.mark.parametrize('changes', ROWS.values(), ids=ROWS)
def test_a_host_whose_row_is_broken_is_refused_and_raises_nothing(services, make, log, changes):
    state = make.host('cn-1', json.dumps(_row(make.objects, make, **changes)))
    ours = services.ours.NUMATopologyFilter()
    assert [] == ours.filter_all([state], make.request(2))
    found = services.hardware.numa_fit_instance_to_host(state.numa_topology, _guest(make.objects, {}), {})
    assert found is None or isinstance(found, make.objects.InstanceNUMATopology)  # where Nova mends what it reads


@pytest.mark.parametrize('version', ['1.²', '1.٣', '2.0', '', None, 5, '1.99'])
def test_a_host_of_a_strange_version_is_refused_and_raises_nothing(services, make, log, version):
    data = _row(make.objects, make)
    data['nova_object.version'] = version
    state = make.host('cn-1', json.dumps(data))
    assert [] == services.ours.NUMATopologyFilter().filter_all([state], make.request(2))
    assert services.hardware.numa_fit_instance_to_host(state.numa_topology, _guest(make.objects, {}), {}) is None


# --- random guests -------------------------------------------------------------------------


_AMOUNTS = st.one_of(st.integers(-4096, 4096), st.integers(-(2**49), 2**49), st.sampled_from([0, -1, -256, 512]))
_CELLS = st.fixed_dictionaries(
    {
        'id': st.integers(-1, 3),
        'cpuset': st.sets(st.integers(0, 7), max_size=4),
        'pcpuset': st.sets(st.integers(0, 7), max_size=4),
        'memory': _AMOUNTS,
        'pagesize': st.one_of(st.none(), st.sampled_from([4, 2048, 1048576]), st.integers(-5000, 5000)),
        'cpu_policy': st.sampled_from([None, 'shared', 'dedicated', 'mixed']),
        'cpu_thread_policy': st.sampled_from([None, 'prefer', 'isolate', 'require']),
        'cpu_pinning_raw': st.dictionaries(st.integers(-1, 7).map(str), st.integers(-2, 9), max_size=3),
        'cpuset_reserved': st.one_of(st.none(), st.sets(st.integers(0, 9), max_size=2)),
    }
)
_POLICIES = st.sampled_from([None, 'share', 'isolate'])


def _outcome(usage, host, guest, free):
    try:
        return counters(usage(host, guest, free))
    except Exception as error:  # noqa: BLE001 - compared
        return type(error), {name: sorted(cpus) for name, cpus in error.kwargs.items() if name != 'code'}


@hypothesis.settings(
    max_examples=400, deadline=None, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
)
@hypothesis.given(st.lists(_CELLS, min_size=1, max_size=3), _POLICIES, st.booleans(), st.integers(-5, 2000))
def test_any_guest_is_counted_as_nova_counts_it_and_fits_without_an_exception(  # noqa: PLR0917 - as it is drawn
    services, make, cells, emulator, free, used
):
    guest = _guest(make.objects, *cells, emulator_threads_policy=emulator)
    hosts = [_host(make, memory=used, pages=abs(used)) for _side in range(2)]
    theirs = _outcome(services.own_usage, hosts[0], guest, free)
    assert theirs == _outcome(services.hardware.numa_usage_from_instance_numa, hosts[1], guest, free)
    before = _plain(guest)
    found = services.hardware.numa_fit_instance_to_host(hosts[1], guest, {})
    assert found is None or isinstance(found, make.objects.InstanceNUMATopology)
    assert before == _plain(guest)
    if any(cell['memory'] <= 0 or not cell['cpuset'] | cell['pcpuset'] for cell in cells):
        assert found is None
