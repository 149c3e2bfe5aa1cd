# SPDX-License-Identifier: Apache-2.0
"""The test bed: its tools, a libvirt on the host of the vNUMA talk, and a kernel to boot."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest
from lxml import etree

from numaplace.tests import real, recordings

SOURCE = Path(os.environ.get('NUMAPLACE_SOURCE', Path(__file__).parents[4]))


@dataclass(frozen=True)
class Tools:
    """The modules of the directory tools/testbed."""

    arguments: ModuleType
    fakehost: ModuleType
    guest: ModuleType
    kernel: ModuleType


@pytest.fixture(scope='session')
def testbed():
    """The tools beside the package, with the programs that they need."""
    for program in ('qemu-system-x86_64', 'virsh', 'unshare', 'cpio', 'busybox', 'apt-get', 'dpkg-deb'):
        real.require_program(program)
    if os.geteuid():
        real.missing('root, who may mount')
    sys.path.append(str(SOURCE / 'tools'))
    names = Tools.__dataclass_fields__
    return Tools(**{name: real.require_module(f'testbed.{name}') for name in names})


@pytest.fixture(scope='session')
def talk_host(testbed, tmp_path_factory):
    """A real libvirt on the recorded host of the vNUMA talk: 120 CPUs in four nodes."""
    directory = tmp_path_factory.mktemp('talk-host')
    return testbed.fakehost.FakeHost(directory, recordings.sysfs('fake-oracle-host'))


@pytest.fixture(scope='session')
def kernel(testbed, tmp_path_factory):
    """The image of a real kernel; a directory that outlives the tests may keep it."""
    kept = os.environ.get('NUMAPLACE_TESTBED_CACHE')
    return testbed.kernel.fetch(Path(kept) if kept else tmp_path_factory.mktemp('kernel'))


@pytest.fixture(scope='session')
def initramfs(testbed, tmp_path_factory):
    """What the kernel starts: it tells what it sees, and powers off."""
    return testbed.guest.build_initramfs(tmp_path_factory.mktemp('initramfs') / 'initramfs.gz')


@pytest.fixture
def boot(testbed, talk_host, kernel, initramfs, tmp_path):
    """Return a function that boots a domain by libvirt's own command line, and returns what its kernel said."""

    def run(domain):
        path = tmp_path / 'guest.xml'
        path.write_text(domain, 'utf-8')
        options = testbed.arguments.bootable(talk_host.arguments(path), _enabled(etree.fromstring(domain)))
        return testbed.guest.boot(options, kernel, initramfs)

    return run


def _enabled(root):
    """Return the vCPUs that are on."""
    listed = root.findall('vcpus/vcpu')
    if not listed:
        return range(int(root.findtext('vcpu')))
    return [int(vcpu.get('id')) for vcpu in listed if vcpu.get('enabled') == 'yes']
