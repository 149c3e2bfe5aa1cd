# SPDX-License-Identifier: Apache-2.0
"""Devices of a guest: how they are written, and where those with a node are."""

import re

import pytest
from lxml import etree

from numaplace import exception
from numaplace.libvirt import devices
from numaplace.libvirt.profile import PROFILES
from numaplace.model import Nic
from numaplace.request import own_devices
from numaplace.tests.unit.libvirt.samples import SAMPLES, UUID

NEAR = own_devices(
    ['bridge=br0', 'network=default,model=e1000e,node=0'],
    ['path=/srv/a.qcow2,format=qcow2,node=1', 'path=/dev/vg/b', 'path=/srv/c.img,node=1'],
)


def _text(found, **options):
    return SAMPLES['two cells'].xml(attached=found, **options)


def test_devices_are_printed_as_virsh_prints_them():
    text = _text(NEAR)
    assert (
        text[text.index('  <devices>') :]
        == """\
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2' iothread='1'/>
      <source file='/srv/a.qcow2'/>
      <target dev='vda' bus='virtio'/>
      <address type='pci' domain='0x0000' bus='0x04' slot='0x00' function='0x0'/>
    </disk>
    <disk type='block' device='disk'>
      <driver name='qemu' type='raw' iothread='1'/>
      <source dev='/dev/vg/b'/>
      <target dev='vdb' bus='virtio'/>
    </disk>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw' iothread='1'/>
      <source file='/srv/c.img'/>
      <target dev='vdc' bus='virtio'/>
      <address type='pci' domain='0x0000' bus='0x05' slot='0x00' function='0x0'/>
    </disk>
    <controller type='pci' index='1' model='pcie-expander-bus'>
      <model name='pxb-pcie'/>
      <target busNr='254'>
        <node>0</node>
      </target>
    </controller>
    <controller type='pci' index='2' model='pcie-root-port'>
      <address type='pci' domain='0x0000' bus='0x01' slot='0x00' function='0x0'/>
    </controller>
    <controller type='pci' index='3' model='pcie-expander-bus'>
      <model name='pxb-pcie'/>
      <target busNr='251'>
        <node>1</node>
      </target>
    </controller>
    <controller type='pci' index='4' model='pcie-root-port'>
      <address type='pci' domain='0x0000' bus='0x03' slot='0x00' function='0x0'/>
    </controller>
    <controller type='pci' index='5' model='pcie-root-port'>
      <address type='pci' domain='0x0000' bus='0x03' slot='0x01' function='0x0'/>
    </controller>
    <interface type='bridge'>
      <mac address='52:4a:8d:74:0b:95'/>
      <source bridge='br0'/>
      <model type='virtio'/>
    </interface>
    <interface type='network'>
      <mac address='52:80:d3:17:a2:25'/>
      <source network='default'/>
      <model type='e1000e'/>
      <address type='pci' domain='0x0000' bus='0x02' slot='0x00' function='0x0'/>
    </interface>
    <console type='pty'/>
  </devices>
</domain>
"""
    )


@pytest.mark.parametrize(('profile', 'iothread'), [('nova-12', None), ('nova-33', '1')])
def test_in_novas_forms_devices_have_no_node(profile, iothread):
    root = etree.fromstring(_text(NEAR, profile=PROFILES[profile]))
    assert ['disk', 'disk', 'disk', 'interface', 'interface', 'console'] == [one.tag for one in root.find('devices')]
    assert [] == root.findall('devices/*/address')
    assert {iothread} == {driver.get('iothread') for driver in root.iterfind('devices/disk/driver')}


def test_targets_go_on_after_26_disks():
    found = own_devices([], [f'path=/srv/{number}' for number in range(60)])
    targets = [one.get('dev') for one in etree.fromstring(_text(found)).iterfind('devices/disk/target')]
    assert ['vda', 'vdz', 'vdaa', 'vdaz', 'vdba'] == [targets[number] for number in (0, 25, 26, 51, 52)]
    assert 60 == len(set(targets))


def test_a_mac_address_is_the_same_each_time_local_and_of_one_device():
    addresses = {devices.mac_of(Nic(), uuid, number) for uuid in (UUID, UUID[::-1]) for number in range(100)}
    assert 200 == len(addresses)
    assert devices.mac_of(Nic(), UUID, 3) == devices.mac_of(Nic(), UUID, 3)
    for address in addresses:
        assert re.fullmatch('[0-9a-f]{2}(:[0-9a-f]{2}){5}', address)
        assert 0b10 == int(address[:2], 16) & 0b11, 'locally administered, and no multicast'


@pytest.mark.parametrize(
    ('sample', 'nics', 'disks', 'told'),
    [
        (
            'two cells',
            ['network=a,node=2'],
            [],
            "--nic 'network=a,node=2': node 2 is not a cell of the guest: expected a number from 0 to 1",
        ),
        ('floating', [], ['path=/a,node=0'], 'node 0 is not a cell of the guest: expected a guest with cells'),
        (
            'another machine type',
            [],
            ['path=/a,node=0'],
            'node 0 is not a cell of the guest',
        ),
        ('two cells', [], ['path=/a', 'path=/a,node=0'], "--disk 'path=/a,node=0': another disk of the guest is that"),
        (
            'two cells',
            ['network=a,node=1'] * 33,
            [],
            'too many devices on node 1: expected at most 32',
        ),
    ],
)
def test_devices_that_cannot_be_are_faults(sample, nics, disks, told):
    with pytest.raises(exception.InvalidRequest, match=re.escape(told)):
        SAMPLES[sample].xml(attached=own_devices(nics, disks))


@pytest.mark.parametrize(
    ('arch', 'machine', 'has'),
    [
        ('x86_64', 'q35', True),
        ('x86_64', 'pc-q35-7.2', True),
        ('i686', 'q35', True),
        ('aarch64', 'virt', True),
        ('aarch64', 'virt-7.2', True),
        ('x86_64', 'pc', False),
        ('x86_64', 'pc-i440fx-7.2', False),
        ('x86_64', 'virt', False),
        ('riscv64', 'virt', False),
        ('ppc64le', 'pseries', False),
    ],
)
def test_a_device_with_a_node_needs_a_machine_with_expander_buses(arch, machine, has):
    options = {'arch': arch, 'machine': machine}
    assert 2 == len(etree.fromstring(_text(own_devices([], ['path=/a']), **options)).find('devices'))
    if has:
        root = etree.fromstring(_text(own_devices([], ['path=/a,node=1']), **options))
        assert ['1'] == [node.text for node in root.iterfind('devices/controller/target/node')]
        return
    with pytest.raises(
        exception.MachineLimitExceeded,
        match=re.escape(f"--disk 'path=/a,node=1': machine type {machine} of {arch} has no PCIe expander"),
    ):
        _text(own_devices([], ['path=/a,node=1']), **options)
