# SPDX-License-Identifier: Apache-2.0
"""Laws of hot changes, on drawn hosts with drawn guests: what runs stays, what is given can be had again."""

import random
from dataclasses import replace
from datetime import UTC, datetime

from numaplace import cpuset, partition
from numaplace.compute import hotplug_claims
from numaplace.libvirt import domain
from numaplace.model import Flavor, Host, MemoryModule, Refusal
from numaplace.model.records import InstanceRecord
from numaplace.request import Hotplug
from numaplace.tests.property import cases

_SLOTS, _MAX_MIB = 4, 1 << 20
_SPECS = {
    'numaplace:vcpu_hotplug': 'true',
    'numaplace:memory_slots': str(_SLOTS),
    'numaplace:max_memory': str(_MAX_MIB),
}


def _drawn(seed):
    """Return a host that holds a guest, and the server, if the guest has a place."""
    case = cases.draw(seed)
    host, placement = cases.build(case)[0], cases.place(case)
    if not placement:
        return None
    flavor = Flavor('hot', placement.guest.vcpus, placement.guest.memory_mib, 1, _SPECS, 'hot')
    when = datetime(2026, 1, 1, tzinfo=UTC)
    server = InstanceRecord(str(seed), 'db1', 1, 'here', flavor, {}, placement, None, 'active', when)
    online = [
        replace(cell.shape, online_cpus=cell.shape.shared_cpus | cell.shape.dedicated_cpus) for cell in host.cells
    ]
    host = Host(tuple(replace(cell, shape=shape) for cell, shape in zip(host.cells, online, strict=True)))
    return host.consume(placement), server


def _numbers(server):
    return sum(1 for vcpus in server.placement.guest.cell_vcpus if vcpus), server.placement.guest.most_vcpus


def _moved(host, before, after):
    """Return the host after a change; it raises where the usage does not hold what is given back, or what is taken."""
    return host.release(before.placement).consume(after.placement)


def test_what_is_given_can_be_had_again_and_what_runs_stays_where_it_is():
    done = 0
    for seed in range(1500):
        drawn = _drawn(seed)
        if drawn is None:
            continue
        host, whole = drawn
        dice = random.Random(seed)
        server, current = whole, host
        for number in [dice.randint(*_numbers(server)) for _ in range(4)] + [_numbers(server)[1]]:
            after = hotplug_claims.with_vcpus(server, current, number)
            assert not isinstance(after, Refusal), f'seed {seed}: {after.reasons}'
            guest = after.placement.guest
            assert guest.vcpus == sum(cell.vcpus.bit_count() for cell in guest.cells) == number
            assert guest.cell_vcpus == whole.placement.guest.cell_vcpus
            assert sum(cell.vcpus for cell in guest.cells) == partition.enabled(guest.cell_vcpus, number)
            for old, new in zip(server.placement.cells, after.placement.cells, strict=True):
                assert old.host_cell == new.host_cell
                assert old.emulator_cpus == new.emulator_cpus
                pins = dict(new.pins)
                assert set(pins) == set(cpuset.ids(new.guest_cell.dedicated_vcpus))
                assert all(pins[vcpu] == cpu for vcpu, cpu in old.pins if vcpu in pins)
            current, server = _moved(current, server, after), after
            domain.write('guest', 'uuid', '', after.placement, current, hotplug=Hotplug(vcpus=True))
            done += 1
        assert server.placement.guest == whole.placement.guest
        assert current.vcpus_used == host.vcpus_used
    assert done > 1500


def test_memory_comes_in_pages_of_its_cell_or_not_at_all():
    done = 0
    for seed in range(1500):
        drawn = _drawn(seed)
        if drawn is None:
            continue
        host, server = drawn
        dice = random.Random(seed)
        for _ in range(_SLOTS):
            number = dice.randrange(len(server.placement.cells))
            module = MemoryModule(dice.choice((1, 2, 64, 1024)), number)
            after = hotplug_claims.with_memory(server, host, module)
            placed = server.placement.cells[number]
            free = {pages.size_kib: pages.free for pages in host.cell(placed.host_cell).pages}
            if isinstance(after, Refusal):
                assert after.reasons
                continue
            if placed.pagesize_kib:
                assert module.size_mib * 1024 <= free[placed.pagesize_kib] * placed.pagesize_kib
                assert module.size_mib * 1024 % placed.pagesize_kib == 0
            assert after.placement.cells[number].guest_cell.memory_mib == placed.guest_cell.memory_mib + module.size_mib
            assert after.placement.guest.plugged_mib == server.placement.guest.plugged_mib + module.size_mib
            host, server = _moved(host, server, after), after
            allowed = Hotplug(slots=_SLOTS, max_memory_mib=_MAX_MIB)
            domain.write('guest', 'uuid', '', after.placement, host, hotplug=allowed)
            done += 1
    assert done > 300
