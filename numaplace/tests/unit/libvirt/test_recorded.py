# SPDX-License-Identifier: Apache-2.0
"""Copies of another machine's files: where they are, and what of the machine they tell."""

import pytest

from numaplace import exception
from numaplace.libvirt import recorded, sysfs
from numaplace.tests import recordings


@pytest.fixture
def tree(tmp_path):
    """Return a directory that holds the ``sys`` of seed3."""
    return recordings.lay_out('seed3', tmp_path / 'sys').parent


def test_the_directory_holds_sys_or_is_it(tree):
    assert recorded.read(tree) == recorded.read(tree / 'sys')
    assert recorded.places(tree) == (tree / 'sys', tree / 'proc')


def test_files_that_tar_has_padded_are_read(tree):
    expected = recorded.read(tree)
    for path in tree.rglob('*'):
        if path.is_file():
            path.write_bytes(path.read_bytes().ljust(4096, b'\0'))
    assert recorded.read(tree) == expected


def test_another_directory_is_refused(tmp_path):
    with pytest.raises(exception.UnreadableTopology, match=r'holds neither sys/devices/system/cpu nor .*; expected a'):
        recorded.read(tmp_path)


@pytest.mark.parametrize(
    ('modalias', 'pools', 'arch', 'pagesize_kib'),
    [
        ('cpu:type:x86,ven0000fam0006mod001A:feature:,0000', (2048, 1048576), 'x86_64', 4),
        ('cpu:type:s390,feature:0000', (1024,), 's390x', 4),
        ('cpu:type:aarch64:feature:,0000', (64, 2048, 32768), 'aarch64', 4),
        ('cpu:type:aarch64:feature:,0000', (2048, 32768, 1048576), 'aarch64', 16),
        ('cpu:type:aarch64:feature:,0000', (2048, 524288, 16777216), 'aarch64', 64),
    ],
)
def test_architecture_and_page_size_are_those_of_the_recorded_kernel(tree, modalias, pools, arch, pagesize_kib):
    system = tree / 'sys/devices/system'
    (system / 'cpu/modalias').write_text(modalias)
    for pool in system.glob('node/node*/hugepages/*'):
        pool.rename(pool.with_name(f'old-{pool.name}'))
    for size_kib in pools:
        pool = tree / f'sys/kernel/mm/hugepages/hugepages-{size_kib}kB'
        pool.mkdir(parents=True)
    assert recorded.facts(tree).arch == arch
    assert [pages.size_kib for pages in recorded.read(tree).cells[0].pages] == [pagesize_kib]


@pytest.mark.parametrize('modalias', [None, 'something else'])
def test_an_architecture_that_is_not_told_is_empty_and_the_page_size_this_machines(tree, modalias):
    path = tree / 'sys/devices/system/cpu/modalias'
    path.unlink()
    if modalias:
        path.write_text(modalias)
    assert recorded.facts(tree).arch == ''
    assert recorded.read(tree) == sysfs.read(tree / 'sys')
