# SPDX-License-Identifier: Apache-2.0
"""libvirt's judgement of the guest XML: its schema accepts it, and its test driver defines it."""

import subprocess
from dataclasses import replace

import pytest
from lxml import etree

from numaplace.libvirt import capabilities, connection
from numaplace.tests import real, recordings
from numaplace.tests.unit.libvirt.samples import SAMPLES


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize('name', SAMPLES)
def test_the_schema_accepts_every_sample(name, tmp_path):
    validate = real.require_program('virt-xml-validate')
    path = tmp_path / 'guest.xml'
    path.write_text(SAMPLES[name].xml(), 'utf-8')
    done = _run(validate, str(path), 'domain')
    assert done.returncode == 0, done.stderr


def test_the_schema_refuses_what_is_wrong(tmp_path):
    validate = real.require_program('virt-xml-validate')
    path = tmp_path / 'guest.xml'
    path.write_text(SAMPLES['one cell'].xml().replace("mode='strict'", "mode='lax'"), 'utf-8')
    assert _run(validate, str(path), 'domain').returncode != 0


def _without_defaults(root: etree._Element) -> etree._Element:
    for topology in root.iterfind('cpu/topology'):
        topology.attrib.pop('dies', None)
    for one in root.iter():
        one.text = one.text if one.text and one.text.strip() else None
        one.tail = None
    return root


_KEPT = (
    *('name', 'title', 'maxMemory', 'memory', 'memoryBacking', 'vcpu', 'vcpus', 'cputune', 'numatune', 'cpu'),
    'devices/memory',
)
_DEFINED = [name for name, sample in SAMPLES.items() if sample.options.get('arch', 'x86_64') == 'x86_64']


@pytest.mark.parametrize('name', _DEFINED)
def test_libvirt_defines_every_sample_and_prints_it_again(name, tmp_path):
    virsh = real.require_program('virsh')
    # What the driver for tests knows of types; the rest of the document is the same for all.
    options = {key: value for key, value in SAMPLES[name].options.items() if key == 'hotplug'}
    text = replace(SAMPLES[name], options=options).xml(domain_type='test')
    root = etree.fromstring(text)
    path = tmp_path / 'guest.xml'
    path.write_text(text, 'utf-8')
    done = _run(virsh, '-q', '-c', 'test:///default', f'define {path} --validate; dumpxml {root.findtext("uuid")}')
    assert done.returncode == 0, done.stderr
    printed = _without_defaults(etree.fromstring(done.stdout[done.stdout.index('<domain') :]))
    for path in _KEPT:
        expected, actual = _without_defaults(root).find(path), printed.find(path)
        if expected is None:
            assert actual is None, path
        else:
            assert etree.tostring(actual, method='c14n') == etree.tostring(expected, method='c14n')


@pytest.mark.parametrize('name', [name for name in recordings.HOSTS if name != 'fake-oracle-host'])
def test_the_schema_accepts_the_recorded_capabilities(name, tmp_path):
    # libvirt 9.0's schema refuses the dot in the CPU features that fake-oracle-host has.
    validate = real.require_program('virt-xml-validate')
    path = tmp_path / 'host.xml'
    path.write_bytes(recordings.capabilities(name))
    assert _run(validate, str(path), 'capability').returncode == 0


def test_virsh_is_asked_for_capabilities():
    real.require_program('virsh')
    xml = connection.capabilities('test:///default')
    assert xml is not None
    host = capabilities.read(xml)
    assert [cell.shape.memory_mib for cell in host.cells] == [2048, 4096]
    assert [guest.domain_types for guest in capabilities.facts(xml).guests] == [('test',), ('test',)]
