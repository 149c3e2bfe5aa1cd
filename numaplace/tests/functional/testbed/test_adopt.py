# SPDX-License-Identifier: Apache-2.0
"""Guests that ran before numaplace came, in a real libvirt: adopted, checked, changed, released and adopted again."""

import json
import os
import re
import subprocess
import sysconfig
import tempfile
from pathlib import Path

import pytest
from lxml import etree

from numaplace.tests import real
from numaplace.tests.functional.testbed import daemon
from numaplace.tests.functional.testbed.test_hotplug import Here

PAGE = Path(os.environ.get('NUMAPLACE_SOURCE', Path(__file__).parents[4])) / 'doc' / 'source' / 'existing-guests.rst'

#: A guest with a disk, pinned to a CPU, and one to whose cell more may be added.
PINNED = """<domain type='qemu'>
  <name>old-pinned</name>
  <uuid>5d4cf1a0-9d6c-4b9a-8a52-0a5ba0f1b3a1</uuid>
  <memory unit='MiB'>64</memory>
  <vcpu placement='static'>1</vcpu>
  <cputune><vcpupin vcpu='0' cpuset='1'/><emulatorpin cpuset='1'/></cputune>
  <numatune><memory mode='strict' nodeset='0'/></numatune>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <devices>
    <disk type='file' device='disk'><source file='{directory}/disk.img'/><target dev='vda' bus='virtio'/></disk>
  </devices>
</domain>
"""
HOT = """<domain type='qemu'>
  <name>old-hot</name>
  <uuid>0ce45f5c-9a30-4be1-9b1d-7b3ffbbce3c7</uuid>
  <maxMemory slots='2' unit='MiB'>512</maxMemory>
  <memory unit='MiB'>128</memory>
  <vcpu placement='static' cpuset='0-1' current='1'>2</vcpu>
  <vcpus><vcpu id='0' enabled='yes' hotpluggable='no'/><vcpu id='1' enabled='no' hotpluggable='yes'/></vcpus>
  <numatune><memory mode='strict' nodeset='0'/><memnode cellid='0' mode='strict' nodeset='0'/></numatune>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <features><acpi/></features>
  <cpu><numa><cell id='0' cpus='0-1' memory='128' unit='MiB'/></numa></cpu>
</domain>
"""


@pytest.fixture
def here():
    """A libvirt on this machine in which two guests run that numaplace does not know; they boot nothing."""
    daemon.require()
    # The path of a socket is short.
    with tempfile.TemporaryDirectory() as name, daemon.Daemon(Path(name), 'a') as libvirt:
        directory = Path(name)
        here = Here(directory, libvirt)
        (directory / 'disk.img').write_bytes(bytes(1024**2))
        for domain in (PINNED, HOT):
            libvirt.start(domain.format(directory=directory))
        (directory / 'capabilities.xml').write_text(here.virsh('capabilities'))
        here(f'host import here --capabilities {directory / "capabilities.xml"}')
        yield here


def test_guests_that_run_become_servers_and_every_verb_works(here):
    where = f'--host here --connect {here.uri}'
    check = f'server check {where} -f value'
    told = json.loads(here(f'server adopt {where} --all --dry-run -f json'))
    assert {one['domain']: (one['status'], one['findings']) for one in told} == {
        'old-pinned': ('adopted', []),
        'old-hot': ('adopted', []),
    }
    assert here('server list -f value') == ''
    assert json.loads(here(f'server adopt {where} --all -f json')) == told
    assert json.loads(here(f'server adopt {where} --all -f json')) == []
    assert here(check) == ''
    here(f'flavor create --ram 64 --vcpus {os.cpu_count()} --property hw:cpu_policy=dedicated pinned')
    assert 'no valid host' in here('server create --flavor pinned new', status=3)
    # What is plugged in is claimed.
    shown = '-f value -c vcpus -c memory_mib'
    assert here(f'server set-vcpus old-hot 2 --connect {here.uri} {shown}') == '2\n128\n'
    assert here(f'server attach-memory old-hot --size 128 --node 0 --connect {here.uri} {shown}') == '2\n256\n'
    live = etree.fromstring(here.virsh('dumpxml', 'old-hot'))
    assert ([vcpu.get('enabled') for vcpu in live.iterfind('vcpus/vcpu')], len(live.findall('devices/memory'))) == (
        ['yes', 'yes'],
        1,
    )
    assert here(check) == ''
    # Somebody moves a vCPU.
    here.virsh('vcpupin', 'old-pinned', '0', '0', '--live')
    here.virsh('emulatorpin', 'old-pinned', '0', '--live')
    done = here.run(check)
    assert (done.returncode, done.stdout) == (1, 'old-pinned old-pinned CPUs of vCPU 0 1 0\n')
    here.virsh('vcpupin', 'old-pinned', '0', '1', '--live')
    here.virsh('emulatorpin', 'old-pinned', '1', '--live')
    # The way back, and here again.
    here('server release old-pinned')
    here.virsh('domstate', 'old-pinned')
    here(f'server adopt {where} old-pinned')
    assert here(check) == ''
    here('server delete old-hot')
    assert here('host audit -f value') == ''


@pytest.mark.skipif(not PAGE.is_file(), reason='there is no source tree beside the package')
def test_every_line_of_the_page_can_be_typed(here, tmp_path):
    """The libvirt of the test answers for that of the machine."""
    virsh = tmp_path / 'virsh'
    real_one = real.require_program('virsh')
    virsh.write_text(f"""#!/bin/sh
for word; do
    shift
    case "$word" in qemu:///system) word='{here.uri}' ;; esac
    set -- "$@" "$word"
done
case "$*" in *--connect*) exec {real_one} "$@" ;; *) exec {real_one} --quiet --connect '{here.uri}' "$@" ;; esac
""")
    virsh.chmod(0o755)
    scripts = sysconfig.get_path('scripts')
    environment = os.environ | {'HOME': str(tmp_path), 'PATH': f'{tmp_path}:{scripts}:{os.environ["PATH"]}'}
    environment.pop('XDG_DATA_HOME', None)
    lines = re.findall(r'^   \$ (.*)$', PAGE.read_text('utf-8'), re.MULTILINE)
    assert len(lines) > 8
    for line in lines:
        done = subprocess.run(
            line, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f'{line}: {done.stderr}'


def test_a_resized_server_is_defined_again_with_its_devices(here):
    where = f'--host here --connect {here.uri}'
    here(f'server adopt {where} old-pinned')
    here('flavor create --ram 96 --vcpus 2 --property hw:numa_nodes=1 larger')
    here('host import there --capabilities ' + str(Path(here.directory, 'capabilities.xml')))
    here('server resize --flavor larger old-pinned')
    here('server resize confirm old-pinned')
    here.libvirt.stop('old-pinned', 'old-hot')
    here.virsh('undefine', 'old-hot')
    here(f'server define old-pinned --connect {here.uri}')
    kept = etree.fromstring(here.virsh('dumpxml', '--inactive', 'old-pinned'))
    assert kept.find('devices/disk/source').get('file').endswith('/disk.img')
    assert (kept.findtext('vcpu'), kept.findtext('memory')) == ('2', str(96 * 1024))
    assert [pin.get('vcpu') for pin in kept.iterfind('cputune/vcpupin')] == ['0', '1']
    assert here(f'server check --host there --connect {here.uri} -f value') == ''
    here.virsh('start', 'old-pinned')
    assert here(f'server check --host there --connect {here.uri} -f value') == ''
