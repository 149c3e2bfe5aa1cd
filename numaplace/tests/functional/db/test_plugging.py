# SPDX-License-Identifier: Apache-2.0
"""The rows and a libvirt that runs the guest: in which order they change, and what is left when one of them fails.

A script replaces virsh: QEMU without KVM ends when a guest lets a vCPU go.
"""

import subprocess

import pytest

from numaplace import exception
from numaplace.compute import hotplug_claims, plugging
from numaplace.libvirt import domain
from numaplace.model import MemoryModule
from numaplace.request import Hotplug
from numaplace.tests import samples
from numaplace.tests.functional.db.test_hotplug_claims import WIDE, create, used

_SCRIPT = """#!/bin/sh
shift 3
echo "$*" >> {directory}/told
case "$*" in
list*) cat {directory}/persistent;;
dumpxml*) echo "<domain><devices>"; cat {directory}/device; echo "</devices></domain>";;
attach-device*) cat >> {directory}/device;;
detach-device*) [ -s {directory}/kept ] || : > {directory}/device;;
esac
while read -r line; do
    case "$*" in *"$line"*) echo "error: no $line" >&2; exit 1;; esac
done < {directory}/refused
"""


class Libvirt:
    """What is told to it, and what it refuses."""

    def __init__(self, directory):
        self._directory = directory
        for name in ('told', 'refused', 'persistent', 'device', 'kept'):
            (directory / name).touch()
        program = directory / 'bin' / 'virsh'
        program.parent.mkdir()
        program.write_text(_SCRIPT.format(directory=directory))
        program.chmod(0o755)

    def told(self):
        """Return what changed a domain since the last time, without the domain."""
        path = self._directory / 'told'
        lines = [line.split() for line in path.read_text().splitlines() if not line.startswith(('list', 'dumpxml'))]
        path.write_text('')
        return [' '.join([line[0], *line[2:]]) for line in lines]

    def write(self, name, text):
        (self._directory / name).write_text(text)

    def read(self, name):
        return (self._directory / name).read_text()


@pytest.fixture
def libvirt(tmp_path, monkeypatch):
    found = Libvirt(tmp_path)
    monkeypatch.setenv('PATH', str(tmp_path / 'bin'), prepend=':')
    return found


@pytest.fixture
def running(hosts, libvirt):
    def write(server):
        host = hosts.host(server.host).host
        return domain.write('guest', server.uuid, '', server.placement, host, hotplug=Hotplug(vcpus=True))

    return plugging.Running('test:///default', write)


@pytest.fixture
def wide(hosts):
    """The UUID of a server with two cells of four pinned vCPUs each."""
    return create(hosts, WIDE)


def test_fewer_are_pulled_out_and_then_freed(hosts, wide, running, libvirt):
    plugging.set_vcpus(hosts, wide, 6, running)
    assert libvirt.told() == [
        'setvcpu 7 --disable --live',
        'setvcpu 3 --disable --live',
        'emulatorpin 0-2,8-10 --live',
        'iothreadpin 1 0-2,8-10 --live',
    ]
    assert used(hosts)['a'] == ('0-2,8-10', 512)


def test_more_are_pinned_and_then_plugged_in(hosts, wide, running, libvirt):
    hotplug_claims.set_vcpus(hosts, wide, 6)
    libvirt.write('persistent', f'{wide}\n')
    plugging.set_vcpus(hosts, wide, 7, running)
    assert libvirt.told() == [
        'vcpupin 3 3 --live --config',
        'setvcpu 3 --enable --live --config',
        'emulatorpin 0-3,8-10 --live --config',
        'iothreadpin 1 0-3,8-10 --live --config',
    ]
    assert hosts.instance(wide).placement.guest.vcpus == 7


def test_a_guest_that_does_not_let_one_go_keeps_all(hosts, wide, running, libvirt):
    before = hosts.instance(wide), hosts.hosts()
    libvirt.write('refused', 'setvcpu ' + wide + ' 3\n')
    with pytest.raises(exception.LibvirtError, match='virsh setvcpu at test:///default: error: no setvcpu'):
        plugging.set_vcpus(hosts, wide, 6, running)
    assert libvirt.told() == [
        'setvcpu 7 --disable --live',
        'setvcpu 3 --disable --live',
        'setvcpu 7 --enable --live',
    ]
    assert (hosts.instance(wide), hosts.hosts()) == before


def test_what_libvirt_does_not_plug_in_is_given_back(hosts, wide, running, libvirt):
    hotplug_claims.set_vcpus(hosts, wide, 6)
    before = hosts.instance(wide)
    libvirt.write('refused', 'emulatorpin\n')
    with pytest.raises(exception.LibvirtError, match='virsh emulatorpin'):
        plugging.set_vcpus(hosts, wide, 8, running)
    assert libvirt.told()[-2:] == ['setvcpu 7 --disable --live', 'setvcpu 3 --disable --live']
    assert hosts.instance(wide).placement == before.placement
    assert used(hosts)['a'] == ('0-2,8-10', 512)


def test_what_cannot_be_taken_back_stays_claimed(hosts, wide, running, libvirt):
    hotplug_claims.set_vcpus(hosts, wide, 6)
    libvirt.write('refused', 'emulatorpin\n--disable\n')
    with pytest.raises(
        exception.DomainChanged, match=r'no emulatorpin; and what was done before stays: .* no --disable'
    ):
        plugging.set_vcpus(hosts, wide, 8, running)
    assert used(hosts)['a'] == ('0-3,8-11', 512)


def test_a_server_that_others_change_while_vcpus_are_pulled_out_gets_them_back(hosts, wide, running, libvirt):
    def write(server):
        if server.placement.guest.vcpus == 6:  # what it shall be: somebody comes between
            hotplug_claims.attach_memory(hosts, wide, MemoryModule(64, 0))
        return running.write(server)

    with pytest.raises(exception.Conflict, match='has been changed: try again'):
        plugging.set_vcpus(hosts, wide, 6, plugging.Running(running.uri, write))
    assert libvirt.told()[-2:] == ['setvcpu 3 --enable --live', 'setvcpu 7 --enable --live']
    assert hosts.instance(wide).placement.guest.vcpus == 8


def test_one_that_does_not_fit_is_told_nothing_of(hosts, wide, running, libvirt):
    hotplug_claims.set_vcpus(hosts, wide, 2)
    create(hosts, samples.guest(cells=2, vcpus=7, memory_mib=256), 'neighbour')
    assert not plugging.set_vcpus(hosts, wide, 8, running)
    assert libvirt.told() == []


def test_memory_is_claimed_and_then_plugged_in(hosts, wide, running, libvirt):
    plugging.attach_memory(hosts, wide, MemoryModule(64, 1), running)
    assert libvirt.told() == ['attach-device /dev/stdin --live']
    assert "<memory model='dimm'>" in libvirt.read('device')
    assert '<node>1</node>' in libvirt.read('device')
    libvirt.write('refused', 'attach-device\n')
    before = hosts.instance(wide)
    with pytest.raises(exception.LibvirtError, match='virsh attach-device'):
        plugging.attach_memory(hosts, wide, MemoryModule(64, 0), running)
    assert hosts.instance(wide).placement == before.placement


@pytest.mark.parametrize('error', [KeyboardInterrupt('lost'), exception.UnknownOutcome('lost')])
def test_an_interrupt_leaves_the_guest_as_the_rows_say(hosts, running, libvirt, monkeypatch, error):
    """It may come before the rows are stored, or after."""
    wide, store = create(hosts, WIDE), hotplug_claims.set_vcpus

    def before(*_arguments, **_keys):
        raise error

    def after(*arguments, **keys):
        store(*arguments, **keys)
        raise error

    monkeypatch.setattr(hotplug_claims, 'set_vcpus', before)
    with pytest.raises(type(error), match='lost'):
        plugging.set_vcpus(hosts, wide, 6, running)
    assert libvirt.told()[-2:] == ['setvcpu 3 --enable --live', 'setvcpu 7 --enable --live']
    assert hosts.instance(wide).placement.guest.vcpus == 8
    monkeypatch.setattr(hotplug_claims, 'set_vcpus', after)
    with pytest.raises(type(error), match='lost'):
        plugging.set_vcpus(hosts, wide, 6, running)
    assert not [line for line in libvirt.told() if '--enable' in line]
    assert hosts.instance(wide).placement.guest.vcpus == 6


@pytest.mark.parametrize(
    'lost',
    [
        (subprocess.TimeoutExpired(['virsh'], 60), 'no answer within 60 s'),
        (KeyboardInterrupt(), 'virsh [a-z-]+ at test:///default: interrupted'),
        (SystemExit(143), 'virsh [a-z-]+ at test:///default: interrupted'),
    ],
    ids=['no answer', 'interrupt', 'end'],
)
def test_what_nobody_knows_of_stays_claimed(hosts, wide, running, monkeypatch, lost):
    """Libvirt may do it after all."""
    error, told = lost
    run = subprocess.run

    def lose(words, **keys):
        if {'attach-device', '--enable', '--disable'} & {*words}:
            raise error
        return run(words, **keys)

    monkeypatch.setattr(subprocess, 'run', lose)
    for change in (
        lambda: plugging.attach_memory(hosts, wide, MemoryModule(64, 1), running),
        lambda: plugging.set_vcpus(hosts, wide, 6, running),
    ):
        with pytest.raises(exception.DomainChanged, match=f'{told}; whether the domain was changed is not known'):
            change()
        assert used(hosts)['a'] == ('0-3,8-11', 576)
    hotplug_claims.set_vcpus(hosts, wide, 6)
    with pytest.raises(exception.DomainChanged, match=told):
        plugging.set_vcpus(hosts, wide, 8, running)
    assert used(hosts)['a'] == ('0-3,8-11', 576)


@pytest.fixture
def plugged(hosts, wide, running, libvirt):
    """The UUID of that server with a memory module; libvirt has been told nothing else."""
    plugging.attach_memory(hosts, wide, MemoryModule(64, 1), running)
    assert used(hosts)['a'] == ('0-3,8-11', 576)
    libvirt.told()
    return wide


def test_memory_is_given_back_when_the_device_is_gone(hosts, plugged, running, libvirt):
    libvirt.write('persistent', f'{plugged}\n')
    assert () == plugging.detach_memory(hosts, plugged, 0, running).placement.guest.modules
    assert libvirt.told() == ['detach-device /dev/stdin --live --config']
    assert used(hosts)['a'] == ('0-3,8-11', 512)


def test_memory_that_the_guest_keeps_stays_claimed_until_it_is_gone(hosts, plugged, running, libvirt, monkeypatch):
    """Libvirt says nothing when a guest does not answer; a guest that releases it later is not asked again."""
    monkeypatch.setattr(plugging, '_RELEASE_S', 0.2)
    libvirt.write('kept', 'yes')
    before = hosts.instance(plugged), hosts.hosts()
    with pytest.raises(
        exception.LibvirtError, match='the guest has not released the 64 MiB in cell 1, and their claim'
    ):
        plugging.detach_memory(hosts, plugged, 0, running)
    assert (hosts.instance(plugged), hosts.hosts()) == before
    libvirt.write('device', '')
    libvirt.told()
    plugging.detach_memory(hosts, plugged, 0, running)
    assert libvirt.told() == []
    assert used(hosts)['a'] == ('0-3,8-11', 512)


def test_of_equal_modules_one_is_unplugged(hosts, plugged, running, libvirt, monkeypatch):
    monkeypatch.setattr(plugging, '_RELEASE_S', 0.2)
    plugging.attach_memory(hosts, plugged, MemoryModule(64, 1), running)
    both = libvirt.read('device')
    libvirt.write('device', both[: len(both) // 2])
    libvirt.told()
    (left,) = plugging.detach_memory(hosts, plugged, 1, running).placement.guest.modules
    assert (MemoryModule(64, 1), []) == (left, libvirt.told())


def test_memory_that_libvirt_does_not_unplug_stays_claimed(hosts, plugged, running, libvirt):
    libvirt.write('refused', 'detach-device\n')
    with pytest.raises(exception.LibvirtError, match='virsh detach-device'):
        plugging.detach_memory(hosts, plugged, 0, running)
    with pytest.raises(exception.NotFound, match='has no memory module 1: its modules are 0 to 0'):
        plugging.detach_memory(hosts, plugged, 1, running)
    assert used(hosts)['a'] == ('0-3,8-11', 576)
