# SPDX-License-Identifier: Apache-2.0
"""Hosts with as much more as a refusal says is missing."""

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from numaplace import explain, model

__all__ = ['ADDITIONS', 'NO_AMOUNT', 'add', 'read_short']

_NUMBERS = re.compile(r'needs? (?:room for )?(\d+) .*; .* has (?:room for )?(-?\d+).* \((\d+) short\)$')
_COMPETING = re.compile(r': (\d+) guest cells for (\d+) host cells?$')


def read_short(reason: model.Reason) -> int:
    """Return how much is missing as the text of a reason says; its numbers must add up."""
    text = explain.sentence(reason)
    found = _NUMBERS.search(text)
    if found:
        needed, available, short = map(int, found.groups())
        assert needed - available == short > 0, text
        return short
    needed, available = map(int, _COMPETING.search(text).groups())
    assert needed > available, text
    return needed - available


def _change(host: model.Host, cell_id: int, change: Callable[[model.HostCell], model.HostCell]) -> model.Host:
    return replace(host, cells=tuple(change(cell) if cell.id == cell_id else cell for cell in host.cells))


def _more_cpus(cell: model.HostCell, cores: tuple[int, ...], kinds: frozenset[str]) -> model.HostCell:
    """Return a host cell with more cores; where its sets of CPUs are the same, they are in both."""
    shape, cpus = cell.shape, sum(cores)
    if shape.dedicated_cpus == shape.shared_cpus:
        kinds = frozenset({'dedicated_cpus', 'shared_cpus'})
    sets = {kind: getattr(shape, kind) | cpus for kind in kinds}
    return replace(cell, shape=replace(shape, siblings=shape.siblings + cores, **sets))


def _add_cpus(host: model.Host, reason: model.Reason, cores: int, threads: int, kind: str) -> model.Host:
    """Return a host with more cores in the host cell of a reason, or in any."""
    cell_id = reason.host_cells[0] if reason.host_cells else host.cells[0].id
    used = [mask for cell in host.cells for mask in (cell.shape.dedicated_cpus, cell.shape.shared_cpus)]
    first = max(mask.bit_length() for mask in [*used, *(mask for cell in host.cells for mask in cell.shape.siblings)])
    masks = tuple(((1 << threads) - 1) << first + core * threads for core in range(cores))
    return _change(host, cell_id, partial(_more_cpus, cores=masks, kinds=frozenset({kind})))


def _width(host: model.Host, reason: model.Reason) -> int:
    return host.cell(reason.host_cells[0]).shape.threads_per_core


def _add_dedicated(host: model.Host, reason: model.Reason, short: int, limits: model.Limits | None) -> model.Host:
    """Add CPUs as whole cores where that is possible."""
    width = _width(host, reason)
    threads = 1 if short % width else width
    return _add_cpus(host, reason, short // threads, threads, 'dedicated_cpus')


def _add_cores(host: model.Host, reason: model.Reason, short: int, limits: model.Limits | None) -> model.Host:
    return _add_cpus(host, reason, short, _width(host, reason), 'dedicated_cpus')


def _add_even_cores(host: model.Host, reason: model.Reason, short: int, limits: model.Limits | None) -> model.Host:
    return _add_cpus(host, reason, short, int(reason.subject), 'dedicated_cpus')


def _add_shared(host: model.Host, reason: model.Reason, short: int, limits: model.Limits | None) -> model.Host:
    return _add_cpus(host, reason, short, 1, 'shared_cpus')


def _room(number: int, ratio: float, short: int) -> int:
    """Return how much to add to a number so that there is room for as much more under a ratio."""
    more = 0
    while model.limit(number + more, ratio) < model.limit(number, ratio) + short:
        more += 1
    return more


def _add_vcpus(host: model.Host, reason: model.Reason, short: int, limits: model.Limits) -> model.Host:
    shared = host.cell(reason.host_cells[0]).shape.shared_cpus if reason.host_cells else host.shared_cpus
    return _add_cpus(host, reason, _room(shared.bit_count(), limits.cpu_allocation_ratio, short), 1, 'shared_cpus')


def _with_memory(cell: model.HostCell, more_mib: int) -> model.HostCell:
    smallest = cell.smallest_pages
    pages = tuple(
        replace(each, total=each.total - -more_mib * 1024 // each.size_kib) if each == smallest else each
        for each in cell.pages
    )
    return replace(cell, shape=replace(cell.shape, memory_mib=cell.shape.memory_mib + more_mib), pages=pages)


def _add_memory(host: model.Host, reason: model.Reason, short: int, limits: model.Limits | None) -> model.Host:
    return _change(host, reason.host_cells[0], partial(_with_memory, more_mib=short))


def _add_room(host: model.Host, reason: model.Reason, short: int, limits: model.Limits | None) -> model.Host:
    cell = host.cell(reason.host_cells[0]) if reason.host_cells else host.cells[0]
    memory_mib = cell.shape.memory_mib if reason.host_cells else host.memory_mib
    more_mib = _room(memory_mib, limits.ram_allocation_ratio if limits else 1.0, short)
    return _change(host, cell.id, partial(_with_memory, more_mib=more_mib))


def _add_pages(host: model.Host, reason: model.Reason, short: int, limits: model.Limits | None) -> model.Host:
    size_kib = int(reason.code.split('.')[1])

    def change(cell: model.HostCell) -> model.HostCell:
        pages = [each for each in cell.pages if each.size_kib == size_kib] or [model.Pages(size_kib, 0)]
        others = [each for each in cell.pages if each.size_kib != size_kib]
        return replace(cell, pages=(*others, replace(pages[0], total=pages[0].total + short)))

    return _change(host, reason.host_cells[0], change)


def _add_cells(host: model.Host, reason: model.Reason, short: int, limits: model.Limits | None) -> model.Host:
    """Add host cells like one of those that the guest cells compete for, or like the first."""
    like = host.cell(reason.host_cells[0]) if reason.host_cells else host.cells[0]
    first = max(cell.id for cell in host.cells) + 1
    new = tuple(replace(like, shape=replace(like.shape, id=first + number)) for number in range(short))
    return replace(host, cells=host.cells + new)


#: By the code of a cause: how a host gets what is missing.
ADDITIONS = {
    'cells.assignment': _add_cells,
    'cells.count': _add_cells,
    'cpus.dedicated.free': _add_dedicated,
    'cpus.dedicated.total': _add_dedicated,
    'cpus.host': _add_vcpus,
    'cpus.host.total': _add_shared,
    'cpus.shared.limit': _add_vcpus,
    'cpus.shared.total': _add_shared,
    'memory.free': _add_memory,
    'memory.host': _add_room,
    'memory.host.total': _add_room,
    'memory.limit': _add_room,
    'memory.total': _add_memory,
    'pages.SIZE': _add_pages,
    'pages.SIZE.total': _add_pages,
    'threads.isolate': _add_cores,
    'threads.isolate.emulator': _add_cores,
    'threads.isolate.total': _add_cores,
    'threads.require': _add_even_cores,
    'threads.require.total': _add_even_cores,
}

#: By the code of a cause: why nothing that can be added to the host is missing.
NO_AMOUNT = {
    'aggregate.extra_spec': 'the aggregates of the host are for others',
    'aggregate.flavor': 'the aggregates of the host are for others',
    'aggregate.image': 'the aggregates of the host are for others',
    'aggregate.project': 'the aggregates of the host are for others',
    'aggregate.trait': 'the aggregates of the host are for others',
    'candidates.none': 'another filter removed what placement offers',
    'capability': 'the host is of another kind',
    'cells.unknown': 'it names a host cell, not a number of them',
    'claim.lost': 'others changed the host meanwhile',
    'cpus.dedicated.none': 'the guest cell lacks a vCPU, not the host a CPU',
    'cpus.invalid': 'no host can have it',
    'domain.name': 'a name is taken there',
    'encryption.free': 'what is counted by number is no part of the cells',
    'encryption.total': 'the host is of another kind',
    'fault': 'an error',
    'group.affinity': 'the policy of a group, not an amount',
    'group.anti-affinity': 'the policy of a group, not an amount',
    'guest.topology.unreadable': 'an error',
    'hint.cidr': 'the user asks for other hosts',
    'hint.different_host': 'the user asks for other hosts',
    'hint.query': 'the user asks for other hosts',
    'hint.same_host': 'the user asks for other hosts',
    'host.disabled': 'the operator decides',
    'host.down': 'the host is off',
    'host.forced': 'the user asks for other hosts',
    'host.same': 'the host itself is excluded',
    'host.topology': 'nothing is known of the host',
    'host.topology.unreadable': 'an error',
    'image.PROPERTY': 'the host is of another kind',
    'isolated.host': 'the operator decides',
    'isolated.image': 'the operator decides',
    'machine.addresses': 'the machine type is of another kind',
    'machine.apic': 'a limit of the machine type',
    'machine.cells': 'a limit of the machine type',
    'machine.devices': 'the machine type is of another kind',
    'machine.encryption': 'the machine type is of another kind',
    'machine.hotplug': 'the machine type is of another kind',
    'machine.memory': 'a limit of the machine type',
    'machine.pmu': 'the machine type is of another kind',
    'machine.slots': 'a limit of the machine type',
    'machine.threads': 'a limit of the machine type',
    'machine.vcpus': 'a limit of the machine type',
    'machine.viommu': 'the machine type is of another kind',
    'memory.invalid': 'no host can have it',
    'memory.multiple': 'the memory of the guest is no multiple of the page',
    'memory.shared': 'there may be enough pages, but of sizes that do not suit',
    'network.joint': 'a place is missing, not an amount',
    'network.physnet': 'a place is missing, not an amount',
    'network.tunnel': 'a place is missing, not an amount',
    'pages.invalid': 'no host can have it',
    'pages.large': 'a kind of pages is missing, whatever their number',
    'pages.none': 'a kind of pages is missing, whatever their number',
    'pci.affinity': 'devices are no part of the host: see pci_judge',
    'pci.functions': 'a choice is missing, not an amount',
    'pci.greedy': 'a choice is missing, not an amount',
    'pci.joint': 'devices are no part of the host: see pci_judge',
    'pci.place': 'a choice is missing, not an amount',
    'pci.required': 'what is missing depends on who counts the devices',
    'pci.total': 'devices are no part of the host: see pci_judge',
    'placement.forbidden': 'the host is of another kind',
    'placement.free': 'what placement counts is no part of the host',
    'placement.most': 'no host of this size can have it',
    'placement.step': 'no host can have it',
    'placement.trait': 'the host is of another kind',
    'placement.unknown': 'nothing is known of the host',
    'pmem.free': 'what is counted by name is no part of the cells',
    'pmem.total': 'the host is of another kind',
    'request.unsupported': 'no host can have it',
    'servers.host': 'the operator decides',
    'threads.isolate.smt': 'the cores are of another kind',
    'threads.require.smt': 'the cores are of another kind',
    'vnuma': 'the guest does not divide over the host cells',
    'zone': 'the host is elsewhere',
}


def add(host: model.Host, reason: model.Reason, limits: model.Limits | None) -> model.Host:
    """Return a host with as much more as the text of a reason says is missing."""
    return ADDITIONS[explain.code_of(reason)](host, reason, read_short(reason), limits)
