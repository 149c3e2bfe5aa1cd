# SPDX-License-Identifier: Apache-2.0
"""A guest that ran before numaplace came, in a real libvirt and on each database: it keeps its CPU."""

import json
import os
import re
import tempfile
from pathlib import Path

import pytest

from numaplace.tests.functional.testbed import daemon
from numaplace.tests.functional.testbed.test_hotplug import Here

_PINNED = """<domain type='qemu'>
  <name>instance-00000001</name>
  <uuid>5d4cf1a0-9d6c-4b9a-8a52-0a5ba0f1b3a2</uuid>
  <memory unit='MiB'>64</memory>
  <vcpu placement='static'>1</vcpu>
  <cputune><vcpupin vcpu='0' cpuset='1'/><emulatorpin cpuset='1'/></cputune>
  <numatune><memory mode='strict' nodeset='0'/></numatune>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
</domain>
"""


@pytest.fixture(scope='module')
def libvirt():
    """A libvirt on this machine in which a guest runs, pinned to CPU 1."""
    daemon.require()
    with tempfile.TemporaryDirectory() as name, daemon.Daemon(Path(name), 'a') as libvirt:  # of a short name
        path = Path(name, 'domain.xml')
        path.write_text(_PINNED)
        libvirt.virsh('create', '--paused', '--validate', str(path))
        yield libvirt


@pytest.fixture
def here(libvirt, tmp_path, database_url, make_tables):
    """The command with an empty database; all CPUs may be pinned."""
    make_tables(database_url)
    yield Here(tmp_path, libvirt, database_url)
    for domain in libvirt.virsh('list', '--inactive', '--name').split():
        libvirt.virsh('undefine', domain)


def write(here, policy='hold'):
    (here.directory / 'numaplace.conf').write_text(
        f'[libvirt]\nvirt_type = qemu\n[compute]\ncpu_dedicated_set = 0-{os.cpu_count() - 1}\n'
        f'[numaplace]\nunknown_guests = {policy}\n'
    )


def told(here, line, status=0):
    done = here.run(line)
    assert done.returncode == status, done.stderr
    return done.stderr


def create(here):
    """Create servers with one pinned vCPU until there is no room; return their CPUs and the last refusal."""
    here('flavor create --ram 64 --vcpus 1 --property hw:cpu_policy=dedicated pinned')
    for number in range(os.cpu_count() - 1):
        here(f'server create --flavor pinned new{number}')
    cells = json.loads(here('host show here -f json'))['cells']
    refusal = told(here, 'server create --flavor pinned last', status=3)
    return sorted(cpu for cell in cells for cpu in cell['pinned_cpus']), refusal


def test_a_guest_that_ran_before_keeps_its_cpu(here):
    write(here)
    warning = told(here, f'host discover --connect {here.uri} here')
    assert "'instance-00000001' (CPUs 1; 64 MiB in cell 0)" in warning
    assert '`numaplace server adopt --host here --all` manages it' in warning
    cpus, refusal = create(here)
    assert 1 not in cpus
    assert '1 held by domains that numaplace does not manage' in refusal
    assert json.loads(here('server show new0 -f json'))['instance_name'] == 'instance-00000002'
    assert here('host audit -f value') == ''
    found = json.loads(here('fleet audit -f json'))
    assert [one for one in found if one['severity'] == 'error'] == []
    # No URI is given again, and nothing collides.
    here('server define new0')
    rows = json.loads(here.run('server check --all-hosts -f json').stdout)
    assert ('', 'instance-00000001', 'domain') in [(row['Server'], row['Domain'], row['What']) for row in rows]
    here('server undefine new0')
    # Adopted, it is a server; released, it keeps its CPU all the same.
    here('server adopt --host here instance-00000001')
    assert json.loads(here('host show here -f json'))['unmanaged_domains'] == []
    here('server release instance-00000001')
    assert '1 held by domains' in told(here, 'server create --flavor pinned last', status=3)


def test_with_warn_it_is_named_and_nothing_is_held(here):
    write(here, 'warn')
    warning = told(here, f'host discover --connect {here.uri} here')
    assert re.search(r"'instance-00000001' .*servers may get what it holds too", warning)
    here('flavor create --ram 64 --vcpus 1 --property hw:cpu_policy=dedicated pinned')
    for number in range(os.cpu_count()):
        here(f'server create --flavor pinned new{number}')


def test_with_refuse_the_host_is_not_registered(here):
    write(here, 'refuse')
    error = told(here, f'host discover --connect {here.uri} here', status=1)
    assert "'instance-00000001' (CPUs 1; 64 MiB in cell 0): [numaplace] unknown_guests = refuse" in error
    assert here('host list -f value') == ''
