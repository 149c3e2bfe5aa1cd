# SPDX-License-Identifier: Apache-2.0
"""Guests of all kinds, placed on recorded hosts as they are placed in earnest."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from uuid import UUID, uuid5

from numaplace import partition, request
from numaplace.libvirt import domain
from numaplace.libvirt.profile import PROFILES
from numaplace.model import Flavor, Host, Placement
from numaplace.tests.unit.libvirt import samples

__all__ = ['FLAVORS', 'HOSTS', 'Server', 'placed']

_GROUND = UUID('6f1c1c2e-8a51-4c5e-9d0b-2f6a7e4b1d90')

#: Hosts with their CPU sets, by name; the first word is that of the recorded host.
HOSTS = {
    'seed3': samples.host('seed3'),
    'seed3 with two sets': samples.host('seed3', '0-1,4-5', '2-3,6-7'),
    'oracle4': samples.host('oracle4'),
    'oracle4split with two sets': samples.host('oracle4split', '0,2,4,6,8,10,12,14', '1,3,5,7,9,11,13,15'),
    'fake-oracle-host': samples.host('fake-oracle-host'),
    'fake-oracle-host with two sets': samples.host('fake-oracle-host', '0-4,15-19,30-34,45-49,60-64', '5-14,65-119'),
    'tiers': samples.host('tiers'),
}

_TIER = 'numaplace:vnuma_tier'
_PINNED = {'hw:cpu_policy': 'dedicated'}
_TWO = {'hw:numa_nodes': '2'}
_UNEQUAL = {**_TWO, 'hw:numa_cpus.0': '0,3', 'hw:numa_mem.0': '64', 'hw:numa_cpus.1': '1-2', 'hw:numa_mem.1': '192'}
_UNEQUAL_1G = {**_UNEQUAL, 'hw:numa_mem.0': '1024', 'hw:numa_mem.1': '2048'}
_DEVICES = {
    'numaplace:nic.0': 'network=default,node=1',
    'numaplace:nic.1': 'bridge=br0,model=e1000e',
    'numaplace:disk.0': 'path=/srv/a.qcow2,format=qcow2,node=0',
    'numaplace:disk.1': 'path=/srv/b.img,node=1',
    'numaplace:disk.2': 'path=/dev/vg/c',
}

#: Extra specs by what they make. All have four vCPUs.
_SPECS = {
    'plain': {},
    'one cell': {'hw:numa_nodes': '1'},
    'two cells': _TWO,
    'unequal cells': _UNEQUAL,
    'four cells': {'hw:numa_nodes': '4'},
    'small pages': {'hw:mem_page_size': 'small'},
    'any pages': {**_TWO, 'hw:mem_page_size': 'any'},
    '2 MiB pages': {**_TWO, 'hw:mem_page_size': '2MB'},
    '2 MiB pages on unequal cells': {**_UNEQUAL, 'hw:mem_page_size': '2048'},
    '1 GiB pages': {'hw:mem_page_size': '1GB'},
    '1 GiB pages on unequal cells': {**_UNEQUAL_1G, 'hw:mem_page_size': '1048576'},
    'large pages on unequal cells': {**_UNEQUAL, 'hw:mem_page_size': 'large'},
    'locked': {**_TWO, 'hw:locked_memory': 'true', 'hw:mem_page_size': 'small'},
    'locked 2 MiB pages': {**_TWO, 'hw:locked_memory': 'true', 'hw:mem_page_size': '2MB'},
    'pinned': _PINNED,
    'pinned in two cells': {**_PINNED, **_TWO},
    'pinned in unequal cells': {**_PINNED, **_UNEQUAL},
    'pinned with large pages': {**_PINNED, **_TWO, 'hw:mem_page_size': 'large'},
    'pinned to threads': {**_PINNED, 'hw:cpu_thread_policy': 'require'},
    'pinned to cores': {**_PINNED, 'hw:cpu_thread_policy': 'isolate'},
    'pinned by preference': {**_PINNED, **_TWO, 'hw:cpu_thread_policy': 'prefer'},
    'mixed': {'hw:cpu_policy': 'mixed', 'hw:cpu_dedicated_mask': '1-2'},
    'mixed in two cells': {'hw:cpu_policy': 'mixed', 'hw:cpu_dedicated_mask': '^0', **_TWO},
    'emulator apart': {**_PINNED, 'hw:emulator_threads_policy': 'isolate'},
    'emulator apart with large pages in two cells': {
        **_PINNED,
        **_TWO,
        'hw:emulator_threads_policy': 'isolate',
        'hw:mem_page_size': 'large',
    },
    'emulator on the shared CPUs': {**_PINNED, 'hw:emulator_threads_policy': 'share'},
    'emulator on the shared CPUs with large pages in two cells': {
        **_PINNED,
        **_TWO,
        'hw:emulator_threads_policy': 'share',
        'hw:mem_page_size': 'large',
    },
    'realtime': {**_PINNED, 'hw:cpu_realtime': 'yes', 'hw:cpu_realtime_mask': '^0'},
    'realtime in two cells': {**_PINNED, **_TWO, 'hw:cpu_realtime': 'yes', 'hw:cpu_realtime_mask': '2-3'},
    'realtime and mixed': {'hw:cpu_policy': 'mixed', 'hw:cpu_realtime': 'yes', 'hw:cpu_realtime_mask': '^0'},
    'realtime with large pages and an emulator apart': {
        **_PINNED,
        **_TWO,
        'hw:cpu_realtime': 'yes',
        'hw:cpu_realtime_mask': '^0',
        'hw:emulator_threads_policy': 'isolate',
        'hw:mem_page_size': 'large',
    },
    'realtime without performance counters': {
        **_PINNED,
        'hw:cpu_realtime': 'yes',
        'hw:cpu_realtime_mask': '^0',
        'hw:pmu': 'false',
    },
    'performance counters': {'hw:pmu': 'yes'},
    'vCPUs and memory that are plugged in': {
        **_TWO,
        'numaplace:vcpu_hotplug': 'true',
        'numaplace:memory_slots': '4',
        'numaplace:max_memory': '4096',
    },
    'memory that is plugged in': {**_TWO, 'numaplace:memory_slots': '4', 'numaplace:max_memory': '4096'},
    'quotas': {'quota:cpu_shares': '2048', 'quota:cpu_period': '20000', 'quota:cpu_quota': '10000'},
    'quotas in cells': {**_TWO, 'quota:cpu_shares': '512', 'quota:cpu_quota': '-1'},
    'topology': {'hw:cpu_sockets': '1', 'hw:cpu_cores': '2', 'hw:cpu_threads': '2'},
    'topology with limits': {**_TWO, 'hw:cpu_max_sockets': '2', 'hw:cpu_max_threads': '1'},
    'a socket in two cells': {**_TWO, 'hw:cpu_sockets': '1'},
    'divided over its host': {'numaplace:vnuma': 'host', 'numaplace:vnuma_remainder': 'first'},
    'divided by siblings': {
        'numaplace:vnuma': 'host',
        'numaplace:vnuma_nodes': '0-1',
        'numaplace:vnuma_distribution': 'siblings',
    },
    'divided by interleaving': {'numaplace:vnuma': 'host', 'numaplace:vnuma_distribution': 'interleave'},
    'divided over named nodes': {'numaplace:vnuma': 'node', 'numaplace:vnuma_nodes': '0-1'},
    'divided where it fits': {'numaplace:vnuma': 'auto'},
    'divided and pinned': {'numaplace:vnuma': 'auto', **_PINNED, 'numaplace:vnuma_keep': '0'},
    'divided with 2 MiB pages': {'numaplace:vnuma': 'auto', 'hw:mem_page_size': '2MB'},
    'divided over memory without CPUs': {'numaplace:vnuma': 'auto', _TIER: '64'},
    'two cells on a node': {'numaplace:vnuma': 'host', 'numaplace:vnuma_nodes': '0', 'numaplace:vnuma_cells': '2'},
    'devices near to cells': {**_TWO, **_DEVICES},
    'devices near to pinned cells': {**_PINNED, **_UNEQUAL, **_DEVICES},
    'plain devices': {'numaplace:nic.0': 'network=default', 'numaplace:disk.0': 'path=/srv/a.img'},
}

#: Flavors by what they make.
FLAVORS = {
    name: Flavor(
        name, 4, 3072 if '1 GiB' in name and 'unequal' in name else 1024 if '1 GiB' in name else 256, extra_specs=specs
    )
    for name, specs in _SPECS.items()
}


@dataclass(frozen=True)
class Server:
    """A guest that the fit has placed on a host."""

    name: str
    flavor: Flavor
    host: Host
    placement: Placement

    @property
    def uuid(self) -> str:
        """The same for the same server, in each form."""
        return str(uuid5(_GROUND, self.name))

    def xml(self, profile: str, **options: object) -> str:
        """Write its XML in a form."""
        return domain.write(
            self.uuid,
            self.uuid,
            self.name,
            self.placement,
            self.host,
            profile=PROFILES[profile],
            tuning=request.tuning(self.flavor),
            attached=request.devices(self.flavor),
            hotplug=request.hotplug(self.flavor),
            **options,
        )


def placed(host: str, times: int = 1) -> Iterator[Server]:
    """Yield a server of each flavor that goes on an empty host.

    :param times: how much more memory each has than its flavor
    """
    for name, flavor in FLAVORS.items():
        larger = _larger(flavor, times)
        placement = partition.place(HOSTS[host], request.read(larger))
        if placement:
            yield Server(f'{name} on {host}', larger, HOSTS[host], placement)


def _larger(flavor: Flavor, times: int) -> Flavor:
    specs = {
        key: str(int(value) * times) if key.startswith(('hw:numa_mem.', 'numaplace:max_memory', _TIER)) else value
        for key, value in flavor.extra_specs.items()
    }
    return replace(flavor, memory_mib=flavor.memory_mib * times, extra_specs=specs)
