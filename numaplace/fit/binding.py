# SPDX-License-Identifier: Apache-2.0
"""Place a guest whose host cells are fixed: only page sizes and CPUs are searched."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from numaplace import exception
from numaplace.fit import cells, host_wide
from numaplace.fit.cell_demand import Demand, Lack, demands
from numaplace.fit.devices import Devices
from numaplace.fit.networks import affinities
from numaplace.fit.sharing import shared_placements, shortfalls
from numaplace.model import CellPlacement, Guest, Host, HostCell, Limits, Networks, Placement, Reason, Refusal

__all__ = ['pair_reasons', 'place_bound']


def place_bound(
    host: Host,
    guest: Guest,
    host_cell_ids: Sequence[int],
    *,
    limits: Limits | None = None,
    devices: Devices | None = None,
    networks: Networks | None = None,
) -> Placement | Refusal:
    """Place a guest on the host cells that it is bound to; several guest cells may share one.

    :param host_cell_ids: for each guest cell the id of its host cell
    :raises: :class:`~numaplace.exception.Invalid` if there is not one id for each guest cell
    """
    if len(host_cell_ids) != len(guest.cells):
        raise exception.Invalid(
            f'{len(host_cell_ids)} host cell ids for {len(guest.cells)} guest cells: expected one for each'
        )
    asked = demands(guest, limits)
    groups = {bound: [number for number, own in enumerate(host_cell_ids) if own == bound] for bound in host_cell_ids}
    known = {cell.id: cell for cell in host.cells}
    answers = {bound: _place_together(known.get(bound), guest, group, asked) for bound, group in groups.items()}
    lacks = (
        *host_wide.reasons(host, guest, limits, host_cell_ids),
        *_host_reasons(host, frozenset(host_cell_ids), devices, networks),
    )
    refused = [bound for bound, answer in answers.items() if answer is None]
    if refused or lacks:
        return Refusal(lambda: (*_cell_reasons(known, {bound: groups[bound] for bound in refused}, asked), *lacks))
    placed = {
        number: cell
        for bound, group in groups.items()
        for number, cell in zip(group, answers[bound] or (), strict=True)
    }
    return Placement(guest, tuple(placed[number] for number in range(len(guest.cells))))


def _place_together(
    host_cell: HostCell | None, guest: Guest, numbers: Sequence[int], asked: Sequence[Demand]
) -> list[CellPlacement] | None:
    """Place the guest cells that are bound to one host cell; None if they do not fit or there is no such cell."""
    if host_cell is None or any(cells.shortfall(host_cell, asked[number]) for number in numbers):
        return None
    if len(numbers) == 1:
        return [cells.place(host_cell, guest.cells[numbers[0]], asked[numbers[0]])]
    answer = shared_placements(
        host_cell, [guest.cells[number] for number in numbers], [asked[number] for number in numbers]
    )
    return None if isinstance(answer, Lack) else answer


def _cell_reasons(
    known: Mapping[int, HostCell], refused: Mapping[int, Sequence[int]], asked: Sequence[Demand]
) -> Iterator[Reason]:
    """Yield what the refusing host cells lack for the guest cells bound to them: for each, else for all together."""
    for bound, numbers in refused.items():
        if bound not in known:
            yield Reason('cells.unknown', guest_cells=tuple(numbers), host_cells=(bound,))
            continue
        alone = [reason for number in numbers for reason in pair_reasons(known[bound], asked[number], number)]
        together = () if alone else shortfalls(known[bound], [asked[number] for number in numbers])
        yield from alone or _shortest_first(lack.about(tuple(numbers), known[bound]) for lack in together)


def pair_reasons(host_cell: HostCell, demand: Demand, number: int) -> tuple[Reason, ...]:
    """Return all that a host cell lacks for a guest cell, permanent causes first, then by missing share.

    :param number: number of the guest cell
    """
    return _shortest_first(lack.about((number,), host_cell) for lack in cells.shortfalls(host_cell, demand))


def _shortest_first(reasons: Iterable[Reason]) -> tuple[Reason, ...]:
    return tuple(sorted(reasons, key=lambda reason: reason.position))


def _host_reasons(
    host: Host, chosen: frozenset[int], devices: Devices | None, networks: Networks | None
) -> Iterator[Reason]:
    ids = [cell.id for cell in host.cells]
    for affinity in affinities(host.cells, networks):
        near = tuple(sorted(cell_id for column, cell_id in enumerate(ids) if affinity.columns >> column & 1))
        if not chosen & set(near):
            yield Reason(affinity.code, 1, 0, 'cells', (), near, affinity.name)
    if devices is not None and not devices.supports(chosen):
        yield from devices.reasons(chosen)
