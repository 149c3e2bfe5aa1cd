# SPDX-License-Identifier: Apache-2.0
"""Random lives of a compute node as plain data: its CPUs and sets, guests that run there, and what happens to them."""

import random
from typing import Any

__all__ = ['Case', 'draw']

Case = dict[str, Any]

#: How the sets of CPUs change.
_SETS = ('shrink', 'grow', 'give', 'take', 'swap')
_PAGES_KIB = (4, 2048, 1048576)
#: Versions of the cells of guests that were stored by older releases; None is the format before versioned objects.
_VERSIONS = ('1.6',) * 8 + ('1.5', '1.4', '1.4', '1.3', '1.3', '1.2', '1.1', '1.0', None)


# --- the node -------------------------------------------------------------------------


def _draw_cells(dice: random.Random) -> list[dict[str, Any]]:
    threads, cores = dice.choice((1, 2, 2, 2, 4)), dice.randint(2, 4)
    count = dice.choice((1, 2, 2, 3))
    apart = dice.random() < 0.5  # how firmware numbers siblings: next to each other, or all first threads first
    cells = []
    for cell_id in range(count):
        first = cell_id * cores
        numbers = range(first, first + cores)
        step = cores * count
        siblings = [
            [core + step * thread for thread in range(threads)]
            if apart
            else [core * threads + thread for thread in range(threads)]
            for core in numbers
        ]
        cells.append({'id': cell_id, 'cores': siblings, 'memory': dice.choice((2048, 4096))})
    return cells


def _cpus(cells: list[dict[str, Any]]) -> list[int]:
    return sorted(cpu for cell in cells for core in cell['cores'] for cpu in core)


def _draw_sets(dice: random.Random, cells: list[dict[str, Any]]) -> tuple[list[int], list[int]]:
    """Return cpu_shared_set and cpu_dedicated_set; without the two every CPU is in both."""
    cpus, kind = _cpus(cells), dice.choice(('all', 'none', 'cores', 'cores', 'cores', 'threads'))
    if kind == 'none':
        return cpus, cpus
    if kind == 'all':
        return [], cpus
    if kind == 'cores':
        dedicated = sorted(cpu for cell in cells for core in cell['cores'] if dice.random() < 0.7 for cpu in core)
    else:
        dedicated = [cpu for cpu in cpus if dice.random() < 0.7]
    rest = [cpu for cpu in cpus if cpu not in dedicated]
    return [cpu for cpu in rest if dice.random() < 0.8], dedicated


def _draw_pages(dice: random.Random, cells: list[dict[str, Any]]) -> dict[str, list[dict[str, int]]]:
    """Return the pages of each cell; a pool that shrinks is another draw."""
    huge = dice.random() < 0.6
    pages = {}
    for cell in cells:
        left = cell['memory'] * 1024
        found = []
        for size in (1048576, 2048) if huge else ():
            total = dice.randint(0, left // size * 3 // 4)
            left -= total * size
            found.append({'size': size, 'total': total, 'reserved': dice.choice((0, 0, 0, 1, total // 3))})
        pages[str(cell['id'])] = [{'size': 4, 'total': left // 4, 'reserved': 0}, *reversed(found)]
    return pages


def _draw_config(dice: random.Random, cells: list[dict[str, Any]]) -> dict[str, Any]:
    shared, dedicated = _draw_sets(dice, cells)
    return {'shared': shared, 'dedicated': dedicated, 'pages': _draw_pages(dice, cells), 'gone': [], 'lone': []}


def _moved(dice: random.Random, source: list[int], target: list[int]) -> tuple[list[int], list[int]]:
    """Return two sets after some CPUs of the first have gone to the second."""
    moved = {cpu for cpu in source if dice.random() < 0.3}
    return [cpu for cpu in source if cpu not in moved], sorted({*target, *moved})


def _change_sets(
    dice: random.Random, kind: str, cpus: list[int], shared: list[int], dedicated: list[int]
) -> tuple[list[int], list[int]]:
    """Return what cpu_shared_set and cpu_dedicated_set have become."""
    if kind == 'shrink':
        dedicated, _out = _moved(dice, dedicated, [])
    elif kind == 'grow':
        dedicated = sorted({*dedicated, *cpus} - {*shared})
    elif kind == 'give':
        dedicated, shared = _moved(dice, dedicated, shared)
    elif kind == 'take':
        shared, dedicated = _moved(dice, shared, dedicated)
    elif kind == 'swap':
        shared, dedicated = dedicated, shared
    return shared, dedicated


def _change(dice: random.Random, cells: list[dict[str, Any]], config: dict[str, Any]) -> dict[str, Any]:
    """Return what an operator or a defect has made of a configuration."""
    kind = dice.choice((*_SETS, *_SETS, 'draw', 'pages', 'pages', 'cell', 'lone', 'none', 'same'))
    if kind == 'draw':
        shared, dedicated = _draw_sets(dice, cells)
    else:
        shared, dedicated = _change_sets(dice, kind, _cpus(cells), config['shared'], config['dedicated'])
    changed = config | {'shared': shared, 'dedicated': dedicated}
    if kind == 'pages':
        changed['pages'] = _draw_pages(dice, cells)
    elif kind == 'none' and dice.random() < 0.5:
        changed['pages'] = changed['pages'] | {str(dice.choice(cells)['id']): []}
    elif kind == 'cell' and len(cells) > 1:
        changed['gone'] = [dice.randrange(len(cells))]
    elif kind == 'lone':
        changed['lone'] = [cpu for cpu in _cpus(cells) if dice.random() < 0.2]
    return changed


# --- guests that run already ------------------------------------------------------------


class _Draw:
    """What is free while guests are drawn, so that most of them can be together on the node."""

    def __init__(self, dice: random.Random, cells: list[dict[str, Any]], config: dict[str, Any]) -> None:
        self.dice, self.cells, self.config = dice, cells, config
        self.taken: set[int] = set()
        self.careless = dice.random() < 0.15

    def _free(self, cell: dict[str, Any]) -> list[list[int]]:
        """Return the free CPUs of each core; a careless draw may pin to whatever the cell has."""
        if self.careless and self.dice.random() < 0.4:
            return [list(core) for core in cell['cores']]
        dedicated = self.config['dedicated']
        return [[cpu for cpu in core if cpu in dedicated and cpu not in self.taken] for core in cell['cores']]

    def cpus(self, cell: dict[str, Any], count: int, threads: str | None) -> list[int]:
        """Return CPUs to pin to, fewer where the cell has no more."""
        free = self._free(cell)
        if threads != 'isolate':
            pinned = [cpu for core in free for cpu in core][:count]
            self.taken.update(pinned)
            return pinned
        whole = [
            core for core, found in zip(cell['cores'], free, strict=True) if found and {*core}.isdisjoint(self.taken)
        ]
        self.taken.update(cpu for core in whole[:count] for cpu in core)
        return [next(cpu for cpu in core if cpu in self.config['dedicated'] or self.careless) for core in whole[:count]]

    def cell(self, host_cell: dict[str, Any], first: int, kind: dict[str, Any]) -> dict[str, Any]:
        dice, policy = self.dice, kind['policy']
        vcpus = list(range(first, first + dice.randint(1, 4)))
        cut = {'dedicated': 0, 'mixed': dice.randint(0, len(vcpus))}.get(policy, len(vcpus))
        cpus = self.cpus(host_cell, len(vcpus) - cut, kind['threads'])
        pins = dict(zip(map(str, vcpus[cut:]), cpus, strict=False))  # a vCPU may be without a pin
        reserved = self.cpus(host_cell, 1, kind['threads']) if kind['emulator'] == 'isolate' and first == 0 else []
        return {
            'host_cell': host_cell['id'],
            'shared': vcpus[:cut],
            'dedicated': vcpus[cut:],
            'pins': pins or None,
            'reserved': reserved or None,
            'memory': dice.choice((3, 256, 512, 512, 1024)),
        }

    def guest(self) -> dict[str, Any]:
        dice = self.dice
        policy = dice.choice((None, 'shared', 'dedicated', 'dedicated', 'dedicated', 'mixed'))
        pinned = policy in ('dedicated', 'mixed')
        kind = {
            'policy': policy,
            'threads': dice.choice((None, 'prefer', 'require', 'isolate', 'isolate')) if pinned else None,
            'emulator': dice.choice((None, None, 'share', 'isolate')) if pinned else None,
            'pagesize': dice.choice((None, None, None, *_PAGES_KIB)),
            'version': dice.choice(_VERSIONS),
        }
        chosen = dice.sample(self.cells, dice.choice((1, 1, min(2, len(self.cells)))))
        cells, first = [], 0
        for host_cell in chosen:
            cells.append(self.cell(host_cell, first, kind))
            first += len(cells[-1]['shared'] + cells[-1]['dedicated'])
        return kind | {'cells': cells}


# --- guests that are requested ----------------------------------------------------------


def _draw_request(dice: random.Random, cells: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a flavor."""
    nodes = dice.choice((1, 1, min(2, len(cells))))
    vcpus, memory = dice.randint(1, 3) * nodes, dice.choice((256, 512, 1024)) * nodes
    policy = dice.choice(('shared', 'dedicated', 'dedicated', 'dedicated', 'mixed'))
    specs = {'hw:numa_nodes': str(nodes), 'hw:cpu_policy': policy}
    if policy == 'mixed':
        if vcpus == 1:
            specs['hw:cpu_policy'] = policy = 'dedicated'
        else:
            specs['hw:cpu_dedicated_mask'] = f'0-{dice.randrange(vcpus - 1)}'
    if policy != 'shared':
        threads, emulator = dice.choice((None, 'prefer', 'require', 'isolate')), dice.choice((None, 'share', 'isolate'))
        specs |= {'hw:cpu_thread_policy': threads} if threads else {}
        specs |= {'hw:emulator_threads_policy': emulator} if emulator else {}
    size = dice.choice((None, None, 'small', 'large', 'any', '2048', '4'))
    specs |= {'hw:mem_page_size': size} if size else {}
    return {'vcpus': vcpus, 'memory': memory, 'specs': specs, 'limits': dice.choice((None, None, [16.0, 1.5]))}


# --- what happens -------------------------------------------------------------------------


def _draw_move(dice: random.Random, cells: list[dict[str, Any]], draw: _Draw) -> dict[str, Any]:
    kind = dice.choice(('resize', 'migration', 'live-migration'))
    way = dice.choice(('here', 'in', 'out')) if kind == 'resize' else dice.choice(('in', 'out'))
    return {
        'do': 'move',
        'kind': kind,
        'way': way,
        'guest': dice.randrange(3),
        'incoming': draw.guest(),
        'flavor': _draw_request(dice, cells),
        'finish': dice.random() < 0.7,
        'end': dice.choice(('confirm', 'revert', None)),
        'audits': [dice.random() < 0.3 for _step in range(2)],
    }


def _draw_step(dice: random.Random, cells: list[dict[str, Any]], config: dict[str, Any], draw: _Draw) -> dict[str, Any]:
    do = dice.choice(('claim', 'claim', 'abort', 'free', 'free', 'uncounted', 'move', 'move', 'restart', 'audit'))
    step: dict[str, Any] = {'do': do}
    if do in ('claim', 'abort'):
        step |= {'flavor': _draw_request(dice, cells)}
    elif do == 'free':
        step |= {'guest': dice.randrange(3)}
    elif do == 'uncounted':
        step |= {'guest': draw.guest(), 'by': dice.choice(('source', 'destination', 'claim'))}
    elif do == 'move':
        step = _draw_move(dice, cells, draw)
    elif do == 'restart':
        step |= {'config': _change(dice, cells, config)}
    return step


def draw(seed: int) -> Case:
    """Return the case of a seed: guests on a node, which is restarted with another configuration, and some steps."""
    dice = random.Random(seed)
    cells = _draw_cells(dice)
    config = _draw_config(dice, cells)
    guests = _Draw(dice, cells, config)
    running = [guests.guest() for _guest in range(dice.randint(1, 3))]
    changed = _change(dice, cells, config)
    steps: list[dict[str, Any]] = [{'do': 'restart', 'config': changed}]
    for _step in range(dice.randint(1, 2)):
        steps.append(_draw_step(dice, cells, changed, guests))
    if steps[-1]['do'] not in ('audit', 'restart'):
        steps.append({'do': 'audit'})
    return {'cells': cells, 'guests': running, 'steps': steps}
