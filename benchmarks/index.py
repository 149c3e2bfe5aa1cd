# SPDX-License-Identifier: Apache-2.0
"""Decide over many hosts: by the index, and by asking each host; ``python -m benchmarks.index [HOSTS...]``.

Hosts of 8 cells, each with other usage, and the filters and weighers of the default configuration. Both sides answer
the same requests in one process and are compared; times are medians of CPU time, which other processes do not change.
"""

from __future__ import annotations

import argparse
import copy
import random
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from benchmarks.clock import Side, duration, medians
from numaplace import conf
from numaplace.db.records import InstanceRequest
from numaplace.model import DEDICATED, CellShape, Flavor, Guest, GuestCell, Host, HostCell, Pages, Refusal
from numaplace.model.host import intern_shape
from numaplace.model.records import HostRecord
from numaplace.scheduler.filters import Request
from numaplace.scheduler.index import HostIndex
from numaplace.scheduler.search import Search
from numaplace.scheduler.select import Policy
from numaplace.scheduler.weights import weigh
from numaplace.scheduler.weights.numa_preserve import NUMAPreserveWeigher

__all__ = ['make_hosts']

CELLS, CPUS, MEMORY_MIB = 8, 16, 32768
#: Asking each of more hosts than this takes minutes.
MOST_ONE_BY_ONE = 10_000
_FACTS = {'architecture': 'x86_64', 'domains': [['x86_64', 'kvm', 'hvm']]}


def _host(dice: random.Random) -> Host:
    cells = []
    for number in range(CELLS):
        first = number * CPUS
        cores = tuple(0b11 << cpu for cpu in range(first, first + CPUS, 2))
        dedicated = sum(cores[1:])
        shape = intern_shape(CellShape(number, cores[0], dedicated, MEMORY_MIB, cores, socket=number // 4))
        pinned = sum(1 << cpu for cpu in range(first + 2, first + CPUS) if dice.random() < 0.8)
        used_mib = dice.randrange(0, MEMORY_MIB, 512)
        pages = (
            Pages(4, MEMORY_MIB * 256, used_mib * 256),
            Pages(2048, MEMORY_MIB // 4, dice.randrange(MEMORY_MIB // 4)),
            Pages(1048576, 8, dice.randrange(9)),
        )
        cells.append(HostCell(shape, pinned, dice.randrange(4), used_mib, pages))
    return Host(tuple(cells), dice.randrange(100), sum(cell.memory_usage_mib for cell in cells))


def make_hosts(number: int) -> list[HostRecord]:
    """Return hosts with usage of their own."""
    dice = random.Random(1)
    return [HostRecord(f'h{host:06}', _host(dice), facts=_FACTS) for host in range(number)]


def _changed(record: HostRecord, dice: random.Random) -> HostRecord:
    """Return the host after a guest has come to two of its cells, as it is read: nothing in it is the old object."""
    cells = list(copy.deepcopy(record.host.cells))
    for number in dice.sample(range(CELLS), 2):
        cell = cells[number]
        pinned_cpus = cell.pinned_cpus ^ (0b1111 << number * CPUS + 2)
        cells[number] = replace(cell, pinned_cpus=pinned_cpus, memory_usage_mib=2048)
    return replace(record, host=replace(record.host, cells=tuple(cells)))


def _guest(
    cells: int, vcpus: int, memory_mib: int, policy: str | None = DEDICATED, pagesize_kib: int | None = None
) -> Guest:
    parts = []
    for number in range(cells):
        mask = ((1 << vcpus) - 1) << number * vcpus
        shared, dedicated = (0, mask) if policy == DEDICATED else (mask, 0)
        parts.append(GuestCell(number, shared, dedicated, memory_mib, pagesize_kib, cpu_policy=policy))
    return Guest(cells * vcpus, cells * memory_mib, tuple(parts))


GUESTS: dict[str, Callable[[], Guest]] = {
    '2 cells, pinned': lambda: _guest(2, 4, 2048),
    '2 cells, 1 GiB pages': lambda: _guest(2, 4, 2048, pagesize_kib=1048576),
    '1 cell, shared': lambda: _guest(1, 2, 1024, policy=None),
    'no host takes it': lambda: _guest(2, 15, 2048),
}


def _request(make: Callable[[], Guest]) -> Request:
    """Return a request from which nothing is derived yet."""
    guest = make()
    return Request(InstanceRequest('bench', Flavor('bench', guest.vcpus, guest.memory_mib, 1), guest, {}))


def _one_by_one(hosts: Sequence[HostRecord], request: Request, policy: Policy) -> str | None:
    admitted = [
        host
        for host in hosts
        if not any(isinstance(check.admit(host, request), Refusal) for _, check in policy.filters)
    ]
    return next((host.name for host, _ in weigh(admitted, policy.weighers, request)), None)


def _by_index(index: HostIndex, request: Request, policy: Policy) -> str | None:
    search = Search(index, request, policy.filters, policy.weighers)
    return next((host.name for host, _ in search.heaviest_first()), None)


def _count(index: HostIndex, request: Request, policy: Policy) -> dict[tuple[str, str], int]:
    search = Search(index, request, policy.filters, policy.weighers)
    next(search.heaviest_first(), None)
    return search.counts()


def _measure(number: int, policy: Policy) -> None:
    hosts = make_hosts(number)
    start = time.process_time()
    index = HostIndex(hosts)
    print(f'{number:,} hosts of {CELLS} cells: loaded in {duration(time.process_time() - start)}')
    for label, make in GUESTS.items():
        sides = {'index': Side(lambda make=make: (index, _request(make), policy), _by_index)}
        if number <= MOST_ONE_BY_ONE:
            sides['each host'] = Side(lambda make=make: (hosts, _request(make), policy), _one_by_one)
            if len({side.call(*side.prepare()) for side in sides.values()}) > 1:
                raise RuntimeError(f'{label}: the index finds another host than asking each')
        times = medians(sides)
        ratio = f'   {times["each host"] / times["index"]:,.0f} times' if len(times) > 1 else ''
        print(f'  {label:22} {"   ".join(f"{side} {duration(taken):>8}" for side, taken in times.items())}{ratio}')
    counted = medians({'': Side(lambda: (index, _request(GUESTS['no host takes it']), policy), _count)})['']
    print(f'  {"with counts by cause":22} {duration(counted)}')
    dice = random.Random(2)
    update = medians({'': Side(lambda: ((_changed(dice.choice(hosts), dice),),), index.update)})['']
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f'  {"update of one host":22} {duration(update)}   peak memory {peak:,.0f} MiB')
    _measure_preserve(hosts, policy)


def _measure_preserve(hosts: Sequence[HostRecord], policy: Policy) -> None:
    """Time the weigher that has no arrays: what a guest costs on a host is kept until the host changes."""
    policy, dice = replace(policy, weighers=((NUMAPreserveWeigher(), 1.0),)), random.Random(3)
    label, index = '2 cells, pinned', HostIndex(hosts)

    def changed() -> tuple[HostIndex, Request, Policy]:
        index.update([_changed(dice.choice(hosts), dice)])
        return index, _request(GUESTS[label]), policy

    sides = {
        'first of its kind': Side(lambda: (HostIndex(hosts), _request(GUESTS[label]), policy), _by_index),
        'next, a host changed': Side(changed, _by_index),
    }
    if len(hosts) <= MOST_ONE_BY_ONE:
        sides['each host'] = Side(lambda: (hosts, _request(GUESTS[label]), policy), _one_by_one)
    times = medians(sides)
    print(f'  preserve, {label}: {"   ".join(f"{side} {duration(taken):>8}" for side, taken in times.items())}')


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('hosts', nargs='*', type=int, default=[1000, 10_000, 100_000])
    policy = Policy.of(conf.load([]))
    for number in parser.parse_args().hosts:
        _measure(number, policy)


if __name__ == '__main__':
    main()
