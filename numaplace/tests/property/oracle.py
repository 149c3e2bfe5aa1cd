# SPDX-License-Identifier: Apache-2.0
"""Brute force over plain data: the rule for one cell as sets and loops, the joint choice as a walk over permutations.

Written from the rules alone (Nova 34: ``_numa_fit_instance_cell``, ``_pack_instance_onto_cores``,
``_numa_cells_support_network_metadata``) and sharing nothing with the engine that it judges.
"""

import itertools

__all__ = ['choose', 'fits', 'known_networks', 'lacking', 'ordered', 'pairs', 'pins_follow_policy', 'size_of_pages']


def _free(cell):
    return set(cell['dedicated']) - set(cell['pinned'])


def _pinned(part):
    return part['policy'] in ('dedicated', 'mixed')


def _cores(cell):
    """Return all cores with a dedicated CPU as sets; a CPU that no core names is a core of one thread."""
    named = [set(core) for core in cell['siblings'] if core]
    lone = set(cell['dedicated']).difference(*named)
    return [core for core in named if core & set(cell['dedicated'])] + [{cpu} for cpu in lone]


def _threads(cell):
    return max([len(core) for core in cell['siblings']] + [1])


def _free_kib(pages):
    return (pages['total'] - pages['used'] - pages['reserved']) * pages['size']


def size_of_pages(cell, part):
    """Return the page size that a guest cell gets from a host cell, or None where none backs it."""
    sizes = sorted((pages['size'] for pages in cell['pages']), reverse=True)
    wish = part['pagesize']
    candidates = {-1: sizes[-1:], -2: sizes[:-1], -3: sizes}.get(wish, [wish])
    for size in candidates:
        for pages in cell['pages']:
            whole = part['memory'] * 1024 % size == 0
            if pages['size'] == size and whole and part['memory'] * 1024 <= _free_kib(pages):
                return size
    return None


def _memory_fits(cell, part):
    if part['pagesize'] is not None:
        return size_of_pages(cell, part) is not None
    if cell['pages']:
        smallest = min(cell['pages'], key=lambda pages: pages['size'])
        have = _free_kib(smallest) if _pinned(part) else smallest['total'] * smallest['size']
        return part['memory'] * 1024 <= have and part['memory'] * 1024 % smallest['size'] == 0
    have = cell['memory'] - (cell['memory_used'] if _pinned(part) else 0)
    return part['memory'] <= have


def _require_fits(cell, vcpus):
    """Whether some number of threads above 1 can be had from each of enough cores."""
    if _threads(cell) < 2:
        return False
    left = [len(core & _free(cell)) for core in _cores(cell)]
    return any(
        vcpus <= threads * sum(1 for count in left if count >= threads)
        for threads in range(2, _threads(cell) + 1)
        if any(count >= threads for count in left)
    )


def _isolate_fits(cell, vcpus, emulator):
    """Whether whole cores can be had: the widest for vCPUs, any other for the emulator."""
    width = _threads(cell)
    if not vcpus or (width > 1 and set(cell['shared']) != set(cell['dedicated'])):
        return False
    whole = [core for core in _cores(cell) if core <= _free(cell)]
    widest = [core for core in whole if len(core) == width]
    return vcpus <= len(widest) and vcpus + emulator <= len(whole)


def _dedicated_fits(cell, part, emulator):
    vcpus = len(part['dedicated'])
    if vcpus + emulator > len(_free(cell)):
        return False
    if part['threads'] == 'isolate':
        return _isolate_fits(cell, vcpus, emulator)
    if emulator and not vcpus:
        return False
    return part['threads'] != 'require' or _require_fits(cell, vcpus)


def _shared_fits(cell, part, limits):
    if len(part['shared']) > len(cell['shared']):
        return False
    if limits is None or not part['shared']:
        return True
    return cell['cpu_used'] + len(part['shared']) <= len(cell['shared']) * limits[0]


def _ram_limit_holds(cell, part, limits):
    return limits is None or cell['memory_used'] + part['memory'] <= cell['memory'] * limits[1]


def lacking(cell, part, emulator, limits):
    """Return the kinds of things that a host cell lacks for a guest cell.

    :param emulator: 1 where a CPU for the emulator goes along, else 0
    :param limits: the ratios for CPUs and for memory, or None
    """
    shared = part['policy'] != 'dedicated'
    kinds = {
        'memory': _memory_fits(cell, part),
        'dedicated CPUs': not _pinned(part) or _dedicated_fits(cell, part, emulator),
        'shared CPUs': not shared or _shared_fits(cell, part, limits),
        'memory limit': not shared or _ram_limit_holds(cell, part, limits),
    }
    return {kind for kind, suffices in kinds.items() if not suffices}


def fits(cell, part, emulator, limits):
    """Return whether a guest cell fits a host cell; the parameters are those of :func:`lacking`."""
    return not lacking(cell, part, emulator, limits)


def pairs(case):
    """Return for each guest cell the ids of the host cells that it fits."""
    return [
        {
            cell['id']
            for cell in case['host']
            if fits(cell, part, int(number == 0 and case['emulator'] == 'isolate'), case['limits'])
        }
        for number, part in enumerate(case['guest'])
    ]


def known_networks(case):
    """Return the wanted networks that have an affinity on this host: for each, the ids of the cells that have it."""
    wanted = case['networks']
    if wanted is None:
        return []
    found = [{cell['id'] for cell in case['host'] if physnet in cell['physnets']} for physnet in wanted['physnets']]
    if wanted['tunneled']:
        found.append({cell['id'] for cell in case['host'] if cell['tunneled']})
    return [ids for ids in found if ids]


def ordered(case):
    """Return the host cells in the order of the case's strategy; stable sorts, the most important last."""
    cells = sorted(case['host'], key=lambda cell: cell['id'])
    if case['strategy'] == 'linear' or len(cells) <= len(case['guest']):
        return cells
    sign = -1 if case['strategy'] == 'spread' else 1
    cells.sort(key=lambda cell: sign * (cell['memory'] - cell['memory_used']))
    if _pinned(case['guest'][0]):
        cells.sort(key=lambda cell: sign * len(_free(cell)))
    else:
        cells.sort(key=lambda cell: -sign * cell['cpu_used'])
    return cells


def choose(case, supports=lambda chosen: True, preference=lambda cell_id: 0):
    """Return the ids of the host cells of the first permutation for which all holds, or None.

    :param supports: whether the devices can be had on a frozenset of ids
    :param preference: the place of a host cell before the strategy's order
    """
    table, networks = pairs(case), known_networks(case)
    cells = ordered(case)
    if len(cells) > len(case['guest']):
        cells = sorted(cells, key=lambda cell: preference(cell['id']))
    for chosen in itertools.permutations([cell['id'] for cell in cells], len(case['guest'])):
        if (
            all(cell in row for cell, row in zip(chosen, table, strict=True))
            and all(ids.intersection(chosen) for ids in networks)
            and supports(frozenset(chosen))
        ):
            return chosen
    return None


def pins_follow_policy(cell, part, pins):
    """Return whether CPUs are spread over the cores as the policy asks: the most threads of a core that suffice.

    :param pins: the CPUs of the dedicated vCPUs
    """
    used = sorted((len(core & set(pins)) for core in _cores(cell) if core & set(pins)), reverse=True)
    if part['threads'] == 'isolate':
        return set(used) <= {1}
    left = [len(core & _free(cell)) for core in _cores(cell)]
    least = 2 if part['threads'] == 'require' else 1
    for threads in range(_threads(cell), least - 1, -1):
        if len(pins) <= threads * sum(1 for count in left if count >= threads):
            return all(count == threads for count in used[:-1]) and (not used or used[-1] <= threads)
    return True
