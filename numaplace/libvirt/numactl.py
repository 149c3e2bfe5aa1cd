# SPDX-License-Identifier: Apache-2.0
"""The text of ``numactl -H`` and that of ``lscpu`` beside it to a host."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Unpack

from numaplace import cpuset, exception
from numaplace.libvirt import topology
from numaplace.libvirt.document import show
from numaplace.libvirt.lscpu import Cpus
from numaplace.libvirt.topology import FoundCell, Options
from numaplace.model import Host
from numaplace.units import KIB_PER_MIB

__all__ = ['SOURCE', 'read']

SOURCE = 'the output of `numactl -H`'

_CPUS = re.compile(r'node (\d{1,5}) cpus:(.*)')
_SIZE = re.compile(r'node (\d{1,5}) size:\s*(.*)')
_AVAILABLE = re.compile(r'available: (\d{1,5}) nodes? .*')
_HEADER = re.compile(r'node((?:\s+\d{1,5})+)')
_DISTANCES = re.compile(r'(\d{1,5}):\s*(.*)')
_WHOLE = re.compile('[0-9]{1,9}')


@dataclass(slots=True)
class _Nodes:
    """What the lines say, by node number; a line that is none of these is left out, such as a shell's prompt."""

    place: str
    number: int | None = None
    cpus: dict[int, int] = field(default_factory=dict)
    sizes_mib: dict[int, int] = field(default_factory=dict)
    columns: list[int] = field(default_factory=list)
    distances: dict[int, list[int]] = field(default_factory=dict)

    def fault(self, where: int, text: str) -> exception.InvalidCapabilities:
        return exception.InvalidCapabilities(f'{self.place}: line {where}: {text}')

    def numbers(self, where: int, text: str, what: str, maximum: int) -> list[int]:
        words = text.split()
        for word in words:
            if not _WHOLE.fullmatch(word) or int(word) > maximum:
                raise self.fault(where, f'{show(word)} is no {what}: expected whole numbers up to {maximum}')
        return [int(word) for word in words]

    def take_available(self, where: int, match: re.Match[str]) -> None:
        if self.number is not None:
            raise self.fault(where, f'the output of one machine ends and another begins: expected {SOURCE} once')
        self.number = int(match[1])

    def take_cpus(self, where: int, match: re.Match[str]) -> None:
        node = int(match[1])
        if node in self.cpus:
            raise self.fault(where, f'the CPUs of node {node} stand here twice: expected each node once')
        mask = cpuset.mask(self.numbers(where, match[2], 'CPU number', cpuset.MAX_CPU))
        for other, others in self.cpus.items():
            if both := mask & others:
                raise self.fault(where, f'CPUs {cpuset.text(both)} are in node {other} already: expected each CPU once')
        self.cpus[node] = mask

    def take_size(self, where: int, match: re.Match[str]) -> None:
        size = re.fullmatch(r'(\d{1,12}) MB', match[2])
        # numactl cannot read the size of a node that has no memory on every kernel.
        if size is None and match[2] != '<not available>':
            raise self.fault(where, f"{show(match[2])} is no size: expected one such as '1966 MB'")
        self.sizes_mib[int(match[1])] = int(size[1]) if size else 0

    def take_header(self, where: int, match: re.Match[str]) -> None:
        self.columns = self.numbers(where, match[1], 'node number', topology.MAX_CELL)

    def take_distances(self, where: int, match: re.Match[str]) -> None:
        row = self.numbers(where, match[2], 'distance', 255)
        if self.columns and len(row) != len(self.columns):
            raise self.fault(where, f'{len(row)} distances: expected {len(self.columns)}, one for each node')
        self.distances[int(match[1])] = row


_TAKERS: tuple[tuple[re.Pattern[str], Callable[[_Nodes, int, re.Match[str]], None]], ...] = (
    (_AVAILABLE, _Nodes.take_available),
    (_CPUS, _Nodes.take_cpus),
    (_SIZE, _Nodes.take_size),
    (_HEADER, _Nodes.take_header),
    (_DISTANCES, _Nodes.take_distances),
)


def read(
    content: bytes, cpus: Cpus, *, place: str = 'numactl', beside: str = 'lscpu', **options: Unpack[Options]
) -> Host:
    """Read a host's NUMA cells; numactl tells nothing of pages, caches and what lies between.

    :param cpus: what lscpu said of the same machine
    :param place: where the text came from, for the errors
    :param beside: where that of lscpu came from
    :param options: the operator's options: see :func:`numaplace.libvirt.topology.host`
    :raises: :class:`~numaplace.exception.InvalidCapabilities` if it is no such text, if the two are of different
        machines, or if they do not tell which CPUs share a core; the faults of
        :func:`numaplace.libvirt.topology.host`
    """
    nodes = _Nodes(place)
    for number, line in enumerate(content.decode('utf-8', 'replace').splitlines(), 1):
        for pattern, take in _TAKERS:
            if match := pattern.fullmatch(line.strip()):
                take(nodes, number, match)
                break
    _check(nodes, cpus, beside)
    cores = _cores(nodes, cpus, beside)
    return topology.host([_cell(nodes, cpus, cores, node) for node in sorted(nodes.cpus)], **options)


def _cell(nodes: _Nodes, cpus: Cpus, cores: dict[int, int], node: int) -> FoundCell:
    mask = nodes.cpus[node]
    return FoundCell(
        id=node,
        memory_kib=nodes.sizes_mib[node] * KIB_PER_MIB,
        cpus=mask,
        siblings=tuple(cores[cpu] for cpu in cpuset.ids(mask)),
        sockets=frozenset(cpus.sockets[cpu] for cpu in cpuset.ids(mask) if cpu in cpus.sockets),
        distances=tuple(zip(nodes.columns, nodes.distances.get(node, ()), strict=False)),
    )


def _check(nodes: _Nodes, cpus: Cpus, beside: str) -> None:
    """Refuse what is cut short, and texts of different machines."""
    if not nodes.cpus:
        raise exception.InvalidCapabilities(f"{nodes.place}: there is no line 'node N cpus: ...': expected {SOURCE}")
    faults = [f'of node {node}, its size' for node in nodes.cpus if node not in nodes.sizes_mib]
    if nodes.number is not None and nodes.number != len(nodes.cpus):
        faults.append(f'{nodes.number - len(nodes.cpus)} of {nodes.number} nodes')
    if nodes.columns and (set(nodes.columns) != set(nodes.cpus) or set(nodes.distances) != set(nodes.cpus)):
        faults.append('distances from each node to each')
    if faults:
        raise exception.InvalidCapabilities(
            f'{nodes.place}: something is missing ({"; ".join(faults)}): expected the whole of {SOURCE}'
        )
    named = 0
    for mask in nodes.cpus.values():
        named |= mask
    if not named:
        raise exception.InvalidCapabilities(f'{nodes.place}: no node has CPUs: expected {SOURCE}')
    if cpus.online and cpus.online != named:
        raise exception.InvalidCapabilities(
            f'{nodes.place} names CPUs {cpuset.text(named)}, and {beside} CPUs {cpuset.text(cpus.online) or "none"}: '
            'expected the same CPUs, of one machine at one time'
        )


# --- which CPUs share a core -----------------------------------------------------------


def _cores(nodes: _Nodes, cpus: Cpus, beside: str) -> dict[int, int]:
    """Return the core of each CPU by its number."""
    cores: dict[int, int] = {}
    named = sum(nodes.cpus.values())
    for node, mask in nodes.cpus.items():
        if cpus.threads_per_core is None:
            found = {cpu: cpus.cores[cpu] for cpu in cpuset.ids(mask)}
        else:
            found = _by_runs(mask, named, cpus.threads_per_core)
        if not found and mask:
            raise exception.InvalidCapabilities(
                f'{beside}: {cpus.threads_per_core} threads per core, and the CPUs {cpuset.text(mask)} of node {node} '
                'do not tell which of them share a core: expected the output of `lscpu -p` or `lscpu -e`, which does'
            )
        for cpu, core in found.items():
            if core & ~mask:
                raise exception.InvalidCapabilities(
                    f'{beside}: CPUs {cpuset.text(core)} share a core, of which {nodes.place} has CPU {cpu} in node '
                    f'{node} and others not: expected texts of one machine, with a column SOCKET beside CORE'
                )
        cores |= found
    return cores


def _by_runs(mask: int, named: int, threads: int) -> dict[int, int]:
    """Return the core of each CPU of a node as far as the numbers tell it; empty where they do not.

    Firmware that lists one thread of each core of the machine before it lists second threads leaves its mark on a
    machine of several nodes: each has as many runs of CPUs as a core has threads, all of one length, and all apart
    by the number of the machine's cores. One run alone could be numbered core by core as well.
    """
    total = named.bit_count()
    if threads == 1:
        return {cpu: 1 << cpu for cpu in cpuset.ids(mask)}
    if total % threads or named != (1 << total) - 1:
        return {}
    apart = total // threads
    first = mask & ((1 << apart) - 1)
    runs = cpuset.text(mask).count(',') + 1
    if runs != threads or mask != sum(first << apart * thread for thread in range(threads)):
        return {}
    cores = {cpu: sum(1 << cpu + apart * thread for thread in range(threads)) for cpu in cpuset.ids(first)}
    return {cpu: cores[cpu % apart] for cpu in cpuset.ids(mask)}
