# SPDX-License-Identifier: Apache-2.0
"""What nova-compute logs of the claims that numaplace decides: the pins of each, or why the host refuses the guest."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from nova import conf
from oslo_log import log as logging

from numaplace import cpuset, explain, units
from numaplace.model import (
    PAGES_ANY,
    PAGES_LARGE,
    PAGES_SMALL,
    SHARED,
    Guest,
    GuestCell,
    Host,
    HostCell,
    Placement,
    Refusal,
)

__all__ = ['naming', 'placed', 'refused']

LOG = logging.getLogger(__name__)

_PAGES = {PAGES_ANY: 'any', PAGES_LARGE: 'large', PAGES_SMALL: 'small'}

#: The UUID of the instance that this thread claims for.
_CLAIMED: ContextVar[str | None] = ContextVar('numaplace_claimed', default=None)


def naming(test: Callable[[Any, Any, Any], Any]) -> Callable[[Any, Any, Any], Any]:
    """Wrap ``Claim._test_numa_topology``, unchanged, so that the answer of its fit is logged with the instance."""

    @functools.wraps(test)
    def test_by_name(self: Any, compute_node: Any, limit: Any) -> Any:
        with _claiming(str(self.instance.uuid)):
            return test(self, compute_node, limit)

    return test_by_name


@contextmanager
def _claiming(instance: str) -> Iterator[None]:
    token = _CLAIMED.set(instance)
    try:
        yield
    finally:
        _CLAIMED.reset(token)


def placed(host: Host, placement: Placement) -> None:
    """Log the pins of a claim, a line for each guest cell that has any; outside of a claim nothing.

    Nova's own line, as its test of bug 1953359 and operators search for it, with the instance added.
    """
    instance = _CLAIMED.get()
    if instance is None:
        return
    cells = {cell.id: cell for cell in host.cells}
    for cell in placement.cells:
        if cell.pins:
            LOG.info(
                'Computed NUMA topology CPU pinning: usable pCPUs: %s, vCPUs mapping: %s, CPUs of the emulator: %s '
                '(instance %s, guest cell %d on host cell %d)',
                _usable(cells[cell.host_cell]),
                list(cell.pins),
                list(cpuset.ids(cell.emulator_cpus)),
                instance,
                cell.guest_cell.id,
                cell.host_cell,
            )


def _usable(cell: HostCell) -> list[list[int]]:
    """Return the free dedicated CPUs of a host cell, by core."""
    free = cell.shape.dedicated_cpus & ~cell.pinned_cpus
    cores = {core & free for core in cell.shape.siblings}
    alone = {1 << cpu for cpu in cpuset.ids(free & ~cpuset.union(cores))}
    return sorted(list(cpuset.ids(core)) for core in cores | alone if core)


def refused(guest: Guest, refusal: Refusal) -> None:
    """Log why a host refuses a guest: a warning if the instance is lost by it, as in a claim."""
    instance, reasons = _CLAIMED.get(), '; '.join(explain.lines(refusal))
    if instance is None:
        LOG.info('The NUMA topology does not fit: %s', reasons)
        return
    LOG.warning(
        'Host %s refuses the claim of instance %s, which requests %s: %s',
        conf.CONF.host,
        instance,
        ', '.join(map(_requested, guest.cells)),
        reasons,
    )


def _requested(cell: GuestCell) -> str:
    pages = (
        ''
        if cell.pagesize_kib is None
        else f' in {_PAGES.get(cell.pagesize_kib) or units.size(cell.pagesize_kib)} pages'
    )
    return f'{cell.vcpus.bit_count()} vCPUs ({cell.cpu_policy or SHARED}) and {cell.memory_mib} MiB{pages}'
