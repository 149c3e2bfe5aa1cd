# SPDX-License-Identifier: Apache-2.0
"""Auto mode by trying everything over plain data: each set of nodes, each division of vCPUs and memory, each tier.

The rule for one cell is that of ``oracle``; nothing is shared with the product.
"""

import itertools
from collections.abc import Iterator
from typing import Any

from numaplace.tests.property import oracle

__all__ = ['best', 'length', 'usable']

Case = dict[str, Any]
Cell = dict[str, Any]


def best(case: Case, supports) -> tuple[list[int], list[int]] | None:
    """Return the ids of the best nodes and of those of the tier, or None if the guest fits nowhere.

    :param supports: returns whether the devices are available with a set of ids
    """
    nodes = sorted((cell for cell in case['host'] if _has_cpus(cell)), key=lambda cell: cell['id'])
    if case['wish']['nodes'] is not None:
        nodes = [cell for cell in nodes if cell['id'] in case['wish']['nodes']]
    world = _World(case, supports)
    if not world.host_suffices():
        return None
    for number in range(1, len(nodes) + 1):
        for chosen in sorted(itertools.combinations(nodes, number), key=_rank):
            tier = world.tier_of(chosen) if world.divides(chosen) else None
            if tier is not None:
                return [cell['id'] for cell in chosen], [cell['id'] for cell in tier]
    return None


def _rank(chosen):
    return length(chosen), [cell['id'] for cell in chosen]


def length(chosen) -> int:
    """Return the sum of the distances of all pairs, in both directions."""
    return sum(_distance(one, other) for one, other in itertools.permutations(chosen, 2))


def _distance(one: Cell, other: Cell) -> int:
    return dict(one['distances']).get(other['id'], 20)


def _has_cpus(cell):
    return bool(cell['shared'] or cell['dedicated'] or cell['siblings'])


def _threads_of(cell):
    return max([len(core) for core in cell['siblings']] + [1])


def usable(cell: Cell, wish: dict[str, Any], threads: int) -> set[int]:
    """Return the CPUs that the guest may have in a node without other guests."""
    if wish['pinning'] == 'node':
        return set(cell['shared'])
    dedicated, named = set(cell['dedicated']), []
    for core in cell['siblings']:
        rest = set(core).difference(*named)
        if rest:
            named.append(rest)
    cores = sorted([*named, *({cpu} for cpu in dedicated.difference(*named))], key=min)[wish['keep'] :]
    if threads > 1:
        cores = [core for core in cores if len(core) == threads and core <= dedicated]
    return dedicated & set().union(*cores)


def _compositions(number: int, total: int, allowed) -> Iterator[tuple[int, ...]]:
    """Yield each way to write a total as a sum of allowed numbers, one for each place."""
    if number == 0:
        if total == 0:
            yield ()
        return
    place = len(allowed) - number
    for first in range(1, total + 1):
        if allowed[place](first):
            for rest in _compositions(number - 1, total - first, allowed):
                yield (first, *rest)


class _World:
    """One case, with the answers of the rule for one cell that were found."""

    def __init__(self, case: Case, supports) -> None:
        self.case, self.wish, self.supports = case, case['wish'], supports
        self.wanted = oracle.known_networks(case)
        self.known: dict[Any, bool] = {}

    def host_suffices(self) -> bool:
        """Whether the vCPUs and the memory that guests without cells use leave enough."""
        case = self.case
        if not (case['limits'] and case['floating']):
            return True
        general = [cell for cell in case['host'] if _has_cpus(cell)]
        cpu_ratio, ram_ratio = case['limits']
        used = sum(cell['memory_used'] for cell in general) + case['floating']
        if case['memory'] - self.wish['tier'] > sum(cell['memory'] for cell in general) * ram_ratio - used:
            return False
        shared = {cpu for cell in general for cpu in cell['shared']}
        overlap = shared & {cpu for cell in general for cpu in cell['dedicated']}
        vcpus = case['vcpus'] if overlap or self.wish['pinning'] == 'node' else 0
        taken = sum(cell['cpu_used'] + len(shared & set(cell['pinned'])) for cell in general) + case['floating']
        return not vcpus or vcpus + taken <= len(shared) * cpu_ratio

    # --- the rule for one cell

    def _lacks(self, cell, part, emulator, kinds):
        return not oracle.lacking(cell, part, emulator, self.case['limits']) & kinds

    def cpus_fit(self, cell: Cell, threads: int, vcpus: int, emulator: int) -> bool:
        """Whether a node has that many CPUs for the guest, whole cores if its cores have several threads."""
        key = 'cpus', cell['id'], threads, vcpus, emulator
        if key not in self.known:
            self.known[key] = self._find_cpus_fit(cell, threads, vcpus, emulator)
        return self.known[key]

    def _find_cpus_fit(self, cell, threads, vcpus, emulator):
        pinned = self.wish['pinning'] == 'core'
        part = _part(0, self.wish, pinned=pinned) | {'dedicated' if pinned else 'shared': range(vcpus)}
        left = usable(cell, self.wish, threads)
        taken = set(cell['pinned'])
        if threads > 1:
            for core in cell['siblings']:
                if set(core) & taken:
                    left -= set(core)
        own = cell | {'dedicated': sorted(left | taken) if pinned else cell['dedicated']}
        return self._lacks(own, part, emulator, {'dedicated CPUs', 'shared CPUs'})

    def memory_fits(self, cell: Cell, memory: int, pagesize: int | None, *, pinned: bool) -> bool:
        key = 'memory', cell['id'], memory, pagesize, pinned
        if key not in self.known:
            part = _part(memory, self.wish, pinned=pinned) | {'pagesize': pagesize}
            self.known[key] = self._lacks(cell, part, 0, {'memory', 'memory limit'})
        return self.known[key]

    # --- the divisions

    def divides(self, chosen) -> bool:
        """Whether any division over these nodes fits."""
        threads = self._threads(chosen)
        if self.case['vcpus'] % threads:
            return False
        kind = 'shared' if self.wish['pinning'] == 'node' else 'dedicated'
        sizes = {len(usable(cell, self.wish, threads)) for cell in chosen}
        even = len(sizes) == 1 == len({len(cell[kind]) for cell in chosen})
        block = threads * threads if self.wish['distribution'] == 'siblings' else threads
        blocks, rest = divmod(self.case['vcpus'], block)
        if rest or 0 in sizes or not self._blocks_fit(chosen, threads, block, blocks, even):
            return False
        memory = self.case['memory'] - self.wish['tier']
        pinned = self.wish['pinning'] == 'core'
        return self._memory_fits(chosen, memory, even, pinned=pinned)

    def _threads(self, chosen):
        widths = {_threads_of(cell) for cell in chosen}
        if len(widths) > 1 or self.wish['distribution'] == 'interleave':
            return 1
        width = widths.pop()
        return 1 if self.wish['remainder'] and self.case['vcpus'] % width else width

    def _is_even(self, parts):
        return max(parts) - min(parts) <= self.wish['remainder']

    def _blocks_fit(self, chosen, threads, block, blocks, even):
        def allowed(cell, emulator):
            return lambda number: self.cpus_fit(cell, threads, number * block, emulator)

        isolated = int(self.case['emulator'] == 'isolate')
        tests = [allowed(cell, isolated if number == 0 else 0) for number, cell in enumerate(chosen)]
        return any(not even or self._is_even(parts) for parts in _compositions(len(chosen), blocks, tests))

    def _memory_fits(self, chosen, memory, even, *, pinned):
        """Whether memory divides: in whole pages of one size, or evenly in pages of any size."""
        share, rest = divmod(memory, len(chosen))
        if even and not rest:
            if all(self.memory_fits(cell, share, self.wish['pagesize'], pinned=pinned) for cell in chosen):
                return True
            if not self.wish['remainder']:
                return False
        return any(
            not even or self._is_even(parts)
            for unit, pagesize in self._units()
            if memory % unit == 0
            for parts in _compositions(
                len(chosen), memory // unit, self._memory_tests(chosen, unit, pagesize, pinned=pinned)
            )
        )

    def _memory_tests(self, chosen, unit, pagesize, *, pinned):
        def allowed(cell):
            return lambda number: self.memory_fits(cell, number * unit, pagesize, pinned=pinned)

        return [allowed(cell) for cell in chosen]

    def _units(self):
        """Return in what memory is divided, in MiB, and the page size for it."""
        asked = self.wish['pagesize']
        if asked in (-2, -3):
            sizes = {page['size'] for cell in self.case['host'] for page in cell['pages']}
            return [(max(size // 1024, 1), size) for size in sizes if asked == -3 or size != min(sizes)]
        return [(max((asked or 0) // 1024, 1), asked)]

    # --- the tier, networks and devices

    def tier_of(self, chosen):
        """Return the best tier for these nodes, empty if none is wanted; None if there is none."""
        bare = sorted((cell for cell in self.case['host'] if not _has_cpus(cell)), key=lambda cell: cell['id'])
        if not self.wish['tier']:
            return () if self._joint(chosen) else None

        def rank(tier):
            lengths = sum(_distance(one, other) + _distance(other, one) for one in tier for other in chosen)
            return lengths, [cell['id'] for cell in tier]

        for number in range(1, len(bare) + 1):
            for tier in sorted(itertools.combinations(bare, number), key=rank):
                if self._memory_fits(tier, self.wish['tier'], False, pinned=False) and self._joint((*chosen, *tier)):
                    return tier
        return None

    def _joint(self, cells):
        ids = frozenset(cell['id'] for cell in cells)
        return all(ids & near for near in self.wanted) and self.supports(ids)


def _part(memory, wish, *, pinned):
    return {
        'shared': (),
        'dedicated': (),
        'memory': memory,
        'pagesize': wish['pagesize'],
        'policy': 'dedicated' if pinned else None,
        'threads': None,
    }
