# SPDX-License-Identifier: Apache-2.0
"""The same machine from each source is the same host, as far as the source can tell."""

from dataclasses import replace

import pytest

from numaplace import cpuset, exception
from numaplace.libvirt import capabilities, lscpu, lstopo, numactl, recorded
from numaplace.model import Cache, MemoryAccess
from numaplace.tests import recordings

#: What no form of numactl and lscpu tells.
_UNTOLD = {'caches': (), 'dies': (), 'clusters': (), 'accesses': ()}

#: Memory of a cell without CPUs is of a kind that only bandwidths tell.
_KINDS = {'slow': 'unknown'}

#: The forms of lscpu that name the core and the package of each CPU.
_TABLES = ('lscpu-p.txt', 'lscpu-e.txt', 'lscpu-e.json')


def _texts(name, form, **options):
    cpus = lscpu.read(recordings.text(f'{name}.{form}'), form)
    return numactl.read(recordings.text(f'{name}.numactl.txt'), cpus, origin=form, **options).host


def _untold(shape, changes):
    return replace(shape, memory_kind=_KINDS.get(shape.kind, shape.kind), **_UNTOLD, **changes)


def _without(host, **changes):
    return replace(
        host,
        cells=tuple(replace(cell, pages=(), shape=_untold(cell.shape, changes)) for cell in host.cells),
    )


@pytest.fixture(params=recordings.HOSTS)
def name(request):
    """Name of a recorded host."""
    return request.param


@pytest.fixture
def expected(name):
    """The host as libvirt reports it."""
    return capabilities.read(recordings.capabilities(name))


def test_the_kernels_files_tell_all(name, expected, tmp_path):
    assert recorded.read(recordings.lay_out(name, tmp_path / 'sys').parent) == expected


def test_lstopo_tells_all(name, expected):
    assert lstopo.read(recordings.text(f'{name}.lstopo.xml')).host == expected


@pytest.mark.parametrize('form', _TABLES)
def test_numactl_and_a_table_of_lscpu_tell_cpus_cores_packages_memory_and_distances(name, expected, form):
    """Packages are numbered from 0 on by lscpu: that of tiers which the kernel calls 4 is its 1."""
    sockets = {'tiers': {4: 1}}.get(name, {})
    told = _without(expected)
    cells = [
        replace(cell, shape=replace(cell.shape, socket=sockets.get(cell.shape.socket, cell.shape.socket)))
        for cell in told.cells
    ]
    assert _texts(name, form) == replace(told, cells=tuple(cells))


def test_numactl_and_the_summary_of_lscpu_tell_all_of_that_but_packages(name, expected):
    """Of several packages no CPUs are named, and of two threads in each core only some numberings tell which.

    The two guests of QEMU with two threads number them differently, as one had its CPUs added while it ran.
    """
    if name in ('oracle4', 'oracle4split'):
        message = 'the CPUs .* of node 0 of a guest of QEMU do not show which of them share a core: expected'
        with pytest.raises(exception.InvalidCapabilities, match=message):
            _texts(name, 'lscpu.json')
        return
    known = {} if name == 'one2' else {'socket': None}
    assert _texts(name, 'lscpu.json') == _without(expected, **known)


def test_the_operators_options_apply_to_each_source(tmp_path):
    options = {'shared_cpus': cpuset.parse('0-1'), 'dedicated_cpus': cpuset.parse('2-7'), 'reserved': {0: {2048: 16}}}
    expected = capabilities.read(recordings.capabilities('seed3'), **options)
    assert lstopo.read(recordings.text('seed3.lstopo.xml'), **options).host == expected
    assert recorded.read(recordings.lay_out('seed3', tmp_path), **options) == expected
    del options['reserved']
    assert _texts('seed3', 'lscpu-p.txt', **options) == _without(expected)


def test_published_text_of_a_machine_with_120_cpus_is_that_machine():
    """The text of slides: with a prompt, flags in several lines, and an arrow beside a line."""
    found = _texts('oracle-slides', 'lscpu.txt')
    assert found == _without(capabilities.read(recordings.capabilities('fake-oracle-host')), socket=None)
    assert found.cells[1].shape.siblings[:2] == (1 << 15 | 1 << 75, 1 << 16 | 1 << 76)
    facts = lscpu.read(recordings.text('oracle-slides.lscpu.txt'), 'x').facts
    assert (facts.arch, facts.vendor) == ('x86_64', 'Intel')
    assert facts.cpu_model == 'Intel(R) Xeon(R) CPU E7-8895 v2 @ 2.80GHz'


def test_what_lies_around_the_cpus_is_told():
    """Two dies in one package of three; memory of a cell without CPUs, and its ways from two cells."""
    cells = {cell.id: cell for cell in capabilities.read(recordings.capabilities('tiers')).cells}
    assert list(cells) == [0, 1, 2, 8]
    assert [cell.shape.dies for cell in cells.values()] == [(0b0011, 0b1100), (), (), ()]
    assert cells[0].shape.caches == (Cache(3, 16384, 0b0011), Cache(3, 16384, 0b1100))
    assert cells[1].shape.caches == cells[2].shape.caches == (Cache(3, 16384, 0b1110000),)
    assert (cells[8].shape.online_cpus, cells[8].shape.memory_mib, cells[8].shape.socket) == (0, 4096, None)
    assert cells[8].shape.accesses == (
        MemoryAccess(1, 250, 300, 8192, 4096),
        MemoryAccess(2, 250, 300, 8192, 4096),
    )
    assert (cells[2].shape.online_cpus, cells[2].shape.memory_mib, cells[2].shape.accesses) == (1 << 6, 0, ())


def test_facts_are_those_that_a_source_tells(tmp_path):
    said = lstopo.read(recordings.text('seed3.lstopo.xml')).facts
    assert (said.arch, said.vendor, said.cpu_model) == (
        'x86_64',
        'Intel',
        'Intel Core i7 9xx (Nehalem Class Core i7)',
    )
    assert lscpu.read(recordings.text('seed3.lscpu.json'), 'x').facts == said
    assert recorded.facts(recordings.lay_out('seed3', tmp_path)).arch == 'x86_64'
