# SPDX-License-Identifier: Apache-2.0
"""Placed guests on recorded hosts, for the tests of the domain XML and for libvirt's own judgement of it."""

from dataclasses import dataclass, field, replace

from numaplace import cpuset
from numaplace.libvirt import capabilities, domain
from numaplace.model import (
    DEDICATED,
    ISOLATE,
    MIXED,
    SHARE,
    CellPlacement,
    CpuTopology,
    Guest,
    GuestCell,
    Host,
    HostResources,
    MemoryModule,
    Offline,
    Placement,
)
from numaplace.model.host_resources import Encryption, Namespace
from numaplace.request import Hotplug, Tuning, own_devices
from numaplace.tests import recordings

UUID = 'c7b8ca9f-1853-43f8-abfb-60d34cff18ae'


@dataclass(frozen=True)
class Sample:
    """One placed guest and what else its XML is written from."""

    host: Host
    placement: Placement
    name: str = 'instance-00000001'
    title: str = 'cirros2'
    options: dict[str, object] = field(default_factory=dict)

    def xml(self, **options: object) -> str:
        """Write the guest's XML."""
        return domain.write(self.name, UUID, self.title, self.placement, self.host, **(self.options | options))


def host(name: str, shared: str | None = None, dedicated: str | None = None) -> Host:
    """Return a recorded host with these CPU sets."""
    return capabilities.read(
        recordings.capabilities(name),
        shared_cpus=None if shared is None else cpuset.parse(shared),
        dedicated_cpus=None if dedicated is None else cpuset.parse(dedicated),
    )


def cell(
    host_cell: int,
    vcpus: str,
    memory_mib: int,
    pins: dict[int, int] | None = None,
    pagesize_kib: int | None = None,
    *,
    emulator_cpus: int = 0,
) -> CellPlacement:
    """Place a guest cell: vCPUs with a pin are dedicated, the others shared."""
    pins = pins or {}
    dedicated = cpuset.mask(pins)
    shared = cpuset.parse(vcpus) & ~dedicated
    policy = MIXED if shared and dedicated else DEDICATED if dedicated else None
    wish = GuestCell(host_cell, shared, dedicated, memory_mib, pagesize_kib, policy)
    taken = cpuset.mask(pins.values()) | emulator_cpus
    return CellPlacement(wish, host_cell, pagesize_kib, tuple(sorted(pins.items())), emulator_cpus, taken)


def placed(*cells: CellPlacement, **guest: object) -> Placement:
    """Return the placement of a guest that has just these cells."""
    vcpus = sum(one.guest_cell.vcpus.bit_count() for one in cells)
    memory_mib = sum(one.guest_cell.memory_mib for one in cells)
    wish = Guest(vcpus, memory_mib, tuple(one.guest_cell for one in cells), cpu_topology=CpuTopology(vcpus))
    return Placement(replace(wish, **guest), cells)


def _oracle_pins(node: int) -> dict[int, int]:
    first = 15 * node + 1
    cpus = (first, first + 60, first + 1, first + 61)
    return {4 * node + index: cpu for index, cpu in enumerate(cpus)}


_TOPOLOGY = CpuTopology(4, 2, 2)

#: As many on as the talk leaves: the lowest two of each cell.
_OFF = tuple(Offline(0b1100 << 4 * node) for node in range(4))
_SLOTS = Hotplug(slots=16, max_memory_mib=512 * 1024)
#: What the talk plugs in.
_MODULES = (
    MemoryModule(32 * 1024, 0),
    MemoryModule(512, 2, '/dev/dax0.0', align_kib=2048, label_kib=128, pmem=True),
)

_FLOATING = Placement(Guest(2, 512))

#: A host with memory encryption and persistent memory.
_ABLE = replace(
    host('seed3'),
    resources=HostResources(
        (Encryption('amd-sev', 15, 47, 1), Encryption('amd-sev-es', 5)),
        (
            Namespace('ns0', '6GB', '/dev/dax0.0', 6 << 20, 2048, 0),
            Namespace('ns1', '6GB', '/dev/dax1.0', 6 << 20, 2048, 1),
        ),
    ),
)
_ATTACHED = own_devices(['network=default'], ['path=/srv/a.img'])

#: Placed guests by name.
SAMPLES = {
    'floating': Sample(host('seed3'), Placement(Guest(1, 512))),
    'floating with a shared set': Sample(host('seed3', '0-1,6', '2-5'), _FLOATING),
    'floating with the old pin set': Sample(host('seed3', '4-7', '4-7'), _FLOATING),
    'floating with a shared set alone': Sample(host('seed3', '0-1,6'), _FLOATING),
    'floating with a dedicated set alone': Sample(host('seed3', None, '2-5'), _FLOATING),
    'floating beside memory without CPUs': Sample(host('tiers'), _FLOATING),
    'floating beside memory without CPUs that counts': Sample(
        capabilities.read(recordings.capabilities('tiers'), general_memory=(8,)), _FLOATING
    ),
    'one cell': Sample(host('seed3'), placed(cell(0, '0-3', 1024))),
    'encrypted': Sample(
        _ABLE, replace(_FLOATING, resources=('amd-sev',)), options={'attached': _ATTACHED, 'machine': 'q35'}
    ),
    'encrypted state, on cells': Sample(
        _ABLE, replace(placed(cell(1, '0-1', 512), locked_memory=True), resources=('amd-sev-es',))
    ),
    'persistent memory': Sample(
        _ABLE, replace(placed(cell(0, '0-1', 512), cell(1, '2-3', 512)), resources=('pmem:ns1', 'pmem:ns0'))
    ),
    'persistent memory beside slots': Sample(
        _ABLE,
        replace(placed(cell(2, '0-1', 512)), resources=('pmem:ns0',)),
        options={'hotplug': Hotplug(slots=2, max_memory_mib=2048)},
    ),
    'address bits': Sample(_ABLE, _FLOATING, options={'tuning': Tuning(address_mode='emulate', address_bits=42)}),
    'address bits of the host': Sample(_ABLE, _FLOATING, options={'tuning': Tuning(address_mode='passthrough')}),
    'two cells': Sample(host('seed3'), placed(cell(0, '0-1', 512), cell(1, '2-3', 512))),
    'cells out of order': Sample(host('seed3'), placed(cell(2, '0-1', 512), cell(0, '2-3', 512))),
    'two cells on one host cell': Sample(host('seed3'), placed(cell(0, '0-1', 512), cell(0, '2-3', 256))),
    'two sets and shared vCPUs': Sample(
        host('seed3', '0-1,4', '2-3,5'), placed(cell(0, '0-1', 64), cell(1, '2-3', 64))
    ),
    'mixed': Sample(
        host('seed3', '0-1,4', '2-3,5'),
        placed(cell(0, '0-1', 512, {1: 3}), cell(1, '2-3', 512, {2: 5})),
    ),
    'dedicated': Sample(
        host('fake-oracle-host'),
        placed(
            cell(0, '0-11', 2048, {vcpu: vcpu for vcpu in range(12)}),
            cell(1, '12-23', 2048, {vcpu: vcpu + 3 for vcpu in range(12, 24)}),
            cpu_topology=CpuTopology(2, 12, 1),
        ),
    ),
    'four cells': Sample(
        host('fake-oracle-host'),
        placed(*(cell(node, f'{4 * node}-{4 * node + 3}', 8192) for node in range(4)), cpu_topology=_TOPOLOGY),
    ),
    'four cells by threads, locked': Sample(
        host('fake-oracle-host'),
        placed(
            *(cell(node, f'{4 * node}-{4 * node + 3}', 8192, _oracle_pins(node)) for node in range(4)),
            cpu_topology=_TOPOLOGY,
            locked_memory=True,
        ),
    ),
    'hot-pluggable vCPUs': Sample(
        host('fake-oracle-host'),
        placed(
            *(cell(node, f'{4 * node}-{4 * node + 3}', 8192) for node in range(4)),
            cpu_topology=_TOPOLOGY,
            locked_memory=True,
        ),
        options={'hotplug': Hotplug(vcpus=True)},
    ),
    'half of the vCPUs off': Sample(
        host('fake-oracle-host'),
        placed(
            *(cell(node, f'{4 * node}-{4 * node + 1}', 8192) for node in range(4)),
            cpu_topology=_TOPOLOGY,
            offline=_OFF,
        ),
        options={'hotplug': Hotplug(vcpus=True)},
    ),
    'floating with vCPUs off': Sample(
        host('seed3'),
        Placement(Guest(2, 512, offline=(Offline(0b1100),))),
        options={'hotplug': Hotplug(vcpus=True)},
    ),
    'realtime vCPUs off': Sample(
        host('seed3'),
        placed(
            cell(0, '0,2', 512, {0: 3, 2: 2}),
            realtime_vcpus=0b1100,
            cpu_topology=CpuTopology(4),
            offline=(Offline(0, 0b1010),),
        ),
        options={'hotplug': Hotplug(vcpus=True)},
    ),
    'memory modules': Sample(
        host('fake-oracle-host'),
        placed(
            cell(0, '0-3', (16 + 32) * 1024),
            *(cell(node, f'{4 * node}-{4 * node + 3}', 16 * 1024) for node in range(1, 4)),
            cpu_topology=_TOPOLOGY,
            modules=_MODULES,
        ),
        options={'hotplug': _SLOTS},
    ),
    'a module of huge pages': Sample(
        host('seed3'),
        placed(cell(0, '0-1', 256, {0: 0, 1: 1}, 2048), modules=(MemoryModule(128, 0),)),
        options={'hotplug': Hotplug(slots=1, max_memory_mib=1024)},
    ),
    'emulator isolate': Sample(
        host('seed3', None, '0-7'),
        placed(
            cell(0, '0-1', 512, {0: 0, 1: 1}, emulator_cpus=1 << 2),
            cell(1, '2-3', 512, {2: 4, 3: 5}),
            emulator_policy=ISOLATE,
        ),
    ),
    'emulator share with a shared set': Sample(
        host('seed3', '0,6', '1-5'),
        placed(cell(0, '0-1', 512, {0: 1, 1: 2}), emulator_policy=SHARE),
    ),
    'emulator share without sets': Sample(
        host('seed3'),
        placed(cell(0, '0-1', 512, {0: 1, 1: 2}), emulator_policy=SHARE),
    ),
    'realtime': Sample(
        host('seed3'),
        placed(cell(0, '0-3', 512, {0: 3, 1: 2, 2: 1, 3: 0}), realtime_vcpus=0b1100),
    ),
    'huge pages': Sample(
        host('seed3'),
        placed(
            cell(0, '0-1', 128, {0: 0, 1: 1}, 2048),
            cell(1, '2-3', 128, {2: 4, 3: 5}, 2048),
        ),
    ),
    'pages of three sizes, locked': Sample(
        host('seed3'),
        placed(
            cell(0, '0', 128, None, 4),
            cell(1, '1', 1024, None, 1048576),
            cell(2, '2', 128, None, 2048),
            locked_memory=True,
        ),
    ),
    'hostile names': Sample(
        host('seed3'),
        placed(cell(0, '0', 128)),
        name='../../<x>&\'"\x1b]0;\n\r\t\x00\ud800\ufffe' + 'é' * 150,
        title='\x1b[31m</title><!-- \'"&\n\u202e\x9b31m\x00 \udcff \U0001f600' + 'x' * 300,
    ),
    'blank names': Sample(host('seed3'), placed(cell(0, '0', 128)), name=' \n', title=' \t'),
    'kvm': Sample(host('seed3'), placed(cell(0, '0-3', 1024)), options={'domain_type': 'kvm'}),
    'aarch64': Sample(host('seed3'), placed(cell(0, '0-3', 1024)), options={'arch': 'aarch64'}),
    's390x': Sample(host('seed3'), _FLOATING, options={'arch': 's390x', 'domain_type': 'kvm'}),
    'another machine type': Sample(host('seed3'), _FLOATING, options={'machine': 'pc-i440fx-7.2'}),
}
