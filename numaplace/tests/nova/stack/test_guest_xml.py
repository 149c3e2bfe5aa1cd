# SPDX-License-Identifier: Apache-2.0
"""The XML that Nova's libvirt driver makes of what was decided, beside the rows."""

import pytest

from numaplace.tests.nova.stack import judging, reading

HOST = 'virt1'


@pytest.fixture
def boot(cloud, stack, rows):
    """Return a function that boots a server on the host and returns its XML, and its cells as they are stored."""
    log = reading.Log(stack.log(HOST))

    def boot(flavor):
        server = cloud.boot(flavor, 'guest', host=HOST)
        assert ('ACTIVE', None) == (server.status, server.fault)
        return log.guest_xml(server), rows.guest(server)

    return boot


def guest_cells(domain):
    return [
        (int(cell.get('id')), judging.cpus(cell.get('cpus')), int(cell.get('memory')))
        for cell in domain.findall('cpu/numa/cell')
    ]


def test_pinned_vcpus_and_memory_are_where_the_row_says(boot, cloud):
    domain, cells = boot(cloud.cells('uneven', 1, 3, ram=512))
    pinned = {vcpu: {cpu} for cell in cells for vcpu, cpu in judging.pins(cell).items()}
    assert [0, 1, 2, 3] == sorted(pinned)
    assert pinned == judging.vcpu_pins(domain)
    (emulator,) = domain.findall('cputune/emulatorpin')
    assert set.union(*pinned.values()) == judging.cpus(emulator.get('cpuset'))
    assert [(number, set(cell['pcpuset']), 512 * 1024) for number, cell in enumerate(cells)] == guest_cells(domain)
    near = [
        (int(node.get('cellid')), node.get('mode'), node.get('nodeset')) for node in domain.findall('numatune/memnode')
    ]
    assert [(number, 'strict', str(cell['id'])) for number, cell in enumerate(cells)] == near
    assert {cell['id'] for cell in cells} == judging.cpus(domain.find('numatune/memory').get('nodeset'))


def test_floating_vcpus_stay_on_the_shared_cpus_of_the_cell_in_the_row(boot, cloud, rows):
    domain, cells = boot(cloud.flavor('m1.numa', 4, 1024, numa_nodes=2))
    shared = {cell['id']: set(cell['cpuset']) for cell in rows.host(HOST)}
    assert {vcpu: shared[cell['id']] for cell in cells for vcpu in cell['cpuset']} == judging.vcpu_pins(domain)
    assert [(number, set(cell['cpuset']), 512 * 1024) for number, cell in enumerate(cells)] == guest_cells(domain)
    nodes = [int(node.get('nodeset')) for node in domain.findall('numatune/memnode')]
    assert [cell['id'] for cell in cells] == nodes


def test_a_guest_without_numa_floats_over_all_shared_cpus(boot, cloud, rows):
    domain, cells = boot(cloud.flavor('m1.tiny', 1, 256))
    assert cells is None
    shared = set().union(*(cell['cpuset'] for cell in rows.host(HOST)))
    assert shared == judging.cpus(domain.find('vcpu').get('cpuset'))
    assert domain.find('numatune') is None
