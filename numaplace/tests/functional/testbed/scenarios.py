# SPDX-License-Identifier: Apache-2.0
"""What is done in virtual hosts, step by step, and what came of it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

__all__ = [
    'DELETED',
    'EIGHT_NODES',
    'FOUR_NODES',
    'FULL',
    'PF',
    'START',
    'THREE_NODES',
    'THREE_NODES_WITH_GROUPS',
    'VFS',
    'Guest',
    'Scenario',
    'Story',
]

_CONNECT = ('--connect', 'qemu:///system')

#: The nodes and the rows are checked three times.
START, FULL, DELETED = range(3)


@dataclass(frozen=True)
class Guest:
    """A guest by its flavor."""

    vcpus: int
    ram_mib: int
    properties: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Scenario:
    """A host and the guests that come to it, one after the other.

    :param machine: name of a machine of the test bed
    :param moved: guest, vCPU and the CPU that it is moved to by hand
    :param configuration: of numaplace, more than all have
    :param cgroups: whether libvirt finds control groups
    :param program: what checks what was moved; a start of the installed program takes a quarter of a minute
    :param functions: whether the host has virtual functions to give away
    """

    machine: str
    guests: Mapping[str, Guest]
    moved: tuple[str, int, int]
    configuration: str = ''
    cgroups: bool = False
    program: str = 'numaplace'
    functions: bool = False

    def domain(self, guest: str) -> str:
        """Return libvirt's name of a guest."""
        return f'instance-{list(self.guests).index(guest) + 1:08x}'

    def write(self, directory: Path) -> None:
        """Write what the driver reads."""
        (directory / 'numaplace.conf').write_text(
            '[numaplace]\nconnection = sqlite:////tmp/numaplace.sqlite\nstrategy = linear\n'
            f'[libvirt]\nvirt_type = qemu\n{self.configuration}'
        )
        (directory / 'steps').write_text(json.dumps(self._steps()))

    def _steps(self) -> list[list[str]]:
        look = [['nodes'], ['numaplace', 'host', 'show', '-f', 'json', self.machine]]
        check = ['numaplace', 'server', 'check', *_CONNECT, '-f', 'json']
        name, vcpu, cpu = self.moved
        moved = self.domain(name)
        return [
            *([['sh', '-c', _MAKE_FUNCTIONS]] if self.functions else []),
            ['virsh', 'capabilities'],
            ['numaplace', 'host', 'discover'],
            *look,
            *(step for guest in self.guests for step in self._start(guest)),
            *([['sh', '-c', _DRIVERS]] if self.functions else []),
            *look,
            check,
            ['virsh', 'vcpupin', moved, str(vcpu), str(cpu), '--live'],
            [self.program, *check[1:]],
            ['look', moved],
            *(step for guest in self.guests for step in self._delete(guest)),
            *look,
            ['virsh', 'list', '--all', '--name'],
        ]

    def _start(self, name: str) -> list[list[str]]:
        guest = self.guests[name]
        asked = (word for key, value in guest.properties.items() for word in ('--property', f'{key}={value}'))
        size = ('--ram', str(guest.ram_mib), '--vcpus', str(guest.vcpus))
        return [
            ['numaplace', 'flavor', 'create', *size, *asked, name],
            ['numaplace', 'server', 'create', '--flavor', name, name],
            ['numaplace', 'server', 'show', '-f', 'json', name],
            ['numaplace', 'server', 'define', name, *_CONNECT],
            ['virsh', 'start', '--paused', self.domain(name)],
            ['look', self.domain(name)],
        ]

    def _delete(self, name: str) -> list[list[str]]:
        return [
            ['virsh', 'destroy', self.domain(name)],
            ['numaplace', 'server', 'undefine', name, *_CONNECT],
            ['numaplace', 'server', 'delete', name],
        ]


class Story:
    """What came of a scenario.

    :param steps: what the driver wrote down
    """

    def __init__(self, scenario: Scenario, steps: list[dict]) -> None:
        self.scenario = scenario
        self.steps = steps

    def of(self, *words: str) -> list[dict]:
        """Return what came of all steps that begin so, in order."""
        return [step for step in self.steps if tuple(step['words'][: len(words)]) == words]

    def nodes(self, when: int) -> dict[int, dict]:
        """Return the kernel's nodes."""
        return {int(node): said for node, said in self.of('nodes')[when]['nodes'].items()}

    def host(self, when: int) -> dict:
        """Return the host's row."""
        return json.loads(self.of('numaplace', 'host', 'show')[when]['out'])

    def cells(self, when: int) -> dict[int, dict]:
        """Return the cells of the host's row."""
        return {cell['id']: cell for cell in self.host(when)['cells']}

    def server(self, name: str) -> dict:
        """Return a guest's row."""
        return json.loads(self.of('numaplace', 'server', 'show', '-f', 'json', name)[0]['out'])

    def look(self, name: str) -> dict:
        """Return what the kernel has made of a guest, before anything was done by hand."""
        return self.of('look', self.scenario.domain(name))[0]


#: The controller of the machine, and what guests get of it. The host's own driver is kept off the functions.
PF, VFS = '0000:81:00.0', ('0000:81:00.1', '0000:81:00.2')
_MAKE_FUNCTIONS = f"""set -e
for name in /payload/modules/*; do insmod $name; done
cd /sys/bus/pci/devices/{PF}
echo 0 >sriov_drivers_autoprobe
echo 2 >sriov_numvfs
"""
_DRIVERS = f'cd /sys/bus/pci/devices; for each in {PF} {" ".join(VFS)}; do readlink $each/driver || echo none; done'
_ALIAS = {
    'name': 'disk',
    'vendor_id': '1b36',
    'product_id': '0010',
    'device_type': 'type-VF',
    'numa_policy': 'required',
}
_OF_THE_CONTROLLER = f'[pci]\nalias = {json.dumps(_ALIAS)}\ndevice_spec = {{"address": "{PF}"}}\n'

_DEDICATED = {'hw:cpu_policy': 'dedicated'}
_UNEQUAL = {
    'hw:numa_nodes': 2,
    'hw:numa_cpus.0': '0,1',
    'hw:numa_mem.0': 256,
    'hw:numa_cpus.1': 2,
    'hw:numa_mem.1': 128,
}

#: Those of the page about testing NUMA in Nova's documentation, and what else it wants to have tested.
_OF_THE_PAGE = {
    'cirros1': Guest(1, 512),
    'cirros2': Guest(4, 1024, {'hw:numa_nodes': 1}),
    'cirros3': Guest(4, 1024, {'hw:numa_nodes': 2}),
    'pinned': Guest(3, 384, _DEDICATED | _UNEQUAL),
    'small-pages': Guest(2, 256, {'hw:numa_nodes': 2, 'hw:mem_page_size': 2048}),
    'large-pages': Guest(2, 2048, {'hw:numa_nodes': 2, 'hw:mem_page_size': 1048576}),
    'isolated': Guest(1, 128, _DEDICATED | {'hw:emulator_threads_policy': 'isolate', 'hw:mem_page_size': 'large'}),
}

_THREADS = {
    'isolate': Guest(2, 256, _DEDICATED | {'hw:cpu_thread_policy': 'isolate'}),
    'require': Guest(4, 128, _DEDICATED | {'hw:cpu_thread_policy': 'require', 'hw:mem_page_size': 2048}),
    'apart': Guest(4, 256, _DEDICATED | {'hw:cpu_thread_policy': 'require', 'hw:numa_nodes': 2}),
    'divided': Guest(8, 1024, {'numaplace:vnuma': 'host'}),
}

_MANY_CELLS = {
    'four': Guest(4, 256, {'hw:numa_nodes': 4, 'hw:mem_page_size': 2048}),
    'eight': Guest(8, 1024, {'numaplace:vnuma': 'host'}),
    'mixed': Guest(2, 128, {'hw:cpu_policy': 'mixed', 'hw:cpu_dedicated_mask': 1}),
    'shared': Guest(2, 128, _DEDICATED | {'hw:numa_nodes': 2, 'hw:emulator_threads_policy': 'share'}),
}
_EVEN, _ODD = (','.join(map(str, range(first, 16, 2))) for first in (0, 1))

_WITH_DISK = _OF_THE_PAGE | {'disk': Guest(1, 64, {'hw:numa_nodes': 1, 'pci_passthrough:alias': 'disk:1'})}

THREE_NODES = Scenario(
    'three-nodes',
    _WITH_DISK,
    ('cirros3', 2, 7),
    _OF_THE_CONTROLLER,
    program='/payload/bin/numaplace',
    functions=True,
)
THREE_NODES_WITH_GROUPS = Scenario('three-nodes', _OF_THE_PAGE, ('pinned', 1, 3), cgroups=True)
FOUR_NODES = Scenario('four-nodes', _THREADS, ('require', 0, 7))
EIGHT_NODES = Scenario(
    'eight-nodes',
    _MANY_CELLS,
    ('eight', 7, 0),
    f'[compute]\ncpu_shared_set = {_EVEN}\ncpu_dedicated_set = {_ODD}\n',
    cgroups=True,
)
