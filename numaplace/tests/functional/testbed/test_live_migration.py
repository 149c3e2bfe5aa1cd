# SPDX-License-Identifier: Apache-2.0
"""Guests that run move from one real libvirt to another, by the XML that numaplace writes for the destination."""

import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest
from lxml import etree

from numaplace.tests.functional.cli.conftest import Program
from numaplace.tests.functional.testbed import daemon
from numaplace.tests.functional.testbed.test_adopt import HOT, PINNED

#: What keeps CPU 1 of the destination.
_THERE = """<domain type='qemu'>
  <name>there</name>
  <memory unit='MiB'>64</memory>
  <vcpu>1</vcpu>
  <cputune><vcpupin vcpu='0' cpuset='1'/><emulatorpin cpuset='1'/></cputune>
  <numatune><memory mode='strict' nodeset='0'/></numatune>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
</domain>
"""


@pytest.fixture
def pair(database_url, make_tables):
    """The libvirts of two hosts, each with guests, and the command, which knows the hosts, on each kind of database."""
    daemon.require()
    make_tables(database_url)
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:  # its sockets have no room for longer ones
        directory = Path(name)
        numaplace = Program(directory)
        numaplace.configure(connection=database_url, more='[libvirt]\nvirt_type = qemu')
        (directory / 'disk.img').write_bytes(bytes(1024**2))
        a, b = (stack.enter_context(daemon.Daemon(directory, host)) for host in 'ab')
        for xml in (PINNED, HOT):
            a.start(xml.format(directory=directory))
        b.start(_THERE)
        for host in (a, b):
            told = numaplace.run('host', 'discover', '--connect', host.uri, host.name)
            assert (told.returncode, 'numaplace does not manage' in told.stderr) == (0, True)
        yield a, b, numaplace


def _migrate(numaplace, source, dest, server, domain):
    """Move a guest by the commands of the documentation. The two hosts have one disk, which libvirt cannot know."""
    numaplace(f'server migrate --live-migration --host {dest.name} {server}')
    found, new = (numaplace.directory / name for name in ('found.xml', 'new.xml'))
    found.write_text(source.virsh('dumpxml', '--migratable', domain))
    new.write_text(numaplace(f'server dumpxml {server} --into {found}'))
    how = ('--live', '--persistent', '--undefinesource', '--unsafe', '--migrateuri', 'tcp://127.0.0.1')
    source.virsh('migrate', *how, '--xml', str(new), '--persistent-xml', str(new), domain, dest.uri)


def _shape(xml):
    """Return what a guest sees: its vCPUs, cells, modules and disks, and the CPUs to which its vCPUs are pinned."""
    root = etree.fromstring(xml)
    pins = [(pin.get('vcpu'), pin.get('cpuset')) for pin in root.iterfind('cputune/vcpupin')]
    on = len(root.findall('vcpus/vcpu[@enabled="yes"]'))
    return on, *(len(root.findall(path)) for path in ('cpu/numa/cell', 'devices/memory', 'devices/disk')), pins


def test_guests_move_while_they_run(pair):
    """Two that are adopted, one of them changed meanwhile, and one that numaplace has made."""
    a, b, numaplace = pair
    numaplace('server adopt --host a --all')
    numaplace('server set-vcpus old-hot 2')
    numaplace('server attach-memory old-hot --size 128 --node 0')
    numaplace('flavor create --ram 64 --vcpus 1 --property hw:numa_nodes=1 small')
    numaplace('server create --flavor small --host a new')
    numaplace('server define new')
    new = numaplace.json('server show new')['instance_name']
    a.virsh('start', new)
    for server, domain in {'old-pinned': 'old-pinned', 'old-hot': 'old-hot', 'new': new}.items():
        _migrate(numaplace, a, b, server, domain)
    assert a.virsh('list', '--all', '--name').split() == []
    assert _shape(b.virsh('dumpxml', 'old-pinned')) == (0, 0, 0, 1, [('0', '0')]), 'CPU 1 is held there'
    assert _shape(b.virsh('dumpxml', 'old-hot'))[:4] == (2, 1, 1, 0)
    # The way back, and here again, from what the destination has now.
    numaplace('server release old-hot')
    told = numaplace.json('server adopt --host b --all')
    assert {one['domain']: one['status'] for one in told} == {'old-hot': 'adopted', 'there': 'adopted'}
    for host in 'ab':
        assert numaplace.json(f'server check --host {host}') == []
    assert numaplace.json('host audit') == []
    assert [row['Host'] for row in numaplace.json('server list')] == ['b'] * 4
