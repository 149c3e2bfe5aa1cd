# SPDX-License-Identifier: Apache-2.0
"""A whole devstack in a container: stack.sh with our plugin, the tests of its cloud, unstack.sh, clean.sh, again."""

import os
import sys
from pathlib import Path

import pytest

from numaplace.tests import amount, devstack, real

#: A folder with the repositories that devstack clones.
MIRRORS = 'NUMAPLACE_DEVSTACK_MIRRORS'

pytestmark = [devstack.needs_source, amount.long]


@pytest.fixture
def tool():
    """The tool that makes it, where there are mirrors, root and programs."""
    if MIRRORS not in os.environ:
        pytest.skip(f'{MIRRORS} names no folder of git mirrors')
    if os.geteuid():
        real.missing('root, who may make a container')
    for program in ('mmdebstrap', 'systemd-nspawn', 'nsenter', 'ip', 'nft', 'git'):
        real.require_program(program)
    sys.path.append(str(devstack.SOURCE / 'tools'))
    return real.require_module('devstack.stack')


@pytest.mark.parametrize('cells', [1, 3])
def test_stack_sh_makes_a_cloud_that_decides_by_numaplace_and_takes_it_back(tool, tmp_path, cells):
    plan = tool.Plan(mirrors=Path(os.environ[MIRRORS]), cells=cells)
    cloud = tool.Devstack.make(tmp_path / 'state', plan)
    try:
        sys.stdout.write(f'{cloud.stack()}\n')
        assert 0 == cloud.test()
        cloud.unstack()
        cloud.clean()
        assert [] == cloud.left()
        sys.stdout.write(f'{cloud.stack("shadow")}\n')
        assert 0 == cloud.test()
    finally:
        cloud.down()
    assert not (tmp_path / 'state').exists()
