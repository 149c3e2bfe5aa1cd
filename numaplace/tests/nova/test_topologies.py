# SPDX-License-Identifier: Apache-2.0
"""Topologies that are parsed when they are read: what Nova's readers see, and what the filter reads without them."""

import copy
import json
import logging
import random
import threading
from concurrent import futures

import pytest

from numaplace import exception, wire

pytestmark = pytest.mark.filterwarnings('ignore')  # Nova and what it imports warn of their own deprecations


@pytest.fixture
def topologies(nova):
    """The module, with an empty memo before and after."""
    from numaplace.nova import topologies as module  # noqa: PLC0415

    memos = (module._remembered, module._recent)
    for memo in memos:
        memo.cache_clear()
    yield module
    for memo in memos:
        memo.cache_clear()


@pytest.fixture
def parses(nova, topologies, monkeypatch):
    """The texts that Nova has parsed into its objects."""
    seen = []
    parse = nova.objects.NUMATopology.obj_from_primitive.__func__

    def counted(cls, primitive, context=None):
        if primitive['nova_object.name'] == 'NUMATopology':
            seen.append(primitive)
        return parse(cls, primitive, context)

    monkeypatch.setattr(nova.objects.NUMATopology, 'obj_from_primitive', classmethod(counted))
    return seen


def _passed(nova, hosts, request):
    for host in hosts:
        host.allocation_candidates = [{'mappings': {}}]
    return [host.host for host in nova.ours.NUMATopologyFilter().filter_all(hosts, request)]


def _plain(topology):
    return json.loads(topology._to_json())


# --- what Nova's readers see ------------------------------------------------------------


def _text(make, *free):
    return make.free(*free or (4, 2))._to_json()


READS = {
    'cells': lambda topology: topology.cells[1].pinned_cpus,
    'threads': lambda topology: topology.has_threads,
    'version': lambda topology: topology.VERSION,
    'primitive': lambda topology: topology.obj_to_primitive(),
    'json': lambda topology: topology._to_json(),
    'clone': lambda topology: topology.obj_clone().obj_to_primitive(),
    'copy': lambda topology: copy.copy(topology).obj_to_primitive(),
    'deep copy': lambda topology: copy.deepcopy(topology).obj_to_primitive(),
    'text': repr,
    'changes': lambda topology: topology.obj_what_changed(),
    'fields': lambda topology: sorted(topology.fields),
    'is set': lambda topology: ('cells' in topology, topology.obj_attr_is_set('cells')),
    'name': lambda topology: topology.obj_name(),
    'context': lambda topology: topology.obj_context,
    'unknown': lambda topology: hasattr(topology, 'mempages'),
    'variables': lambda topology: sorted(vars(topology)),
}


@pytest.mark.parametrize('read', READS.values(), ids=READS)
def test_each_read_gives_what_it_gives_of_novas_own(nova, make, topologies, read):
    text = _text(make)
    host = wire.read_host(json.loads(text))
    parse = nova.objects.NUMATopology.obj_from_db_obj.__wrapped__
    convert = nova.ours.scheduler_request.convert
    pairs = [(make.read(text), parse(text)), (topologies.write(host), convert.write_host(host))]
    for deferred, made_at_once in pairs:
        assert isinstance(deferred, nova.objects.NUMATopology)
        assert read(deferred) == read(made_at_once)
        assert type(deferred) is nova.objects.NUMATopology


@pytest.mark.parametrize('count', [0, 1, 3])
def test_its_length_and_whether_it_is_true_parse_nothing(make, parses, count):
    topology = make.read(make.free(*[2] * count)._to_json())
    assert (bool(count), count) == (bool(topology), len(topology))
    assert [] == parses
    assert count == len(topology.cells) == len(topology)


def test_an_older_version_stays_what_it_is(nova, make):
    data = json.loads(_text(make))
    data['nova_object.version'] = '1.1'
    topology = nova.objects.NUMATopology.obj_from_db_obj(json.dumps(data))
    assert topology.obj_to_primitive()['nova_object.version'] == '1.1'


@pytest.mark.parametrize('turned', [False, True])
def test_it_equals_novas_own_from_both_sides(nova, make, turned):
    text = _changed(make, _no_networks)  # Nova's have no equals
    parse = nova.objects.NUMATopology.obj_from_db_obj.__wrapped__
    pair = [nova.objects.NUMATopology.obj_from_db_obj(text), parse(text)]
    left, right = reversed(pair) if turned else pair
    assert left == right
    assert left != parse(_text(make, 1, 2))


def test_a_write_is_kept_and_counts_as_a_change(nova, make):
    topology = nova.objects.NUMATopology.obj_from_db_obj(_text(make))
    topology.cells = topology.cells[:1]
    assert topology.obj_what_changed() == {'cells'}
    other = nova.objects.NUMATopology.obj_from_db_obj(_text(make))
    other.cells = []
    assert [1, 0] == [len(topology.cells), len(other.cells)]


def test_its_class_is_not_in_novas_registry(nova, topologies):
    known = nova.objects.base.NovaObjectRegistry.obj_classes()
    assert [nova.objects.NUMATopology] == known['NUMATopology'][:1]
    assert not [name for name, found in known.items() for cls in found if cls.__module__.startswith('numaplace')]


# --- what is parsed, and how often -------------------------------------------------------


def test_a_request_parses_nothing_into_novas_objects(nova, make, parses):
    hosts = [make.host(f'cn-{free}', make.free(free)) for free in range(5)]
    assert ['cn-2', 'cn-3', 'cn-4'] == _passed(nova, hosts, make.request(2))
    hosts[3].consume_from_request(make.request(2))
    assert ['cn-2', 'cn-4'] == _passed(nova, hosts, make.request(2))
    assert ['cn-1', 'cn-2', 'cn-3', 'cn-4'] == _passed(nova, hosts, make.request(1))
    assert [] == parses
    assert [3] == [len(cell.pinned_cpus) for cell in hosts[1].numa_topology.cells]
    assert 1 == len(parses)


@pytest.mark.parametrize(('lasting', 'memo', 'size'), [(True, '_remembered', 4096), (False, '_recent', 8)])
def test_equal_texts_are_read_once_and_the_memo_is_bounded(make, topologies, lasting, memo, size):
    text = _text(make)
    for _request in range(3):
        host = topologies.read(make.read(''.join(list(text))), lasting=lasting)
        assert host is topologies.read(make.read(text), lasting=lasting)
    assert 1 == getattr(topologies, memo).cache_info().misses
    for number in range(size + 10):
        topologies.read(make.read(text + ' ' * number), lasting=lasting)
    assert size == getattr(topologies, memo).cache_info().currsize


def test_claims_keep_nothing_but_the_last_texts(nova, make, topologies):
    """A compute node's topology changes with each guest, and nobody asks for the old one again."""
    for number in range(50):
        text = _text(make) + ' ' * number
        placed = nova.hardware.numa_fit_instance_to_host(make.read(text), make.request(1).numa_topology, None)
        nova.hardware.numa_usage_from_instance_numa(make.read(text), placed)
    assert (50, 8) == topologies._recent.cache_info()[1::2]
    assert 0 == topologies._remembered.cache_info().currsize


def test_what_is_counted_on_a_host_is_seen_by_the_filter_and_by_nova(nova, make, parses):
    host = make.host('cn-1', make.free(4, 4))
    for _guest in range(2):
        assert ['cn-1'] == _passed(nova, [host], make.request(2, 1))
        host.consume_from_request(make.request(2, 1))
    assert [] == parses
    assert [] == _passed(nova, [host], make.request(2, 1))
    assert 6 == sum(len(cell.pinned_cpus) for cell in host.numa_topology.cells)
    assert [] == _passed(nova, [host], make.request(2, 1))
    assert ['cn-1'] == _passed(nova, [host], make.request(2))


def test_what_a_reader_has_changed_is_seen_by_the_filter(nova, make):
    host = make.host('cn-1', make.free(4))
    host.numa_topology.cells[0].pin_cpus({0, 1, 2})
    assert [] == _passed(nova, [host], make.request(2))


# --- nothing is shared --------------------------------------------------------------------


def test_what_is_remembered_never_changes_whatever_requests_and_readers_do(nova, make, topologies):
    draw = random.Random(7)
    texts = [_text(make, *(draw.randrange(5) for _cell in range(3))) for _host in range(8)]
    remembered = [topologies._remembered(text) for text in texts]
    before = copy.deepcopy(remembered)
    for _turn in range(60):
        hosts = [make.host(f'cn-{number}', text) for number, text in enumerate(texts)]
        request = make.request(*(draw.randrange(1, 4) for _cell in range(draw.randrange(1, 4))))
        passed = nova.ours.NUMATopologyFilter().filter_all(hosts, request)
        for host in passed[:2]:
            host.consume_from_request(request)
        for host in draw.sample(hosts, 3):
            _spoil(draw.choice([host.numa_topology, host.pci_stats.numa_topology]))
        assert remembered == before
        assert all(topologies._remembered(text) is host for text, host in zip(texts, remembered, strict=True))
    assert [wire.read_host(json.loads(text)) for text in texts] == remembered


def _spoil(topology):
    """Change all that can be changed in a topology."""
    for cell in topology.cells:
        cell.memory += 1
        cell.pinned_cpus.add(99)
        cell.pcpuset.clear()
        cell.siblings[0].add(98)
        cell.mempages[0].used += 7
        cell.network_metadata.physnets.add('changed')
    del topology.cells[1:]


def test_readers_of_equal_texts_share_no_object(nova, make):
    text = _text(make)
    first, second = (make.host(name, text) for name in ('cn-1', 'cn-2'))
    before = _plain(second.numa_topology)
    _spoil(first.numa_topology)
    assert before == _plain(second.numa_topology) == _plain(make.read(text))


def test_a_host_before_and_after_a_guest_is_counted_shares_no_object(nova, make):
    host = make.host('cn-1', make.free(4, 4))
    old = host.numa_topology
    host.consume_from_request(make.request(2))
    _spoil(host.numa_topology)
    assert [0, 0] == [len(cell.pinned_cpus) for cell in old.cells]


def test_threads_that_read_at_once_see_one_whole_object(nova, make, parses):
    text = _text(make, 4, 3, 2, 1)
    for _turn in range(20):
        topology = make.read(text)
        barrier = threading.Barrier(8)

        def look(number, topology=topology, barrier=barrier):
            barrier.wait()
            topology.cells[number % 4].memory += 1
            return topology.cells[0]

        with futures.ThreadPoolExecutor(8) as pool:
            cells = list(pool.map(look, range(8)))
        assert 1 == len({id(cell) for cell in cells})
        assert [8194] * 4 == [cell.memory for cell in topology.cells]
    assert 20 == len(parses)


def test_threads_filter_equal_texts_alike(nova, make, topologies):
    texts = [_text(make, free) for free in range(5)]
    shared = nova.ours.NUMATopologyFilter()

    def work(vcpus):
        hosts = [make.host(f'cn-{number}', text) for number, text in enumerate(texts)]
        return len(shared.filter_all(hosts, make.request(vcpus)))

    with futures.ThreadPoolExecutor(8) as pool:
        assert [4, 3, 2, 1] * 16 == list(pool.map(work, [1, 2, 3, 4] * 16))
    assert {} == vars(shared)


# --- rows that cannot be read --------------------------------------------------------------


def _older_cell(data):
    data['nova_object.data']['cells'][0]['nova_object.version'] = '1.3'


def _newer(data):
    data['nova_object.version'] = '1.3'


def _no_memory(data):
    del data['nova_object.data']['cells'][0]['nova_object.data']['memory']


def _no_networks(data):
    for cell in data['nova_object.data']['cells']:
        del cell['nova_object.data']['network_metadata']


def _changed(make, change):
    data = json.loads(_text(make))
    change(data)
    return json.dumps(data)


BROKEN = {
    'half a text': (lambda make: _text(make)[:100], 'not JSON'),
    'no object': (lambda _make: '[]', 'expected a JSON object'),
    'another object': (lambda _make: '{"nodes": []}', 'nova_object.name'),
    'an older cell': (lambda make: _changed(make, _older_cell), 'NUMACell version 1.3 is too old'),
    'a newer topology': (
        lambda make: _changed(make, _newer),
        'NUMATopology version 1.3 was written by a newer release',
    ),
    'a field is missing': (lambda make: _changed(make, _no_memory), "the field 'memory' is missing"),
}


@pytest.mark.parametrize('broken', BROKEN)
def test_a_host_that_cannot_be_read_is_refused_alone_with_one_line(nova, make, caplog, broken):
    text, fault = BROKEN[broken]
    nova.ours._warn_once.cache_clear()
    caplog.set_level(logging.INFO, 'numaplace')
    for _request in range(3):
        hosts = [make.host('cn-1', make.free(4)), make.host('cn-\x1b2', text(make)), make.host('cn-3', make.free(4))]
        assert ['cn-1', 'cn-3'] == _passed(nova, hosts, make.request(2))
    (record,) = caplog.records
    assert record.levelname == 'WARNING'
    assert 'cn-\\x1b2 (cn-\\x1b2.example) is refused' in record.getMessage()
    assert fault in record.getMessage()
    assert '\n' not in record.getMessage()


def test_when_no_other_host_is_left_the_summary_tells_the_code(nova, make, caplog):
    hosts = [make.host('cn-1', make.free(1)), make.host('cn-2', '{')]
    assert [] == _passed(nova, hosts, make.request(2))
    told = caplog.records[-1].getMessage()
    assert 'fits 0 of 2 hosts: 1 cpus.dedicated.free, 1 host.topology.unreadable; least short: cn-1' in told


def test_a_host_that_cannot_be_read_takes_guests_without_a_topology(nova, make):
    assert ['cn-2'] == _passed(nova, [make.host('cn-2', '{')], make.request())


def test_a_text_that_cannot_be_read_is_read_once_and_faults_each_time(nova, topologies):
    topology = nova.objects.NUMATopology.obj_from_db_obj('{')
    faults = []
    for _request in range(3):
        with pytest.raises(exception.InvalidObject, match='not JSON') as caught:
            topologies.read(topology, lasting=True)
        faults.append(caught.value)
    assert 1 == topologies._remembered.cache_info().misses
    assert 3 == len({id(fault) for fault in faults})  # a fault bears the traceback of the thread that met it
    with pytest.raises(ValueError, match='Expecting property name'):
        assert topology.cells


# --- the guest ---------------------------------------------------------------------------


def test_the_guest_is_read_once_a_request_and_nothing_is_kept(nova, make, monkeypatch):
    reads = []
    read = nova.ours.scheduler_request.convert.read_guest
    monkeypatch.setattr(
        nova.ours.scheduler_request.convert, 'read_guest', lambda topology: reads.append(topology) or read(topology)
    )
    request = make.request(2)
    hosts = [make.host(f'cn-{number}', make.free(number)) for number in range(5)]
    assert 3 == len(_passed(nova, hosts, request))
    assert [request.numa_topology] == reads
    request.numa_topology.cells[0].pcpuset = {0, 1, 2}
    assert 2 == len(_passed(nova, hosts, request))
    assert nova.ours.NUMATopologyFilter().host_passes(hosts[4], request)
    assert 3 == len(reads)


def test_a_guest_is_not_read_where_no_host_is_asked(nova, make, monkeypatch):
    monkeypatch.setattr(nova.ours.scheduler_request.convert, 'read_guest', None)
    assert [] == _passed(nova, [], make.request(2))
    rebuild = make.request(4, scheduler_hints={'_nova_check_type': ['rebuild']})
    assert ['cn-1'] == _passed(nova, [make.host('cn-1', make.free(0))], rebuild)


def test_threads_keep_their_guests_apart(nova, make):
    shared = nova.ours.NUMATopologyFilter()

    def work(vcpus):
        hosts = [make.host(f'cn-{number}', make.free(number % 5)) for number in range(50)]
        return len(shared.filter_all(hosts, make.request(vcpus)))

    with futures.ThreadPoolExecutor(4) as pool:
        assert [40, 30, 20, 10] * 4 == list(pool.map(work, [1, 2, 3, 4] * 4))
