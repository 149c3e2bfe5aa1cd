# SPDX-License-Identifier: Apache-2.0
"""Machines for QEMU to emulate: their CPUs, their nodes, and how these are numbered."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

__all__ = ['MACHINES', 'ONE_NODE', 'Machine']

#: AMD's models hide threads when QEMU emulates them; pages of 1 GiB have to be requested.
_MODEL = 'Nehalem'


@dataclass(frozen=True)
class Machine:
    """Sockets, cores and threads, spread over nodes.

    :param nodes: CPUs and MiB of each, in order
    :param distance: between two nodes; None leaves it to the kernel
    :param threads_last: all first threads have the lowest numbers, as firmware numbers them on real machines; QEMU
        numbers the threads of a core consecutively, so the others are added when the kernel runs
    :param pages: the kernel's parameters for huge pages
    :param sriov_node: the node of an NVMe controller with virtual functions, behind an IOMMU; None for no such one
    """

    name: str
    sockets: int
    cores: int
    threads: int
    nodes: tuple[tuple[int, int], ...]
    distance: Callable[[int, int], int] | None = None
    threads_last: bool = False
    pages: str = ''
    sriov_node: int | None = None

    @property
    def parameters(self) -> str:
        """The kernel's parameters."""
        return self.pages if self.sriov_node is None else f'{self.pages} {_IOMMU}'

    @property
    def cpus(self) -> int:
        """The number of CPUs."""
        return self.sockets * self.cores * self.threads

    def options(self) -> list[str]:
        """Return QEMU's options for CPUs, memory and nodes."""
        present = f'1,maxcpus={self.cpus}' if self.threads_last else str(self.cpus)
        return [
            *('-cpu', f'{_MODEL},+pdpe1gb', '-m', f'{sum(mib for _, mib in self.nodes)}M'),
            *('-smp', f'{present},sockets={self.sockets},cores={self.cores},threads={self.threads}'),
            *self._nodes(),
            *self._distances(),
            *(word for place in self._places(0) if any(place) for word in ('-device', _device(place))),
            *(() if self.sriov_node is None else _sriov(self.sriov_node)),
        ]

    def added_cpus(self) -> list[dict[str, object]]:
        """Return the CPUs to be added while the machine runs, as arguments of QMP's ``device_add``."""
        places = self._places(*range(1, self.threads))
        return [{'driver': _DRIVER, 'id': 'cpu-{}-{}-{}'.format(*place), **_ids(place)} for place in places]

    def _places(self, *threads: int) -> list[tuple[int, int, int]]:
        """Return socket, core and thread of the CPUs in order: for each given thread, that of all cores."""
        if not self.threads_last:
            return []
        return [
            (socket, core, thread) for thread, socket, core in product(threads, range(self.sockets), range(self.cores))
        ]

    def _nodes(self) -> Iterator[str]:
        first = 0
        for node, (cpus, mib) in enumerate(self.nodes):
            yield from ('-object', f'memory-backend-ram,id=node{node},size={mib}M')
            yield from ('-numa', f'node,nodeid={node},cpus={first}-{first + cpus - 1},memdev=node{node}')
            first += cpus

    def _distances(self) -> Iterator[str]:
        if self.distance is not None:
            for one, other in product(range(len(self.nodes)), repeat=2):
                yield from ('-numa', f'dist,src={one},dst={other},val={self.distance(one, other)}')


#: What the kernel does by itself stays untranslated, which is faster; a busy machine is late with its first timer.
_IOMMU = 'intel_iommu=on iommu=pt no_timer_check'
#: Number of the bus above the controller with virtual functions; it is on the next one.
_BUS = 0x80


def _sriov(node: int) -> list[str]:
    """Return QEMU's options for an IOMMU, and for a controller with two functions to give away, on a bus of a node."""
    resources = 'sriov_max_vfs=2,sriov_vq_flexible=4,sriov_vi_flexible=2,max_ioqpairs=6,msix_qsize=5'
    devices = (
        'intel-iommu,intremap=on',
        f'pxb-pcie,id=far,bus=pcie.0,bus_nr={_BUS},numa_node={node}',
        'pcie-root-port,id=far-port,bus=far,chassis=9',
        'nvme-subsys,id=far-disks',
        f'nvme,bus=far-port,serial=far,subsys=far-disks,{resources}',
    )
    return [word for device in devices for word in ('-device', device)]


_DRIVER = f'{_MODEL}-x86_64-cpu'


def _ids(place: tuple[int, int, int]) -> dict[str, int]:
    socket, core, thread = place
    return {'socket-id': socket, 'die-id': 0, 'core-id': core, 'thread-id': thread}


def _device(place: tuple[int, int, int]) -> str:
    return ','.join((_DRIVER, *(f'{key}={value}' for key, value in _ids(place).items())))


def _alike(near: int, far: int, group: int) -> Callable[[int, int], int]:
    """Return distances of nodes that are near to each other in groups of this size."""
    return lambda one, other: 10 if one == other else near if one // group == other // group else far


ONE_NODE = Machine('one-node', 1, 2, 1, ((2, 2048),))

#: The virtual host of the page about testing NUMA in Nova's documentation. A page of 1 GiB needs a whole aligned GiB
#: of the node's memory, whose ends may not be aligned.
_THREE_NODES = Machine(
    'three-nodes',
    8,
    1,
    1,
    ((4, 4000), (2, 2000), (2, 2000)),
    pages='hugepagesz=1G hugepages=0:1,1:1 hugepagesz=2M hugepages=0:256,1:64,2:64',
    sriov_node=1,
)

#: CPU N shares its core with N + 8.
_FOUR_NODES = Machine(
    'four-nodes',
    4,
    2,
    2,
    ((4, 1536),) * 4,
    _alike(21, 21, 4),
    threads_last=True,
    pages='hugepagesz=2M hugepages=0:64,1:64,2:64,3:64',
)

_EIGHT_NODES = Machine(
    'eight-nodes',
    8,
    2,
    1,
    ((2, 768),) * 8,
    _alike(16, 22, 4),
    pages='hugepagesz=2M ' + 'hugepages=' + ','.join(f'{node}:32' for node in range(8)),
)

MACHINES = {machine.name: machine for machine in (_THREE_NODES, _FOUR_NODES, _EIGHT_NODES)}
