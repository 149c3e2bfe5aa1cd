# SPDX-License-Identifier: Apache-2.0
"""The devices of a host as Nova counts them, as the device interface of the fit."""

from __future__ import annotations

import copy
import functools
import itertools
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from nova import objects

from numaplace import exception, fit, wire
from numaplace.fit.pci import Projection
from numaplace.model import Host, PciPool, PciRequest, Reason
from numaplace.model.pci import SOCKET

__all__ = ['HostDevices', 'PciDevices']

#: Orders of requests that are tried, at most, for the words of a refusal.
_MOST_ORDERS = 120


class HostDevices:
    """The PCI devices of a host and the requests of a guest, read once, whatever providers placement has chosen.

    :param host: the host that the statistics belong to
    :param stats: its ``nova.pci.stats.PciDeviceStats``, which stays as it is
    :param requests: the guest's ``nova.objects.InstancePCIRequest``, or None
    :param limit_s: after this time no more sets of host cells are tried; None for no limit
    """

    def __init__(
        self,
        host: Host,
        stats: Any,
        requests: Iterable[Any] | None,
        *,
        limit_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.requests = list(requests or ())
        self.wanted = [_read(request) for request in self.requests]
        self._pools = [wire.read_pci_pool(pool) for pool in stats.pools]
        self._sockets = {cell.id: cell.shape.socket for cell in host.cells}
        unrelated = [replace(pool, address=None, parent=None) for pool in self._pools]
        #: An exact assignment that lets a PF go together with its VFs, as Nova does before the claim.
        self.bound = fit.PciAssignment(self._sockets, unrelated, self.wanted)
        self.projection = self._project()
        self._stats = _standin(stats, self._sockets)
        self._limit_s, self._clock = limit_s, clock
        self._end_s = None if limit_s is None else clock() + limit_s

    def _project(self) -> Projection | _Amounts:
        """Return what Nova's choice depends on: of devices of one kind, only how many are in the host cells."""
        wanted = [pool for pool in self._pools if any(request.names(pool) for request in self.wanted)]
        by_socket = any(request.policy == SOCKET for request in self.wanted)
        kinds = {tuple((request.names(pool), request.matches(pool)) for request in self.wanted) for pool in wanted}
        special = any(pool.numa_node is None or 'rp_uuid' in pool.tags for pool in wanted)
        if len(kinds) == 1 and not by_socket and not special:
            return _Amounts(wanted)
        return Projection(self._sockets, {pool.numa_node for pool in wanted}, by_socket=by_socket)

    @functools.cached_property
    def exact(self) -> fit.PciAssignment:
        """An exact assignment that a claim could make."""
        return fit.PciAssignment(self._sockets, self._pools, self.wanted)

    def answer(self, requests: Sequence[Any], provider_mapping: Any, host_cells: Iterable[int]) -> bool:
        """Return whether Nova finds the devices, one request after the other.

        :raises: :class:`~numaplace.exception.TimeLimitReached`
        """
        if self._end_s is not None and self._clock() > self._end_s:
            raise exception.TimeLimitReached(f'no choice of host cells with the devices found in {self._limit_s:g} s')
        # Nova looks at the ids only, so it does not matter which guest cell has which.
        placed = [_guest_cell(cell_id) for cell_id in sorted(host_cells)]
        return bool(self._stats.support_requests(requests, provider_mapping, placed))


class _Amounts:
    """The number of devices in some host cells.

    Nova takes devices on own nodes first, and else all of those and some on other nodes: if they are of one kind, and
    the nodes of all are known, it does not matter which host cells have them.
    """

    def __init__(self, pools: Iterable[PciPool]) -> None:
        self._free: Counter[int | None] = Counter()
        for pool in pools:
            self._free[pool.numa_node] += pool.count

    def __call__(self, host_cells: frozenset[int]) -> Hashable:
        return sum(self._free[cell] for cell in host_cells)

    def kind(self, host_cell: int) -> Hashable:
        return self._free[host_cell]


class PciDevices(fit.Devices):
    """The PCI devices that a guest requests on one host; Nova's own greedy choice answers.

    It is asked once for all sets of host cells that have the same of the devices. Once it has refused one, sets without
    an exact assignment are not tried: Nova finds none there either.

    :param provider_mapping: resource providers by request group, or None if the requests name them
    """

    def __init__(self, devices: HostDevices, provider_mapping: Any) -> None:
        self._devices = devices
        self._provider_mapping = provider_mapping
        self._answers: dict[Hashable, bool] = {}
        self._refused: list[frozenset[int]] = []

    def supports(self, host_cells: frozenset[int]) -> bool:
        """Return whether Nova finds the devices for a guest on the host cells with these ids."""
        if not self._devices.requests:
            return True
        key = self._devices.projection(host_cells)
        if key not in self._answers:
            tried = not self._refused or self._devices.bound.supports(host_cells)
            self._answers[key] = tried and self._ask(self._devices.requests, host_cells)
            if tried and not self._answers[key]:
                self._refused.append(host_cells)
        return self._answers[key]

    def preference(self, host_cell: int) -> int:
        """Put host cells with devices first for a guest that requests some, and last for any other."""
        return self._devices.bound.preference(host_cell)

    def excludes(self, host_cells: frozenset[int], most: int) -> bool:
        """Return whether no assignment exists at all; before Nova has refused a set, nothing is excluded."""
        return bool(self._refused) and self._devices.bound.excludes(host_cells, most)

    def kind(self, host_cell: int) -> Hashable:
        """Return the host cell itself if Nova may count devices there, else its socket if that matters."""
        return self._devices.projection.kind(host_cell)

    def reasons(self, host_cells: frozenset[int]) -> tuple[Reason, ...]:
        """Return ``pci.greedy`` if Nova refuses a set that an assignment fills, else which requests lack devices."""
        exact = self._devices.exact
        misjudged = next((refused for refused in self._refused if exact.supports(refused)), None)
        if misjudged is None:
            return exact.reasons(host_cells)
        return (Reason('pci.greedy', host_cells=tuple(sorted(misjudged)), subject=self._order(misjudged)),)

    def _order(self, host_cells: frozenset[int]) -> str:
        """Return the order of requests that Nova accepts on some host cells, in words."""
        orders = itertools.permutations(range(len(self._devices.requests)))
        for order in itertools.islice(orders, _MOST_ORDERS):
            if self._ask([self._devices.requests[number] for number in order], host_cells):
                return f'Nova finds it in the order {", ".join(self._devices.wanted[number].name for number in order)}'
        return 'Nova does not find it in any order of the requests'

    def _ask(self, requests: Sequence[Any], host_cells: frozenset[int]) -> bool:
        return self._devices.answer(requests, self._provider_mapping, host_cells)


def _read(request: Any) -> PciRequest:
    """Read a ``nova.objects.InstancePCIRequest``."""
    known = {name: getattr(request, name) for name in ('numa_policy', 'alias_name', 'request_id') if name in request}
    name = known.get('alias_name') or f'port {known.get("request_id")}'
    return wire.read_pci_request(request.count, request.spec, known.get('numa_policy'), name)


@functools.lru_cache(maxsize=1024)
def _guest_cell(cell_id: int) -> Any:
    """Return a guest cell that has only the id of a host cell."""
    return objects.InstanceNUMACell(id=cell_id)


# Nova copies its statistics for each question, with the whole topology of the host and all devices. These take their
# place: what Nova reads of them is all there, and what it changes is copied.


class _Cell(NamedTuple):
    id: int
    socket: int | None


class _Topology(NamedTuple):
    cells: tuple[_Cell, ...]

    def __deepcopy__(self, memo: Any) -> _Topology:
        return self


class _Pool(dict[str, Any]):
    def __deepcopy__(self, memo: Any) -> _Pool:
        return _Pool(self)


def _standin(stats: Any, sockets: dict[int, int | None]) -> Any:
    """Return statistics that answer as these do and are copied fast."""
    found = copy.copy(stats)
    found.numa_topology = _Topology(tuple(_Cell(*pair) for pair in sockets.items()))
    found.pools = [_Pool((key, value) for key, value in pool.items() if key != 'devices') for pool in stats.pools]
    found.dev_filter = None
    return found
