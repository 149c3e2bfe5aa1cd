# SPDX-License-Identifier: Apache-2.0
"""What differs between two forms of a domain is told by what it means."""

import pytest

from numaplace import exception
from numaplace.libvirt.checking import Difference, compare
from numaplace.libvirt.devices import mac_of
from numaplace.model import Nic
from numaplace.request import own_devices
from numaplace.tests.unit.libvirt.samples import SAMPLES, UUID


@pytest.mark.parametrize('name', SAMPLES)
def test_a_domain_is_as_it_was_written(name):
    xml = SAMPLES[name].xml()
    assert [] == compare(xml, xml, place='libvirt')


@pytest.mark.parametrize(
    ('name', 'before', 'after', 'expected'),
    [
        ('four cells', "vcpu='5' cpuset='15-29,75-89'", "vcpu='5' cpuset='3'", ('CPUs of vCPU 5', '15-29,75-89', '3')),
        ('two cells', "<emulatorpin cpuset='0-5'/>", '', ('CPUs of the emulator', '0-5', '')),
        (
            'two cells',
            "mode='strict' nodeset='0-1'",
            "mode='strict' nodeset='0,2'",
            ('nodes of the memory', '0-1', '0,2'),
        ),
        ('two cells', "cellid='1' mode='strict' nodeset='1'", "cellid='1' nodeset='2'", ('node of cell 1', '1', '2')),
        ('two cells', "<vcpu placement='static'>4<", "<vcpu placement='static'>8<", ('vCPUs', '4', '8')),
        ('two cells', "cpus='2-3'", "cpus='2'", ('vCPUs of cell 1', '2-3', '2')),
        ('two cells', "cpus='2-3' memory='524288'", "cpus='2-3' memory='1'", ('memory of cell 1 in MiB', '512', '0')),
        (
            'two cells',
            "mode='strict' nodeset='0-1'",
            "mode='preferred' nodeset='0-1'",
            ('nodes of the memory', '0-1', '0-1 (preferred)'),
        ),
        (
            'four cells',
            "<sibling id='3' value='10'/>",
            "<sibling id='3' value='20'/>",
            ('distances of cell 3', '21 21 21 10', '21 21 21 20'),
        ),
        (
            'four cells',
            "sockets='4' cores='2'",
            "sockets='2' cores='4'",
            ('sockets, dies, cores and threads', '4:1:2:2', '2:1:4:2'),
        ),
        ('four cells by threads, locked', '<locked/>', '', ('locked memory', 'yes', '')),
        ('realtime', '<nosharepages/>', '', ('pages that are never merged', 'yes', '')),
        (
            'realtime',
            "vcpus='3' scheduler='fifo'",
            "vcpus='3' scheduler='rr'",
            ('scheduling of vCPU 3', 'fifo 1', 'rr 1'),
        ),
        ('two cells', '<iothreads>1<', '<iothreads>2<', ('I/O threads', '1', '2')),
        ('floating with a shared set', "cpuset='0-1,6'", '', ('CPUs of a guest that floats', '0-1,6', '')),
        ('huge pages', "size='2048'", "size='4096'", ('cells with pages of 2048 KiB', '0-1', '')),
    ],
)
def test_a_difference_says_what_it_is_about(name, before, after, expected):
    xml = SAMPLES[name].xml()
    assert 1 == xml.count(before)
    assert Difference(*expected) in compare(xml, xml.replace(before, after), place='libvirt')


def test_where_a_device_comes_from_and_is_near_to_is_compared():
    devices = own_devices(['network=default,node=1', 'bridge=br0'], ['path=/srv/a.img,node=0', 'path=/dev/b'])
    xml = SAMPLES['two cells'].xml(attached=devices)
    assert [] == compare(xml, xml, place='libvirt')
    address = mac_of(Nic(), UUID, 0)
    for before, after, expected in (
        (
            "<source network='default'/>",
            "<source network='other'/>",
            (f'source of interface {address}', 'default', 'other'),
        ),
        ("<source dev='/dev/b'/>", "<source dev='/dev/c'/>", ('source of disk vdb', '/dev/b', '/dev/c')),
        ('<node>1</node>', '<node>0</node>', (f'cell of interface {address}', '1', '0')),
        ("bus='0x02' slot='0x00'", "bus='0x00' slot='0x05'", ('cell of disk vda', '0', '')),
    ):
        assert [Difference(*expected)] == compare(xml, xml.replace(before, after), place='libvirt')


def test_the_same_in_other_words_is_no_difference():
    xml = SAMPLES['two cells'].xml()
    other = xml.replace("cpuset='0-5'", "cpuset='0,1,2-4,5'").replace(
        "<memory unit='KiB'>1048576", "<memory unit='MiB'>1024"
    )
    assert xml != other
    assert [] == compare(xml, other, place='libvirt')


def test_what_is_no_domain_is_named_with_its_place():
    with pytest.raises(exception.InvalidDomain, match='domain 7: no XML'):
        compare(SAMPLES['floating'].xml(), 'error', place='domain 7')
