# SPDX-License-Identifier: Apache-2.0
"""Real programs look at the same machine, and what they print is the same host to numaplace."""

from dataclasses import replace

import pytest

from numaplace.libvirt import capabilities, lscpu, lstopo, numactl, recorded
from numaplace.tests import real, recordings


@pytest.fixture(scope='module', params=recordings.HOSTS)
def machine(request, testbed, tmp_path_factory):
    """Name of a recorded host, and a machine that has its kernel's files."""
    name = request.param
    return name, testbed.fakehost.FakeHost(tmp_path_factory.mktemp(name), recordings.sysfs(name))


@pytest.fixture
def expected(machine, tmp_path):
    """The host by the kernel's files alone."""
    return recorded.read(recordings.lay_out(machine[0], tmp_path))


def test_libvirt_tells_what_the_kernel_does(machine, expected):
    assert capabilities.read(machine[1].virsh('capabilities').encode()) == expected


def test_lstopo_tells_what_the_kernel_does(machine, expected):
    """By default it would ask the CPUs that it runs on, too, which are of another machine."""
    real.require_program('lstopo')
    printed = machine[1].run('env', 'HWLOC_COMPONENTS=linux,stop', 'lstopo', '--disallowed', '--of', 'xml', '-')
    assert lstopo.read(printed.encode()).host == expected


def test_numactl_tells_memory_and_distances_of_what_the_kernel_does(machine, expected):
    real.require_program('numactl')
    name, there = machine
    cpus = lscpu.read(recordings.text(f'{name}.lscpu-p.txt'), 'lscpu')
    found = numactl.read(there.run('numactl', '-H').encode(), cpus).host

    def told(host):
        unknown = {'socket': None, 'caches': (), 'dies': (), 'clusters': (), 'accesses': (), 'memory_kind': None}
        return [replace(cell.shape, **unknown) for cell in host.cells]

    assert told(found) == told(expected)
