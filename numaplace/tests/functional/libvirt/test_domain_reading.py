# SPDX-License-Identifier: Apache-2.0
"""What a libvirt prints of our domains reads as it was written."""

import subprocess

import pytest

from numaplace import exception
from numaplace.libvirt import document, domain_reading
from numaplace.tests import real
from numaplace.tests.functional import defining
from numaplace.tests.unit.libvirt import families
from numaplace.tests.unit.libvirt.samples import SAMPLES, UUID


def _read(xml, on):
    parsed = document.parse(xml.encode(), 'the test', 'domain', 'a domain', exception.InvalidDomain)
    return domain_reading.read(parsed, on)


def _virsh(commands):
    command = [real.require_program('virsh'), '-q', '-c', 'test:///default', commands]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False).stdout


@pytest.mark.parametrize('name', families.HOSTS)
def test_a_server_reads_from_what_libvirt_prints_as_it_was_placed(name, tmp_path):
    servers = list(families.placed(name))
    documents = [(server.name, server.uuid, server.xml('newest', domain_type='test')) for server in servers]
    for server, printed in zip(servers, defining.printed(_virsh, documents, tmp_path), strict=True):
        reading = _read(printed, families.HOSTS[name])
        assert reading.holding.findings in (['domain.type'], ['cpus.unpinned', 'domain.type']), server.name
        assert reading == _read(server.xml('newest', domain_type='test'), families.HOSTS[name]), server.name
        places = [(placed.host_cell, placed.pins) for placed in server.placement.cells]
        assert [(placed.host_cell, placed.pins) for placed in reading.placement.cells] == places, server.name


def test_what_another_driver_prints_keeps_the_vcpus_that_are_off_and_the_modules(tmp_path):
    for name in ('half of the vCPUs off', 'memory modules', 'realtime', 'emulator isolate'):
        sample = SAMPLES[name]
        xml = sample.xml(domain_type='test')
        (printed,) = defining.printed(_virsh, [(name, UUID, xml)], tmp_path)
        assert _read(printed, sample.host) == _read(xml, sample.host), name
