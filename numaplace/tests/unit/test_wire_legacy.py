# SPDX-License-Identifier: Apache-2.0
"""Formats of old releases of Nova: what they say is read, and what they do not say is not made up."""

import json
from importlib import resources

import pytest

from numaplace import cpuset, exception, objects, wire
from numaplace.model import Limits
from numaplace.wire import legacy

#: The rows of a page of 2017: objects without namespaces and versions, commas before closing brackets.
GUESTS = {
    'older-one-cell-guest': [(0, 0b1111, 1024)],
    'older-two-cell-guest': [(0, 0b0011, 512), (1, 0b1100, 512)],
}
#: The 4K pages of each cell.
HOSTS = {'older-one-cell-host': [987430], 'older-three-cell-host': [987231, 504202, 503565]}

JUNO_CELL = {'id': 1, 'cpus': '0-1,4', 'mem': {'total': 512, 'used': 64}, 'cpu_usage': 2}
JUNO_GUEST = {'cells': [{'id': 1, 'cpus': '0,1', 'mem': {'total': 512}, 'pagesize': 2048}]}
JUNO_LIMITS = {
    'cells': [{'id': 0, 'cpus': '0,1', 'mem': {'total': 1000, 'limit': 1500}, 'cpu_limit': 32.0}, {'id': 1}],
}


def row(name):
    return resources.files('numaplace.tests.data.seed').joinpath(f'{name}.json').read_text('utf-8')


def _guest_row(version, **fields):
    cell = wire.primitive('InstanceNUMACell', {'id': 0, 'cpuset': [0, 1], 'memory': 512, **fields})
    return wire.primitive('InstanceNUMATopology', {'cells': [cell | {'nova_object.version': version}]})


def _facts(placement):
    return [(cell.host_cell, cell.guest_cell.vcpus, cell.guest_cell.memory_mib) for cell in placement.cells]


@pytest.mark.parametrize('name', GUESTS)
def test_a_guest_without_versions_is_read_and_is_up_to_date_once_it_is_written(name):
    source = wire.load_row(row(name))
    placement = wire.read_placement(source)
    assert GUESTS[name] == _facts(placement)
    assert 'InstanceNUMATopology without a version' == wire.old_format(source, 'InstanceNUMATopology')
    written = wire.write_placement(placement)
    assert placement == wire.read_placement(written) == objects.InstanceNUMATopology.from_json(row(name)).to_placement()
    assert '' == wire.old_format(written, 'InstanceNUMATopology')


@pytest.mark.parametrize('name', HOSTS)
def test_a_host_that_does_not_name_its_dedicated_cpus_is_refused_with_the_reason(name):
    with pytest.raises(
        exception.IncompatibleObjectVersion, match=r'1\.2 is too old .*does not name the dedicated CPUs'
    ):
        wire.read_host(wire.load_row(row(name)))


@pytest.mark.parametrize('name', HOSTS)
def test_a_host_without_versions_that_names_them_is_read(name):
    source = wire.load_row(row(name))
    cells = [cell['nova_object.data'] for cell in source['nova_object.data']['cells']]
    for cell in cells:
        cell['pcpuset'] = cell['cpuset']
    host = wire.read_host(source)
    assert [cell['cpuset'] for cell in cells] == [list(cpuset.ids(cell.shape.dedicated_cpus)) for cell in host.cells]
    assert HOSTS[name] == [cell.pages[0].total for cell in host.cells]
    assert '' == wire.old_format(wire.write_host(host), 'NUMATopology')


@pytest.mark.parametrize('name', [*GUESTS, *HOSTS])
def test_only_rows_may_have_commas_before_closing_brackets(name):
    with pytest.raises(exception.InvalidObject, match='not JSON'):
        wire.loads(row(name))


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('{"a": ",]", "b": "\\",}", "c": [[], {}]}', {'a': ',]', 'b': '",}', 'c': [[], {}]}),
        ('{"a": [1, {"b": 2 , \n}, ], }', {'a': [1, {'b': 2}]}),
        ('{"a": "\\\\",}', {'a': '\\'}),
    ],
)
def test_commas_are_left_out_where_no_item_follows(text, expected):
    assert expected == wire.load_row(text)


FAULTS = {
    'two commas': '{"a": 1,,}',
    'a list without an end': '[1,',
    'no colon': '{"a" 1,}',
    'a string without an end': '{"a": "b,}',
    'many quotes': '"' + '\\"' * 500_000,
    'many commas': ', ' * 500_000,
}


@pytest.mark.parametrize('text', FAULTS.values(), ids=FAULTS)
def test_other_faults_of_json_stay_faults(text):
    with pytest.raises(exception.InvalidObject, match='not JSON'):
        wire.load_row(text)


def test_a_guest_of_juno_is_read():
    placement = wire.read_placement(JUNO_GUEST)
    assert [(1, 0b11, 512)] == _facts(placement)
    assert [2048] == [cell.pagesize_kib for cell in placement.cells]
    assert 'InstanceNUMATopology without a version' == wire.old_format(JUNO_GUEST, 'InstanceNUMATopology')
    assert placement == objects.InstanceNUMATopology.from_json(json.dumps(JUNO_GUEST)).to_placement()


def test_a_host_of_juno_is_refused_as_it_does_not_name_its_dedicated_cpus():
    with pytest.raises(
        exception.IncompatibleObjectVersion, match=r'NUMACell version 1\.0 is too old .* dedicated CPUs'
    ):
        wire.read_host({'cells': [JUNO_CELL]})


def test_what_a_host_of_juno_says_is_kept():
    (cell,) = legacy.from_dict('NUMATopology', {'cells': [JUNO_CELL]})['cells']
    assert {'id': 1, 'cpuset': [0, 1, 4], 'memory': 512, 'memory_usage': 64, 'cpu_usage': 2} == cell['nova_object.data']


def test_limits_of_juno_are_ratios_of_the_first_cell():
    assert (Limits(16.0, 1.5), None) == wire.read_limits(JUNO_LIMITS)


@pytest.mark.parametrize(
    ('read', 'source', 'words'),
    [
        (wire.read_guest, {'cells': 3}, "expected a InstanceNUMATopology with 'nova_object.name', found keys"),
        (wire.read_guest, {'cells': [3]}, r"'cells' is '\[3\]'; expected objects with 'id', 'cpus'"),
        (wire.read_guest, {'cells': [{'id': 1, 'cpus': '0'}]}, r"KeyError\('mem'\)"),
        (wire.read_guest, {'cells': [{'id': 1, 'cpus': 'x', 'mem': {'total': 1}}]}, 'invalid CPU list element'),
        (wire.read_guest, {'cells': [{'id': 1, 'cpus': [0], 'mem': {'total': 1}}]}, 'AttributeError'),
        (wire.read_guest, {'cells': [{'cpus': '0', 'mem': {'total': 1}}]}, "field 'id' is missing"),
        (
            wire.read_guest,
            {'cells': [{'id': 1, 'cpus': '0', 'mem': {'total': 'x'}}]},
            "'memory' is 'x'; expected an int",
        ),
        (wire.read_limits, {'cells': []}, "expected an object with 'cpus' such as '0,1', 'cpu_limit', and 'mem'"),
        (wire.read_limits, {'cells': [{**JUNO_CELL, 'cpu_limit': 1, 'cpus': ''}]}, 'ZeroDivisionError'),
    ],
)
def test_a_damaged_dict_of_juno_names_what_is_wrong(read, source, words):
    with pytest.raises(exception.InvalidObject, match=words):
        read(source)


@pytest.mark.parametrize(
    ('version', 'fields', 'expected'),
    [
        ('1.0', {}, (0b11, 0, None)),
        ('1.2', {'cpu_pinning_raw': {'0': 2, '1': 3}}, (0, 0b11, 'dedicated')),
        ('1.4', {'cpu_policy': 'dedicated', 'cpu_pinning_raw': {'0': 2, '1': 3}}, (0, 0b11, 'dedicated')),
        ('1.4', {'cpu_policy': None}, (0b11, 0, None)),
        ('1.5', {'cpu_policy': 'shared'}, (0b11, 0, 'shared')),
        ('1.5', {'cpu_policy': 'mixed', 'pcpuset': [2], 'cpu_pinning_raw': {'2': 2}}, (0b11, 0b100, 'mixed')),
        ('1.5', {'cpu_policy': 'dedicated', 'cpuset': [], 'pcpuset': [0, 1]}, (0, 0b11, 'dedicated')),
    ],
)
def test_a_guest_of_every_version_is_read_and_its_version_is_old(version, fields, expected):
    source = _guest_row(version, **fields)
    (cell,) = wire.read_guest(source).cells
    assert expected == (cell.shared_vcpus, cell.dedicated_vcpus, cell.cpu_policy)
    assert f'InstanceNUMACell {version}' == wire.old_format(source, 'InstanceNUMATopology')


def test_commas_alone_are_old_too():
    text = wire.dumps(_guest_row('1.6'))
    assert '' == wire.old_format(wire.load_row(text), 'InstanceNUMATopology')
    source = wire.load_row(text.replace(']}', '],}'))
    assert wire.loads(text) == source
    assert 'InstanceNUMATopology with commas after the last items' == wire.old_format(source, 'InstanceNUMATopology')
