# SPDX-License-Identifier: Apache-2.0
"""What a machine type does not take is one line, and nothing is claimed."""

import contextlib
import json
import sqlite3
from pathlib import Path

import pytest
from lxml import etree

#: vCPUs and properties of a flavor, options of `server create`, exit status, the line.
_REFUSED = {
    'more than the host says of its q35': (
        289,
        {},
        [],
        3,
        "no valid host for server 'x': the guest has 289 vCPUs: machine type q35 of x86_64 takes at most 288",
    ),
    'more than the host says of an older q35': (
        256,
        {},
        ['hw_machine_type=pc-q35-2.5'],
        3,
        "no valid host for server 'x': the guest has 256 vCPUs: machine type pc-q35-2.5 of x86_64 takes at most 255",
    ),
    'pc, by flavor and image alone': (
        256,
        {},
        ['hw_machine_type=pc'],
        1,
        "flavor 'wide': the guest has 256 vCPUs; machine type pc of x86_64 takes at most 255",
    ),
    'an APIC ID beyond 8 bits on pc': (
        195,
        {'hw:cpu_sockets': '3', 'hw:cpu_cores': '65'},
        ['hw_machine_type=pc-i440fx-7.2'],
        1,
        "flavor 'wide': the last vCPU has APIC ID 320; machine type pc-i440fx-7.2 of x86_64 takes IDs up to 254",
    ),
    'cells on s390x': (
        2,
        {'hw:numa_nodes': '2'},
        ['hw_architecture=s390x'],
        1,
        "flavor 'wide': the guest has 2 NUMA cells; machine type s390-ccw-virtio of s390x takes at most 1",
    ),
    'more slots than pseries has': (
        2,
        {'hw:numa_nodes': '1', 'numaplace:memory_slots': '33', 'numaplace:max_memory': '4096'},
        ['hw_architecture=ppc64el'],
        1,
        "flavor 'wide': the guest has 33 memory slots; machine type pseries of ppc64le takes at most 32",
    ),
    'an IOMMU of nobody': (
        2,
        {'hw:viommu_model': 'amd'},
        [],
        1,
        "flavor 'wide': hw:viommu_model='amd': expected intel, smmuv3, virtio or auto",
    ),
    'an IOMMU of another architecture': (
        2,
        {},
        ['hw_viommu_model=intel', 'hw_architecture=ppc64le'],
        1,
        "image: hw_viommu_model='intel': architecture 'ppc64le': expected i686, x86_64 or aarch64",
    ),
    'an IOMMU that the host has no machine type for': (
        2,
        {'hw:viommu_model': 'smmuv3'},
        [],
        3,
        "no valid host for server 'x': the guest cannot have its IOMMU: flavor 'wide': hw:viommu_model='smmuv3': "
        'machine type q35 of x86_64: expected virtio, intel or auto',
    ),
}


@pytest.mark.parametrize('name', _REFUSED)
def test_what_a_machine_type_does_not_take_is_refused_before_it_is_claimed(prepared, refused, name):
    vcpus, properties, image, status, line = _REFUSED[name]
    words = [word for key, value in properties.items() for word in ('--property', f'{key}={value}')]
    prepared.run('flavor', 'create', '--ram', '1024', '--vcpus', str(vcpus), *words, 'wide')
    asked = [word for pair in image for word in ('--image-property', pair)]
    assert f'numaplace: {line}\n' == refused(status, 'server', 'create', '--flavor', 'wide', *asked, 'x')


def test_a_resize_to_more_than_the_machine_type_takes_is_refused(prepared, refused):
    prepared('server create --flavor m1.tiny --image-property hw_machine_type=pc small')
    prepared('flavor create --ram 1024 --vcpus 256 wide')
    told = refused(1, 'server', 'resize', '--flavor', 'wide', 'small')
    assert "numaplace: flavor 'wide': the guest has 256 vCPUs; machine type pc of x86_64 takes at most 255\n" == told


@pytest.mark.parametrize(('of_flavor', 'of_image', 'expected'), [('intel', 'virtio', 'intel'), ('', 'auto', 'virtio')])
def test_a_server_has_the_iommu_that_was_asked_for(prepared, of_flavor, of_image, expected):
    properties = f'--property hw:viommu_model={of_flavor}' if of_flavor else ''
    prepared(f'flavor create --ram 512 --vcpus 1 {properties} f')
    prepared(f'server create --flavor f --image-property hw_viommu_model={of_image} one')
    root = etree.fromstring(prepared('server dumpxml one'))
    assert [expected] == [found.get('model') for found in root.findall('devices/iommu')]
    assert (expected == 'intel') == (root.find('features/ioapic') is not None)


def test_what_the_machine_types_of_a_host_take_comes_with_its_capabilities(prepared):
    facts = {'isapc': 1, 'microvm': 288, 'pc': 255, 'q35': 288, 'x-remote': 1}
    old = {f'pc-q35-2.{minor}': 255 for minor in range(4, 8)}
    with contextlib.closing(sqlite3.connect(prepared.database)) as connection:
        ((stored,),) = connection.execute('select facts from compute_nodes')
    assert {'i686': facts | old, 'x86_64': facts | old} == json.loads(stored)['machines']


def test_a_module_that_pseries_would_round_up_is_not_claimed(prepared, refused):
    path = Path(prepared.fixture('seed3'))
    path.write_text(path.read_text().replace('x86_64', 'ppc64le'))
    prepared(f'host import seed3 --refresh --capabilities {path}')
    properties = ('hw:numa_nodes=1', 'numaplace:memory_slots=2', 'numaplace:max_memory=4096')
    asked = ' '.join(f'--property {one}' for one in properties)
    prepared(f'flavor create --ram 512 --vcpus 1 {asked} slots')
    prepared('server create --flavor slots one')
    assert 'pseries' == etree.fromstring(prepared('server dumpxml one')).find('os/type').get('machine')
    told = refused(1, 'server', 'attach-memory', 'one', '--size', '64', '--node', '0')
    assert told == (
        "numaplace: server 'one': the guest, a cell of it or a memory module has 64 MiB; machine type pseries of "
        'ppc64le takes multiples of 256 MiB\n'
    )
    prepared('server attach-memory one --size 256 --node 0')
