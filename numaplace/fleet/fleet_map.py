# SPDX-License-Identifier: Apache-2.0
"""A fleet as compact plain values, from which a map is drawn: lists without names of fields, and each text once.

:attr:`Map.plain` is a dict that JSON can hold. An index into ``texts`` stands for a text that may occur often, one into
``hosts`` or ``guests`` for a host or a guest; -1 is none. CPUs are in the form of cpuset: ``0-3,8``.

``hosts``
    ``[name, kind, zone text, status, state, vCPUs used, MiB, MiB used, floating vCPUs, cells, devices, domains]``, by
    name. ``cells``: ``[symbols, shared vCPUs used, MiB, MiB used, MiB held, pages]``: a symbol of
    :mod:`numaplace.fleet.occupancy` for each CPU, by CPU, and for each page size five numbers: its KiB, and the total,
    used, reserved and held pages. ``devices``: ``[address, kind text, host cell or -1, status text, guest]``.
    ``domains``: names of those that numaplace does not manage.
``kinds``
    What hosts have in common apart from their use, a list of cells for each kind of host: ``[id, CPUs, dedicated CPUs,
    shared CPUs, cores, socket or -1, kind of memory, distances, physical networks]``. ``cores`` is a list of CPUs.
``guests``
    ``[name, UUID, flavor text, status text, vCPUs, MiB, places]``. ``places``: ``[host, letters, cells]``, two for a
    guest in a move; ``cells``: ``[host cell, MiB, page size in KiB or 0, vCPUs, CPUs, shared vCPUs, CPUs more]``: the
    pinned vCPUs and their CPUs in the same order, and those that it holds beside them. Empty ones at the end are left
    out.
``findings``
    ``[severity text, code text, sentence text, host, guest, subject text]``, errors first. The subject is the name of
    a host that is not in ``hosts``.
``flavors``
    ``[name, fault or empty, answers]``; an answer for each host: -1 if it takes the flavor, otherwise an index into
    ``refusals``: ``[filter text, sentence text, ...]``.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from numaplace import cpuset, explain
from numaplace.fleet import occupancy
from numaplace.fleet.explain import Answer
from numaplace.fleet.findings import Finding
from numaplace.model import CellPlacement, Host, HostCell, Placement
from numaplace.model.allocations import holds
from numaplace.model.fleet import Fleet
from numaplace.model.records import HostRecord, InstanceRecord

__all__ = ['Asked', 'Map', 'draw']

_NONE = -1
_Key = TypeVar('_Key', bound=Hashable)


@dataclass(frozen=True, slots=True)
class Asked:
    """What all hosts say to a flavor.

    :param fault: why no guest can be made of it; then there are no answers
    """

    flavor: str
    answers: Sequence[Answer] = ()
    fault: str = ''


@dataclass(frozen=True, slots=True)
class Map:
    """A fleet as plain values, and a host of each kind.

    :param plain: as the docstring of the module says
    :param kinds: one host for each entry of ``kinds``, whose frame is that of all hosts of the kind
    """

    plain: dict[str, Any]
    kinds: Sequence[Host]


@dataclass(slots=True)
class _Numbers(Generic[_Key]):
    """Numbers things in the order in which they are first seen."""

    known: dict[_Key, int] = field(default_factory=dict)

    def __call__(self, thing: _Key) -> int:
        return self.known.setdefault(thing, len(self.known))


@dataclass(slots=True)
class _Drawing:
    """What the parts of a map refer to.

    :param held: what servers hold, by host: their numbers and placements
    """

    texts: _Numbers[str] = field(default_factory=_Numbers)
    kinds: dict[tuple[Any, ...], tuple[int, Host]] = field(default_factory=dict)
    refusals: _Numbers[tuple[int, ...]] = field(default_factory=_Numbers)
    hosts: dict[str, int] = field(default_factory=dict)
    guests: dict[str, int] = field(default_factory=dict)
    held: dict[str, list[tuple[str, Placement]]] = field(default_factory=dict)


def draw(fleet: Fleet, findings: Iterable[Finding], asked: Iterable[Asked]) -> Map:
    """Return the map of a fleet; linear in the number of hosts, CPUs, guests, findings and answers.

    :param fleet: its hosts in the order in which they are shown
    :param findings: of an audit, errors first
    :param asked: what the hosts say to flavors
    """
    known = _Drawing()
    known.hosts = {record.name: number for number, record in enumerate(fleet.hosts)}
    known.guests = {server.uuid: number for number, server in enumerate(fleet.servers)}
    for server in fleet.servers:
        for side in holds(server):
            known.held.setdefault(side.host, []).append((server.uuid, side.placement))
    letters = {name: occupancy.labels(held) for name, held in known.held.items()}
    hosts = [_host(known, record) for record in fleet.hosts]
    plain = {
        'hosts': hosts,
        'guests': [_guest(known, server, letters) for server in fleet.servers],
        'findings': [_finding(known, finding) for finding in findings],
        'flavors': [_flavor(known, one) for one in asked],
        'kinds': [list(map(list, key)) for key in known.kinds],
        'refusals': [list(key) for key in known.refusals.known],
        'symbols': {**occupancy.MEANINGS},
    }
    return Map(plain | {'texts': list(known.texts.known)}, [host for _, host in known.kinds.values()])


def _host(known: _Drawing, record: HostRecord) -> list[Any]:
    host = record.host
    held = known.held.get(record.name, ())
    owned = cpuset.union([placed.taken for _, placement in held for placed in placement.cells])
    off = host.offline_cpus
    key = tuple([_kind(cell) for cell in host.cells])
    kind, _ = known.kinds.setdefault(key, (len(known.kinds), host))
    return [
        record.name,
        kind,
        known.texts(record.availability_zone),
        record.status,
        record.state,
        host.vcpus_used,
        host.memory_mib,
        host.general_memory_used_mib,
        host.floating_vcpus,
        [_cell(cell, owned, off) for cell in host.cells],
        _devices(known, host, held),
        [holding.name for holding in record.unmanaged],
    ]


def _kind(cell: HostCell) -> tuple[Any, ...]:
    shape = cell.shape
    return (
        shape.id,
        cpuset.text(occupancy.cpus(cell)),
        cpuset.text(shape.dedicated_cpus),
        cpuset.text(shape.shared_cpus),
        tuple(map(cpuset.text, occupancy.cores(cell))),
        _NONE if shape.socket is None else shape.socket,
        shape.kind,
        tuple(shape.distances),
        tuple(sorted(shape.physnets)),
    )


def _cell(cell: HostCell, owned: int, off: int) -> list[Any]:
    pages = [number for one in cell.pages for number in (one.size_kib, one.total, one.used, one.reserved, one.held)]
    symbols = ''.join(occupancy.symbols(cell, owned, off).values())
    return [symbols, cell.cpu_usage, cell.shape.memory_mib, cell.memory_usage_mib, cell.held_mib, pages]


def _devices(known: _Drawing, host: Host, held: Iterable[tuple[str, Placement]]) -> list[list[Any]]:
    if not host.devices:
        return []
    owners = {one.device.address: known.guests[uuid] for uuid, placement in held for one in placement.devices}
    statuses = host.devices.statuses
    return [
        [
            one.address,
            known.texts(f'{one.vendor_id}:{one.product_id} {one.dev_type}'),
            _NONE if one.numa_node is None else one.numa_node,
            known.texts(statuses[one.address]),
            owners.get(one.address, _NONE),
        ]
        for one in host.devices.known
    ]


def _guest(known: _Drawing, server: InstanceRecord, letters: Mapping[str, Mapping[str, str]]) -> list[Any]:
    guest = server.placement.guest
    places = [
        [known.hosts[side.host], letters[side.host].get(server.uuid, ''), list(map(_placed, side.placement.cells))]
        for side in holds(server)
        if side.host in known.hosts
    ]
    texts = known.texts(server.flavor.name), known.texts(server.status)
    return [server.name, server.uuid, *texts, guest.vcpus, guest.memory_mib, places]


def _placed(placed: CellPlacement) -> list[Any]:
    pinned = cpuset.mask([cpu for _, cpu in placed.pins])
    values: list[Any] = [
        placed.host_cell,
        placed.guest_cell.memory_mib,
        placed.pagesize_kib or 0,
        _runs([vcpu for vcpu, _ in placed.pins]),
        _runs([cpu for _, cpu in placed.pins]),
        cpuset.text(placed.guest_cell.shared_vcpus),
        cpuset.text(placed.taken & ~pinned),
    ]
    while not values[-1]:
        values.pop()
    return values


def _runs(numbers: Iterable[int]) -> str:
    """Return numbers in their order, those that follow each other as a range."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ','.join([str(first) if first == last else f'{first}-{last}' for first, last in runs])


def _finding(known: _Drawing, finding: Finding) -> list[int]:
    host = known.hosts.get(finding.host or '', _NONE)
    return [
        *map(known.texts, (finding.severity, finding.code, finding.text)),
        host,
        known.guests.get(finding.server or '', _NONE),
        known.texts('' if host != _NONE else finding.host or ''),
    ]


def _flavor(known: _Drawing, asked: Asked) -> list[Any]:
    answers = [_NONE] * len(known.hosts)
    for answer in asked.answers:
        if answer.refusal is not None and answer.host in known.hosts:
            sentences = dict.fromkeys(map(explain.sentence, answer.refusal.reasons))
            texts = (known.texts(answer.by or ''), *map(known.texts, sentences))
            answers[known.hosts[answer.host]] = known.refusals(texts)
    return [asked.flavor, asked.fault, [] if asked.fault else answers]
