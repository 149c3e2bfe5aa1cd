# SPDX-License-Identifier: Apache-2.0
"""Every recorded host imports, and shows what numactl and the kernel said of it."""

import pytest

from numaplace import cpuset
from numaplace.tests import recordings


@pytest.fixture(scope='module', params=recordings.HOSTS)
def recorded(request, make_program):
    """Name of a recorded host, and what ``host show`` says of it."""
    name, program = request.param, make_program()
    program(f'host import {name} --capabilities {program.fixture(name)}')
    return name, program.json(f'host show {name}')


def test_cells_agree_with_numactl(recorded):
    name, host = recorded
    numactl = recordings.numactl(name)
    cells = {cell['id']: cell for cell in host['cells']}
    assert numactl.cpus == {number: cell['cpus'] for number, cell in cells.items()}
    assert numactl.sizes_mib == {number: cell['memory_mib'] for number, cell in cells.items()}
    distances = {number: [cell['distances'][str(other)] for other in sorted(cells)] for number, cell in cells.items()}
    assert numactl.distances == distances


def test_siblings_agree_with_the_kernel(recorded):
    name, host = recorded
    files = recordings.kernel_files(name)
    for cell in host['cells']:
        kernel = set()
        for cpu in cell['cpus']:
            (text,) = (
                text
                for path, text in files.items()
                if path.endswith(f'devices/system/cpu/cpu{cpu}/topology/thread_siblings_list')
            )
            kernel.add(tuple(cpuset.ids(cpuset.parse(text))))
        assert kernel == {tuple(core) for core in cell['siblings']}
