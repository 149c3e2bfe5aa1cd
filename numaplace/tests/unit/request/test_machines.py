# SPDX-License-Identifier: Apache-2.0
"""Machine types: the kind of each, and what a guest of one cannot have. The numbers are those of QEMU's sources."""

import pytest

from numaplace.model import CpuTopology, Guest, GuestCell, MemoryModule, Offline, Wish
from numaplace.request import Hotplug, Machine, machines

_KINDS = {
    ('x86_64', 'q35'): 'q35',
    ('x86_64', 'pc-q35-7.2'): 'q35',
    ('x86_64', 'pc-q35-rhel9.2.0'): 'q35',
    ('i686', 'pc-q35-jammy'): 'q35',
    ('x86_64', 'pc'): 'pc',
    ('x86_64', 'pc-i440fx-7.2'): 'pc',
    ('x86_64', 'pc-1.3'): 'pc',
    ('x86_64', 'microvm'): 'microvm',
    ('aarch64', 'virt-7.2'): 'virt',
    ('aarch64', 'virt-rhel9.2.0'): 'virt',
    ('aarch64', 'q35'): 'q35',
    ('ppc64le', 'pseries-rhel8.6.0'): 'pseries',
    ('s390x', 's390-ccw-virtio-7.2'): 's390-ccw-virtio',
    ('aarch64', 'virtual-thing'): 'virtual-thing',
}


@pytest.mark.parametrize(('named', 'kind'), _KINDS.items())
def test_all_versions_of_a_machine_type_are_of_one_kind(named, kind):
    assert kind == Machine(*named).kind


def _guest(vcpus=2, memory_mib=1024, cells=(), **more):
    return Guest(vcpus, memory_mib, tuple(GuestCell(number, 1, 0, size) for number, size in enumerate(cells)), **more)


_PSERIES, _CCW = Machine('ppc64le', 'pseries'), Machine('s390x', 's390-ccw-virtio')
_VIRT, _VIRT32 = Machine('aarch64', 'virt'), Machine('armv7l', 'virt')
_PC, _Q35 = Machine('x86_64', 'pc-i440fx-7.2'), Machine('x86_64', 'q35')

_DISK = "--disk 'path=/a,node=0'"

#: machine, guest, hotplug and other wishes, (code, needed, available) of each reason
_CASES = {
    '255 vCPUs on pc': (_PC, _guest(255), {}, []),
    '256 vCPUs on pc': (_PC, _guest(256), {}, [('machine.vcpus', 256, 255)]),
    'vCPUs that are off count': (_PC, _guest(254, offline=(Offline(0b11),)), {}, [('machine.vcpus', 256, 255)]),
    'pc, the last APIC ID in 8 bits': (_PC, _guest(192, cpu_topology=CpuTopology(64, 1, 3)), {}, []),
    'pc, an APIC ID beyond 8 bits': (
        _PC,
        _guest(195, cpu_topology=CpuTopology(3, 65, 1)),
        {},
        [('machine.apic', 320, 254)],
    ),
    'q35 of some release takes 289 vCPUs': (_Q35, _guest(289), {}, []),
    'q35 of no release takes 4097 vCPUs': (_Q35, _guest(4097), {}, [('machine.vcpus', 4097, 4096)]),
    'q35 of a host that takes 288': (
        Machine('x86_64', 'q35', 288),
        _guest(289),
        {},
        [('machine.vcpus', 289, 288)],
    ),
    'q35 of a host that takes 8192': (Machine('x86_64', 'q35', 8192), _guest(8192), {}, []),
    '512 vCPUs on virt': (_VIRT, _guest(512), {}, []),
    '513 vCPUs on virt': (_VIRT, _guest(513), {}, [('machine.vcpus', 513, 512)]),
    '9 vCPUs on virt of 32 bits, whatever libvirt says': (
        Machine('armv7l', 'virt', 512),
        _guest(9),
        {},
        [('machine.vcpus', 9, 8)],
    ),
    '248 vCPUs on s390x': (_CCW, _guest(248), {}, []),
    '249 vCPUs on s390x': (_CCW, _guest(249), {}, [('machine.vcpus', 249, 248)]),
    'a cell on s390x': (_CCW, _guest(cells=[1024]), {}, []),
    'two cells on s390x': (_CCW, _guest(cells=[512, 512]), {}, [('machine.cells', 2, 1)]),
    'automatic vNUMA on s390x, which may make one cell': (_CCW, _guest(wish=Wish()), {}, []),
    'threads on s390x': (_CCW, _guest(cpu_topology=CpuTopology(1, 1, 2)), {}, [('machine.threads', 2, 1)]),
    '128 cells': (_Q35, _guest(cells=[1] * 128), {}, []),
    '129 cells': (_Q35, _guest(cells=[1] * 129), {}, [('machine.cells', 129, 128)]),
    '32 slots on pseries': (_PSERIES, _guest(), {'slots': 32}, []),
    '33 slots on pseries': (_PSERIES, _guest(), {'slots': 33}, [('machine.slots', 33, 32)]),
    '256 slots on q35': (_Q35, _guest(), {'slots': 256}, []),
    **{
        f'slots on {machine}, whose guests have ACPI with UEFI alone': (
            machine,
            _guest(),
            {'slots': 1},
            [('machine.slots', 1, 0)],
        )
        for machine in (_VIRT, _VIRT32, Machine('riscv64', 'virt'))
    },
    'slots on s390x': (_CCW, _guest(), {'slots': 1}, [('machine.slots', 1, 0)]),
    'memory that pseries would round up': (_PSERIES, _guest(memory_mib=1000), {}, [('machine.memory', 1000, 256)]),
    'a cell that pseries would round up': (
        _PSERIES,
        _guest(cells=[256, 384, 384]),
        {},
        [('machine.memory', 384, 256)],
    ),
    'a module that pseries would round up': (
        _PSERIES,
        _guest(modules=(MemoryModule(64, 0),)),
        {},
        [('machine.memory', 64, 256)],
    ),
    'any memory on virt': (_VIRT, _guest(memory_mib=1001), {}, []),
    'vCPUs that are switched on virt': (_VIRT, _guest(), {'vcpus': True}, [('machine.hotplug', None, None)]),
    'vCPUs that are switched on virt of 32 bits': (
        _VIRT32,
        _guest(),
        {'vcpus': True},
        [('machine.hotplug', None, None)],
    ),
    'vCPUs that are switched on s390x': (_CCW, _guest(), {'vcpus': True}, []),
    'several at once': (
        _CCW,
        _guest(300, cells=[1, 1]),
        {'slots': 2},
        [('machine.vcpus', 300, 248), ('machine.cells', 2, 1), ('machine.slots', 2, 0)],
    ),
    'a device near to a cell of q35': (_Q35, _guest(cells=[1]), {'near': _DISK}, []),
    'a device near to a cell of virt': (_VIRT, _guest(cells=[1]), {'near': _DISK}, []),
    'a device near to a cell of pc': (_PC, _guest(cells=[1]), {'near': _DISK}, [('machine.devices', None, None)]),
    'a device near to a cell of RISC-V': (
        Machine('riscv64', 'virt'),
        _guest(cells=[1]),
        {'near': _DISK},
        [('machine.devices', None, None)],
    ),
    'performance counters on POWER': (_PSERIES, _guest(), {'pmu': True}, []),
    'no performance counters on POWER': (_PSERIES, _guest(), {'pmu': False}, [('machine.pmu', None, None)]),
    'performance counters on s390x': (_CCW, _guest(), {'pmu': True}, [('machine.pmu', None, None)]),
    'no performance counters on q35': (_Q35, _guest(), {'pmu': False}, []),
    'a machine type that is not known': (Machine('x86_64', 'microvm'), _guest(5000), {}, []),
}


@pytest.mark.parametrize('name', _CASES)
def test_a_refusal_of_a_machine_type_gives_its_numbers(name):
    machine, guest, wishes, expected = _CASES[name]
    more = {key: wishes[key] for key in ('near', 'pmu') if key in wishes}
    hotplug = Hotplug(**{key: value for key, value in wishes.items() if key not in more})
    found = list(machines.reasons(guest, machine, hotplug, **more))
    assert expected == [(reason.code, reason.needed, reason.available) for reason in found]
    assert {str(machine), f'{_DISK}: machine type {machine}'} >= {reason.subject for reason in found}


@pytest.mark.parametrize(
    ('machine', 'vcpus', 'seen', 'expected'),
    [
        (_Q35, 255, None, False),
        (_Q35, 256, None, True),
        (_Q35, 195, CpuTopology(3, 65, 1), True),
        (_Q35, 130, CpuTopology(2, 65, 1), False),
        (_Q35, 192, CpuTopology(64, 1, 3), False),
        (_Q35, 195, CpuTopology(65, 1, 3), True),
        (_Q35, 255, CpuTopology(1, 255, 1), False),
        (Machine('i686', 'pc-q35-7.2'), 256, None, True),
        (_VIRT, 300, None, False),
        (_PSERIES, 300, None, False),
        (_CCW, 248, None, False),
    ],
)
def test_extended_interrupts_are_needed_from_the_first_vcpu_that_8_bits_do_not_name(machine, vcpus, seen, expected):
    assert expected == machines.needs_eim(_guest(vcpus, cpu_topology=seen), machine)


@pytest.mark.parametrize(
    ('machine', 'vcpus', 'expected'), [(_VIRT, 8, False), (_VIRT, 9, True), (_VIRT32, 9, False), (_Q35, 9, False)]
)
def test_an_arm_guest_of_more_than_eight_vcpus_needs_another_interrupt_controller(machine, vcpus, expected):
    assert expected == machines.needs_gic(_guest(vcpus), machine)


def test_of_what_a_host_says_the_versions_that_differ_are_kept():
    """The libvirt 9 with QEMU 7.2; then as QEMU 9.2 has it, where older versions keep their number."""
    debian = {'pc': 255, 'pc-i440fx-7.2': 255, 'q35': 288, 'pc-q35-7.2': 288, 'pc-q35-2.4': 255, 'microvm': 288}
    assert {'microvm': 288, 'pc': 255, 'pc-q35-2.4': 255, 'q35': 288} == machines.shorten('x86_64', debian)
    later = {'q35': 4096, 'pc-q35-9.2': 4096, 'pc-q35-7.2': 288}
    kept = {'x86_64': machines.shorten('x86_64', later)}
    assert {'x86_64': {'pc-q35-7.2': 288, 'q35': 4096}} == kept
    found = {
        name: machines.of_image({'hw_machine_type': name}, 'x86_64', kept).max_vcpus
        for name in ('q35', 'pc-q35-9.2', 'pc-q35-7.2', 'pc')
    }
    assert {'q35': 4096, 'pc-q35-9.2': 4096, 'pc-q35-7.2': 288, 'pc': None} == found


@pytest.mark.parametrize(
    ('named', 'arch', 'expected'),
    [
        ('', 'x86_64', Machine('x86_64', 'q35')),
        ('', 's390x', Machine('s390x', 's390-ccw-virtio')),
        ('virt-7.2', 'aarch64', Machine('aarch64', 'virt-7.2')),
        ('pc', None, Machine('x86_64', 'pc')),
        ('pc-q35-7.2', None, Machine('x86_64', 'pc-q35-7.2')),
        ('virt', None, None),
        ('', None, None),
    ],
)
def test_the_machine_type_is_that_of_the_image_or_the_usual_one(named, arch, expected):
    assert expected == machines.of_image({'hw_machine_type': named}, arch)


def test_dies_take_whole_bits_of_an_apic_id():
    """Three dies of 65 cores, where one socket of 195 cores would do with 8 bits."""
    masks = [(1 << 65) - 1 << first for first in (0, 65, 130)]
    cells = tuple(GuestCell(number, mask, 0, 64) for number, mask in enumerate(masks))
    guest = Guest(195, 192, cells, cpu_topology=CpuTopology(1, 195, 1))
    assert 3 == guest.dies
    assert machines.needs_eim(guest, _Q35)


@pytest.mark.parametrize(
    ('machine', 'expected'),
    [(_Q35, True), (Machine('i686', 'pc-q35-7.2'), True), (_VIRT, False), (_PSERIES, False), (_CCW, False)],
)
def test_only_sockets_of_x86_have_dies(machine, expected):
    assert expected is machines.has_dies(machine)


@pytest.mark.parametrize(
    ('machine', 'vcpus', 'seen', 'expected'),
    [
        (_PSERIES, 4, CpuTopology(1, 2, 2), [((8, 1), 'machine.threads')]),
        (_PSERIES, 4, CpuTopology(1, 4, 1), []),
        (_Q35, 256, None, [((9, 0), 'machine.apic')]),
        (_Q35, 255, CpuTopology(255), []),
        (_VIRT, 300, CpuTopology(1, 150, 2), []),
    ],
)
def test_what_older_emulators_lack_is_named_with_the_first_release_that_has_it(machine, vcpus, seen, expected):
    found = machines.unemulated(_guest(vcpus, cpu_topology=seen), machine)
    assert expected == [(since, reason.code) for since, reason in found]
