# SPDX-License-Identifier: Apache-2.0
"""Memory of cells without CPUs: not for guests that float, shown apart, and counted where the operator says so."""

import pytest

from numaplace.tests import recordings

#: MiB of the cells with CPUs, and of one cell of GPU memory; there are four.
_GENERAL, _SPECIAL = 983040, 188416


@pytest.fixture
def graphics(numaplace):
    """The program with a host of two cells with CPUs and four of the memory of its GPUs."""
    numaplace(f'host import gpu --capabilities {numaplace.fixture("gpu-memory")}')
    return numaplace


def _listed(numaplace):
    (row,) = numaplace.json('host list')
    return row['MiB'], row['MiB Used']


def _float(numaplace, memory_mib, name):
    numaplace(f'flavor create --ram {memory_mib} --vcpus 1 {name}')
    return numaplace.run('server', 'create', '--flavor', name, name)


def _refused(result, needed_mib, left_mib):
    """Whether a guest is refused for the memory that the host has left, or in all."""
    in_all = ' in all' if needed_mib > _GENERAL else ''
    room = f'the host has room for {left_mib}{in_all} ({needed_mib - left_mib} short)'
    return (3, True) == (result.returncode, f'the guest needs room for {needed_mib} MiB: {room}' in result.stderr)


def test_totals_are_those_of_the_cells_with_cpus(graphics):
    assert (_GENERAL, 0) == _listed(graphics)
    host = graphics.json('host show gpu')
    assert (_GENERAL, 0) == (host['memory_mib'], host['memory_used_mib'])
    assert {'unknown': {'memory_mib': 4 * _SPECIAL, 'memory_used_mib': 0}} == host['other_memory']
    assert {0: ('general', True), 1: ('general', True)} | dict.fromkeys((2, 3, 10, 18, 26), ('unknown', False)) == {
        cell['id']: (cell['memory_kind'], cell['counts_as_general']) for cell in host['cells']
    }


def test_a_guest_that_floats_has_the_memory_of_the_cells_with_cpus_alone(graphics):
    assert _refused(_float(graphics, 1200000, 'large'), 1200000, _GENERAL)
    assert 0 == _float(graphics, _GENERAL, 'most').returncode
    assert (_GENERAL, _GENERAL) == _listed(graphics)
    assert _refused(_float(graphics, 1, 'least'), 1, 0)
    assert "<memory mode='strict' nodeset='0-1'/>" in graphics('server dumpxml most')
    assert 'numatune' not in graphics('server dumpxml most --profile nova-33')


def test_memory_of_a_tier_takes_none_of_what_floats(graphics):
    graphics('flavor create --ram 32768 --vcpus 2 tiered')
    graphics('flavor set --property numaplace:vnuma=auto --property numaplace:vnuma_tier=24576 tiered')
    graphics('server create --flavor tiered tiered')
    assert (_GENERAL, 8192) == _listed(graphics)
    host = graphics.json('host show gpu')
    assert {'unknown': {'memory_mib': 4 * _SPECIAL, 'memory_used_mib': 24576}} == host['other_memory']
    assert _refused(_float(graphics, _GENERAL - 8191, 'large'), _GENERAL - 8191, _GENERAL - 8192)
    assert 0 == _float(graphics, _GENERAL - 16384, 'rest').returncode
    graphics('server create --flavor tiered another')
    assert (_GENERAL, _GENERAL) == _listed(graphics)
    assert _refused(graphics.run('server', 'create', '--flavor', 'tiered', 'third'), 8192, 0)
    assert '' == graphics('host audit -f value')


def test_people_see_what_kind_of_memory_it_is_and_how_far_away(graphics, numaplace):
    assert '| other_memory         | unknown: 0 of 753664 MiB used' in graphics('host show gpu')
    cells = graphics('host show gpu -c cells')
    assert '0 of 188416 MiB used, memory of unknown kind, at distance 80 from cell 0, ' in cells
    assert '0 of 188416 MiB used, memory of unknown kind, at distance 80 from cells 0-1, ' in cells
    (line,) = (line for line in cells.splitlines() if ' 3: CPUs' in line)
    assert line.rstrip(' |').endswith('3: CPUs none, none pinned, 0 shared vCPUs used, 0 of 0 MiB used')
    numaplace(f'host import hbm --capabilities {numaplace.fixture("hbm")}')
    picture = numaplace('host show hbm --picture')
    assert 'cell 0: 2 CPUs (0-1), 0 of 131072 MiB used\n' in picture
    assert 'cell 3: 0 CPUs (none), 0 of 65536 MiB used, hbm memory, at distance 13 from cell\n  1\n' in picture
    assert 262144 == numaplace.json('host show hbm')['memory_mib']


@pytest.mark.parametrize(
    ('option', 'memory_mib', 'beside_mib'),
    [
        ('unknown', _GENERAL + 4 * _SPECIAL, None),
        ('10', _GENERAL + _SPECIAL, 3 * _SPECIAL),
        ('0,10,26', _GENERAL + 2 * _SPECIAL, 2 * _SPECIAL),
        ('cxl,hbm,slow,gpu', _GENERAL, 4 * _SPECIAL),
    ],
)
def test_the_operator_counts_memory_in_when_the_host_is_imported(graphics, option, memory_mib, beside_mib):
    graphics.configure(general_memory=option)
    assert (_GENERAL, 0) == _listed(graphics)
    graphics(f'host import --refresh gpu --capabilities {graphics.fixture("gpu-memory")}')
    graphics.configure()
    assert (memory_mib, 0) == _listed(graphics)
    beside = graphics.json('host show gpu')['other_memory']
    assert ({} if beside_mib is None else {'unknown': {'memory_mib': beside_mib, 'memory_used_mib': 0}}) == beside
    assert 0 == _float(graphics, memory_mib, 'most').returncode
    assert ('numatune' in graphics('server dumpxml most')) is (beside_mib is not None)


def test_a_cell_to_count_that_is_not_there_is_named(graphics):
    graphics.configure(general_memory='cxl,9')
    result = graphics.run('host', 'import', '--refresh', 'gpu', '--capabilities', graphics.fixture('gpu-memory'))
    message = '[numaplace] general_memory = 9: the host has no cell 9; it has 0, 1, 2, 3, 10, 18, 26\n'
    assert (1, f'numaplace: {message}') == (result.returncode, result.stderr)


def test_memory_on_a_cxl_link_counts_where_the_kernel_tells_it(numaplace):
    root = recordings.lay_out('tiers', numaplace.directory / 'tiers/sys')
    for path, content in {
        'devices/system/memory/block_size_bytes': '8000000',
        'devices/system/node/node8/memory64/state': 'online',
        'bus/cxl/devices/region0/resource': '0x200000000',
        'bus/cxl/devices/region0/size': '0x100000000',
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(f'{content}\n')
    numaplace('host discover --root tiers tiers')
    assert {'cxl': {'memory_mib': 4096, 'memory_used_mib': 0}} == numaplace.json('host show tiers')['other_memory']
    (before, _) = _listed(numaplace)
    numaplace.configure(general_memory='cxl')
    numaplace('host discover --refresh --root tiers tiers')
    assert before + 4096 == _listed(numaplace)[0]
    assert '0 of 4096 MiB used, cxl memory that counts as general, at distance 25 from cells 1-2' in numaplace(
        'host show tiers -c cells'
    )


def test_hosts_are_weighed_by_the_memory_of_their_cpus(graphics):
    """The other host has less memory in all."""
    graphics.configure(more='[filter_scheduler]\nram_weight_multiplier = 1.0')
    assert 0 == _float(graphics, 2 * _SPECIAL, 'first').returncode
    text = recordings.text('gpu-memory.capabilities.xml').replace(b'192937984', b'0')
    (graphics.directory / 'plain.xml').write_bytes(text)
    graphics('host import plain --capabilities plain.xml')
    assert {'gpu': _GENERAL - 2 * _SPECIAL, 'plain': _GENERAL} == {
        row['Name']: row['MiB'] - row['MiB Used'] for row in graphics.json('host list')
    }
    assert 0 == _float(graphics, 1, 'second').returncode
    assert 'plain' == graphics.json('server show second')['host']
