# SPDX-License-Identifier: Apache-2.0
"""The walk-through of Nova's page about testing NUMA with libvirt, with our program instead of the client."""

import json
import subprocess
from typing import Any

import pytest
from lxml import etree

from numaplace.tests import real


@pytest.fixture(scope='module')
def page(make_program):
    """The program with the page's host of three cells, and a guest without NUMA."""
    program = make_program()
    program(f'host import seed3 --capabilities {program.fixture("seed3")}')
    program('flavor create --ram 512 --disk 1 --vcpus 1 m1.tiny')
    program('server create --image cirros-0.4.0-x86_64-disk --flavor m1.tiny cirros1')
    return program


@pytest.fixture(scope='module')
def one_cell(page, make_program):
    """The page up to the guest with one cell."""
    program = page.copy_to(make_program())
    program('flavor create --ram 1024 --disk 1 --vcpus 4 m1.numa')
    program('flavor set --property hw:numa_nodes=1 m1.numa')
    program('flavor show m1.numa')
    program('server create --image cirros-0.4.0-x86_64-disk --flavor m1.numa cirros2')
    return program


@pytest.fixture(scope='module')
def two_cells(one_cell, make_program):
    """The page up to the guest with two cells."""
    program = one_cell.copy_to(make_program())
    program('server delete cirros2')
    program('flavor set --property hw:numa_nodes=2 m1.numa')
    program('flavor show m1.numa')
    program('server create --image cirros-0.4.0-x86_64-disk --flavor m1.numa cirros2')
    return program


def select(program: Any, query: str) -> list[str]:
    """Return the rows that the shell of SQLite prints."""
    shell = real.require_program('sqlite3')
    done = subprocess.run(
        [shell, '-nullvalue', 'NULL', str(program.database), query], capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


def xml_of(program: Any, server: str) -> etree._Element:
    """Return the XML of a server, which libvirt's schema accepts."""
    text = program(f'server dumpxml --profile nova-12 {server}')
    file = program.directory / f'{server}.xml'
    file.write_text(text)
    validate = real.require_program('virt-xml-validate')
    subprocess.run([validate, str(file), 'domain'], capture_output=True, check=True)
    return etree.fromstring(text)


def attributes(domain: etree._Element, path: str) -> list[dict[str, str]]:
    return [dict(element.attrib) for element in domain.findall(path)]


def guest_cell(number: int, cpuset: list[int], memory: int) -> dict[str, Any]:
    """Return the page's object of a guest cell, in the version that Nova writes today."""
    return {
        'nova_object.name': 'InstanceNUMACell',
        'nova_object.namespace': 'nova',
        'nova_object.version': '1.6',
        'nova_object.data': {
            'id': number,
            'cpuset': cpuset,
            'pcpuset': [],
            'memory': memory,
            'pagesize': None,
            'cpu_pinning_raw': None,
            'cpu_policy': None,
            'cpu_thread_policy': None,
            'cpuset_reserved': None,
        },
    }


def guest_topology(*cells: dict[str, Any]) -> dict[str, Any]:
    return {
        'nova_object.name': 'InstanceNUMATopology',
        'nova_object.namespace': 'nova',
        'nova_object.version': '1.3',
        'nova_object.data': {'cells': list(cells), 'emulator_threads_policy': None},
    }


def test_a_guest_without_numa_is_null_in_the_database(page):
    assert ['NULL'] == select(page, 'select numa_topology from instance_extra;')


def test_the_xml_of_a_guest_without_numa_says_nothing_of_numa(page):
    domain = xml_of(page, 'cirros1')
    assert '1' == domain.findtext('vcpu')
    assert {'placement': 'static'} == dict(domain.find('vcpu').attrib)
    assert [] == [tag for tag in ('cputune', 'numatune', 'cpu/numa', 'memoryBacking') if domain.find(tag) is not None]


def test_the_database_shows_the_cells_of_the_host(page):
    (row,) = select(page, 'select numa_topology from compute_nodes;')
    topology = json.loads(row)
    assert ('NUMATopology', '1.2') == (topology['nova_object.name'], topology['nova_object.version'])
    cells = [cell['nova_object.data'] for cell in topology['nova_object.data']['cells']]
    assert [[0, 1, 2, 3], [4, 5], [6, 7]] == [cell['cpuset'] for cell in cells]
    assert [[0, 1, 2, 3], [4, 5], [6, 7]] == [cell['pcpuset'] for cell in cells]
    assert [3838, 1969, 1966] == [cell['memory'] for cell in cells]
    assert [0, 0, 0] == [cell['memory_usage'] for cell in cells]


def test_the_xml_of_a_guest_with_one_cell_is_the_pages(one_cell):
    domain = xml_of(one_cell, 'cirros2')
    assert '4' == domain.findtext('vcpu')
    assert [{'vcpu': str(vcpu), 'cpuset': '0-3'} for vcpu in range(4)] == attributes(domain, 'cputune/vcpupin')
    assert [{'cpuset': '0-3'}] == attributes(domain, 'cputune/emulatorpin')
    assert [{'sockets': '4', 'cores': '1', 'threads': '1'}] == attributes(domain, 'cpu/topology')
    assert [{'id': '0', 'cpus': '0-3', 'memory': '1048576', 'unit': 'KiB'}] == attributes(domain, 'cpu/numa/cell')
    assert [{'mode': 'strict', 'nodeset': '0'}] == attributes(domain, 'numatune/memory')
    assert [{'cellid': '0', 'mode': 'strict', 'nodeset': '0'}] == attributes(domain, 'numatune/memnode')


def test_the_row_of_a_guest_with_one_cell_is_the_pages(one_cell):
    rows = select(one_cell, 'select numa_topology from instance_extra;')
    assert 'NULL' == rows[0]
    assert guest_topology(guest_cell(0, [0, 1, 2, 3], 1024)) == json.loads(rows[1])


def test_the_xml_of_a_guest_with_two_cells_is_the_pages(two_cells):
    domain = xml_of(two_cells, 'cirros2')
    pins = ['0-3', '0-3', '4-5', '4-5']
    assert '4' == domain.findtext('vcpu')
    assert [{'vcpu': str(vcpu), 'cpuset': pin} for vcpu, pin in enumerate(pins)] == attributes(
        domain, 'cputune/vcpupin'
    )
    assert [{'cpuset': '0-5'}] == attributes(domain, 'cputune/emulatorpin')
    assert [{'sockets': '4', 'cores': '1', 'threads': '1'}] == attributes(domain, 'cpu/topology')
    assert [
        {'id': '0', 'cpus': '0-1', 'memory': '524288', 'unit': 'KiB'},
        {'id': '1', 'cpus': '2-3', 'memory': '524288', 'unit': 'KiB'},
    ] == attributes(domain, 'cpu/numa/cell')
    assert [{'mode': 'strict', 'nodeset': '0-1'}] == attributes(domain, 'numatune/memory')
    assert [
        {'cellid': '0', 'mode': 'strict', 'nodeset': '0'},
        {'cellid': '1', 'mode': 'strict', 'nodeset': '1'},
    ] == attributes(domain, 'numatune/memnode')


def test_the_row_of_a_guest_with_two_cells_is_the_pages(two_cells):
    rows = select(two_cells, 'select numa_topology from instance_extra;')
    assert 'NULL' == rows[0]
    assert guest_topology(guest_cell(0, [0, 1], 512), guest_cell(1, [2, 3], 512)) == json.loads(rows[1])


def test_instance_names_count_on_after_a_delete(two_cells):
    names = [server['Instance Name'] for server in two_cells.json('server list')]
    assert ['instance-00000001', 'instance-00000003'] == names


def test_a_delete_frees_what_the_guest_held(two_cells, numaplace):
    two_cells = two_cells.copy_to(numaplace)
    two_cells('server delete cirros1 cirros2')
    host = two_cells.json('host show seed3')
    assert (0, 0) == (host['vcpus_used'], host['memory_used_mib'])
    assert [0, 0, 0] == [cell['memory_used_mib'] for cell in host['cells']]
    assert [] == select(two_cells, 'select numa_topology from instance_extra;')


def test_default_guest_numa_single_gives_a_guest_one_cell(numaplace):
    """What the page says of guests without NUMA settings, where it shows something else."""
    numaplace.configure(default_guest_numa='single')
    numaplace(f'host import seed3 --capabilities {numaplace.fixture("seed3")}')
    numaplace('flavor create --ram 512 --disk 1 --vcpus 1 m1.tiny')
    numaplace('server create --flavor m1.tiny cirros1')
    assert [{'mode': 'strict', 'nodeset': '0'}] == attributes(xml_of(numaplace, 'cirros1'), 'numatune/memory')


def test_24_dedicated_vcpus_on_two_cells(numaplace):
    """The guest of a field guide to NUMA flavors: 0-11 and 12-23, 2048 MiB each."""
    numaplace(f'host import big --capabilities {numaplace.fixture("fake-oracle-host")}')
    numaplace('flavor create --id 9999 --ram 4096 --disk 10 --vcpus 24 m1.numatest')
    numaplace('flavor set --property hw:cpu_policy=dedicated --property hw:numa_nodes=2 9999')
    numaplace('server create --image ubuntu-14.04 --flavor m1.numatest numatest')
    assert 'ACTIVE' == numaplace.json('server show numatest')['status']
    domain = xml_of(numaplace, 'numatest')
    assert '24' == domain.findtext('vcpu')
    assert [
        {'id': '0', 'cpus': '0-11', 'memory': '2097152', 'unit': 'KiB'},
        {'id': '1', 'cpus': '12-23', 'memory': '2097152', 'unit': 'KiB'},
    ] == attributes(domain, 'cpu/numa/cell')
    pins = [int(pin['cpuset']) for pin in attributes(domain, 'cputune/vcpupin')]
    assert 24 == len(set(pins))
    cells = [set(cell['cpus']) for cell in numaplace.json('host show big')['cells']]
    assert set(pins[:12]) <= cells[0]
    assert set(pins[12:]) <= cells[1]
