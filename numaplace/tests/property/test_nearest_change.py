# SPDX-License-Identifier: Apache-2.0
"""The nearest change is the cheapest of its list: brute force over all changes of small hosts finds no cheaper one."""

import itertools
import os
import random
from dataclasses import replace

import pytest

from numaplace import cpuset, partition
from numaplace.fleet import changes
from numaplace.fleet.changes import Case
from numaplace.model import (
    CellShape,
    Guest,
    GuestCell,
    Host,
    HostCell,
    Limits,
    Networks,
    Pages,
    Placement,
    Refusal,
)
from numaplace.tests import amount

#: Cases of the sweep in all.
CASES = int(os.environ.get('NUMAPLACE_NEAREST_CASES', '100000' if amount.IS_LONG else '400'))
_SHARES = 2

# --- small hosts and guests ---------------------------------------------------------


def _host_cell(dice, number, kind):
    width = dice.choice((1, 2, 2))
    cpus = dice.choice((2, 4, 4, 6))
    mask = ((1 << cpus) - 1) << number * 8
    siblings = [mask & (((1 << width) - 1) << cpu) for cpu in range(number * 8, number * 8 + cpus, width)]
    memory = dice.choice((8, 12, 16))
    pages = []
    for size in dice.choice(((), (4,), (4, 2048), (4, 2048), (4, 2048, 4096))):
        total = memory * 1024 // size // dice.choice((1, 2))
        pages.append(Pages(size, total, dice.randint(0, total // 4), dice.choice((0, total // 2, total // 3, total))))
    shape = CellShape(
        number,
        mask if kind != 'dedicated' else 0,
        mask if kind != 'shared' else 0,
        memory,
        tuple(siblings),
        physnets=frozenset(name for name in ('blue', 'red') if dice.random() < 0.3),
        tunneled=dice.random() < 0.2,
    )
    pinned = cpuset.mask([cpu for cpu in cpuset.ids(shape.dedicated_cpus) if dice.random() < 0.2])
    return HostCell(shape, pinned, dice.randint(0, 3), dice.randint(0, memory // 2), tuple(pages))


def _guest(dice, most):
    policy = dice.choice(('dedicated', 'dedicated', 'shared', 'mixed'))
    threads = dice.choice((None, 'prefer', 'require', 'isolate')) if policy != 'shared' else None
    size = dice.choice((None, None, 4, 2048, 2048, 4096, -1, -2, -3))
    cells, first = [], 0
    alike = dice.random() < 0.5
    shape = dice.randint(1, 5), dice.choice((2, 4, 6, 8, 12))
    for number in range(dice.randint(1, most)):
        count, memory = shape if alike else (dice.randint(1, 5), dice.choice((1, 2, 3, 4, 8, 12)))
        mask = ((1 << count) - 1) << first
        first += count
        shared = mask if policy == 'shared' else mask & -mask if policy == 'mixed' and count > 1 else 0
        cells.append(GuestCell(number, shared, mask & ~shared, memory, size, policy, threads))
    emulator = dice.choice((None, None, 'isolate')) if policy != 'shared' else None
    return Guest(first, sum(cell.memory_mib for cell in cells), tuple(cells), emulator_policy=emulator)


def _case(seed):
    """Return a host with up to two servers, and a guest that it refuses: at times one that it took before; or None."""
    dice = random.Random(seed)
    kind = dice.choice(('both', 'dedicated', 'shared', 'both'))
    host = Host(tuple(_host_cell(dice, number, kind) for number in range(dice.choice((1, 2, 2, 3, 3)))))
    limits = dice.choice((None, Limits(2.0, 1.5), Limits(1.0, 1.0)))
    networks = dice.choice((None, None, Networks(frozenset({'blue', 'red'})), Networks(frozenset({'blue'}), True)))
    guest = _guest(dice, 3 if len(host.cells) > 2 else 2)

    def takes(trial):
        answer = partition.place(trial.host, trial.guest, limits=limits, networks=trial.networks)
        return not isinstance(answer, Refusal)

    if dice.random() < 0.9:
        if not takes(changes.Trial(host, guest)):
            return None
        host, guest = _harder(dice, host, guest)
    servers = {}
    for name in ('a', 'b')[: dice.randint(0, 2)]:
        placed = partition.place(host, _guest(dice, 1), limits=limits)
        if isinstance(placed, Placement):
            host, servers[name] = host.consume(placed), placed
    case = Case(host, guest, takes, limits, networks, servers)
    return None if takes(changes.Trial(host, guest, networks)) else case


def _harder(dice, host, guest):
    """Return a host or a guest with one thing that makes it harder to fit, or none."""
    how = dice.choice(('', 'reserved', 'threads', 'pages', 'joined', 'shifted'))
    cells = guest.cells
    if how == 'reserved':
        return replace(host, cells=tuple(_reserving(dice, cell) for cell in host.cells)), guest
    if how == 'threads' and cells[0].is_pinned:
        policy = dice.choice(('require', 'isolate'))
        return host, replace(guest, cells=tuple(replace(cell, thread_policy=policy) for cell in cells))
    if how == 'pages':
        size = dice.choice((2048, 4096, -2))
        return host, replace(guest, cells=tuple(replace(cell, pagesize_kib=size) for cell in cells))
    if how == 'joined' and len(cells) > 1:
        first, second = cells[:2]
        joined = replace(
            first,
            shared_vcpus=first.shared_vcpus | second.shared_vcpus,
            dedicated_vcpus=first.dedicated_vcpus | second.dedicated_vcpus,
            memory_mib=first.memory_mib + second.memory_mib,
        )
        return host, replace(guest, cells=(joined, *(replace(cell, id=cell.id - 1) for cell in cells[2:])))
    if how == 'shifted' and len(cells) > 1 and cells[0].memory_mib > 2:
        first, second = (
            replace(cell, memory_mib=cell.memory_mib + mib) for cell, mib in zip(cells, (-2, 2), strict=False)
        )
        return host, replace(guest, cells=(first, second, *cells[2:]))
    return host, guest


def _reserving(dice, cell):
    return replace(cell, pages=tuple(replace(pages, reserved=dice.choice((0, pages.total))) for pages in cell.pages))


# --- brute force: every change of the lists, with its cost ----------------------------


def _cells(guest, cells):
    vcpus, memory = sum(cell.vcpus.bit_count() for cell in cells), sum(cell.memory_mib for cell in cells)
    return replace(guest, cells=tuple(cells), vcpus=vcpus, memory_mib=memory)


def _reserved(case):
    """Every number of reserved pages that makes a difference, and some that make none."""
    wanted = {cell.memory_mib * 1024 for cell in case.guest.cells}
    options = []
    for cell in case.host.cells:
        for place, pages in enumerate(cell.pages):
            fewer = {0}
            for kib in wanted:
                fewer |= {number for number in (kib // pages.size_kib - pages.free,) if 0 < number <= pages.reserved}
                fewer |= {pages.reserved, pages.reserved // 2}
            options.append([(cell.id, place, number) for number in sorted(fewer)])
    for chosen in itertools.product(*options):
        cells = list(case.host.cells)
        cost = 0.0
        for number, place, fewer in chosen:
            pages = list(cells[number].pages)
            pages[place] = replace(pages[place], reserved=pages[place].reserved - fewer)
            cost += fewer * pages[place].size_kib / 1024
            cells[number] = replace(cells[number], pages=tuple(pages))
        if cost:
            yield (cost,), changes.Trial(replace(case.host, cells=tuple(cells)), case.guest, case.networks)


def _sizes(case):
    known = sorted({pages.size_kib for cell in case.host.cells for pages in cell.pages})
    for size in known:
        cells = []
        for cell in case.guest.cells:
            asked = cell.pagesize_kib
            if asked == -2 and size == known[0]:
                asked = -1
            elif asked and asked > size:
                asked = size
            cells.append(replace(cell, pagesize_kib=asked))
        if tuple(cells) != case.guest.cells:
            yield (-size,), _trial(case, _cells(case.guest, cells))


def _trial(case, guest):
    return changes.Trial(case.host, guest, case.networks)


def _threads(case):
    for rank, policy in enumerate(('prefer', 'require', 'isolate')):
        cells = [replace(cell, thread_policy=policy) if cell.is_pinned else cell for cell in case.guest.cells]
        same = [
            (one.thread_policy or 'prefer') == (other.thread_policy or 'prefer')
            for one, other in zip(cells, case.guest.cells, strict=True)
        ]
        if not all(same):
            yield (rank,), _trial(case, _cells(case.guest, cells))


def _splits(case):
    for giver, taker in itertools.permutations(case.guest.cells, 2):
        ids = list(cpuset.ids(giver.vcpus))
        step = max(1, (giver.pagesize_kib or 0) // 1024)
        for number in range(len(ids)):
            moved = cpuset.mask(ids[len(ids) - number :])
            for mib in range(1 - taker.memory_mib, giver.memory_mib):
                if mib % step or not (number or mib > 0):
                    continue
                cells = {cell.id: cell for cell in case.guest.cells}
                cells[giver.id] = replace(
                    giver,
                    shared_vcpus=giver.shared_vcpus & ~moved,
                    dedicated_vcpus=giver.dedicated_vcpus & ~moved,
                    memory_mib=giver.memory_mib - mib,
                )
                cells[taker.id] = replace(
                    taker,
                    shared_vcpus=taker.shared_vcpus | giver.shared_vcpus & moved,
                    dedicated_vcpus=taker.dedicated_vcpus | giver.dedicated_vcpus & moved,
                    memory_mib=taker.memory_mib + mib,
                )
                yield (number, abs(mib)), _trial(case, _cells(case.guest, cells.values()))


def _numbers(case):
    guest, now = case.guest, len(case.guest.cells)
    shared = [vcpu for cell in guest.cells for vcpu in cpuset.ids(cell.shared_vcpus)]
    for number in range(1, len(case.host.cells) + 1):
        if number == now or guest.vcpus % number or guest.memory_mib % number:
            continue
        each, cells = guest.vcpus // number, []
        for place in range(number):
            vcpus = range(place * each, (place + 1) * each)
            cells.append(
                replace(
                    guest.cells[0],
                    id=place,
                    shared_vcpus=cpuset.mask([vcpu for vcpu in vcpus if vcpu in shared]),
                    dedicated_vcpus=cpuset.mask([vcpu for vcpu in vcpus if vcpu not in shared]),
                    memory_mib=guest.memory_mib // number,
                )
            )
        yield (abs(number - now), number), _trial(case, _cells(guest, cells))


def _amounts(case):
    guest = case.guest
    cells = list(guest.cells)
    for number in range(1, guest.vcpus - len(cells) + 1):
        counts = [cell.vcpus.bit_count() for cell in cells]
        place = len(counts) - 1 - counts[::-1].index(max(counts))
        last = 1 << max(cpuset.ids(cells[place].vcpus))
        cells[place] = replace(
            cells[place],
            shared_vcpus=cells[place].shared_vcpus & ~last,
            dedicated_vcpus=cells[place].dedicated_vcpus & ~last,
        )
        yield (number / guest.vcpus, 0), _trial(case, _cells(guest, cells))
    for most in range(1, max(cell.memory_mib for cell in guest.cells)):
        smaller = _cells(guest, [replace(cell, memory_mib=min(cell.memory_mib, most)) for cell in guest.cells])
        yield ((guest.memory_mib - smaller.memory_mib) / guest.memory_mib, 1), _trial(case, smaller)


def _networks(case):
    if case.networks is None:
        return
    for place, name in enumerate(sorted(case.networks.physnets)):
        left = replace(case.networks, physnets=case.networks.physnets - {name})
        yield (1, place), changes.Trial(case.host, case.guest, left)
    if case.networks.tunneled:
        left = replace(case.networks, tunneled=False)
        yield (1, len(case.networks.physnets)), changes.Trial(case.host, case.guest, left)


def _servers(case):
    for name, placed in case.servers.items():
        left = case.host.release(placed)
        yield (placed.guest.vcpus, placed.guest.memory_mib), changes.Trial(left, case.guest, case.networks, name)


#: The lists in the order of the searches; another host is no list.
_LISTS = (_reserved, _sizes, _threads, _splits, _numbers, _amounts, _networks, _servers)


@pytest.mark.parametrize('share', range(_SHARES))
def test_no_cheaper_change_of_the_list_fits(share):
    """Each kind by itself, so that no kind hides the later ones; the nearest change is the first that there is."""
    count = CASES // _SHARES
    found = dict.fromkeys(changes.KINDS, 0)
    seeds, judged = iter(amount.seeds(share * 10_000_000)), 0
    while judged < count:
        case = _case(seed := next(seeds))
        if case is None:
            continue
        judged += 1
        answers = [search(case) for search in changes.SEARCHES]
        for listed, answer in zip(_LISTS, answers, strict=False):
            least = min((cost for cost, trial in listed(case) if case.takes(trial)), default=None)
            assert least == (None if answer is None else answer.cost), f'seed {seed}: {listed.__name__}: {answer}'
            if answer is not None:
                found[answer.kind] += 1
        first = next((('host', answer) for answer in answers if answer is not None), None)
        assert first == changes.nearest({'host': case})
    assert sum(map(bool, found.values())) >= len(found) - 2, found  # all but devices and other hosts
