# SPDX-License-Identifier: Apache-2.0
"""Whatever the fit places, its XML requests nothing that host or guest do not have."""

import random
from dataclasses import replace

import pytest
from lxml import etree

from numaplace import cpuset, partition
from numaplace.libvirt import domain, expand, vnuma
from numaplace.libvirt.profile import PROFILES
from numaplace.model import Host
from numaplace.tests.property import cases
from numaplace.tests.unit.libvirt import families
from numaplace.tests.unit.libvirt.domains import talk

_UUID = 'c7b8ca9f-1853-43f8-abfb-60d34cff18ae'


def _drawn(seed):
    """Return a host with distances between some or all of its cells, and a placement on it, if there is one."""
    dice = random.Random(seed)
    case = cases.draw(seed)
    host, placement = cases.build(case)[0], cases.place(case)
    gaps = dice.choice((0, 0, 0.1, 1))
    cells = []
    for cell in host.cells:
        known = [other.id for other in host.cells if dice.random() >= gaps]
        distances = tuple((other, 10 if other == cell.id else dice.choice((10, 11, 20, 254))) for other in known)
        online = cell.shape.shared_cpus | cell.shape.dedicated_cpus
        cells.append(replace(cell, shape=replace(cell.shape, distances=distances, online_cpus=online)))
    if placement:
        realtime = placement.guest.vcpus and dice.choice((0, 0, dice.getrandbits(placement.guest.vcpus)))
        placement = replace(placement, guest=replace(placement.guest, realtime_vcpus=realtime))
    return Host(tuple(cells)), placement


def _lists(root, path, name):
    return [cpuset.parse(one.get(name)) for one in root.iterfind(path) if one.get(name) is not None]


def _faults(root, host, *, reaches_all_nodes):
    """Return what is wrong with a domain, by the plainest rules."""
    vcpus = set(range(int(root.findtext('vcpu'))))
    online = cpuset.mask(cpu for cell in host.cells for cpu in cpuset.ids(cell.shape.online_cpus))
    nodes = cpuset.mask(cell.id for cell in host.cells)
    cells = root.findall('cpu/numa/cell')
    assigned = [vcpu for cell in cells for vcpu in cpuset.ids(cpuset.parse(cell.get('cpus', '')))]
    pinned = [int(pin.get('vcpu')) for pin in root.iterfind('cputune/vcpupin')]
    cpus = [mask for path in ('cputune/*', 'vcpu') for mask in _lists(root, path, 'cpuset')]
    table = [[one.get('id') for one in cell.iterfind('distances/sibling')] for cell in cells]
    bound = [cpuset.parse(one.get('nodeset')) for one in root.iterfind('numatune/memnode')]
    emulator = _lists(root, 'cputune/emulatorpin', 'cpuset')
    huge = root.find('memoryBacking/hugepages') is not None
    if huge and reaches_all_nodes and emulator:
        for cell in host.cells:
            if any(mask >> cell.id & 1 for mask in bound) and cell.shape.online_cpus & emulator[0] == 0:
                yield f'the emulator is kept from node {cell.id}' if cell.shape.online_cpus else None
    yield cells and sorted(assigned) != sorted(vcpus) and f'vCPUs of cells: {assigned}'
    yield cells and pinned != sorted(vcpus) and f'pins: {pinned}'
    yield any(mask & ~online or not mask for mask in cpus) and f'CPUs: {cpus}'
    yield any(mask & ~nodes or not mask for mask in _lists(root, 'numatune/*', 'nodeset')) and 'nodes'
    yield any(row and row != [cell.get('id') for cell in cells] for row in table) and f'distances: {table}'
    yield any(bool(row) != bool(table[0]) for row in table) and f'distances of some cells alone: {table}'
    yield (
        cells
        and int(root.findtext('memory')) != sum(int(cell.get('memory')) for cell in cells)
        and 'memory is not the sum of the cells'
    )
    yield any(not cell.get('cpus') for cell in cells) and 'a cell without vCPUs'


@pytest.mark.parametrize('profile', PROFILES)
def test_the_xml_of_a_placed_guest_asks_for_nothing_that_is_not_there(profile):
    placed = 0
    for seed in range(1500):
        host, placement = _drawn(seed)
        if not placement:
            continue
        placed += 1
        form = PROFILES[profile]
        root = etree.fromstring(domain.write('guest', _UUID, '', placement, host, profile=form))
        assert [] == list(filter(None, _faults(root, host, reaches_all_nodes=form.reaches_all_nodes))), f'seed {seed}'
    assert placed > 300


_BACKINGS = (
    '',
    '<memoryBacking><hugepages/></memoryBacking>',
    "<memoryBacking><allocation mode='immediate'/></memoryBacking>",
)


@pytest.mark.parametrize('backing', _BACKINGS)
def test_an_expanded_domain_asks_for_nothing_that_is_not_there(backing):
    expanded = 0
    for host in families.HOSTS.values():
        for mode in (
            "mode='host'",
            "mode='host' pinning='core' keep='0'",
            "mode='auto'",
            "mode='host' distribution='interleave'",
        ):
            for vcpus in (1, 4, 8, 12):
                element, memory = (
                    f"<vnuma {mode} remainder='first'/>",
                    f"<memory unit='KiB'>{vcpus * 24 * 1024}</memory>",
                )
                read = vnuma.read(talk(element, memory=memory, vcpu=str(vcpus), more=backing).encode())
                placement = partition.place(host, read.guest)
                if placement:
                    root = etree.fromstring(expand.expand(read, placement, host))
                    assert [] == list(filter(None, _faults(root, host, reaches_all_nodes=True)))
                    expanded += 1
    assert expanded > 30
