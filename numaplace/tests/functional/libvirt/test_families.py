# SPDX-License-Identifier: Apache-2.0
"""libvirt's judgement of guests of all kinds that the fit has placed: its schema, and its driver for tests."""

import subprocess

import pytest

from numaplace.libvirt.profile import NEWEST, PROFILES
from numaplace.tests import real
from numaplace.tests.functional import defining
from numaplace.tests.unit.libvirt import families
from numaplace.tests.unit.libvirt.samples import SAMPLES


def _assert_valid(xml, path, name):
    path.write_text(xml, 'utf-8')
    command = [real.require_program('virt-xml-validate'), str(path), 'domain']
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f'{name}: {done.stderr}'


def test_each_kind_of_guest_goes_on_some_host():
    assert set(families.FLAVORS) == {server.flavor.name for host in families.HOSTS for server in families.placed(host)}


@pytest.mark.parametrize('host', families.HOSTS)
def test_the_schema_accepts_each_form_of_each_server(host, tmp_path):
    for server in families.placed(host):
        for profile in PROFILES:
            _assert_valid(server.xml(profile), tmp_path / 'guest.xml', server.name)
        _assert_valid(server.xml(NEWEST, domain_type='kvm'), tmp_path / 'guest.xml', server.name)


@pytest.mark.parametrize('arch', ['aarch64', 'armv7l', 'i686', 'ppc64', 'ppc64le', 'riscv64', 's390x'])
def test_the_schema_accepts_each_architecture(arch, tmp_path):
    cells = ('two cells', 'mixed', 'realtime') if arch != 's390x' else ()
    # Cells of 128 MiB are no multiple of what ppc64 has.
    small = ('huge pages',) if arch not in ('ppc64', 'ppc64le', 's390x') else ()
    for name in ('floating', *cells, *small):
        _assert_valid(SAMPLES[name].xml(arch=arch), tmp_path / 'guest.xml', name)


@pytest.mark.parametrize('host', families.HOSTS)
def test_libvirt_prints_of_each_server_what_was_written(host, tmp_path):
    def virsh(commands):
        command = [real.require_program('virsh'), '-q', '-c', 'test:///default', commands]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False).stdout

    documents = [
        (f'{server.name}, {profile}', server.uuid, server.xml(profile, domain_type='test'))
        for server in families.placed(host)
        for profile in PROFILES
    ]
    assert [] == defining.differences(virsh, documents, tmp_path)
