# SPDX-License-Identifier: Apache-2.0
"""Values that only Python reads as numbers, that are below zero, or that have no end: one line each, no other error.

Nova reads numbers by Python's `int`, which takes underscores, signs, blanks around and the digits of every script.
"""

import hypothesis
import pytest
from hypothesis import strategies as st

from numaplace import exception, request
from numaplace.model import Flavor

CELLS = {'hw_numa_nodes': '2', 'hw_numa_cpus.0': '0,1', 'hw_numa_cpus.1': '2,3', 'hw_numa_mem.0': '512'}
LARGE = {'hw:mem_page_size': 'large'}
VNUMA = {'numaplace:vnuma': 'host'}

#: What is not a number anywhere.
STRANGE = [
    '-1',
    '-256',
    '+2',
    '1_0',
    '\uff12',
    '\u0662',
    '²',
    '2.0',
    '1e3',
    'nan',
    'inf',
    '0x2',
    '9' * 5000,
    '2\n3',
    '\0',
]

# name: other extra specs and image properties, the key under test, values that are invalid only here
NUMBERS = {
    'cells': ({}, {}, 'hw:numa_nodes', ['0', '00', ' 2', '2 ']),
    'cells of the image': ({}, {}, 'hw_numa_nodes', ['0', ' 2', True, 2.5, [2], {'2': 2}]),
    'memory': ({}, CELLS, 'hw_numa_mem.1', ['0', '-0', True, 512.5, [512]]),
    'vCPUs': ({}, CELLS, 'hw_numa_cpus.1', ['', '^2,^3', '2,70000', '3-2', '0-9999999999', '2,-3', True]),
    'a page size': (
        {},
        {},
        'hw:mem_page_size',
        ['0', '-2MB', '-1KB', '-2048B', '0MB', '1.5KB', '.5GB', '2 MB', '1MB1'],
    ),
    'a page size of the image': (LARGE, {}, 'hw_mem_page_size', ['0', '-2MB', '-3KB', True, -2048, 2.5]),
    'sockets': ({}, {}, 'hw:cpu_sockets', []),
    'the most sockets': ({}, {}, 'hw_cpu_max_sockets', [True, 1.5]),
    'pinned vCPUs': ({'hw:cpu_policy': 'mixed'}, {}, 'hw:cpu_dedicated_mask', ['^0-3', '0-3']),
    'parts of a division': (VNUMA, {}, 'numaplace:vnuma_cells', ['0', '0' * 12 + '2', '0' * 12 + '9' * 12]),
    'cores to keep': (VNUMA, {}, 'numaplace:vnuma_keep', ['0' * 12 + '9' * 5000]),
    'memory modules': ({'numaplace:max_memory': '4096'}, {}, 'numaplace:memory_slots', ['0', '257']),
    'the most memory': ({'numaplace:memory_slots': '1'}, {}, 'numaplace:max_memory', ['0', '2048']),
}

FAULTS = [
    pytest.param(specs, image, key, value, id=f'{name}: {value!r:.24}')
    for name, (specs, image, key, own) in NUMBERS.items()
    for value in [*STRANGE, *own]
]


def _read(specs, image, key, value):
    side = image if key.startswith('hw_') else specs
    flavor_specs, properties = (specs, image | {key: value}) if side is image else (specs | {key: value}, image)
    return request.read(Flavor('m1', 4, 2048, extra_specs=flavor_specs), properties)


@pytest.mark.parametrize(('specs', 'image', 'key', 'value'), FAULTS)
def test_what_is_no_number_is_one_line_that_names_key_value_and_forms(specs, image, key, value):
    with pytest.raises(exception.Invalid, match=r'expected|must leave|not set|has only') as caught:
        _read(specs, image, key, value)
    text = str(caught.value)
    assert f'{key}={str(value)!r}' in text or key.rpartition('.')[0] in text
    assert '\n' not in text
    assert any(word in text for word in ('expected', 'must leave', 'not set', 'has only'))


@pytest.mark.parametrize('text', ['4' + '0' * 15, '9' * 5000])
def test_an_amount_of_a_resource_has_an_end(text):
    with pytest.raises(exception.InvalidRequest, match='expected a number of up to 15 digits'):
        _read({}, {}, 'resources:PCPU', text)


@pytest.mark.parametrize('text', ['-4', '+4', '\uff14', '\u0664', '4_0', '²', 'nan', ''])
def test_what_is_no_amount_of_a_resource_counts_for_nothing(text):
    assert _read({}, {}, 'resources:PCPU', text).cells == ()


_KEYS = [
    *(f'numa_{name}' for name in ('nodes', 'cpus.0', 'cpus.1', 'mem.0', 'mem.1')),
    *(f'cpu_{limit}{name}' for limit in ('', 'max_') for name in ('sockets', 'cores', 'threads')),
    *('cpu_policy', 'cpu_thread_policy', 'emulator_threads_policy', 'cpu_dedicated_mask'),
    *('cpu_realtime', 'cpu_realtime_mask', 'mem_page_size', 'locked_memory', 'pmem', 'pmu'),
]
_OTHERS = [
    *('resources:VCPU', 'resources:PCPU', 'resources1:PCPU', 'trait:HW_CPU_HYPERTHREADING'),
    *(f'numaplace:{name}' for name in ('vnuma', 'vnuma_cells', 'vnuma_nodes', 'vnuma_keep', 'vnuma_tier')),
    *(f'numaplace:{name}' for name in ('vcpu_hotplug', 'memory_slots', 'max_memory', 'nic.0', 'disk.0', 'disk.x')),
    *(f'quota:cpu_{name}' for name in ('shares', 'period', 'quota')),
]
_WORDS = st.one_of(
    st.sampled_from([*STRANGE, '0', '1', '2', '4', '0-3', '0-1', '^0', '1024', '2048', 'large', 'any', '2MB', '1GB']),
    st.sampled_from(['dedicated', 'mixed', 'shared', 'isolate', 'require', 'yes', 'host', 'auto', 'node']),
    st.text(max_size=12),
)
_VALUES = st.one_of(_WORDS, st.integers(), st.floats(), st.booleans(), st.none(), st.lists(st.integers(), max_size=2))


@hypothesis.given(
    st.dictionaries(st.sampled_from([*(f'hw:{key}' for key in _KEYS), *_OTHERS]), _WORDS, max_size=6),
    st.dictionaries(st.sampled_from([f'hw_{key}' for key in _KEYS]), _VALUES, max_size=6),
)
def test_whatever_a_flavor_and_an_image_hold_they_are_a_guest_or_a_fault_of_the_request(specs, image):
    flavor = Flavor('m1', 4, 2048, extra_specs=specs)
    for read in (
        lambda: request.read(flavor, image),
        lambda: request.tuning(flavor, image),
        lambda: request.devices(flavor),
        lambda: request.hotplug(flavor),
    ):
        found = _found(read)
        assert '\n' not in str(found)
        assert all(
            cell.memory_mib > 0 and cell.vcpus and cell.pagesize_kib != 0 for cell in getattr(found, 'cells', ())
        )


def _found(read):
    try:
        return read()
    except exception.Invalid as error:
        return error
