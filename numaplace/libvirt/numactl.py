# SPDX-License-Identifier: Apache-2.0
"""Convert the output of ``numactl -H``, together with that of ``lscpu``, to a host."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Unpack

from numaplace import cpuset, exception
from numaplace.libvirt import numbering, topology
from numaplace.libvirt.document import show
from numaplace.libvirt.found_cell import FoundCell
from numaplace.libvirt.lscpu import Cpus
from numaplace.libvirt.lscpu_forms import ELSEWHERE
from numaplace.libvirt.numbering import Numbered, Numbering
from numaplace.libvirt.topology import Options
from numaplace.model import Host
from numaplace.units import KIB_PER_MIB

__all__ = ['SOURCE', 'Machine', 'is_output', 'read']

SOURCE = 'the output of `numactl -H`'

_CPUS = re.compile(r'node (\d{1,5}) cpus:(.*)')
_SIZE = re.compile(r'node (\d{1,5}) size:\s*(.*)')
_AVAILABLE = re.compile(r'available: (\d{1,5}) nodes? .*')
_HEADER = re.compile(r'node((?:\s+\d{1,5})+)')
_DISTANCES = re.compile(r'(\d{1,5}):\s*(.*)')
_WHOLE = re.compile('[0-9]{1,9}')


@dataclass(slots=True)
class _Nodes:
    """The values of the lines, by node number; other lines, such as a shell prompt, are ignored."""

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
                raise self.fault(where, f'{show(word)} is not a {what}: expected whole numbers up to {maximum}')
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
        # On some kernels numactl cannot read the size of a node without memory.
        if size is None and match[2] != '<not available>':
            raise self.fault(where, f"{show(match[2])} is not a size: expected one such as '1966 MB'")
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


def is_output(text: str) -> bool:
    """Return whether a text has a line that only ``numactl -H`` prints."""
    return any(_AVAILABLE.fullmatch(line) or _CPUS.fullmatch(line) for line in map(str.strip, text.splitlines()))


@dataclass(frozen=True, slots=True)
class Machine:
    """A host as the two texts describe it.

    :param warnings: what was corrected or assumed
    """

    host: Host
    warnings: tuple[str, ...] = ()


def read(
    content: bytes,
    cpus: Cpus,
    *,
    place: str = 'numactl',
    origin: str = 'lscpu',
    siblings: Numbering | None = None,
    **options: Unpack[Options],
) -> Machine:
    """Read a host's NUMA cells; numactl does not report pages, caches, or latencies and bandwidths.

    :param cpus: what lscpu said of the same machine
    :param place: where the text came from, for the errors
    :param origin: where the lscpu text came from
    :param siblings: the operator's numbering of the threads of a core, if lscpu lists no cores
    :param options: the operator's options: see :func:`numaplace.libvirt.topology.host`
    :raises: :class:`~numaplace.exception.InvalidCapabilities` if it is not such text, if the two are of different
        machines, or if they do not report which CPUs share a core; otherwise as
        :func:`numaplace.libvirt.topology.host`
    """
    nodes = _Nodes(place)
    for number, line in enumerate(content.decode('utf-8', 'replace').splitlines(), 1):
        for pattern, take in _TAKERS:
            if match := pattern.fullmatch(line.strip()):
                take(nodes, number, match)
                break
    _check(nodes, cpus, origin)
    found = _cores(nodes, cpus, origin, siblings)
    cells = [_cell(nodes, cpus, found.cores, node) for node in sorted(nodes.cpus)]
    present = cpus.offline | cpuset.union(nodes.cpus.values()) if cpus.offline else None
    host = topology.host(cells, present=present, **options)
    warnings = cpus.warnings
    if found.assumed:
        one = cpuset.text(next(iter(found.cores.values())))
        warnings += (
            f'{origin} does not report which CPUs share a core: they are taken to be {found.assumed}, CPUs {one} one '
            'core; `lscpu -p` reports it, or --siblings',
        )
    return Machine(host, warnings)


def _cell(nodes: _Nodes, cpus: Cpus, cores: Mapping[int, int], node: int) -> FoundCell:
    mask = nodes.cpus[node]
    return FoundCell(
        id=node,
        memory_kib=nodes.sizes_mib[node] * KIB_PER_MIB,
        cpus=mask,
        siblings=tuple(cores[cpu] for cpu in cpuset.ids(mask)),
        sockets=frozenset(cpus.sockets[cpu] for cpu in cpuset.ids(mask) if cpu in cpus.sockets),
        distances=tuple(zip(nodes.columns, nodes.distances.get(node, ()), strict=False)),
    )


def _check(nodes: _Nodes, cpus: Cpus, origin: str) -> None:
    """Refuse truncated texts, and texts of different machines."""
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
            f'{nodes.place} names CPUs {cpuset.text(named)}, and {origin} CPUs {cpuset.text(cpus.online) or "none"}: '
            'expected the same CPUs, of one machine at one time'
        )


# --- which CPUs share a core -----------------------------------------------------------


def _cores(nodes: _Nodes, cpus: Cpus, origin: str, said: Numbering | None) -> Numbered:
    """Return the core of each CPU by CPU number."""
    found = Numbered(cpus.cores) if cpus.threads_per_core is None else _by_numbers(nodes, cpus, origin, said)
    if said and cpus.threads_per_core is None:
        raise exception.InvalidCapabilities(
            f'{origin} names the core of each CPU: expected no numbering of threads (--siblings) with it'
        )
    for node, mask in nodes.cpus.items():
        for cpu in cpuset.ids(mask):
            if (core := found.cores[cpu]) & ~mask:
                raise exception.InvalidCapabilities(
                    f'{origin}: CPUs {cpuset.text(core)} share a core, of which {nodes.place} has CPU {cpu} in node '
                    f'{node} and others not: expected texts of one machine, with the columns CORE and SOCKET, or '
                    f'{ELSEWHERE}'
                )
    return found


def _by_numbers(nodes: _Nodes, cpus: Cpus, origin: str, said: Numbering | None) -> Numbered:
    threads = cpus.threads_per_core or 1
    named = sum(nodes.cpus.values())
    found = Numbered({})
    if threads == 1 or _is_even(cpus, named.bit_count()):
        found = numbering.cores(nodes.cpus, threads, cpus.hypervisor, said)
    if not found.cores:
        node, mask = next((node, mask) for node, mask in nodes.cpus.items() if mask)
        of_what = f' of a guest of {cpus.hypervisor}' if cpus.hypervisor else ''
        words = 'cannot have the numbering that --siblings names' if said else 'do not show which of them share a core'
        raise exception.InvalidCapabilities(
            f'{origin}: {threads} threads per core, and the CPUs {cpuset.text(mask)} of node {node}{of_what} {words}: '
            'expected the output of `lscpu -p` or `lscpu -e`, which does, or --siblings adjacent or apart if you know'
        )
    return found


def _is_even(cpus: Cpus, total: int) -> bool:
    """Return whether all cores have the same number of threads, as far as the counts show."""
    counts = cpus.counts
    return len(counts.kinds) == 1 and (counts.cores is None or counts.cores.start * (counts.threads or 1) == total)
