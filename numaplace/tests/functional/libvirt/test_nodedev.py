# SPDX-License-Identifier: Apache-2.0
"""Node devices of a real libvirt, and the tree of a real lstopo, over made-up PCI devices."""

import os
import re
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from numaplace import exception
from numaplace.libvirt import lstopo, lstopo_devices, nodedev
from numaplace.operations import sources
from numaplace.pci_specs import read_device_specs
from numaplace.tests import pci_tree, real, recordings

#: $1 is the tree, $2 the directory of the daemon. libudev would refuse a /sys that the kernel does not mount.
_DAEMON = """set -e
mount --rbind "$1" /sys
export SYSTEMD_DEVICE_VERIFY_SYSFS=0
exec libvirtd --config "$2/conf" --pid-file "$2/pid"
"""


@pytest.fixture(scope='module')
def daemon():
    """The URI of a libvirt that sees the made-up devices."""
    for program in ('libvirtd', 'virsh', 'unshare'):
        real.require_program(program)
    # The path of a socket is short.
    with tempfile.TemporaryDirectory(prefix='nodedev') as name:
        directory = Path(name)
        tree = pci_tree.lay_out(recordings.lay_out('seed3', directory / 'sys'))
        settings = {'unix_sock_dir': name, 'auth_unix_ro': 'none', 'auth_unix_rw': 'none'}
        (directory / 'conf').write_text(''.join(f'{key} = "{value}"\n' for key, value in settings.items()))
        enter = ('unshare', '--mount', '--propagation', 'private', 'sh', '-c', _DAEMON, 'daemon')
        with (directory / 'log').open('w') as log:
            process = subprocess.Popen([*enter, str(tree), name], stdout=log, stderr=log)
        try:
            yield _wait(f'qemu+unix:///system?socket={name}/libvirt-sock', process, directory / 'log')
        finally:
            process.terminate()
            process.wait(30)


def _wait(uri, process, log):
    """Return the URI once its libvirt knows all devices, which it finds in a thread."""
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        done = subprocess.run(
            ['virsh', '-q', '-c', uri, 'nodedev-list'], capture_output=True, text=True, timeout=60, check=False
        )
        if 'pci_10000_e1_00_0' in done.stdout:
            return uri
        time.sleep(0.2)
    if 'Operation not permitted' in (text := log.read_text()):
        pytest.skip('no mount namespace')
    raise AssertionError(text)


def test_libvirt_tells_of_devices_what_the_kernels_files_tell(daemon):
    assert pci_tree.FOUND == nodedev.read(daemon)


def test_libvirt_and_the_kernels_files_offer_the_same(daemon, tmp_path):
    root = pci_tree.lay_out(recordings.lay_out('seed3', tmp_path / 'sys'))
    specs = read_device_specs('[{"devname": "enp10s0f0", "physical_network": "lake"}, {"vendor_id": "10de"}]')
    found = [sources.other_libvirt(daemon, {}), sources.recorded_tree(str(root), None, {})]
    offered = [sources.with_devices(one, specs, 'there').pci_devices for one in found]
    assert offered[0] == offered[1]
    assert [1, 1, 1, 0, None] == [device.numa_node for device in offered[0]]


@pytest.mark.parametrize('uri', ['test:///default', 'qemu+unix:///system?socket=/nowhere'])
def test_a_libvirt_that_lists_no_node_devices_or_does_not_answer_is_a_fault(uri):
    real.require_program('virsh')
    with pytest.raises(exception.LibvirtError, match=f'virsh nodedev-list at {re.escape(uri)}: error: '):
        nodedev.read(uri)


def test_lstopo_tells_the_nodes_of_devices(tmp_path):
    program = real.require_program('lstopo')
    pci_tree.lay_out(recordings.lay_out('seed3', tmp_path / 'sys'))
    done = subprocess.run(
        [program, '--of', 'xml', '--whole-io', '-'],
        env={**os.environ, 'HWLOC_FSROOT': str(tmp_path), 'HWLOC_COMPONENTS': 'linux,linuxio,stop'},
        capture_output=True,
        timeout=60,
        check=True,
    )
    found = lstopo_devices.read(done.stdout, lstopo.read(done.stdout).host)
    nodes = {device.address: device.numa_node for device in pci_tree.FOUND if device.address in _ADDRESSES}
    assert nodes == {device.address: device.numa_node for device in found if device.address in _ADDRESSES}
    assert len(_ADDRESSES) == len(nodes)


#: Devices on nodes that the host has, in a domain that hwloc supports.
_ADDRESSES = {'0000:0a:00.0', '0000:0a:02.0', '0000:0a:02.1', '0000:0b:00.0', '0000:81:00.0'}
