# SPDX-License-Identifier: Apache-2.0
"""PCI devices: a guest with requests that compete, decided on a host with many devices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from benchmarks import inputs
from numaplace import fit
from numaplace.model import Guest, Host, PciPool, PciRequest

__all__ = ['CASES', 'Case', 'Decide', 'Whole']

_PF, _VF = 'type-PF', 'type-VF'


class Case(NamedTuple):
    """One guest with devices on one host."""

    host: Host
    guest: Guest
    pools: Sequence[PciPool]
    requests: Sequence[PciRequest]

    def devices(self) -> fit.PciAssignment:
        """Return the devices, with nothing derived from them yet."""
        sockets = {cell.id: cell.shape.socket for cell in self.host.cells}
        return fit.PciAssignment(sockets, self.pools, self.requests)


def _gpus() -> list[PciPool]:
    """Return 64 devices of two kinds on 8 host cells."""
    return [
        PciPool('10de', ('20b0', '20b5')[number // 8 % 2], numa_node=number % 8, address=f'0000:{number:02x}:00.0')
        for number in range(64)
    ]


def _cards() -> list[PciPool]:
    """Return 32 PFs in two networks with 7 VFs each on 8 host cells, as single devices."""
    found = []
    for card in range(32):
        node, pf, network = card % 8, f'0000:{card:02x}:00.0', f'net{card // 8 % 2}'
        found.append(PciPool('8086', '1572', _PF, node, 1, pf, physical_network=network))
        found += [
            PciPool('8086', '154c', _VF, node, 1, f'0000:{card:02x}:02.{vf}', pf, physical_network=network)
            for vf in range(7)
        ]
    return found


def _request(number: int, count: int, policy: str, **wanted: str) -> PciRequest:
    return PciRequest(count, (wanted,), policy, f'alias{number}')


def _mixed() -> list[PciRequest]:
    """Return 8 requests, of which two are for PFs, and the others for VFs of any card or one network."""
    kinds: list[dict[str, str]] = [
        {'dev_type': _VF},
        {'product_id': '154c'},
        {'physical_network': 'net0', 'dev_type': _VF},
        {'dev_type': _PF},
    ]
    policies = ('required', 'preferred', 'legacy', 'socket')
    return [
        _request(number, 1 + number % 2, policies[number // 2], vendor_id='8086', **kinds[number % 4])
        for number in range(8)
    ]


def _cases() -> dict[str, Case]:
    host = inputs.host(8, half_full=range(8))
    two = [
        _request(0, 2, 'preferred', vendor_id='10de'),
        _request(1, 2, 'required', vendor_id='10de', product_id='20b0'),
    ]
    nine = [
        _request(0, 9, 'required', vendor_id='10de'),
        _request(1, 8, 'required', vendor_id='10de', product_id='20b0'),
    ]
    return {
        '2 requests, 64 pools': Case(host, inputs.guest(2), _gpus(), two),
        '2 requests that do not fit, 64 pools': Case(host, inputs.guest(2), _gpus(), nine),
        '8 requests, 256 devices': Case(host, inputs.guest(4), _cards(), _mixed()),
    }


#: By their names in the table: guests on 8 host cells.
CASES = _cases()


class Decide:
    """A guest with devices on 8 host cells: which of them it gets."""

    params = (list(CASES),)
    param_names = ('case',)

    def setup(self, case: str) -> None:
        """Let the fit see host and guest, as in a search over many hosts."""
        self.case = CASES[case]
        fit.place(self.case.host, self.case.guest, devices=self.case.devices())

    def time_place(self, *_params: object) -> None:
        """Read the devices, and find the host cells."""
        fit.place(self.case.host, self.case.guest, devices=self.case.devices())


class Whole:
    """The devices themselves, as a claim takes them."""

    params = (list(CASES),)
    param_names = ('case',)

    def setup(self, case: str) -> None:
        """Choose the host cells."""
        self.case = CASES[case]
        self.cells = frozenset(range(len(self.case.guest.cells)))

    def time_assign(self, *_params: object) -> None:
        """Read the devices, and assign them."""
        self.case.devices().assign(self.cells)
