# SPDX-License-Identifier: Apache-2.0
"""Seeded cases of auto mode as plain data: unequal nodes, threads next to none, CPU sets across siblings, tiers."""

import itertools
import random
from dataclasses import replace
from typing import Any

from numaplace import cpuset, fit, model, partition
from numaplace.model.vnuma import DISTRIBUTIONS, PIN_TO_CORE, PIN_TO_NODE

__all__ = ['Case', 'Devices', 'devices', 'draw', 'place']

Case = dict[str, Any]

PHYSNETS = ('lake', 'river')


def _draw_cpus(dice, cell, cpus, style):
    """Divide the CPUs of a node between the two sets, in one of several ways."""
    cores = [core for core in cell['siblings'] if core]
    if style == 'threads' and cores:  # the first thread of each core is shared
        cell['shared'] = [core[0] for core in cores]
    elif style == 'cores' and cores:
        cell['shared'] = [cpu for core in cores[: dice.randint(0, len(cores))] for cpu in core]
    elif style == 'any':
        cell['shared'] = [cpu for cpu in cpus if dice.random() < 0.4]
    elif style == 'first':
        cell['shared'] = cpus[: dice.randint(0, len(cpus))]
    cell['shared'] = sorted(set(cell['shared']))
    cell['dedicated'] = [cpu for cpu in cpus if cpu not in cell['shared']]
    if style == 'both':
        cell['shared'] = cell['dedicated'] = list(cpus)
    elif dice.random() < 0.15:  # some are in no set
        cell['dedicated'] = [cpu for cpu in cell['dedicated'] if dice.random() < 0.7]


def _draw_node(dice, cell, first, size, style):
    """Return a host cell with CPUs, so many threads and cores; siblings are next to each other or apart."""
    threads, cores = size
    cpus = list(range(first, first + threads * cores))
    if dice.random() < 0.5:
        siblings = [cpus[core * threads : (core + 1) * threads] for core in range(cores)]
    else:
        siblings = [cpus[core::cores] for core in range(cores)]
    if dice.random() < 0.08:  # a core that no source names, or one that is narrower
        siblings[dice.randrange(cores)] = siblings[0][:1]
        siblings = [core for number, core in enumerate(siblings) if core not in siblings[:number]]
    cell = cell | {'siblings': siblings}
    _draw_cpus(dice, cell, cpus, style)
    if dice.random() < 0.5:
        cell['pinned'] = [cpu for cpu in cell['dedicated'] if dice.random() < 0.25]
    cell['cpu_used'] = dice.choice((0, 0, 0, 1, 3, 9))
    return cell


def _empty(dice, cell_id, pages):
    """Return a host cell without CPUs."""
    memory = dice.choice((3, 4, 6, 8, 8, 12))
    return {
        'id': cell_id,
        'shared': [],
        'dedicated': [],
        'siblings': [],
        'pinned': [],
        'cpu_used': 0,
        'memory': memory,
        'memory_used': dice.choice((0, 0, 0, 1, 2)),
        'pages': [
            {
                'size': size,
                'total': memory * 1024 // size,
                'used': dice.choice((0, 0, 1024 // size, 2 * 1024 // size)) if size < 2048 else dice.choice((0, 0, 1)),
                'reserved': 0,
            }
            for size in pages
        ],
        'physnets': [name for name in PHYSNETS if dice.random() < 0.3],
        'tunneled': dice.random() < 0.2,
    }


def _draw_host(dice):
    nodes = dice.choice((1, 2, 2, 3, 3, 3, 4, 4, 4, 5))
    spare = dice.choice((0, 0, 0, 0, 1, 2, 3))
    ids = sorted(dice.sample(range(nodes + spare + 2), nodes + spare))
    bare = set(dice.sample(ids, spare))
    width, cores = dice.choice((1, 1, 2, 2, 2, 4)), dice.choice((1, 2, 2, 3, 4))
    even, style = dice.random() < 0.4, dice.choice(('none', 'none', 'none', 'both', 'threads', 'cores', 'any', 'first'))
    pages = dice.choice(((), (), (), (4,), (4, 2048), (4, 2048, 4096)))
    found, first = [], 0
    for cell_id in ids:
        cell = _empty(dice, cell_id, pages)
        if cell_id in bare:
            found.append(cell)
            continue
        if not even:
            width, cores = dice.choice((width, width, 1, 2)), dice.choice((cores, 1, 2, 3, 4, 6))
            style = dice.choice((style, style, 'none', 'any', 'threads'))
        node = _draw_node(dice, cell, first, (width, cores), style)
        first += width * cores
        if even and dice.random() < 0.5:
            node |= {'pinned': [], 'cpu_used': 0, 'memory': 8, 'memory_used': 0}
        found.append(node)
    lengths = dice.choice(((20,), (12, 21), (11, 12, 16, 21), (12, 32)))
    pairs = {pair: dice.choice(lengths) for pair in itertools.permutations(ids, 2)}
    known = dice.random() < 0.8
    for cell in found:
        cell['distances'] = [(other, pairs.get((cell['id'], other), 10)) for other in ids] if known else []
    return found


def _draw_wish(dice, ids):
    return {
        'distribution': dice.choice((*DISTRIBUTIONS, *['contiguous'] * 4, 'interleave')),
        'nodes': None if dice.random() < 0.9 or not ids else sorted(dice.sample(ids, dice.randint(1, len(ids)))),
        'remainder': dice.random() < 0.35,
        'pinning': dice.choice((PIN_TO_CORE, PIN_TO_CORE, PIN_TO_NODE)),
        'keep': dice.choice((0, 0, 0, 0, 1, 1, 2)),
        'pagesize': dice.choice((None, None, None, None, 4, 2048, -1, -2, -3)),
    }


def draw(seed: int) -> Case:
    """Return the case of a seed: up to 5 nodes with CPUs and 3 without."""
    dice = random.Random(seed)
    host = _draw_host(dice)
    with_cpus = [cell['id'] for cell in host if cell['shared'] or cell['dedicated']]
    memory = dice.choice((2, 3, 4, 4, 5, 6, 6, 8, 8))
    wish = _draw_wish(dice, with_cpus)
    wish['tier'] = dice.randint(1, memory - 1) if len(with_cpus) < len(host) and dice.random() < 0.7 else 0
    networks = None
    if dice.random() < 0.4:
        networks = {
            'physnets': [name for name in PHYSNETS if dice.random() < 0.6],
            'tunneled': dice.random() < 0.3,
        }
    case = {
        'host': host,
        'vcpus': dice.choice((1, 2, 3, 4, 4, 4, 5, 6, 6, 6, 8, 8)),
        'memory': memory,
        'wish': wish,
        'emulator': 'isolate' if wish['pinning'] == PIN_TO_CORE and dice.random() < 0.15 else None,
        'limits': dice.choice((None, None, None, [1.0, 1.0], [4.0, 1.0], [4.0, 1.5])),
        'networks': networks,
        'floating': dice.choice((0, 0, 0, 2)),
        'devices': None,
    }
    if dice.random() < 0.3:
        ids = [cell['id'] for cell in host]
        case['devices'] = {
            'monotone': dice.random() < 0.5,
            'sets': [sorted(dice.sample(ids, dice.randint(1, min(3, len(ids))))) for _ in range(dice.randint(1, 3))],
        }
    return case


class Devices(fit.Devices):
    """Devices near some sets of host cells.

    Monotone ones need a host cell of each set; others need all of one set, and no whole other set.
    """

    def __init__(self, monotone, sets):
        self.monotone = monotone
        self.asked = []
        self._sets = [frozenset(each) for each in sets]

    def supports(self, host_cells):
        self.asked.append(host_cells)
        return self._suffice(host_cells)

    def excludes(self, host_cells, most):
        return self.monotone and not self._suffice(host_cells)

    def _suffice(self, host_cells):
        if self.monotone:
            return all(host_cells & each for each in self._sets)
        return [each <= host_cells for each in self._sets].count(True) == 1


def devices(case: Case) -> Devices | None:
    """Return the devices that the guest of a case wants."""
    return None if case['devices'] is None else Devices(**case['devices'])


def _host_cell(cell):
    shape = model.CellShape(
        id=cell['id'],
        shared_cpus=cpuset.mask(cell['shared']),
        dedicated_cpus=cpuset.mask(cell['dedicated']),
        memory_mib=cell['memory'],
        siblings=tuple(cpuset.mask(core) for core in cell['siblings']),
        physnets=frozenset(cell['physnets']),
        tunneled=cell['tunneled'],
        distances=tuple(cell['distances']),
    )
    pages = tuple(model.Pages(page['size'], page['total'], page['used'], page['reserved']) for page in cell['pages'])
    return model.HostCell(shape, cpuset.mask(cell['pinned']), cell['cpu_used'], cell['memory_used'], pages)


def build(case: Case) -> tuple[model.Host, model.Guest]:
    """Return the host and the guest of a case."""
    wish = case['wish']
    host = model.Host(
        tuple(map(_host_cell, case['host'])),
        memory_used_mib=sum(cell['memory_used'] for cell in case['host']) + case['floating'],
        floating_vcpus=case['floating'],
    )
    guest = model.Guest(case['vcpus'], case['memory'], emulator_policy=case['emulator'])
    return host, replace(
        guest,
        wish=model.Wish(
            'auto',
            wish['distribution'],
            None if wish['nodes'] is None else cpuset.mask(wish['nodes']),
            remainder_first=wish['remainder'],
            pinning=wish['pinning'],
            keep=wish['keep'],
            tier_mib=wish['tier'],
            pagesize_kib=wish['pagesize'],
        ),
    )


def place(case: Case) -> model.Placement | model.Refusal:
    """Return the answer of the product."""
    host, guest = build(case)
    wanted = case['networks']
    networks = model.Networks(frozenset(wanted['physnets']), wanted['tunneled']) if wanted else None
    limits = model.Limits(*case['limits']) if case['limits'] else None
    return partition.place(host, guest, limits=limits, devices=devices(case), networks=networks)
