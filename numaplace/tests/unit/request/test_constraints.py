# SPDX-License-Identifier: Apache-2.0
"""What flavors and images request, and one-line errors that name key, value, place and accepted forms."""

import re

import pytest

from numaplace import cpuset, exception, request
from numaplace.model import Flavor

_SECRET = {'hw:mem_encryption': 'true'}
_UEFI = {'hw_firmware_type': 'uefi'}

# extra specs, image properties, error class, parts of its text
FAULTS = [
    (_SECRET, {}, 'FlavorImageConflict', ["flavor 'm1': hw:mem_encryption='true'", 'hw_firmware_type=uefi']),
    (
        {},
        {'hw_mem_encryption': 'on'},
        'FlavorImageConflict',
        ["image: hw_mem_encryption='on'", 'hw_firmware_type=uefi'],
    ),
    (_SECRET, {'hw_mem_encryption': 'no'}, 'FlavorImageConflict', ["image: hw_mem_encryption='no'", 'says otherwise']),
    (_SECRET, {**_UEFI, 'hw_machine_type': 'pc'}, 'InvalidMachineType', ["hw_machine_type='pc'; q35 is needed"]),
    (
        {**_SECRET, 'hw:mem_encryption_model': 'amd-sev'},
        {**_UEFI, 'hw_mem_encryption_model': 'amd-sev-es'},
        'FlavorImageConflict',
        ["image: hw_mem_encryption_model='amd-sev-es'", "hw:mem_encryption_model='amd-sev' says otherwise"],
    ),
    (
        {**_SECRET, 'hw:mem_encryption_model': 'sev'},
        _UEFI,
        'InvalidRequest',
        ["hw:mem_encryption_model='sev'", 'expected one of amd-sev, amd-sev-es'],
    ),
    (
        {**_SECRET, 'hw:mem_encryption_model': 'amd-sev-snp'},
        _UEFI,
        'StatelessFirmwareRequired',
        ['hw_firmware_stateless=true'],
    ),
    (
        {**_SECRET, 'hw:mem_encryption_model': 'intel-tdx'},
        {**_UEFI, 'hw_firmware_stateless': 'true'},
        'InvalidVideoMode',
        ['hw_video_model=none'],
    ),
    ({'hw:maxphysaddr_mode': 'all'}, {}, 'Invalid', ["hw:maxphysaddr_mode='all': expected passthrough or emulate"]),
    ({'hw:maxphysaddr_mode': 'emulate'}, {}, 'InvalidRequest', ['hw:maxphysaddr_bits with it', 'from 32 to 64']),
    (
        {'hw:maxphysaddr_mode': 'emulate', 'hw:maxphysaddr_bits': '4294'},
        {},
        'InvalidRequest',
        ["from 32 to 64, and not '4294'"],
    ),
    (
        {'hw:maxphysaddr_mode': 'passthrough'},
        {'hw_maxphysaddr_bits': '42'},
        'InvalidRequest',
        ["expected no hw:maxphysaddr_bits with it, which is '42'"],
    ),
    (
        {'hw:maxphysaddr_mode': 'passthrough'},
        {'hw_maxphysaddr_mode': 'emulate'},
        'FlavorImageConflict',
        ["image: hw_maxphysaddr_mode='emulate'", 'says otherwise'],
    ),
    ({'hw:numa_nodes': '0'}, {}, 'InvalidNUMANodesNumber', ["flavor 'm1'", "hw:numa_nodes='0'", 'at least 1']),
    ({'hw:numa_nodes': 'two'}, {}, 'InvalidNUMANodesNumber', ["hw:numa_nodes='two'", 'an integer']),
    ({}, {'hw_numa_nodes': '-1'}, 'InvalidNUMANodesNumber', ['image', "hw_numa_nodes='-1'"]),
    (
        {'hw:numa_nodes': '3'},
        {},
        'ImageNUMATopologyAsymmetric',
        ["flavor 'm1': hw:numa_nodes='3'", '4 vCPUs', '2048 MiB', '3 guest cells', 'hw:numa_cpus.N'],
    ),
    ({}, {'hw_numa_nodes': '3'}, 'ImageNUMATopologyAsymmetric', ["image: hw_numa_nodes='3'", "flavor 'm1'"]),
    (
        {'hw:numa_nodes': '2', 'hw:numa_cpus.0': '0-3'},
        {},
        'ImageNUMATopologyIncomplete',
        ["flavor 'm1': hw:numa_nodes='2'", 'hw:numa_cpus.N is there for 1', 'hw:numa_mem.N for 0', 'each of 2'],
    ),
    (
        {'hw:numa_nodes': '2'},
        {'hw_numa_cpus.0': '0-3', 'hw_numa_mem.0': '2048'},
        'ImageNUMATopologyIncomplete',
        ["flavor 'm1': hw:numa_nodes='2'", 'image: hw_numa_cpus.N is there for 1', 'image: hw_numa_mem.N for 1'],
    ),
    (
        {'hw:cpu_policy': 'dedicated'},
        {'hw_numa_mem.0': '2048'},
        'ImageNUMATopologyIncomplete',
        ["flavor 'm1': hw:numa_nodes is not set", 'image: hw_numa_mem.N for 1'],
    ),
    (
        {'hw:numa_nodes': '1', 'hw:numa_cpus.0': '0-3', 'hw:numa_mem.0': '1024'},
        {},
        'ImageNUMATopologyMemoryOutOfRange',
        ["flavor 'm1': hw:numa_mem.N=1024 adds", '2048 MiB'],
    ),
    (
        {},
        {
            'hw_numa_nodes': '2',
            'hw_numa_cpus.0': '0-1',
            'hw_numa_mem.0': '1024',
            'hw_numa_cpus.1': '2-3',
            'hw_numa_mem.1': '512',
        },
        'ImageNUMATopologyMemoryOutOfRange',
        ['image: hw_numa_mem.N=1024+512 adds up to 1536 MiB', "2048 MiB of flavor 'm1'"],
    ),
    (
        {'hw:numa_nodes': '1'},
        {'hw_numa_cpus.0': '0-1', 'hw_numa_mem.0': '2048'},
        'ImageNUMATopologyCPUsUnassigned',
        ['image: hw_numa_cpus.N', 'vCPU 2-3 is in none'],
    ),
    (
        {'hw:numa_nodes': '1', 'hw:numa_cpus.0': '9', 'hw:numa_mem.0': '2048'},
        {},
        'ImageNUMATopologyCPUOutOfRange',
        ["flavor 'm1'", "hw:numa_cpus.0='9'", 'no vCPU 9', 'only 0-3'],
    ),
    (
        {'hw:numa_nodes': '1'},
        {'hw_numa_cpus.0': '9', 'hw_numa_mem.0': '2048'},
        'ImageNUMATopologyCPUOutOfRange',
        ["image: hw_numa_cpus.0='9'", 'only 0-3'],
    ),
    (
        {
            'hw:numa_nodes': '2',
            'hw:numa_cpus.0': '0-2',
            'hw:numa_mem.0': '1024',
            'hw:numa_cpus.1': '2,3',
            'hw:numa_mem.1': '1024',
        },
        {},
        'ImageNUMATopologyCPUDuplicates',
        ["flavor 'm1'", "hw:numa_cpus.1='2,3'", 'has vCPU 2 already', '0-3'],
    ),
    (
        {'hw:numa_nodes': '1', 'hw:numa_cpus.0': '0-1', 'hw:numa_mem.0': '2048'},
        {},
        'ImageNUMATopologyCPUsUnassigned',
        ["flavor 'm1'", 'hw:numa_cpus.N', 'vCPU 2-3 is in none', '0-3'],
    ),
    ({'hw:numa_nodes': '9999999999'}, {}, 'InvalidNUMANodesNumber', ['up to 999999999']),
    ({'hw:cpu_cores': '9999999999'}, {}, 'InvalidRequest', ['from 0 to 999999999']),
    (
        {'hw:numa_nodes': '1', 'hw:numa_cpus.0': '0-x', 'hw:numa_mem.0': '2048'},
        {},
        'Invalid',
        ["hw:numa_cpus.0='0-x'", "'0-3,8,^2'"],
    ),
    (
        {'hw:numa_nodes': '1', 'hw:numa_cpus.0': '0-3', 'hw:numa_mem.0': '-2048'},
        {},
        'Invalid',
        ["hw:numa_mem.0='-2048'", 'MiB', 'at least 1'],
    ),
    ({'hw:cpu_policy': 'pinned'}, {}, 'InvalidCPUAllocationPolicy', ["'pinned'", 'shared, dedicated, mixed']),
    (
        {'hw:cpu_policy': 'shared'},
        {'hw_cpu_policy': 'dedicated'},
        'ImageCPUPinningForbidden',
        ["hw_cpu_policy='dedicated'", "hw:cpu_policy='shared'"],
    ),
    (
        {'hw:cpu_thread_policy': 'require'},
        {},
        'CPUThreadPolicyConfigurationInvalid',
        ["'require'", 'needs dedicated or mixed'],
    ),
    ({'hw:mem_page_size': 'huge'}, {}, 'MemoryPageSizeInvalid', ["'huge'", 'small, large, any']),
    ({'hw:mem_page_size': '0'}, {}, 'MemoryPageSizeInvalid', ["'0'"]),
    ({'hw:mem_page_size': '3B'}, {}, 'MemoryPageSizeInvalid', ["'3B'"]),
    ({}, {'hw_mem_page_size': '2MB'}, 'MemoryPageSizeForbidden', ["hw_mem_page_size='2MB'", "flavor 'm1'"]),
    ({'hw:locked_memory': 'yes'}, {}, 'LockMemoryForbidden', ['hw:mem_page_size']),
    ({'hw:emulator_threads_policy': 'float'}, {}, 'InvalidEmulatorThreadsPolicy', ["'float'", 'share, isolate']),
    ({'hw:cpu_policy': 'mixed'}, {}, 'RequiredMixedOrRealtimeCPUMask', ['hw:cpu_dedicated_mask', 'hw:cpu_realtime']),
    (
        {'hw:cpu_policy': 'mixed', 'hw:cpu_dedicated_mask': '2-9'},
        {},
        'InvalidMixedInstanceDedicatedMask',
        ["'2-9'", '0-3'],
    ),
    ({'resources:PCPU': '3'}, {}, 'InvalidRequest', ['resources:PCPU=3', 'expected 4']),
    ({'hw:cpu_sockets': 'many'}, {}, 'InvalidRequest', ["hw:cpu_sockets='many'", 'an integer']),
    (
        {'hw:cpu_max_sockets': '1', 'hw:cpu_max_cores': '1', 'hw:cpu_max_threads': '1'},
        {},
        'ImageVCPULimitsRangeImpossible',
        ['1:1:1', '4 vCPUs'],
    ),
]


def _read(specs, image=None):
    return request.read(Flavor('m1', 4, 2048, extra_specs=specs), image)


@pytest.mark.parametrize(('specs', 'image', 'error', 'parts'), FAULTS)
def test_a_fault_names_key_value_place_and_accepted_forms(specs, image, error, parts):
    with pytest.raises(exception.Invalid, match=re.escape(parts[0])) as caught:
        _read(specs, image)
    text = str(caught.value)
    assert error == type(caught.value).__name__
    assert [] == [part for part in parts if part not in text]
    assert '\n' not in text


def test_all_faults_are_reported_at_once_with_the_class_of_the_first():
    with pytest.raises(exception.InvalidNUMANodesNumber, match='hw:numa_nodes') as caught:
        _read({'hw:mem_page_size': 'huge', 'hw:numa_nodes': '0', 'hw:cpu_cores': '?'})
    assert all(part in str(caught.value) for part in ("'huge'", "hw:numa_nodes='0'", "hw:cpu_cores='?'"))


def test_a_guest_without_any_numa_key_has_no_cells():
    guest = _read({'hw:cpu_sockets': '2'})
    assert (4, 2048, ()) == (guest.vcpus, guest.memory_mib, guest.cells)
    assert (2, 2, 1) == (guest.cpu_topology.sockets, guest.cpu_topology.cores, guest.cpu_topology.threads)


def test_listed_cells_count_only_with_a_number_of_nodes():
    listed = {'hw:numa_cpus.0': '0', 'hw:numa_mem.0': '512', 'hw:numa_cpus.1': '1-3', 'hw:numa_mem.1': '1536'}
    assert () == _read(listed).cells
    cells = _read({'hw:numa_nodes': '2', **listed}).cells
    assert [('0', 512), ('1-3', 1536)] == [(cpuset.text(cell.vcpus), cell.memory_mib) for cell in cells]


def test_realtime_locks_the_memory():
    guest = _read({'hw:cpu_policy': 'dedicated', 'hw:cpu_realtime': 'yes', 'hw:cpu_realtime_mask': '^0'})
    assert guest.locked_memory
    assert '1-3' == cpuset.text(guest.realtime_vcpus)


def test_persistent_memory_alone_makes_one_cell():
    assert 1 == len(_read({'hw:pmem': 'big, small'}).cells)


def test_values_of_an_image_may_be_numbers():
    assert 2 == len(_read({}, {'hw_numa_nodes': 2}).cells)


@pytest.mark.parametrize(
    ('vcpus', 'expected'), [(1, (1, 1, 1)), (12, (12, 1, 1)), (1000000, (62500, 16, 1)), (2**30, (65536, 16384, 1))]
)
def test_a_topology_is_found_at_once_however_many_vcpus(vcpus, expected):
    topology = request.read(Flavor('m1', vcpus, 64)).cpu_topology
    assert expected == (topology.sockets, topology.cores, topology.threads)


@pytest.mark.parametrize(
    ('specs', 'image', 'expected'),
    [
        (_SECRET, _UEFI, ('amd-sev',)),
        ({}, {**_UEFI, 'hw_mem_encryption': 'true', 'hw_machine_type': 'pc-q35-8.2'}, ('amd-sev',)),
        ({**_SECRET, 'hw:mem_encryption_model': 'amd-sev-es'}, _UEFI, ('amd-sev-es',)),
        (_SECRET, {**_UEFI, 'hw_mem_encryption_model': 'amd-sev-es'}, ('amd-sev-es',)),
        ({'hw:mem_encryption': 'false', 'hw:mem_encryption_model': 'amd-sev'}, {}, ()),
        ({**_SECRET, 'hw:pmem': '6GB, LARGE,6GB,'}, _UEFI, ('amd-sev', 'pmem:6GB', 'pmem:LARGE', 'pmem:6GB')),
        (_SECRET, None, ('amd-sev',)),
    ],
)
def test_memory_encryption_and_persistent_memory_are_requested_by_name(specs, image, expected):
    guest = request.read(Flavor('m1', 4, 2048, extra_specs=specs), image)
    assert guest.resource_requests == expected
    assert guest.locked_memory is bool(expected)
    assert len(guest.cells) == ('hw:pmem' in specs)
