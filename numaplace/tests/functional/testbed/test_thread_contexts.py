# SPDX-License-Identifier: Apache-2.0
"""Thread contexts, in which QEMU preallocates memory, in a real libvirt and QEMU on a host with nodes without CPUs."""

import re

import pytest

from numaplace.libvirt.profile import PROFILES
from numaplace.model import CellPlacement, GuestCell
from numaplace.tests import recordings
from numaplace.tests.unit.libvirt import samples
from numaplace.tests.unit.libvirt.samples import Sample, cell, placed

#: libvirt makes no command line for huge pages without a place for their files.
_ARGUMENTS = """
mkdir -p /dev/hugepages && mount -t hugetlbfs none /dev/hugepages
exec virsh -q -c {uri} domxml-to-native qemu-argv {path}
"""
_NODE = re.compile(r'"qom-type":"thread-context","id":"[^"]*","node-affinity":\[(\d+)\]')


@pytest.fixture(scope='module')
def tiers(testbed, tmp_path_factory):
    """A host whose nodes from 8 on have memory alone."""
    return testbed.fakehost.FakeHost(tmp_path_factory.mktemp('tiers'), recordings.sysfs('tiers'))


def _contexts(there, directory, profile):
    """Return the nodes for which libvirt starts the guest with thread contexts."""
    tier = CellPlacement(GuestCell(1, 0, 0, 64, 2048), 8, 2048)
    sample = Sample(samples.host('tiers'), placed(cell(0, '0-1', 64, None, 2048), tier))
    path = directory / 'guest.xml'
    path.write_text(sample.xml(profile=PROFILES[profile]))
    found = there.run('sh', '-ec', _ARGUMENTS.format(uri=there.uri, path=path))
    assert '"host-nodes":[8]' in found
    return [int(node) for node in _NODE.findall(found)]


def test_a_guest_with_huge_pages_on_a_node_without_cpus_has_none(tiers, tmp_path):
    if _contexts(tiers, tmp_path, 'newest') == []:
        pytest.skip('this libvirt writes no thread contexts')
    assert [0, 8] == _contexts(tiers, tmp_path, 'newest')
    assert [] == _contexts(tiers, tmp_path, 'libvirt-8.10')


def test_qemu_refuses_one_for_a_node_without_cpus(testbed, tiers):
    command = "echo quit | qemu-system-x86_64 -machine none -display none -monitor stdio -object '{}'"
    context = 'thread-context,id=context,node-affinity={}'
    assert 'monitor' in tiers.run('sh', '-c', command.format(context.format(0)))
    with pytest.raises(testbed.fakehost.CommandFailed, match='The nodes select no CPUs'):
        tiers.run('sh', '-c', command.format(context.format(8)))
