# SPDX-License-Identifier: Apache-2.0
"""Place a guest whose host cells are fixed: nothing is searched but page sizes and CPUs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from numaplace import exception
from numaplace.fit import cells, whole
from numaplace.fit.demand import Demand, Lack, demands
from numaplace.fit.devices import Devices
from numaplace.fit.networks import affinities
from numaplace.fit.sharing import shared_placements
from numaplace.model import CellPlacement, Guest, Host, Limits, Networks, Placement, Reason, Refusal

__all__ = ['place_bound']


def place_bound(
    host: Host,
    guest: Guest,
    bindings: Sequence[int],
    *,
    limits: Limits | None = None,
    devices: Devices | None = None,
    networks: Networks | None = None,
) -> Placement | Refusal:
    """Place a guest on the host cells that it is bound to; several guest cells may share one.

    :param bindings: for each guest cell the id of its host cell
    :raises: :class:`~numaplace.exception.Invalid` if there is not one id for each guest cell
    """
    if len(bindings) != len(guest.cells):
        raise exception.Invalid(f'{len(bindings)} bindings for {len(guest.cells)} guest cells: expected one for each')
    reasons: list[Reason] = []
    placed: dict[int, CellPlacement] = {}
    for host_cell in dict.fromkeys(bindings):
        numbers = [number for number, bound in enumerate(bindings) if bound == host_cell]
        answer = _place_together(host, host_cell, guest, numbers, demands(guest, limits))
        if isinstance(answer, list):
            placed.update(zip(numbers, answer, strict=True))
        else:
            reasons.extend(answer)
    reasons.extend(whole.reasons(host, guest, limits))
    reasons.extend(_host_reasons(host, frozenset(bindings), devices, networks))
    if reasons:
        return Refusal.of(*reasons)
    return Placement(guest, tuple(placed[number] for number in range(len(guest.cells))))


def _place_together(
    host: Host, host_cell_id: int, guest: Guest, numbers: Sequence[int], asked: Sequence[Demand]
) -> list[CellPlacement] | tuple[Reason, ...]:
    """Place the guest cells that are bound to one host cell, or say why they do not fit."""
    host_cell = next((cell for cell in host.cells if cell.id == host_cell_id), None)
    if host_cell is None:
        return (Reason('cells.unknown', guest_cells=tuple(numbers), host_cells=(host_cell_id,)),)
    alone = [(number, cells.shortfall(host_cell, asked[number])) for number in numbers]
    lacking = tuple(Reason(*lack, guest_cells=(number,), host_cells=(host_cell_id,)) for number, lack in alone if lack)
    if lacking:
        return lacking
    if len(numbers) == 1:
        return [cells.place(host_cell, guest.cells[numbers[0]], asked[numbers[0]])]
    answer = shared_placements(
        host_cell, [guest.cells[number] for number in numbers], [asked[number] for number in numbers]
    )
    if isinstance(answer, Lack):
        return (Reason(*answer, guest_cells=tuple(numbers), host_cells=(host_cell_id,)),)
    return answer


def _host_reasons(
    host: Host, chosen: frozenset[int], devices: Devices | None, networks: Networks | None
) -> Iterator[Reason]:
    ids = [cell.id for cell in host.cells]
    for affinity in affinities(host.cells, networks):
        near = tuple(sorted(cell_id for column, cell_id in enumerate(ids) if affinity.columns >> column & 1))
        if not chosen & set(near):
            yield Reason(affinity.code, 1, 0, 'cells', (), near, affinity.name)
    if devices is not None and not devices.supports(chosen):
        yield Reason('pci.required')
