# SPDX-License-Identifier: Apache-2.0
"""More capacity, one step at a time: the changes after which whatever fitted a host still fits it.

Each takes the dice and a plain host, and returns a new host. What more means follows from the rule for one cell:

* an added core is as wide as the widest of its cell at most: a wider one would make ``isolate`` look for it;
* a host cell keeps its kind: CPUs added to equal sets go into both, since only equal sets allow ``isolate`` with SMT;
* an added page size is larger than those that are there: a smaller one would be the one that counts;
* an added host cell, and one that is there, gets no network that no other cell has: from then on it would be asked for.
"""

__all__ = ['STEPS']


def _changed(dice, host, change):
    number = dice.randrange(len(host))
    return [*host[:number], host[number] | change(host[number]), *host[number + 1 :]]


def free_a_cpu(dice, host):
    return _changed(dice, host, lambda cell: {'pinned': cell['pinned'][1:]})


def free_all_cpus(dice, host):
    return _changed(dice, host, lambda cell: {'pinned': []})


def free_memory(dice, host):
    return _changed(dice, host, lambda cell: {'memory_used': cell['memory_used'] // 2})


def free_shared_cpus(dice, host):
    return _changed(dice, host, lambda cell: {'cpu_used': cell['cpu_used'] // 2})


def free_pages(dice, host):
    freed = {'used': 0, 'reserved': 0}
    return _changed(dice, host, lambda cell: {'pages': [pages | freed for pages in cell['pages']]})


def add_pages(dice, host):
    more = dice.choice((1, 512, 1 << 20))
    return _changed(
        dice, host, lambda cell: {'pages': [pages | {'total': pages['total'] + more} for pages in cell['pages']]}
    )


def add_page_size(dice, host):
    def change(cell):
        if not cell['pages']:
            return {}
        size = 2 * max(pages['size'] for pages in cell['pages'])
        return {'pages': [*cell['pages'], {'size': size, 'total': dice.choice((0, 4096)), 'used': 0, 'reserved': 0}]}

    return _changed(dice, host, change)


def add_memory(dice, host):
    return _changed(dice, host, lambda cell: {'memory': cell['memory'] + dice.choice((1, 4096))})


def add_core(dice, host):
    def change(cell):
        widest = max([len(core) for core in cell['siblings']] + [1])
        first = 1 + max(cpu for cell in host for cpu in cell['shared'] + cell['dedicated'])
        core = list(range(first, first + dice.randint(1, widest)))
        legacy = set(cell['shared']) == set(cell['dedicated'])
        grown = {'siblings': [*cell['siblings'], core]} if cell['siblings'] else {}
        for kind in ('shared', 'dedicated') if legacy else (dice.choice(('shared', 'dedicated')),):
            grown[kind] = cell[kind] + core
        return grown

    return _changed(dice, host, change)


def add_network(dice, host):
    known = sorted({name for cell in host for name in cell['physnets']})
    some_tunneled = any(cell['tunneled'] for cell in host)
    return _changed(dice, host, lambda cell: {'physnets': known, 'tunneled': some_tunneled})


def add_host_cell(dice, host):
    unused = [cell_id for cell_id in range(12) if all(cell['id'] != cell_id for cell in host)]
    twin = dice.choice(host)
    step = 1000 * (1 + len(host))
    cell = twin | {
        'id': dice.choice(unused),
        'siblings': [[cpu + step for cpu in core] for core in twin['siblings']],
        **{key: [cpu + step for cpu in twin[key]] for key in ('shared', 'dedicated', 'pinned')},
    }
    cells = [*host, cell]
    dice.shuffle(cells)
    return cells


STEPS = (
    free_a_cpu,
    free_all_cpus,
    free_memory,
    free_shared_cpus,
    free_pages,
    add_pages,
    add_page_size,
    add_memory,
    add_core,
    add_network,
    add_host_cell,
)
