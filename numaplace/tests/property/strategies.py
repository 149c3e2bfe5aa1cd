# SPDX-License-Identifier: Apache-2.0
"""Guests and hosts as plain data for hypothesis to think of, and to shrink; a case is what ``cases`` describes."""

from hypothesis import strategies as st

from numaplace.tests.property.cases import PAGE_SIZES_KIB, PHYSNETS, STRATEGIES

__all__ = ['fits']

_MEMORY_MIB = st.sampled_from([1024, 1024, 512, 512, 2048, 3, 1536])


def _some(values):
    """Return a strategy for sorted subsets, of which none is likely."""
    if not values:
        return st.just([])
    return st.just([]) | st.lists(st.sampled_from(values), unique=True, max_size=4).map(sorted)


@st.composite
def _pages(draw, memory):
    pages = []
    for size in draw(st.sampled_from([(), (), (4,), (4, 2048), PAGE_SIZES_KIB, (1048576, 2048)])):
        total = draw(st.sampled_from([memory, memory, memory // 2, 0])) * 1024 // size
        used = draw(st.sampled_from([0, 0, 1, total // 2]))
        pages.append({'size': size, 'total': total, 'used': used, 'reserved': draw(st.sampled_from([0, 1]))})
    return pages


@st.composite
def _host_cell(draw, cell_id, first, threads):
    widths = draw(st.lists(st.sampled_from(sorted({threads, threads, 1})), min_size=1, max_size=4))
    cores = []
    for width in widths:
        cores.append(list(range(first, first + width)))
        first += width
    cpus = [cpu for core in cores for cpu in core]
    legacy = draw(st.sampled_from([True, True, False]))
    shared = [] if legacy else draw(_some(cpus))
    dedicated = [cpu for cpu in cpus if cpu not in shared]
    memory = draw(st.sampled_from([4096, 8192, 8192, 1024]))
    return {
        'id': cell_id,
        'shared': cpus if legacy else shared,
        'dedicated': dedicated,
        'siblings': draw(st.sampled_from([cores] * 6 + [[], cores[1:], cores[::-1], [*cores, []]])),
        'pinned': draw(_some(dedicated)),
        'memory': memory,
        'memory_used': draw(st.sampled_from([0, 0, 0, 512, memory, memory + 512])),
        'cpu_used': draw(st.integers(0, 5)),
        'pages': draw(_pages(memory)),
        'physnets': draw(_some(PHYSNETS)),
        'tunneled': draw(st.booleans()),
    }


@st.composite
def _host(draw):
    ids = draw(st.lists(st.integers(0, 9), min_size=1, max_size=6, unique=True))
    threads = draw(st.sampled_from([2, 1, 4]))
    return [draw(_host_cell(cell_id, number * 16, threads)) for number, cell_id in enumerate(ids)]


@st.composite
def _guest(draw, most):
    policy = draw(st.sampled_from(['dedicated', 'mixed', 'shared', None]))
    pinned = policy in ('dedicated', 'mixed')
    threads = draw(st.sampled_from([None, 'prefer', 'prefer', 'require', 'require', 'isolate'])) if pinned else None
    pagesize = draw(st.sampled_from([None] * 12 + [*PAGE_SIZES_KIB, 65536, -1, -2, -3]))
    most_vcpus = draw(st.sampled_from([2, 1, 4, 8]))
    cells, first = [], 0
    for _ in range(draw(st.integers(1, most))):
        shared = draw(st.integers(0, 2)) if policy == 'mixed' else 0 if pinned else draw(st.integers(1, most_vcpus))
        dedicated = draw(st.integers(0 if shared else 1, most_vcpus)) if pinned else 0
        middle, end = first + shared, first + shared + dedicated
        cells.append(
            {
                'shared': list(range(first, middle)),
                'dedicated': list(range(middle, end)),
                'memory': draw(_MEMORY_MIB),
                'pagesize': pagesize,
                'policy': policy,
                'threads': threads,
            }
        )
        first = end
    return cells


def _networks():
    physnets = st.lists(st.sampled_from([*PHYSNETS, 'unknown']), unique=True).map(sorted)
    return st.none() | st.fixed_dictionaries({'physnets': physnets, 'tunneled': st.booleans()})


@st.composite
def fits(draw):
    """Return a case of up to 6 host cells and 5 guest cells."""
    host = draw(_host())
    return {
        'host': host,
        'guest': draw(_guest(min(len(host), 5))),
        'emulator': draw(st.sampled_from([None, None, 'isolate', 'share'])),
        'limits': draw(st.sampled_from([None, None, [1.0, 1.0], [16.0, 1.5], [0.5, 0.5]])),
        'networks': draw(_networks()),
        'strategy': draw(st.sampled_from(sorted(STRATEGIES))),
    }
