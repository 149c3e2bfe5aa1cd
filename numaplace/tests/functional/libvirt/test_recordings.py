# SPDX-License-Identifier: Apache-2.0
"""The trees of ``/sys`` in libvirt's source package are read as libvirt itself reads them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from numaplace.tests import real

SOURCE = Path(os.environ.get('NUMAPLACE_SOURCE', Path(__file__).parents[4]))


@pytest.fixture
def tools():
    """The modules of the directory tools/recordings: how to get the trees, and how to compare them."""
    sys.path.append(str(SOURCE / 'tools'))
    return real.require_module('recordings.source'), real.require_module('recordings.compare')


@pytest.fixture
def trees(tools, tmp_path):
    """The directory of the trees, which are kept where the test bed keeps its image."""
    for program in ('apt-config', 'apt-get'):
        real.require_program(program)
    directory = Path(os.environ.get('NUMAPLACE_TESTBED_CACHE') or tmp_path)
    try:
        return tools[0].fetch(directory)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        real.missing(f'the source package of libvirt ({error})')


def test_each_tree_is_the_host_that_libvirt_says_it_is(tools, trees, tmp_path):
    """One tree is refused: of its two nodes none reports its CPUs, and libvirt counts it as one."""
    verdicts = tools[1].verdicts(trees, tmp_path / 'laid-out')
    assert [str(verdict) for verdict in verdicts if verdict.differences] == []
    names = {verdict.tree.partition(' ')[0] for verdict in verdicts}
    assert names == {str(tree.relative_to(trees)) for tree in trees.glob('*/linux-*') if tree.is_dir()}
    assert len(names) >= 29
