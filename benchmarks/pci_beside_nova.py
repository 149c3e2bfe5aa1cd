# SPDX-License-Identifier: Apache-2.0
"""PCI devices with Nova 34's greedy choice and with ours, in one process: ``python -m benchmarks.pci_beside_nova``.

Needs what :mod:`benchmarks.beside_nova` needs; ``tox -e bench-pci`` makes such an environment.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from benchmarks import inputs, pci
from benchmarks.beside_nova import machine
from benchmarks.clock import Side, duration, medians
from benchmarks.nova_side import Nova, seconds_within
from numaplace import fit
from numaplace.model import Host, PciPool, PciRequest
from numaplace.tests import nova_requests

__all__ = ['main']

_FORMAT = '{:<58} {:>9}  {:>9}  {:>10}  {}'


class _Greedy:
    """Nova's own objects for the devices and requests of a case, and its own fit."""

    def __init__(self, nova: Nova) -> None:
        self._nova = nova
        self._objects: Any = importlib.import_module('nova.objects')
        self._stats: Any = importlib.import_module('nova.pci.stats')
        #: Before anything replaces it.
        self.own_fit: Any = importlib.import_module('nova.virt.hardware').numa_fit_instance_to_host

    def asked(self, case: pci.Case) -> tuple[Any, Any, list[Any], Any]:
        """Return host, guest, requests and statistics."""
        host = self._nova.host(inputs.text(case.host))
        stats = self._stats.PciDeviceStats(host)
        stats.pools = sorted(map(_pool, case.pools), key=len)
        requests = [
            self._objects.InstancePCIRequest(
                count=request.count,
                spec=list(request.alternatives),
                numa_policy=request.policy,
                alias_name=request.name,
                request_id=request.name,
            )
            for request in case.requests
        ]
        return host, self._nova.guest(nova_requests.write_guest(case.guest)), requests, stats

    def supports(self, case: pci.Case) -> Callable[[], bool]:
        """Return the question for one set of host cells."""
        _, _, requests, stats = self.asked(case)
        cells = [self._objects.InstanceNUMACell(id=number) for number in range(len(case.guest.cells))]
        return lambda: bool(stats.support_requests(requests, None, cells))

    def fit(self, function: Any, case: pci.Case) -> Callable[[], Any]:
        """Return the whole fit by a function with the parameters of Nova's."""
        host, guest, requests, stats = self.asked(case)
        return lambda: function(host, guest.obj_clone(), None, pci_requests=requests, pci_stats=stats)


def _pool(pool: PciPool) -> dict[str, Any]:
    found = {
        'vendor_id': pool.vendor_id,
        'product_id': pool.product_id,
        'dev_type': pool.dev_type,
        'numa_node': pool.numa_node,
        'count': pool.count,
        'address': pool.parent or pool.address,
    }
    return found if pool.physical_network is None else {**found, 'physical_network': pool.physical_network}


def _sides(greedy: _Greedy) -> Iterator[str]:
    """Yield a line for each case: the decision, and the devices of one set of host cells beside Nova's choice."""
    for name, case in pci.CASES.items():
        cells = frozenset(range(len(case.guest.cells)))
        found = medians(
            {
                'place': Side(tuple, lambda case=case: fit.place(case.host, case.guest, devices=case.devices())),
                'set': Side(tuple, lambda case=case, cells=cells: case.devices().supports(cells)),
                'nova': Side(tuple, greedy.supports(case)),
            }
        )
        yield _row(f'{name}: one set of host cells', found['nova'], found['set'])
        verdict = 'fits' if fit.place(case.host, case.guest, devices=case.devices()) else 'no fit'
        yield _FORMAT.format(f'{name}: {len(cells)} guest cells on 8', '', duration(found['place']), '', verdict)


def _full(guest_cells: int, host_cells: int) -> pci.Case:
    """Return a guest that requires a device of a host cell without free CPUs."""
    host: Host = inputs.host(host_cells, full=(0,))
    pools = [PciPool('10de', '20b0', numa_node=0, address='0000:01:00.0')]
    requests = [PciRequest(1, ({'vendor_id': '10de'},), 'required', 'gpu')]
    return pci.Case(host, inputs.guest(guest_cells), pools, requests)


def _inside(greedy: _Greedy, limit_s: float) -> Iterator[str]:
    """Yield a line for each size: the fit of nova-scheduler with Nova's search and with ours, both by Nova's choice."""
    ours: Any = importlib.import_module('numaplace.nova.replacements').numa_fit_instance_to_host
    for guest_cells, host_cells in ((1, 8), (2, 8), (6, 12), (8, 16)):
        case = _full(guest_cells, host_cells)
        seconds, ended = seconds_within(limit_s, greedy.fit(greedy.own_fit, case))
        found = medians({'ours': Side(tuple, greedy.fit(ours, case))})['ours']
        yield _row(f'{guest_cells} on {host_cells}, device in a full host cell', seconds, found, ended=ended)


def _row(name: str, nova_s: float, ours_s: float, *, ended: bool = True) -> str:
    more = '' if ended else '> '
    return _FORMAT.format(name, more + duration(nova_s), duration(ours_s), f'{more}{nova_s / ours_s:,.1f}', '')


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog='python -m benchmarks.pci_beside_nova', description='Time PCI devices.')
    parser.add_argument(
        '--limit', type=float, default=20.0, metavar='SECONDS', help='end a fit of Nova after this (20)'
    )
    options = parser.parse_args()
    greedy = _Greedy(Nova())
    lines: Sequence[Iterator[str]] = (_sides(greedy), _inside(greedy, options.limit))
    sys.stdout.write(f'{machine()}\n\n{_FORMAT.format("guest and host", "Nova", "ours", "times", "").rstrip()}\n')
    for part in lines:
        for line in part:
            sys.stdout.write(line.rstrip() + '\n')
            sys.stdout.flush()


if __name__ == '__main__':
    main()
