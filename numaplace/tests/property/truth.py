# SPDX-License-Identifier: Apache-2.0
"""Whether the reasons of a refusal are true, and all there are, by the brute force rule and counts of their own."""

import itertools
import math

from numaplace.tests.property import oracle

__all__ = ['false_reasons']


def _has_pin_wish_without_vcpus(cell, part, emulator, reason):
    return not part['dedicated'] and (part['threads'] == 'isolate' or bool(emulator))


def _dedicated_total(cell, part, emulator, reason):
    return (len(part['dedicated']) + emulator, len(cell['dedicated'])) == (reason.needed, reason.available)


def _dedicated_free(cell, part, emulator, reason):
    free = set(cell['dedicated']).difference(cell['pinned'])
    return (len(part['dedicated']) + emulator, len(free)) == (reason.needed, reason.available)


def _shared_total(cell, part, emulator, reason):
    return (len(part['shared']), len(cell['shared'])) == (reason.needed, reason.available)


def _pages_of(cell, size):
    return [pages for pages in cell['pages'] if pages['size'] == size]


def _memory_total(cell, part, emulator, reason):
    if cell['pages']:
        smallest = min(cell['pages'], key=lambda pages: pages['size'])
        have = smallest['size'] * smallest['total'] / 1024
    else:
        have = cell['memory']
    return part['memory'] == reason.needed and abs(have - reason.available) < 1


def _memory_free(cell, part, emulator, reason):
    if cell['pages']:
        smallest = min(cell['pages'], key=lambda pages: pages['size'])
        have = smallest['size'] * (smallest['total'] - smallest['used'] - smallest['reserved']) / 1024
    else:
        have = cell['memory'] - cell['memory_used']
    return part['memory'] == reason.needed and abs(have - reason.available) < 1


def _memory_multiple(cell, part, emulator, reason):
    sizes = [pages['size'] for pages in cell['pages']]
    backing = {None: min(sizes, default=None), -1: min(sizes, default=None)}.get(part['pagesize'], part['pagesize'])
    wrong = part['memory'] * 1024 % reason.available != 0
    return wrong and (reason.available in sizes if backing < 0 else backing == reason.available)


def _pages(cell, part, emulator, reason):
    size = int(reason.code.split('.')[1])
    total = sum(pages['total'] - pages['reserved'] for pages in _pages_of(cell, size))
    free = total - sum(pages['used'] for pages in _pages_of(cell, size))
    needed, rest = divmod(part['memory'] * 1024, size)
    have = total if reason.code.endswith('.total') else free
    return (
        not rest
        and (needed, have) == (reason.needed, reason.available)
        and (needed > total) == reason.code.endswith('.total')
    )


def _cores_left(cell):
    """Return for each core its width and how many of its CPUs are free."""
    free = set(cell['dedicated']).difference(cell['pinned'])
    named = [set(core) for core in cell['siblings'] if core]
    lone = [{cpu} for cpu in free if not any(cpu in core for core in named)]
    return [(len(core), len(core & free)) for core in named + lone]


def _width(cell):
    return max([len(core) for core in cell['siblings']] + [1])


def _require(cell, part, emulator, reason):
    """Judge the number of cores; cores are missing for each number of threads."""
    cores = _cores_left(cell if reason.code == 'threads.require' else cell | {'pinned': []})
    vcpus, threads = max(len(part['dedicated']), 1), int(reason.subject)
    needs = {n: (-(-vcpus // n), sum(free >= n for _, free in cores)) for n in range(2, _width(cell) + 1)}
    given = (reason.needed, reason.available)
    return (
        needs[threads] == given
        and part['threads'] == 'require'
        and all(needed > have for needed, have in needs.values())
    )


def _isolate_total(cell, part, emulator, reason):
    whole = [free == width for width, free in _cores_left(cell | {'pinned': []})]
    widest = [free == width == _width(cell) for width, free in _cores_left(cell | {'pinned': []})]
    vcpus = len(part['dedicated'])
    expected = {(vcpus, sum(widest), str(sum(whole) - sum(widest) or '')), (vcpus + emulator, sum(whole), '')}
    return (reason.needed, reason.available, reason.subject) in expected and part['threads'] == 'isolate'


def _isolate(cell, part, emulator, reason):
    whole = sum(free == width == _width(cell) for width, free in _cores_left(cell))
    narrower = sum(free == width != _width(cell) for width, free in _cores_left(cell))
    given = (len(part['dedicated']), whole, str(narrower or ''))
    return given == (reason.needed, reason.available, reason.subject) and part['threads'] == 'isolate'


def _isolate_emulator(cell, part, emulator, reason):
    whole = sum(free == width for width, free in _cores_left(cell))
    needed = len(part['dedicated']) + 1
    return bool(emulator) and (needed, whole) == (reason.needed, reason.available) and part['threads'] == 'isolate'


def _isolate_smt(cell, part, emulator, reason):
    return part['threads'] == 'isolate' and _width(cell) > 1 and cell['shared'] != cell['dedicated']


_OF_A_PAIR = {
    'cpus.dedicated.none': _has_pin_wish_without_vcpus,
    'cpus.dedicated.total': _dedicated_total,
    'cpus.dedicated.free': _dedicated_free,
    'cpus.shared.total': _shared_total,
    'memory.free': _memory_free,
    'memory.total': _memory_total,
    'memory.multiple': _memory_multiple,
    'pages.large': lambda cell, part, emulator, reason: part['pagesize'] == -2 and len(cell['pages']) == 1,
    'pages.none': lambda cell, part, emulator, reason: part['pagesize'] is not None and not cell['pages'],
    'threads.require': _require,
    'threads.require.total': _require,
    'threads.isolate.total': _isolate_total,
    'threads.require.smt': lambda cell, part, emulator, reason: part['threads'] == 'require' and _width(cell) == 1,
    'threads.isolate': _isolate,
    'threads.isolate.emulator': _isolate_emulator,
    'threads.isolate.smt': _isolate_smt,
}


def _limit_is_exceeded(case, cell, part, reason):
    if part['policy'] == 'dedicated' or case['limits'] is None:
        return False
    cpu_ratio, ram_ratio = case['limits']
    if reason.code == 'cpus.shared.limit':
        over = cell['cpu_used'] + len(part['shared']) - len(cell['shared']) * cpu_ratio
    else:
        over = cell['memory_used'] + part['memory'] - cell['memory'] * ram_ratio
    return over > 0 and reason.needed - reason.available == math.ceil(over)


def _pair_is_true(case, reason):
    (number,), (cell_id,) = reason.guest_cells, reason.host_cells
    part = case['guest'][number]
    cell = next(cell for cell in case['host'] if cell['id'] == cell_id)
    emulator = int(number == 0 and case['emulator'] == 'isolate')
    if oracle.fits(cell, part, emulator, case['limits']):
        return False
    if reason.code.endswith('.limit'):
        return _limit_is_exceeded(case, cell, part, reason)
    sized = reason.code.removesuffix('.total').removeprefix('pages.').isdigit()
    judge = _pages if sized else _OF_A_PAIR[reason.code]
    numbers = reason.code != 'memory.multiple' and reason.needed is not None and not reason.code.endswith('.smt')
    return judge(cell, part, emulator, reason) and (not numbers or reason.needed > reason.available)


def _coverable(case, networks):
    table = oracle.pairs(case)
    ids = [cell['id'] for cell in case['host']]
    return any(
        all(cell in row for cell, row in zip(chosen, table, strict=True))
        and all(near.intersection(chosen) for near in networks)
        for chosen in itertools.permutations(ids, len(table))
    )


def _is_hall_violator(case, reason):
    table = oracle.pairs(case)
    neighbours = set().union(*(table[number] for number in reason.guest_cells))
    counts = (len(set(reason.guest_cells)), len(neighbours)) == (reason.needed, reason.available)
    return neighbours == set(reason.host_cells) and len(set(reason.guest_cells)) > len(neighbours) and counts


def _near(case, reason):
    if reason.code == 'network.tunnel':
        return {cell['id'] for cell in case['host'] if cell['tunneled']}
    return {cell['id'] for cell in case['host'] if reason.subject in cell['physnets']}


def _network_is_missed(case, reason):
    near = _near(case, reason)
    wanted = case['networks']
    asked = wanted['tunneled'] if reason.code == 'network.tunnel' else reason.subject in wanted['physnets']
    return asked and near == set(reason.host_cells) and not _coverable(case, [near])


def _whole_is_true(case, reason):
    if reason.code == 'cells.count':
        return (len(case['guest']), len(case['host'])) == (reason.needed, reason.available)
    if reason.code == 'cells.assignment':
        return _is_hall_violator(case, reason)
    if reason.code == 'network.joint':
        near = oracle.known_networks(case)
        return all(_coverable(case, [one]) for one in near) and not _coverable(case, near)
    return reason.code in ('network.physnet', 'network.tunnel') and _network_is_missed(case, reason)


def _kind(reason):
    if reason.code == 'memory.limit':
        return 'memory limit'
    if reason.code.startswith('cpus.shared'):
        return 'shared CPUs'
    return 'memory' if reason.code.startswith(('memory.', 'pages.')) else 'dedicated CPUs'


def _pair_faults(case, number, cell_id, reasons):
    cell = next(cell for cell in case['host'] if cell['id'] == cell_id)
    emulator = int(number == 0 and case['emulator'] == 'isolate')
    lacking = oracle.lacking(cell, case['guest'][number], emulator, case['limits'])
    given = {_kind(reason) for reason in reasons}
    if given != lacking and not (given == lacking - {'memory limit'} and _is_implied(case, cell, number, reasons)):
        yield f'guest cell {number} on host cell {cell_id} lacks {sorted(lacking)}, but given is {sorted(given)}'
    if reasons != sorted(reasons, key=lambda reason: reason.position):
        yield f'not what can never be met first, and then by missing share: {reasons}'
    if len({reason.code for reason in reasons}) < len(reasons):
        yield f'given twice: {reasons}'


def _is_implied(case, cell, number, reasons):
    """Return whether more memory is short than the limit of overcommit says."""
    over = cell['memory_used'] + case['guest'][number]['memory'] - cell['memory'] * case['limits'][1]
    return any(reason.unit == 'MiB' and over <= reason.needed - reason.available for reason in reasons)


def false_reasons(case, reasons):
    """Return what is wrong with the reasons of a refusal; devices are judged elsewhere.

    Every pair that fails has a reason for each kind of thing that it lacks, in the order of their positions, and one
    of the whole host stands where no guest cell fails everywhere.
    """
    about_pairs = [reason for reason in reasons if len(reason.guest_cells) == 1 == len(reason.host_cells)]
    about_pairs = [reason for reason in about_pairs if reason.code != 'cells.assignment']
    whole = [reason for reason in reasons if reason not in about_pairs]
    wrong = [f'untrue: {reason}' for reason in about_pairs if not _pair_is_true(case, reason)]
    wrong += [f'untrue: {reason}' for reason in whole if not _whole_is_true(case, reason)]
    table = oracle.pairs(case)
    failing = [
        (number, cell['id']) for number, row in enumerate(table) for cell in case['host'] if cell['id'] not in row
    ]
    named = {(reason.guest_cells[0], reason.host_cells[0]) for reason in about_pairs}
    if sorted(failing) != sorted(named):
        wrong.append(f'pairs that fail are {sorted(failing)}, but named are {sorted(named)}')
    for pair in named:
        own = [reason for reason in about_pairs if (reason.guest_cells, reason.host_cells) == ((pair[0],), (pair[1],))]
        wrong += _pair_faults(case, *pair, own)
    if not reasons:
        wrong.append('no reason at all')
    if all(table) and not whole:
        wrong.append('no joint reason, though every guest cell fits somewhere')
    return wrong
