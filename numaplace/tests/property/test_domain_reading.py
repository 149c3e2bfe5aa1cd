# SPDX-License-Identifier: Apache-2.0
"""What numaplace writes reads as the placement that it was written for.

``NUMAPLACE_READINGS`` says how many guests are drawn; the default is for CI.
"""

import copy
import os
import random
from dataclasses import replace

import pytest
from lxml import etree

from numaplace import cpuset, exception, partition
from numaplace.compute import hotplug_claims
from numaplace.db import consistency
from numaplace.libvirt import adoption, document, domain, domain_reading, expand, vnuma
from numaplace.model import (
    DEDICATED,
    ISOLATE,
    MIXED,
    SHARE,
    SHARED,
    Guest,
    Host,
    MemoryModule,
    Offline,
    Placement,
    Refusal,
)
from numaplace.request import Hotplug
from numaplace.tests.property import cases, test_hotplug
from numaplace.tests.unit.libvirt import families
from numaplace.tests.unit.libvirt import test_domain_reading as test_forms
from numaplace.tests.unit.libvirt.domains import talk

_UUID = 'c7b8ca9f-1853-43f8-abfb-60d34cff18ae'
_NUMBER = int(os.environ.get('NUMAPLACE_READINGS', '1500'))
_HOTPLUG = Hotplug(vcpus=True, slots=8, max_memory_mib=1 << 20)


def _read(xml, host):
    parsed = document.parse(xml.encode(), 'the test', 'domain', 'a domain', exception.InvalidDomain)
    return domain_reading.read(parsed, host)


def _expected(placement, host):
    """Return the placement without what a domain does not say.

    That is the policy by which the CPUs were chosen, and whole cores that it kept free; ordinary pages that were asked
    for; and the kind of vCPUs that are off.
    """
    guest = placement.guest
    if not placement.cells:
        return Placement(replace(guest, cpu_topology=guest.topology, wish=None, emulator_policy=None))
    dedicated = any(placed.pins for placed in placement.cells)
    shared = any(placed.guest_cell.shared_vcpus for placed in placement.cells)
    isolates = any(placed.emulator_cpus for placed in placement.cells)
    policy = DEDICATED if not shared else MIXED if dedicated or isolates else SHARED
    cells = []
    for number, placed in enumerate(placement.cells):
        smallest = host.cell(placed.host_cell).smallest_pages
        is_huge = placed.pagesize_kib and smallest and placed.pagesize_kib > smallest.size_kib
        size_kib = placed.pagesize_kib if is_huge else None
        cell = replace(placed.guest_cell, id=number, pagesize_kib=size_kib, cpu_policy=policy, thread_policy=None)
        taken = cpuset.mask(cpu for _vcpu, cpu in placed.pins) | placed.emulator_cpus
        cells.append(replace(placed, guest_cell=cell, pagesize_kib=size_kib, taken=taken))
    emulator = guest.emulator_policy
    if emulator == SHARE and _written(placement, host, SHARE) == _written(placement, host, None):
        emulator = None
    if emulator == ISOLATE and not isolates:
        emulator = None
    guest = replace(
        guest,
        cells=tuple(placed.guest_cell for placed in cells),
        cpu_topology=guest.topology,
        emulator_policy=emulator,
        wish=None,
    )
    return Placement(guest, tuple(cells))


def _written(placement, host, policy):
    placement = replace(placement, guest=replace(placement.guest, emulator_policy=policy))
    return domain.write('guest', _UUID, '', placement, host, hotplug=_HOTPLUG)


def _merged(placement):
    """Return a placement whose vCPUs that are off are all of one kind."""
    guest = placement.guest
    offline = tuple(Offline(off.shared | off.dedicated) for off in guest.offline)
    return replace(placement, guest=replace(guest, offline=offline))


def _check(xml, placement, host, which):
    reading = _read(xml, host)
    told = set(reading.holding.findings) - {'cpus.unpinned'}
    assert not told, f'{which}: {reading.holding.notes}'
    assert reading.placement is not None, which
    assert _merged(reading.placement) == _merged(_expected(placement, host)), which
    held = cpuset.union(placed.taken for placed in reading.placement.cells)
    assert reading.holding.dedicated == set(cpuset.ids(held)), which


def _is_clear(host):
    """Return whether no host cell has a single shared CPU that is dedicated too: a pin to it may be either."""
    shapes = [cell.shape for cell in host.cells]
    return all(shape.shared_cpus.bit_count() != 1 or not shape.shared_cpus & host.dedicated_cpus for shape in shapes)


def _drawn(number):
    """Yield hosts with placements of drawn guests, some of them changed while they ran."""
    for seed in range(10 * number):
        case = cases.draw(seed)
        host, placement = cases.build(case)[0], cases.place(case)
        if not placement or not _is_clear(host):
            continue
        shapes = [
            replace(cell.shape, online_cpus=cell.shape.shared_cpus | cell.shape.dedicated_cpus) for cell in host.cells
        ]
        host = Host(tuple(replace(cell, shape=shape) for cell, shape in zip(host.cells, shapes, strict=True)))
        yield seed, host, placement


def test_a_placement_reads_as_it_was_written():
    done = 0
    for seed, host, placement in _drawn(_NUMBER):
        dice = random.Random(seed)
        every = placement.guest.vcpus
        realtime = dice.choice((0, 0, dice.getrandbits(every)))
        guest = replace(placement.guest, realtime_vcpus=realtime, locked_memory=dice.random() < 0.5)
        placement = replace(placement, guest=guest)
        _check(domain.write('guest', _UUID, '', placement, host), placement, host, f'seed {seed}')
        done += 1
        if done == _NUMBER:
            return
    pytest.fail(f'{done} of {_NUMBER} guests were drawn')


def test_a_guest_that_was_changed_while_it_ran_reads_as_it_is():
    done = 0
    for seed in range(_NUMBER):
        drawn = test_hotplug._drawn(seed)
        if drawn is None or not _is_clear(drawn[0]):
            continue
        host, server = drawn
        dice = random.Random(seed)
        least, most = sum(1 for vcpus in server.placement.guest.cell_vcpus if vcpus), server.placement.guest.most_vcpus
        changed = hotplug_claims.with_vcpus(server, host, dice.randint(least, most))
        host = host.release(server.placement).consume(changed.placement)
        module = MemoryModule(dice.choice((64, 1024)), dice.randrange(len(server.placement.cells)))
        with_memory = hotplug_claims.with_memory(changed, host, module)
        after = changed if isinstance(with_memory, Refusal) else with_memory
        xml = domain.write('guest', _UUID, '', after.placement, host, hotplug=_HOTPLUG)
        _check(xml, after.placement, host, f'seed {seed}')
        done += 1
    assert done > _NUMBER // 10


@pytest.mark.parametrize('vcpus', [1, 4, 9])
@pytest.mark.parametrize('name', families.HOSTS)
def test_a_guest_that_floats_reads_as_it_was_written(name, vcpus):
    host, placement = families.HOSTS[name], Placement(Guest(vcpus, 512))
    _check(domain.write('guest', _UUID, '', placement, host), placement, host, name)


def test_an_expanded_domain_reads_as_it_was_placed():
    done = 0
    for name, host in families.HOSTS.items():
        for mode in (
            "mode='host'",
            "mode='host' pinning='core' keep='0'",
            "mode='auto'",
            "mode='host' distribution='interleave'",
            "mode='host' distribution='round-robin' pinning='core' keep='0'",
        ):
            for vcpus in (1, 2, 4, 8, 12):
                memory = f"<memory unit='KiB'>{vcpus * 24 * 1024}</memory>"
                wish = vnuma.read(talk(f"<vnuma {mode} remainder='first'/>", memory=memory, vcpu=str(vcpus)).encode())
                placement = partition.place(host, wish.guest)
                if not placement or not _is_clear(host):
                    continue
                locked = replace(placement, guest=replace(placement.guest, locked_memory=True))
                _check(expand.expand(wish, placement, host), locked, host, f'{name} {mode} {vcpus}')
                done += 1
    assert done > 50


_WORDS = ('', '0', '1', '-1', '2-1', '0-3,^1', '999999999999999999999', '0x1f', 'auto', 'x', '65536', '\u0663', ' 2 ')


def _damaged(dice, text):
    """Return a domain with some values, attributes or elements exchanged, doubled or gone."""
    root = etree.fromstring(text)
    for _ in range(dice.randint(1, 4)):
        node = dice.choice([one for one in root.iter(etree.Element) if one is not root])
        match dice.randrange(5):
            case 0:
                node.getparent().remove(node)
            case 1:
                node.addnext(copy.deepcopy(node))
            case 2:
                node.text = dice.choice(_WORDS)
            case 3 if node.attrib:
                node.set(dice.choice(sorted(node.attrib)), dice.choice(_WORDS))
            case _:
                node.append(etree.Comment('a note'))
        if len(root) == 0:
            break
    return etree.tostring(root, encoding='unicode')


def test_a_damaged_domain_is_read_or_refused_in_one_line():
    host, forms = test_forms.a_host(), sorted(test_forms.FORMS.glob('*.xml'))
    read, faults = 0, []
    for seed in range(_NUMBER):
        dice = random.Random(seed)
        text = _damaged(dice, dice.choice([form for form in forms if form.stem != 'capabilities']).read_text())
        parsed = document.parse(text.encode(), 'the test', 'domain', 'a domain', exception.InvalidDomain)
        try:
            reading = domain_reading.read(parsed, host)
            adoption.name_of(parsed)
            if reading.guest is not None:
                adoption.describe(parsed, reading.guest, 'x86_64')
                consistency.check_placement(reading.placement)
        except exception.Invalid as error:
            faults.append(str(error))
        else:
            read += 1
    assert [fault for fault in faults if '\n' in fault] == []
    assert read > _NUMBER // 2
