# SPDX-License-Identifier: Apache-2.0
"""Shadow mode beside a real Nova: Nova's answers stand as they are, and what numaplace would not have said is told."""

import contextlib
import importlib
import json
import logging
import os
import re
import types
import uuid
from concurrent import futures
from pathlib import Path

import pytest

from numaplace import conf, exception, model, wire
from numaplace.tests import audit, nova_requests
from numaplace.tests.nova import made
from numaplace.tests.property import cases

pytestmark = pytest.mark.filterwarnings('ignore')  # Nova and what it imports warn of their own deprecations

#: Cases of every kind, faults of Nova's among them.
SEEDS = range(34600000, 34601000)

#: Kinds of findings of the tests' own audit that say the same as the audit of shadow mode.
FAULTS = {
    'host cell used twice',
    'vCPUs not all pinned',
    'pCPU used twice',
    'pinned outside host cell',
    'pinned to a taken pCPU',
    'reserved pCPU not free in host cell',
    'emulator reserve wrong',
    'page size left unresolved',
    'page size not on host cell',
    'pages overcommitted',
}


@pytest.fixture(scope='module')
def nova():
    """Nova's modules with numaplace in shadow mode, and Nova's own functions apart; put back afterwards."""
    names = ('conf', 'objects', 'scheduler.filters', 'scheduler.host_manager', 'virt.hardware')
    found = {name.rpartition('.')[2]: importlib.import_module(f'nova.{name}') for name in names}
    theirs = importlib.import_module('nova.scheduler.filters.numa_topology_filter').NUMATopologyFilter
    replaced = [
        (found['hardware'], 'numa_fit_instance_to_host'),
        (found['hardware'], 'numa_usage_from_instance_numa'),
        (found['host_manager'].HostState, '_locked_consume_from_request'),
        (found['objects'].NUMATopology, 'obj_from_db_obj'),
    ]
    originals = [(owner, name, getattr(owner, name)) for owner, name in replaced]
    engine = importlib.import_module('numaplace.nova.engine')
    ours = importlib.import_module('numaplace.nova.filter')
    with pytest.MonkeyPatch.context() as patch:
        for owner, name, original in originals:
            setattr(owner, name, original)  # where the import of the filter was the first
        conf.mode(found['conf'].CONF)
        found['conf'].CONF.set_override('mode', 'shadow', group='numaplace')
        patch.setattr(ours, '_MODE', engine.install())
        found['conf'].CONF.clear_override('mode', group='numaplace')
        yield types.SimpleNamespace(
            **found,
            ours=ours,
            shadow=importlib.import_module('numaplace.nova.shadow'),
            tally=importlib.import_module('numaplace.nova.shadow_report'),
            soundness=importlib.import_module('numaplace.nova.placement_audit'),
            theirs={name: original for _owner, name, original in originals} | {'filter': theirs},
            replaced=replaced[:3],
        )
    for owner, name, original in originals:
        setattr(owner, name, original)


@pytest.fixture
def make(nova):
    """Builders of Nova's objects."""
    return made.Make(nova)


@pytest.fixture
def alone(nova, monkeypatch):
    """A block in which Nova has its own functions."""

    @contextlib.contextmanager
    def block():
        with monkeypatch.context() as patch:
            for owner, name in nova.replaced:
                patch.setattr(owner, name, nova.theirs[name])
            yield

    return block


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def counts(nova, clock, monkeypatch):
    """The tally of the process, empty."""
    fresh = nova.tally.Tally(clock)
    monkeypatch.setattr(nova.shadow, 'TALLY', fresh)
    return fresh


@pytest.fixture
def told(caplog):
    """The lines that were logged, without the prefix that Nova puts before them."""
    caplog.set_level(logging.INFO, 'numaplace')

    def lines(word, level=logging.INFO):
        found = [
            re.sub(r'^\[instance: .*?\] ', '', each.getMessage()) for each in caplog.records if each.levelno >= level
        ]
        return [line for line in found if line.startswith(f'numaplace shadow: {word}')]

    return lines


def _plain(value):
    return value and audit.canon(wire.loads(wire.dumps(value.obj_to_primitive())))


def _outcome(function, *args):
    """Return what a function of Nova's says, and what it leaves of its arguments; all of it can be compared."""
    try:
        answer = _plain(function(*args))
    except Exception as error:  # noqa: BLE001 - whatever it raises is its answer
        answer = type(error), str(error)
    return answer, [_plain(each) if hasattr(each, 'obj_to_primitive') else each for each in args]


# --- Nova's answers stand -------------------------------------------------------------------


def _asked(theirs, seed):
    """Return host, guest and limits of Nova's for a case; each call makes new ones."""
    host, guest, limits, networks = cases.build(cases.draw(seed))
    if networks and limits is None:
        limits = model.Limits(16.0, 1.5)  # Nova's networks come with ratios
    written = nova_requests.write_limits(limits, networks) if limits else None
    return (
        theirs.read_host(wire.write_host(host)),
        theirs.read_guest(nova_requests.write_guest(guest)),
        theirs.read_limits(written),
    )


def _fit_and_count(functions, theirs, seed):
    """Return all that Nova's two functions say of a case, and what they leave behind."""
    fit, usage = functions
    host, guest, limits = _asked(theirs, seed)
    said = [_outcome(fit, host, guest, {}, limits)]
    for free in (False, True):
        # The guest as the fit left it: placed, or not quite.
        said.append(_outcome(usage, host, guest, free))
    return said


def test_every_answer_of_novas_functions_stands_and_nothing_of_ours_fails(theirs, nova, counts, told):
    """With the same marks left in host and guest, and the same exceptions."""
    names = ('numa_fit_instance_to_host', 'numa_usage_from_instance_numa')
    for seed in SEEDS:
        alone = _fit_and_count([nova.theirs[name] for name in names], theirs, seed)
        beside = _fit_and_count([getattr(nova.hardware, name) for name in names], theirs, seed)
        assert alone == beside, seed
    assert not counts.faults, counts.summary()
    assert 3 * len(SEEDS) == counts.decisions
    kinds = {('claim', kind) for kind in ('nova-fits', 'nova-refuses', 'nova-raises', 'nova-unsound')}
    assert kinds <= set(counts.disagreements), counts.summary()
    assert len(told('disagreement (claim')) > 20


def test_a_placement_of_novas_is_called_unsound_where_the_audit_says_so(theirs, nova):
    """Nova's own answers for the cases, judged by an audit that shares no code with ours."""
    found = 0
    for seed in SEEDS:
        host, guest, limits = _asked(theirs, seed)
        plain = [_plain(each) for each in (host, guest, limits)]
        before = wire.read_host(host), wire.read_guest(guest)
        try:
            placed = nova.theirs['numa_fit_instance_to_host'](host, guest, {}, limits)
        except ValueError:  # the host names no cores
            continue
        if placed is not None:
            expected = FAULTS & set(audit.audit(*plain, _plain(placed)))
            said = nova.soundness.faults(*before, wire.read_placement(placed, before[0]))
            assert bool(expected) == bool(said), (seed, expected, said)
            found += bool(said)
    assert found


# --- the filter -----------------------------------------------------------------------------


def _left(filter_class, nova, hosts, request):
    """Return what is left of hosts by a filter, and what it has done to them."""
    handler = nova.filters.HostFilterHandler()
    left = handler.get_filtered_objects([filter_class()], hosts, request)
    return (
        [host.host for host in left],
        [host.allocation_candidates for host in hosts],
        [_plain(host.limits.get('numa_topology')) for host in hosts],
        [_plain(host.numa_topology) for host in hosts],
        request.obj_to_primitive(),
    )


REQUESTS = {
    'one cell': (2,),
    'equal cells': (2, 2),
    'unequal cells': (1, 2),
    'more than a host cell has': (1, 1, 6),
    'no topology': (),
}


@pytest.mark.parametrize('vcpus', REQUESTS.values(), ids=REQUESTS)
def test_the_filter_decides_and_leaves_behind_what_novas_does(nova, make, counts, alone, vcpus):
    def hosts():
        free = [(4, 4, 4), (0, 2, 1), (1, 1, 1), (0, 0, 0), (2, 1, 0), (3, 0, 0)]
        return [
            *(make.host(f'cn-{number}', make.free(*each)) for number, each in enumerate(free)),
            make.host('bare', None),
            make.host('none', make.free(4, 4, 4), ()),
        ]

    with alone():
        expected = _left(nova.theirs['filter'], nova, hosts(), make.request(*vcpus))
    assert expected == _left(nova.ours.NUMATopologyFilter, nova, hosts(), make.request(*vcpus))
    assert (8 if vcpus else 0, {}) == (counts.decisions, dict(counts.faults))


def test_a_guest_that_nova_places_on_nothing_goes_through_and_is_told(nova, make, counts, told):
    """Three host cells of 4 CPUs, a guest of 1, 1 and 6 dedicated vCPUs."""
    assert ['cn-1'] == _left(
        nova.ours.NUMATopologyFilter, nova, [make.host('cn-1', make.free(4, 4, 4))], make.request(1, 1, 6)
    )[0]
    assert [
        'numaplace shadow: disagreement (filter, nova-fits) on cn-1: Nova fits on host cells 1, 2, 0, numaplace '
        'refuses: guest cell 2 needs 6 dedicated CPUs: host cell 0 has 4 (2 short), host cell 1 has 4 (2 short), host '
        'cell 2 has 4 (2 short); in the placement of Nova guest cell 2: vCPUs 2-7 are pinned to nothing'
    ] == told('disagreement', logging.WARNING)


def test_a_guest_that_nova_refuses_where_it_fits_stays_refused_and_is_told(nova, make, counts, told):
    """Free CPUs 0, 2 and 1, a guest of 1 and 2 dedicated vCPUs."""
    assert (
        [] == _left(nova.ours.NUMATopologyFilter, nova, [make.host('cn-1', make.free(0, 2, 1))], make.request(1, 2))[0]
    )
    assert [
        'numaplace shadow: disagreement (filter, nova-refuses) on cn-1: Nova refuses, numaplace fits on host cells 2, 1'
    ] == told('disagreement', logging.WARNING)


def _formatted(record):
    """Return a line of the log as Nova's configuration has it."""
    log = importlib.import_module('oslo_log.log')
    options = importlib.import_module('oslo_config.cfg').ConfigOpts()
    log.register_options(options)
    options([], 'nova', default_config_files=[])
    return importlib.import_module('oslo_log.formatters').ContextFormatter(config=options).format(record)


def test_the_lines_bear_the_instance_and_names_are_made_safe(nova, make, counts, caplog):
    caplog.set_level(logging.INFO, 'numaplace')
    _left(nova.ours.NUMATopologyFilter, nova, [make.host('cn-\x1b[2J', make.free(0, 2, 1))], make.request(1, 2))
    (line,) = [_formatted(each) for each in caplog.records if 'shadow: disagreement (' in each.getMessage()]
    assert f'[instance: {made.INSTANCE}] numaplace shadow: ' in line
    assert 'on cn-\\x1b[2J: ' in line
    assert '\n' not in line


def test_without_a_disagreement_nothing_is_told_but_the_counts(nova, make, counts, told):
    hosts = [make.host('cn-1', make.free(4, 4)), make.host('cn-2', make.free(1, 1))]
    assert ['cn-1'] == _left(nova.ours.NUMATopologyFilter, nova, hosts, make.request(2))[0]
    assert [] == told('', logging.WARNING)
    assert ['numaplace shadow: 1 decision; 0 disagreements; 0 faults of numaplace'] == told('')
    assert 'numaplace shadow: 2 decisions; 0 disagreements; 0 faults of numaplace' == counts.summary()


def test_candidates_that_only_one_of_the_two_keeps_are_told(nova, make, counts, told, monkeypatch):
    """None do unless numaplace errs, which it is made to."""
    pools = make.objects.PciDevicePoolList(objects=[make.device(0, 'far'), make.device(1, 'near')])
    candidates = [{'mappings': {'wish-0': [name]}} for name in ('near', 'far', 'near')]
    host = make.host('cn-1', make.free(1, 4), candidates, pools)
    request = make.request(2, requests=[make.wish('wish')])
    assert [candidates[0], candidates[2]] == _left(nova.ours.NUMATopologyFilter, nova, [host], request)[1][0]
    assert [] == told('disagreement')
    monkeypatch.setattr(nova.ours, '_mapping', lambda _candidate: 'all the same')
    host = make.host('cn-1', make.free(1, 4), candidates, pools)
    assert [candidates[0], candidates[2]] == _left(nova.ours.NUMATopologyFilter, nova, [host], request)[1][0]
    (line,) = told('disagreement')
    assert line.startswith(
        'numaplace shadow: disagreement (filter, candidates) on cn-1: Nova fits on host cell 1, numaplace'
    )
    assert line.endswith('; Nova keeps 2 allocation candidates, numaplace 3')


def test_an_exception_of_novas_reaches_nova_and_is_told(nova, make, counts, told, alone):
    def host():
        topology = make.free(4)
        topology.cells[0].siblings = []
        return make.host('cn-1', topology)

    with alone(), pytest.raises(ValueError, match='max') as expected:
        _left(nova.theirs['filter'], nova, [host()], make.request(2))
    with pytest.raises(ValueError, match='max') as raised:
        _left(nova.ours.NUMATopologyFilter, nova, [host()], make.request(2))
    assert str(expected.value) == str(raised.value)
    (line,) = told('disagreement')
    assert re.fullmatch(
        r'numaplace shadow: disagreement \(filter, nova-raises\) on cn-1: Nova raises ValueError \(max\(\).*\), '
        'numaplace fits on host cell 0',
        line,
    )


def test_threads_share_the_filter_and_keep_their_hosts_apart(nova, make, counts, told):
    """Each request has an instance of its own, and hosts that only Nova refuses."""

    def work(number):
        request = make.request(1, 2)
        request.instance_uuid = str(uuid.UUID(int=number))
        hosts = [make.host(f'cn-{number}-{host}', make.free(0, 2, 1)) for host in range(3)]
        return shared.filter_all(hosts, request)

    shared = nova.ours.NUMATopologyFilter()
    with futures.ThreadPoolExecutor(8) as pool:
        assert [[]] * 32 == list(pool.map(work, range(32)))
    assert (96, 96, 0) == (counts.decisions, counts.disagreements.total(), counts.faults.total())
    named = [re.search(r' on (cn-\d+-\d): ', line)[1] for line in told('disagreement')]
    assert sorted(f'cn-{number}-{host}' for number in range(32) for host in range(3)) == sorted(named)


def test_the_devices_of_a_host_are_left_as_they_are(nova, make, counts, alone):
    def left(filter_class):
        pools = make.objects.PciDevicePoolList(objects=[make.device(0, 'far'), make.device(1, 'near')])
        candidates = [{'mappings': {'wish-0': [name]}} for name in ('near', 'far')]
        host = make.host('cn-1', make.free(1, 4), candidates, pools)
        before = json.dumps(host.pci_stats.pools, default=str)
        found = _left(filter_class, nova, [host], make.request(2, requests=[make.wish('wish')]))
        assert before == json.dumps(host.pci_stats.pools, default=str)
        return found

    with alone():
        expected = left(nova.theirs['filter'])
    assert expected == left(nova.ours.NUMATopologyFilter)
    assert (1, 0) == (counts.decisions, counts.disagreements.total())


# --- what the scheduler consumes, and what a compute node counts -----------------------------


def test_what_the_scheduler_consumes_is_novas_and_known_by_host_and_instance(nova, make, counts, caplog, alone):
    caplog.set_level(logging.INFO, 'numaplace')

    def consumed(consume):
        host, request = make.host('cn-1', make.free(0, 2, 1)), make.request(1, 2)
        consume(host, request)
        return _plain(host.numa_topology), _plain(request.numa_topology)

    with alone():
        expected = consumed(nova.theirs['_locked_consume_from_request'])
    assert expected == consumed(nova.host_manager.HostState._locked_consume_from_request)
    assert expected[1] is None  # as Nova leaves it for the next guest of the request
    assert {('consume', 'nova-refuses'): 1} == dict(counts.disagreements)
    (line,) = [_formatted(each) for each in caplog.records if '(consume, ' in each.getMessage()]
    assert f'[instance: {made.INSTANCE}] numaplace shadow: ' in line
    assert ' on cn-1: ' in line


def _guest(make, *cpus):
    cell = make.objects.InstanceNUMACell(
        id=0,
        cpuset=set(),
        pcpuset=set(range(len(cpus))),
        memory=256,
        pagesize=None,
        cpu_policy='dedicated',
        cpu_thread_policy=None,
        cpu_pinning_raw={str(vcpu): cpu for vcpu, cpu in enumerate(cpus)},
        cpuset_reserved=set(),
    )
    return make.objects.InstanceNUMATopology(cells=[cell], instance_uuid=made.INSTANCE)


def test_usage_that_both_refuse_is_no_disagreement(nova, make, counts, told):
    host = make.free(1)
    with pytest.raises(nova.hardware.exception.CPUPinningInvalid, match='CPU set to pin'):
        nova.hardware.numa_usage_from_instance_numa(host, _guest(make, 0, 1))
    assert (1, 0, []) == (counts.decisions, counts.disagreements.total(), told('disagreement'))


def test_usage_that_only_nova_cannot_count_is_told_once_whatever_the_audits(nova, make, counts, told):
    """A host cell that names no pages, in the audit of each minute."""
    nova.conf.CONF.set_override('host', 'cn-7')
    try:
        for _minute in range(5):
            host = make.free(4)
            host.cells[0].mempages = []
            with pytest.raises(IndexError, match='list index out of range'):
                nova.hardware.numa_usage_from_instance_numa(host, _guest(make, 0, 1))
    finally:
        nova.conf.CONF.clear_override('host')
    assert {('usage', 'nova-raises'): 5} == dict(counts.disagreements)
    assert [
        'numaplace shadow: disagreement (usage, nova-raises) on cn-7: Nova raises IndexError (list index out of '
        'range), numaplace counts it'
    ] == told('disagreement')


def test_usage_that_the_two_count_otherwise_is_told_by_host_cell(nova, make, counts, told):
    """Under thread policy isolate, Nova takes no CPU whose siblings the host does not name."""
    host = make.free(4, 4)
    host.cells[0].siblings = [set()]
    guest = _guest(make, 0)
    guest.cells[0].cpu_thread_policy = 'isolate'
    counted = nova.hardware.numa_usage_from_instance_numa(host, guest)
    assert set() == counted.cells[0].pinned_cpus
    (line,) = told('disagreement')
    assert '(usage, nova-counts)' in line
    assert 'Nova counts in host cell 0 CPUs none, 0 shared vCPUs, 256 MiB, 65536 of 4K, numaplace ' in line
    assert 'numaplace counts in host cell 0 CPUs 0, 0 shared' in line


@pytest.mark.parametrize('missing', [0, 1])
def test_without_a_topology_there_is_nothing_to_compare(nova, make, counts, missing):
    values = [make.free(4), _guest(make, 0)]
    values[missing] = None
    assert nova.hardware.numa_fit_instance_to_host(*values, provider_mapping=None) is None
    assert nova.hardware.numa_usage_from_instance_numa(*values) is values[0]
    assert 0 == counts.decisions


# --- faults of ours --------------------------------------------------------------------------


class OwnFault(Exception):
    """What numaplace must not let out."""


def _break(nova, monkeypatch, *, late):
    def fail(*_args, **_kwargs):
        raise OwnFault('out of\nluck')

    if late:
        monkeypatch.setattr(nova.shadow, '_compare', fail)
        monkeypatch.setattr(nova.shadow, '_compare_error', fail)
        monkeypatch.setattr(nova.shadow, '_compare_counts', fail)
        monkeypatch.setattr(nova.shadow, '_note', fail)
    else:
        monkeypatch.setattr(nova.shadow.convert, 'read_host', fail)
        monkeypatch.setattr(nova.shadow, '_case', fail)
        monkeypatch.setattr(nova.shadow, '_watch', fail)


@pytest.mark.parametrize('late', [False, True])
def test_a_fault_of_ours_never_reaches_nova(  # noqa: PLR0917 - fixtures
    theirs, nova, make, counts, told, monkeypatch, late
):
    """Whether it is in our answer or in the comparison; it is told once a kind, and counted."""
    names = ('numa_fit_instance_to_host', 'numa_usage_from_instance_numa')
    seeds = SEEDS[:40]
    alone = [_fit_and_count([nova.theirs[name] for name in names], theirs, seed) for seed in seeds]
    _break(nova, monkeypatch, late=late)
    assert alone == [_fit_and_count([getattr(nova.hardware, name) for name in names], theirs, seed) for seed in seeds]
    hosts = [make.host(f'cn-{number}', make.free(0, 2, 1)) for number in range(4)]
    assert [] == _left(nova.ours.NUMATopologyFilter, nova, hosts, make.request(1, 2))[0]
    nova.host_manager.HostState._locked_consume_from_request(hosts[0], make.request(2))
    assert 0 == counts.decisions
    assert len(seeds) <= counts.faults['claim', 'OwnFault']
    assert 2 * len(seeds) <= counts.faults['usage', 'OwnFault']
    assert 4 <= counts.faults['filter', 'OwnFault']
    lines = told('fault')
    assert len(counts.faults) == len(lines) == len(set(lines))
    assert (
        'numaplace shadow: fault of numaplace (claim OwnFault), more of the kind are only counted: out of\\nluck'
    ) in lines
    assert f'{counts.faults.total()} faults of numaplace: claim OwnFault ' in counts.summary()


# --- the tally -------------------------------------------------------------------------------


def test_a_request_gets_so_many_lines_and_all_are_counted(nova, make, counts, told):
    hosts = [make.host(f'cn-{number}', make.free(0, 2, 1)) for number in range(25)]
    _left(nova.ours.NUMATopologyFilter, nova, hosts, make.request(1, 2))
    assert 10 == len(told('disagreement', logging.WARNING))
    assert {('filter', 'nova-refuses'): 25} == dict(counts.disagreements)
    hosts = [make.host('cn-1', make.free(0, 2, 1))]
    other = make.request(1, 2)
    other.instance_uuid = made.INSTANCE.replace('c', 'd')
    _left(nova.ours.NUMATopologyFilter, nova, hosts, other)
    assert 11 == len(told('disagreement', logging.WARNING))


def test_the_counts_are_told_once_a_minute_at_most(nova, make, counts, clock, told):
    for now in (0, 1, 59, 60, 61, 119, 200):
        clock.now = now
        _left(nova.ours.NUMATopologyFilter, nova, [make.host('cn-1', make.free(0, 2, 1))], make.request(1, 2))
    assert [
        f'numaplace shadow: {counted}: filter nova-refuses {counted[0]}; 0 faults of numaplace'
        for counted in ('1 decision; 1 disagreement', '4 decisions; 4 disagreements', '7 decisions; 7 disagreements')
    ] == [line for line in told('') if ' decision' in line]


def test_large_counts_can_be_read(nova):
    tally = nova.tally.Tally(lambda: 0.0)
    tally.decisions = 1203
    tally.disagreements['filter', 'nova-fits'] = 1002
    tally.decided(nova.tally.Case('claim', 'cn-1'), 'nova-unsound', 'x')
    assert (
        'numaplace shadow: 1,204 decisions; 1,003 disagreements: claim nova-unsound 1, filter nova-fits 1,002; '
        '0 faults of numaplace'
    ) == tally.summary()


def test_what_was_told_is_remembered_of_so_many_cases(nova, told):
    tally = nova.tally.Tally()
    for number in range(3000):
        tally.decided(nova.tally.Case('usage', 'cn-1'), 'nova-raises', str(number))
    assert len(tally._told) <= 1024
    assert 3000 == tally.decisions == len(told('disagreement'))


# --- the operator's guide --------------------------------------------------------------------

GUIDE = Path(os.environ.get('NUMAPLACE_SOURCE', Path(__file__).parents[3])) / 'doc' / 'source' / 'nova.rst'


def test_the_guide_names_every_kind_and_every_place(nova):
    text, source = GUIDE.read_text('utf-8'), Path(nova.shadow.__file__).read_text('utf-8')
    kinds = set(re.findall(r"'(nova-[a-z]+|candidates)'", source))
    places = set(re.findall(r"(?:guard|Case|_watch|_case|_beside)\('([a-z]+)'", source))
    assert 6 == len(kinds)
    assert {'filter', 'consume', 'claim', 'usage'} == places
    assert [] == [name for name in sorted(kinds | places) if f'``{name}``' not in text]


def test_the_lines_of_the_guide_are_what_is_logged(nova, make, counts, told):
    for name, free, vcpus in (('cn-1', (4, 4, 4), (1, 1, 6)), ('cn-2', (0, 2, 1), (1, 2))):
        _left(nova.ours.NUMATopologyFilter, nova, [make.host(name, make.free(*free))], make.request(*vcpus))
    text = GUIDE.read_text('utf-8')
    lines = told('disagreement')
    assert [True, True] == [f'\n   {line}\n' in text for line in lines]


# --- at start --------------------------------------------------------------------------------


def test_installing_again_changes_nothing(nova):
    before = [getattr(owner, name) for owner, name in nova.replaced]
    importlib.import_module('numaplace.nova.engine').install()
    assert before == [getattr(owner, name) for owner, name in nova.replaced]


def test_an_unknown_nova_is_refused_in_shadow_mode_too(nova, monkeypatch):
    engine = importlib.import_module('numaplace.nova.engine')
    monkeypatch.setattr(nova.hardware, 'numa_fit_instance_to_host', lambda host_topology: None)
    with pytest.raises(exception.UnsupportedNova, match='numa_fit_instance_to_host'):
        engine.install()
