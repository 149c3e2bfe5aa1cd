# SPDX-License-Identifier: Apache-2.0
"""A running guest whose CPUs numad chose: what its threads may use is held, and nobody else gets it."""

import gzip
import json
import sysconfig
import tempfile
from pathlib import Path

import pytest

from numaplace.tests import real, recordings
from numaplace.tests.functional.testbed import daemon

_DOMAIN = """<domain type='qemu'>
  <name>auto</name>
  <memory unit='MiB'>64</memory>
  <vcpu placement='auto'>1</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
</domain>
"""
_NODES = '/sys/devices/system/node'

#: What numad answers depends on the load of the machine, so its answer is fixed; libvirt and the kernel do the rest.
#: $0 is the directory.
_NUMAD = 'mount --bind "$0/numad" "$(command -v numad)" && exec "$@"'


def _two_nodes():
    """Return the recording of a host with a CPU in each of two nodes, made from that of one node with two CPUs."""
    tree = json.loads(gzip.decompress(recordings.sysfs('one2')))
    first = {path: content for path, content in tree.items() if path.startswith(f'{_NODES}/node0/')}
    for path, content in first.items():
        second = content.replace('Node 0', 'Node 1') if isinstance(content, str) else content
        tree[path.replace('/node0/', '/node1/')] = second
    for node, distance in enumerate(('10 20\n', '20 10\n')):
        place = f'{_NODES}/node{node}'
        del tree[f'{place}/cpu{1 - node}']
        tree |= {f'{place}/cpulist': f'{node}\n', f'{place}/cpumap': f'{1 << node}\n', f'{place}/distance': distance}
    tree |= {f'{_NODES}/{what}': '0-1\n' for what in ('has_cpu', 'has_memory', 'online', 'possible')}
    return gzip.compress(json.dumps(tree).encode())


class Here:
    """The command and a libvirt on a host of two nodes, on whose CPUs guests can run."""

    def __init__(self, directory, host, libvirt):
        self._directory = directory
        self._host = host
        self.libvirt = libvirt
        (directory / 'numaplace.conf').write_text('[libvirt]\nvirt_type = qemu\n[compute]\ncpu_dedicated_set = 0-1\n')

    def __call__(self, line):
        program = Path(sysconfig.get_path('scripts'), 'numaplace')
        where = ('--config-file', f'{self._directory}/numaplace.conf', '--database', f'sqlite:///{self._directory}/db')
        return json.loads(self._host.run(str(program), *where, *line.split(), '-f', 'json'))


@pytest.fixture
def here(testbed):
    real.require_program('numad')
    daemon.require()
    with tempfile.TemporaryDirectory() as name:  # its sockets have no room for longer ones
        directory = Path(name)
        host = testbed.fakehost.FakeHost(directory, _two_nodes())
        (directory / 'numad').write_text('#!/bin/sh\necho 0\n')
        (directory / 'numad').chmod(0o755)
        with daemon.Daemon(directory, 'a', [*host.entering, 'sh', '-c', _NUMAD, name]) as libvirt:
            (directory / 'domain.xml').write_text(_DOMAIN)
            libvirt.virsh('define', f'{name}/domain.xml')
            libvirt.virsh('start', '--paused', 'auto')
            yield Here(directory, host, libvirt)


def test_what_numad_chose_is_held(here, testbed):
    assert '0 (out of 2)' in here.libvirt.virsh('vcpuinfo', '--pretty', 'auto'), 'libvirt did as numad says'
    shown = here(f'host discover --connect {here.libvirt.uri} here')
    (held,) = shown['unmanaged_domains']
    assert (held['dedicated'], held['memory']) == ([0], [{'cells': [0], 'mib': 64}])
    assert held['findings'] == ['cpus.floating', 'placement.auto']
    with pytest.raises(testbed.fakehost.CommandFailed) as refused:
        here('server adopt --host here --all')
    (told,) = json.loads(refused.value.printed)
    assert (told['domain'], told['status'], told['dedicated']) == ('auto', 'refused', '0')
    here('flavor create --ram 64 --vcpus 1 --property hw:cpu_policy=dedicated pinned')
    assert here('server create --flavor pinned new')['cells'][0]['pins'] == {'0': 1}
    with pytest.raises(testbed.fakehost.CommandFailed, match='1 held by domains that numaplace does not manage'):
        here('server create --flavor pinned last')
