# SPDX-License-Identifier: Apache-2.0
"""numaplace compared with the recorded answers of Nova 34.0.0."""

import gzip
import json
from importlib import resources

import pytest

from numaplace import cpuset, exception, request
from numaplace.model import Flavor
from numaplace.request import cpu_policies, cpu_topology, memory
from numaplace.request.properties import Properties
from numaplace.tests import nova34
from numaplace.tests.audit import audit, canon

_DATA = resources.files('numaplace.tests.data.nova34')
_GOLDEN = json.loads((_DATA / 'golden.json').read_text())


def _lines(name):
    text = gzip.decompress((_DATA / name).read_bytes()).decode()
    return [json.loads(line) for line in text.splitlines()]


_CASES = [pytest.param(case, id=str(case['id'])) for case in _lines('cases.jsonl.gz')]
_PLACED = [param for param in _CASES if param.values[0]['fit']]
_COUNTED = [param for param in _CASES if param.values[0].get('usage')]
_WEAK = [pytest.param(case, id=case['name']) for case in _lines('weak_cases.jsonl.gz')]


@pytest.mark.parametrize('case', _CASES)
def test_constraints_are_those_of_nova(case):
    assert canon(case['constraints']) == canon(
        nova34.constraints(case['flavor'], case['image_properties'], case['conf'])
    )


def _faults(case, placed):
    """Return what is wrong with a placement: an audit's faults, and that no pairing is feasible."""
    faults = audit(case['host'], case['constraints']['ok'], case['limits'], placed)
    return faults + ['infeasible'] * (case['notes'].get('feasible') is False)


@pytest.mark.parametrize('case', _PLACED)
def test_a_guest_fits_wherever_nova_places_it_soundly(case):
    answer = nova34.fit(case['host'], case['constraints']['ok'], case['limits'], case['conf'])
    if answer['ok']:
        assert [] == _faults(case, answer['ok'])
    elif case['fit'].get('ok'):
        assert case['notes'].get('faults') or case['notes'].get('feasible') is False


@pytest.mark.parametrize('case', _WEAK)
def test_where_nova_errs_the_answer_is_whether_a_sound_placement_exists(case):
    answer = nova34.fit(case['host'], case['constraints']['ok'], case['limits'], case['conf'])
    assert case['notes']['feasible'] == bool(answer['ok'])
    if answer['ok']:
        assert [] == audit(case['host'], case['constraints']['ok'], case['limits'], answer['ok'])


@pytest.mark.parametrize('case', _COUNTED)
def test_usage_is_that_of_nova_except_where_nova_has_no_pages_to_count(case):
    answer = nova34.usage(case['host'], case['fit']['ok'], False)
    if case['usage'] == {'error': 'IndexError'}:  # a chosen host cell names no page sizes: memory counts alone
        assert answer['ok']
        assert canon(case['host']) == canon(nova34.usage(answer['ok'], case['fit']['ok'], True)['ok'])
    else:
        assert canon(case['usage']) == canon(answer)
    if case.get('usage_freed'):
        assert canon(case['usage_freed']) == canon(nova34.usage(case['usage']['ok'], case['fit']['ok'], True))


def _of(compute, *arguments):
    try:
        return compute(*arguments)
    except exception.NumaplaceException as error:
        return type(error).__name__


def _properties(of_flavor, of_image, vcpus=4):
    specs = {key: value for key, value in of_flavor.items() if value is not None}
    image = {key: value for key, value in of_image.items() if value is not None}
    return Properties(Flavor('flavor', vcpus, 2048, extra_specs=specs), image)


@pytest.mark.parametrize(
    ('key', 'read'),
    [
        ('cpu_policy', cpu_policies.cpu_policy),
        ('cpu_thread_policy', cpu_policies.thread_policy),
        ('mem_page_size', memory.page_size),
    ],
)
def test_flavor_and_image_conflict_as_in_nova(key, read):
    expected = {(flavor, image): wanted for flavor, image, wanted in _GOLDEN[key]}
    found = {pair: _of(read, _properties({f'hw:{key}': pair[0]}, {f'hw_{key}': pair[1]})) for pair in expected}
    assert expected == found


@pytest.mark.parametrize(('of_flavor', 'of_image', 'has_size', 'expected'), _GOLDEN['locked_memory'])
def test_locked_memory_conflicts_as_in_nova(of_flavor, of_image, has_size, expected):
    properties = _properties(
        {'hw:locked_memory': of_flavor, 'hw:mem_page_size': 'large' if has_size else None},
        {'hw_locked_memory': of_image},
    )
    assert (expected or False) == _of(lambda: memory.locked_memory(properties))


@pytest.mark.parametrize(('of_flavor', 'of_image', 'expected'), _GOLDEN['numa_get_constraints'])
def test_guest_cells_are_those_of_nova(of_flavor, of_image, expected):
    found = _of(lambda: request.read(Flavor('flavor', 4, 2048, extra_specs=of_flavor), of_image))
    if not isinstance(found, str):
        cells = [
            {
                'id': cell.id,
                'cpuset': list(cpuset.ids(cell.shared_vcpus)),
                'pcpuset': list(cpuset.ids(cell.dedicated_vcpus)),
                'memory': cell.memory_mib,
                'pagesize': cell.pagesize_kib,
                'policy': cell.cpu_policy,
                'thread': cell.thread_policy,
            }
            for cell in found.cells
        ]
        found = {'emu': found.emulator_policy, 'cells': cells} if cells else None
    assert expected == found


@pytest.mark.parametrize(('vcpus', 'of_flavor', 'of_image', 'expected'), _GOLDEN['best_cpu_topology'])
def test_the_vcpu_topology_is_that_of_nova(vcpus, of_flavor, of_image, expected):
    found = _of(lambda: cpu_topology.choose(_properties(of_flavor, of_image, vcpus)))
    assert expected == (found if isinstance(found, str) else [found.sockets, found.cores, found.threads])


@pytest.mark.parametrize(('spec', 'expected'), _GOLDEN['parse_cpu_spec'])
def test_cpu_lists_read_as_in_nova(spec, expected):
    assert expected == _of(lambda: list(cpuset.ids(cpuset.parse(spec))))


def test_every_pair_of_policies_is_in_the_tables():
    assert [16, 16, 81] == [len(_GOLDEN[key]) for key in ('cpu_policy', 'cpu_thread_policy', 'mem_page_size')]
