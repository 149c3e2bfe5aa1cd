# SPDX-License-Identifier: Apache-2.0
"""The test bed: its tools, a libvirt on the host of the vNUMA talk, a kernel to boot, and virtual hosts."""

import fcntl
import functools
import json
import os
import shutil
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest
from lxml import etree

from numaplace.tests import real, recordings, summary
from numaplace.tests.functional import probed
from numaplace.tests.functional.testbed import driver
from numaplace.tests.functional.testbed.scenarios import Story

SOURCE = Path(os.environ.get('NUMAPLACE_SOURCE', Path(__file__).parents[4]))


@dataclass(frozen=True)
class Tools:
    """The modules of the directory tools/testbed."""

    arguments: ModuleType
    emulator: ModuleType
    fakehost: ModuleType
    guest: ModuleType
    hwloc: ModuleType
    image: ModuleType
    installed: ModuleType
    kernel: ModuleType
    log: ModuleType
    machine: ModuleType
    vhost: ModuleType


@pytest.fixture(scope='session')
def testbed():
    """The tools beside the package, with the programs that they need."""
    for program in ('qemu-system-x86_64', 'virsh', 'unshare', 'cpio', 'busybox', 'apt-get', 'dpkg-deb', 'lstopo'):
        real.require_program(program)
    if os.geteuid():
        real.missing('root, who may mount')
    sys.path.append(str(SOURCE / 'tools'))
    names = Tools.__dataclass_fields__
    tools = Tools(**{name: real.require_module(f'testbed.{name}') for name in names})
    tools.fakehost.FakeHost.known = probed.known()
    return tools


@pytest.fixture(scope='session')
def talk_host(testbed, tmp_path_factory):
    """A real libvirt on the recorded host of the vNUMA talk: 120 CPUs in four nodes."""
    directory = tmp_path_factory.mktemp('talk-host')
    return testbed.fakehost.FakeHost(directory, recordings.sysfs('fake-oracle-host'))


@contextmanager
def _kept(tmp_path_factory):
    """Yield the directory of what is made once, for one process at a time; one that outlives the tests may be named."""
    scratch = tmp_path_factory.getbasetemp()
    if 'PYTEST_XDIST_WORKER' in os.environ:
        scratch = scratch.parent
    directory = Path(os.environ.get('NUMAPLACE_TESTBED_CACHE') or scratch / 'testbed')
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / 'lock').open('w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield directory


@pytest.fixture(scope='session')
def kernel(testbed, tmp_path_factory):
    """The image of a real kernel."""
    with _kept(tmp_path_factory) as directory:
        return testbed.kernel.fetch(directory)


@pytest.fixture(scope='session')
def initramfs(testbed, tmp_path_factory):
    """What the kernel starts: it tells what it sees, and powers off."""
    return testbed.guest.build_initramfs(tmp_path_factory.mktemp('initramfs') / 'initramfs.gz')


@pytest.fixture(scope='session')
def boots(testbed, kernel, initramfs):
    """Return a function that boots a guest by QEMU's options."""
    return functools.partial(testbed.guest.boot, kernel=kernel, initramfs=initramfs)


@pytest.fixture
def boot(testbed, talk_host, boots, tmp_path, record_property):
    """Return a function that boots a domain by libvirt's own command line, and returns what its kernel said.

    It fails if the kernel reports a fault, or hwloc cannot build its tree of the guest.
    """

    def run(domain):
        path = tmp_path / 'guest.xml'
        path.write_text(domain, 'utf-8')
        options = testbed.arguments.bootable(talk_host.arguments(path), _enabled(etree.fromstring(domain)))
        told = boots(options)
        testbed.hwloc.check(told)
        record_property(summary.TEST_BED, {'guests that booted a kernel': 1})
        return told

    return run


@pytest.fixture(scope='session')
def image(testbed, kernel, tmp_path_factory):
    """The disk of virtual hosts."""
    real.require_program('mke2fs')
    with _kept(tmp_path_factory) as directory:
        return testbed.image.build(directory, kernel)


@pytest.fixture(scope='session')
def payload(testbed, kernel, image, tmp_path_factory):
    """What all virtual hosts run: numaplace as it is installed here, the driver, and modules of the kernel."""
    version = testbed.image.python()
    if version != '{}.{}'.format(*sys.version_info):
        real.missing(f'Python {version} to run the tests, as Debian has it')
    directory = tmp_path_factory.mktemp('payload')
    testbed.installed.copy('numaplace', ['standalone'], directory / 'site', directory / 'bin')
    shutil.copy(driver.__file__, directory / 'driver.py')
    (directory / 'modules').mkdir()
    for number, name in enumerate(testbed.kernel.MODULES):
        shutil.copy(testbed.kernel.modules(kernel.parent) / f'{name}.ko', directory / f'modules/{number}.ko')
    (directory / 'run').write_text('#!/bin/sh\nexec python3 /payload/driver.py\n')
    (directory / 'run').chmod(0o755)
    return directory


@pytest.fixture(scope='session')
def virtual_host(testbed, kernel, image, payload):
    """Return a function that lets a machine run the payload."""
    return functools.partial(testbed.vhost.run, image=image, kernel=kernel, payload=payload)


@pytest.fixture(scope='class')
def story(request, testbed, virtual_host, payload, tmp_path_factory):
    """What came of the scenario of a class, whose virtual host boots once."""
    scenario = request.cls.scenario
    scenario.write(payload)
    result = tmp_path_factory.mktemp('virtual-host') / 'result'
    virtual_host(testbed.machine.MACHINES[scenario.machine], result=result, cgroups=scenario.cgroups)
    return Story(scenario, json.loads((result / 'steps').read_text()))


def _enabled(root):
    """Return the vCPUs that are on."""
    listed = root.findall('vcpus/vcpu')
    if not listed:
        return range(int(root.findtext('vcpu')))
    return [int(vcpu.get('id')) for vcpu in listed if vcpu.get('enabled') == 'yes']
