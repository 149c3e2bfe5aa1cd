# SPDX-License-Identifier: Apache-2.0
"""libvirt's judgement of expanded domains: its schema accepts them, and its test driver defines them."""

import subprocess

import pytest

from numaplace.tests import real
from numaplace.tests.unit.libvirt.domains import DISTRIBUTIONS, expanded, whole

NIC = """    <interface type='network'>
      <source network='default'/>
      <vnuma node='1'/>
    </interface>
"""
ELEMENTS = {
    **{name: f"<vnuma mode='host' distribution='{name}'/>" for name in DISTRIBUTIONS},
    'cells': "<vnuma mode='host' remainder='first'><partition nodeset='0-3,^2' cells='6'/></vnuma>",
    'node': "<vnuma mode='node'><partition nodeset='1-2'/></vnuma>",
    'core': "<vnuma mode='host' pinning='core'/>",
    'auto': "<vnuma mode='auto' pinning='core' keep='12'/>",
}


@pytest.mark.parametrize('name', ELEMENTS)
def test_libvirt_takes_an_expanded_domain(name, tmp_path):
    validate, virsh = real.require_program('virt-xml-validate'), real.require_program('virsh')
    text = expanded(whole(ELEMENTS[name], NIC))
    path = tmp_path / 'guest.xml'
    path.write_text(text, 'utf-8')
    done = subprocess.run([validate, str(path), 'domain'], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    # What the driver for tests knows of types; the rest of the document is the same for all.
    path.write_text(text.replace('type="kvm"', 'type="test"', 1), 'utf-8')
    command = [virsh, '-q', '-c', 'test:///default', f'define {path} --validate']
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
