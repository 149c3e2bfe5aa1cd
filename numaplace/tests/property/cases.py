# SPDX-License-Identifier: Apache-2.0
"""Random guests and hosts as plain data, the same for a seed in every process, and their way into the model.

A case is a dict of JSON's types: ``host`` and ``guest`` are lists of cells, next to ``emulator``, ``limits``,
``networks`` and ``strategy``; CPU sets are lists.
"""

import random
from typing import Any

from numaplace import cpuset, fit, model

__all__ = ['MEMORY_MIB', 'PAGE_SIZES_KIB', 'PHYSNETS', 'STRATEGIES', 'Case', 'build', 'draw', 'place', 'variants']

Case = dict[str, Any]

STRATEGIES = {'linear': fit.LINEAR, 'spread': fit.SPREAD, 'pack': fit.PACK}
PAGE_SIZES_KIB = (4, 2048, 1048576)
MEMORY_MIB = (3, 512, 512, 1024, 1024, 1024, 1024, 2048, 2048, 1536, 3072)
PHYSNETS = ('blue', 'green', 'red')


# --- hosts ------------------------------------------------------------------------


def _draw_cores(dice: random.Random, first: int, widths: list[int]) -> list[list[int]]:
    """Return the cores of one cell; siblings stand next to each other or far apart, as machines have them."""
    count = sum(widths)
    cpus = list(range(first, first + count))
    if dice.random() < 0.4:
        step = len(widths)
        cpus = [cpu for start in range(step) for cpu in range(first + start, first + count, step)]
    cores = []
    for width in widths:
        cores.append(sorted(cpus[:width]))
        del cpus[:width]
    return cores


def _draw_dedicated(dice: random.Random, kind: str, cores: list[list[int]]) -> list[int]:
    cpus = sorted(cpu for core in cores for cpu in core)
    if kind in ('legacy', 'dedicated'):
        return cpus
    if kind == 'shared':
        return []
    if kind == 'cores':
        return sorted(cpu for core in cores if dice.random() < 0.7 for cpu in core)
    return [cpu for cpu in cpus if dice.random() < 0.7]


def _draw_pinned(dice: random.Random, load: int, cores: list[list[int]], dedicated: list[int]) -> list[int]:
    share = load * dice.choice((0, 0.1, 0.2, 0.5))
    if dice.random() < 0.5:
        return sorted(cpu for core in cores if dice.random() < share for cpu in core if cpu in dedicated)
    return [cpu for cpu in dedicated if dice.random() < share]


def _draw_siblings(dice: random.Random, kind: str, cores: list[list[int]]) -> list[list[int]]:
    if kind == 'none':
        return []
    named = [core for core in cores if kind != 'some' or dice.random() < 0.6]
    if kind == 'some' and dice.random() < 0.2:
        named.append([])
    if dice.random() < 0.3:
        dice.shuffle(named)
    return named


def _draw_pages(dice: random.Random, load: int, sizes: tuple[int, ...], memory: int) -> list[dict[str, int]]:
    pages = []
    for size in sizes:
        if len(sizes) > 1 and dice.random() < 0.15:
            continue
        total = memory * 1024 // size
        if len(sizes) > 1:
            total = total * dice.choice((0, 1, 2, 2, 2)) // 2
        used = total * load * dice.choice((0, 0, 0, 1, 2)) // 4
        reserved = dice.choice((0, 0, 0, 0, 1, total // 4))
        pages.append({'size': size, 'total': total, 'used': used, 'reserved': reserved})
    if dice.random() < 0.2:
        pages.reverse()
    return pages


def _draw_widths(dice: random.Random, threads: int, uneven: bool) -> list[int]:
    widths = [threads] * dice.randint(1, 8 // threads + 2)
    if uneven:
        widths += [dice.randint(1, threads) for _ in range(dice.randint(1, 3))]
        dice.shuffle(widths)
    return widths


def _draw_host(dice: random.Random, count: int) -> list[dict[str, Any]]:
    threads, uneven = dice.choice((1, 2, 2, 2, 4)), dice.random() < 0.25
    load = dice.choice((0, 1, 1, 2))
    kind = dice.choice(('legacy',) * 5 + ('cores',) * 3 + ('cpus', 'dedicated', 'shared'))
    siblings = dice.choice(('all',) * 8 + ('none', 'some'))
    sizes = dice.choice(((), (4,), (4, 2048), PAGE_SIZES_KIB, PAGE_SIZES_KIB, (2048, 1048576)))
    networked = dice.random() < 0.5
    even = _draw_widths(dice, threads, uneven) if dice.random() < 0.5 else None
    cells, first = [], 0
    for cell_id in dice.sample(range(10), count):
        cores = _draw_cores(dice, first, even or _draw_widths(dice, threads, uneven))
        cpus = sorted(cpu for core in cores for cpu in core)
        first += len(cpus)
        own_kind = kind if dice.random() < 0.9 else 'cpus'
        dedicated = _draw_dedicated(dice, own_kind, cores)
        memory = dice.choice((1024, 4096, 8192, 8192))
        cell = {
            'id': cell_id,
            'shared': cpus if own_kind == 'legacy' else [cpu for cpu in cpus if cpu not in dedicated],
            'dedicated': dedicated,
            'siblings': _draw_siblings(dice, siblings, cores),
            'pinned': _draw_pinned(dice, load, cores, dedicated),
            'memory': memory,
            'memory_used': memory * load * dice.choice((0, 0, 1, 2, 3)) // 5,
            'cpu_used': load * dice.choice((0, 0, 1, 2, 4)),
            'pages': _draw_pages(dice, load, sizes, memory),
            'physnets': [name for name in PHYSNETS if networked and dice.random() < 0.3],
            'tunneled': networked and dice.random() < 0.3,
        }
        cells.append(cell)
    return cells


# --- guests -----------------------------------------------------------------------


def _draw_part(dice: random.Random, policy: str | None, largest: int) -> dict[str, Any]:
    vcpus = dice.randint(1, largest)
    if policy == 'mixed':
        shared = min(vcpus, dice.choice((0, 1, 1, 1, vcpus)))
    else:
        shared = 0 if policy == 'dedicated' else vcpus
    return {'shared': shared, 'dedicated': vcpus - shared, 'memory': dice.choice(MEMORY_MIB), 'policy': policy}


def _draw_guest(dice: random.Random, count: int) -> list[dict[str, Any]]:
    policy = dice.choice(('dedicated', 'dedicated', 'dedicated', 'shared', 'mixed', None))
    pinned = policy in ('dedicated', 'mixed')
    threads = dice.choice((None, 'prefer', 'prefer', 'require', 'require', 'isolate')) if pinned else None
    wish = dice.choice((None,) * 10 + (*PAGE_SIZES_KIB, -1, -2, -3))
    largest = dice.choice((1, 2, 3, 4, 6, 8))
    parts = [_draw_part(dice, policy, largest)] * count
    if count > 1 and dice.random() < 0.75:
        parts = [_draw_part(dice, policy, largest) for _ in range(count)]
    cells, first = [], 0
    for part in parts:
        middle, end = first + part['shared'], first + part['shared'] + part['dedicated']
        own_wish = wish if dice.random() < 0.95 else dice.choice((None, *PAGE_SIZES_KIB, 65536, -1, -2, -3))
        cells.append(
            {
                'shared': list(range(first, middle)),
                'dedicated': list(range(middle, end)),
                'memory': part['memory'],
                'pagesize': own_wish,
                'policy': policy,
                'threads': threads,
            }
        )
        first = end
    return cells


def draw(seed: int) -> Case:
    """Return the case of a seed: up to 6 host cells and 5 guest cells."""
    dice = random.Random(seed)
    host_count = dice.choice((1, 2, 3, 4, 4, 5, 5, 6, 6))
    guest_count = min(5, host_count + (dice.random() < 0.01), dice.choice((1, 2, 2, 3, 3, 4, 4, 5, 5)))
    networks = None
    if dice.random() < 0.4:
        physnets = [name for name in (*PHYSNETS, 'unknown') if dice.random() < 0.4]
        networks = {'physnets': physnets, 'tunneled': dice.random() < 0.4}
    return {
        'host': _draw_host(dice, host_count),
        'guest': _draw_guest(dice, guest_count),
        'emulator': dice.choice((None, None, 'share', 'isolate')),
        'limits': dice.choice((None, None, [1.0, 1.0], [4.0, 1.0], [2.0, 1.5], [16.0, 1.5], [0.5, 0.75])),
        'networks': networks,
        'strategy': dice.choice(('linear', 'spread', 'pack')),
    }


def variants(case: Case, seed: int, count: int) -> list[Case]:
    """Return cases of nearly the same guest: what one asks must not be taken for what another asks."""
    dice = random.Random(seed)
    found = []
    for _ in range(count):
        parts = list(case['guest'])
        number = dice.randrange(len(parts))
        changed = {'pagesize': dice.choice((None, *PAGE_SIZES_KIB, -1, -2, -3)), 'memory': dice.choice(MEMORY_MIB)}
        if parts[number]['dedicated']:
            changed['threads'] = dice.choice((None, 'prefer', 'require', 'isolate'))
        key = dice.choice(sorted(changed))
        parts[number] = parts[number] | {key: changed[key]}
        found.append(
            case | dice.choice(({'guest': parts}, {'guest': parts}, {'emulator': 'isolate'}, {'limits': None}))
        )
    return found


# --- the way into the model ------------------------------------------------------------


def _host_cell(cell: dict[str, Any]) -> model.HostCell:
    shape = model.CellShape(
        id=cell['id'],
        shared_cpus=cpuset.mask(cell['shared']),
        dedicated_cpus=cpuset.mask(cell['dedicated']),
        memory_mib=cell['memory'],
        siblings=tuple(cpuset.mask(core) for core in cell['siblings']),
        physnets=frozenset(cell['physnets']),
        tunneled=cell['tunneled'],
    )
    pages = tuple(model.Pages(page['size'], page['total'], page['used'], page['reserved']) for page in cell['pages'])
    return model.HostCell(shape, cpuset.mask(cell['pinned']), cell['cpu_used'], cell['memory_used'], pages)


def build(case: Case) -> tuple[model.Host, model.Guest, model.Limits | None, model.Networks | None]:
    """Return the host, the guest, the limits and the networks of a case."""
    cells = tuple(_host_cell(cell) for cell in case['host'])
    host = model.Host(
        cells,
        sum(len(cell['pinned']) + cell['cpu_used'] for cell in case['host']),
        sum(cell['memory_used'] for cell in case['host']),
    )
    parts = tuple(
        model.GuestCell(
            id=number,
            shared_vcpus=cpuset.mask(part['shared']),
            dedicated_vcpus=cpuset.mask(part['dedicated']),
            memory_mib=part['memory'],
            pagesize_kib=part['pagesize'],
            cpu_policy=part['policy'],
            thread_policy=part['threads'],
        )
        for number, part in enumerate(case['guest'])
    )
    guest = model.Guest(
        vcpus=sum(part.vcpus.bit_count() for part in parts),
        memory_mib=sum(part.memory_mib for part in parts),
        cells=parts,
        emulator_policy=case['emulator'],
    )
    limits = model.Limits(*case['limits']) if case['limits'] else None
    wanted = case['networks']
    networks = model.Networks(frozenset(wanted['physnets']), wanted['tunneled']) if wanted else None
    return host, guest, limits, networks


def place(case: Case, devices: fit.Devices | None = None) -> model.Placement | model.Refusal:
    """Return the engine's answer to a case."""
    host, guest, limits, networks = build(case)
    strategy = STRATEGIES[case['strategy']]
    return fit.place(host, guest, limits=limits, devices=devices, networks=networks, strategy=strategy)
