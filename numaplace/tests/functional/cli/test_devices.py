# SPDX-License-Identifier: Apache-2.0
"""Devices of servers: of the flavor and of the command line, shown, written, and kept."""

import pytest
from lxml import etree

from numaplace.tests import recordings


@pytest.fixture
def near(prepared):
    """The program with two hosts, a flavor with a NIC near to cell 1, and the server db1 with devices of its own."""
    prepared(f'host import compute1 --capabilities {prepared.fixture("seed3")}')
    prepared('flavor set --property hw:numa_nodes=2 --property numaplace:nic.0=network=default,node=1 m1.numa')
    prepared(
        'server create --flavor m1.numa --host compute1 --nic bridge=br0 --disk path=/srv/a.img,node=1 '
        '--disk path=/srv/b.qcow2,format=qcow2 db1'
    )
    return prepared


def _devices(program, server='db1'):
    return etree.fromstring(program(f'server dumpxml {server}')).find('devices')


def test_a_server_has_its_own_devices_and_those_of_its_flavor(near):
    found = _devices(near)
    assert ['/srv/a.img', '/srv/b.qcow2'] == [one.get('file') for one in found.iterfind('disk/source')]
    assert ['br0', 'default'] == [one.get('bridge') or one.get('network') for one in found.iterfind('interface/source')]
    assert ['1'] == [node.text for node in found.iterfind('controller/target/node')]
    assert 2 == len(found.findall("controller[@model='pcie-root-port']"))


def test_the_xml_is_the_same_each_time_and_another_server_has_other_mac_addresses(near):
    assert near('server dumpxml db1') == near('server dumpxml db1')
    near('server create --flavor m1.numa --nic bridge=br0 db2')
    addresses = [
        one.get('address') for server in ('db1', 'db2') for one in _devices(near, server).iterfind('interface/mac')
    ]
    assert 4 == len(set(addresses))


def test_they_are_shown(near):
    shown = near.json('server show db1')['devices']
    assert [('br0', None), (None, 1)] == [(nic['bridge'], nic['node']) for nic in shown['nics']]
    assert [('/srv/a.img', 'raw', 1), ('/srv/b.qcow2', 'qcow2', None)] == [
        (disk['path'], disk['format'], disk['node']) for disk in shown['disks']
    ]
    written = [mac.get('address') for mac in _devices(near).iterfind('interface/mac')]
    assert written == [nic['mac_address'] for nic in shown['nics']]
    words = near('server show db1')
    assert 'NIC 1: network=default,model=virtio,node=1' in words
    assert 'disk 0: path=/srv/a.img,format=raw,node=1' in words


def _moved(program):
    """Let the server go through all verbs."""
    program('server migrate db1')
    yield
    program('server resize revert db1')
    yield
    program('server migrate --live-migration db1')
    yield
    program('server shelve db1')
    program('server unshelve db1')
    yield
    program('server rebuild --image other db1')
    yield
    host = program.json('server show db1')['host']
    program(f'host set --down {host}')
    program('server evacuate db1')
    yield
    program(f'host set --up {host}')
    program('flavor create --ram 512 --vcpus 2 --property hw:numa_nodes=2 --property numaplace:disk.0=path=/srv/f m1.f')
    program('server resize --flavor m1.f db1')
    yield
    program('server resize revert db1')
    yield


def test_they_stay_through_all_moves(near):
    before = near.json('server show db1')['devices']
    places = 0
    for _ in _moved(near):
        places += 1
        now = near.json('server show db1')
        assert before['nics'][:1] == now['devices']['nics'][:1], 'the MAC address too'
        assert before['disks'] == now['devices']['disks'][:2]
        if now['flavor'] == 'm1.numa':
            assert before == now['devices']
        else:
            assert ['/srv/f'] == [disk['path'] for disk in now['devices']['disks'][2:]]
            assert 1 == len(now['devices']['nics'])
    assert 8 == places


@pytest.mark.parametrize(
    ('words', 'told'),
    [
        (['--nic', 'default'], "--nic 'default': expected network=NAME or bridge=NAME"),
        (['--disk', 'path=a'], "--disk 'path=a': path 'a': expected the absolute path"),
        (
            ['--disk', 'path=/a,node=5'],
            "--disk 'path=/a,node=5': node 5 is not a cell of the guest: expected a guest with",
        ),
    ],
)
def test_a_device_that_cannot_be_leaves_no_server(prepared, words, told):
    result = prepared.run('server', 'create', '--flavor', 'm1.numa', *words, 'db1')
    assert (1, '') == (result.returncode, result.stdout)
    assert result.stderr.startswith(f'numaplace: {told}')
    assert 1 == result.stderr.count('\n')
    assert [] == prepared.json('server list')
    assert 0 == prepared.json('host show seed3')['memory_used_mib']


def test_each_server_has_its_own_file_where_the_path_says_so(prepared):
    prepared('flavor set --property numaplace:disk.0=path=/srv/{uuid}/f m1.tiny')
    prepared('server create --flavor m1.tiny --max 2 --disk path=/srv/{uuid}.img db')
    for name in ('db-1', 'db-2'):
        uuid = prepared.json(f'server show {name}')['id']
        expected = [f'/srv/{uuid}.img', f'/srv/{uuid}/f']
        assert expected == [disk['path'] for disk in prepared.json(f'server show {name}')['devices']['disks']]
        assert expected == [one.get('file') for one in _devices(prepared, name).iterfind('disk/source')]


def test_servers_that_are_created_together_do_not_have_one_file(refused):
    told = refused(1, *['server', 'create', '--flavor', 'm1.tiny', '--max', '2', '--disk', 'path=/srv/a.img', 'db'])
    assert "--disk 'path=/srv/a.img': 2 servers would have the same file: expected {uuid} in the path" in told


def test_a_flavor_with_a_device_that_cannot_be_is_warned_of(prepared):
    result = prepared.run('flavor', 'set', '--property', 'numaplace:nic.1=network=default', 'm1.numa')
    assert 0 == result.returncode
    assert 'expected numaplace:nic.0 with it' in result.stderr


@pytest.mark.parametrize(
    ('verb', 'about'),
    [
        ('server resize --flavor m1.tiny', ''),
        ('server rebuild --image-property hw_machine_type=pc', "domain 'db1': "),
    ],
)
def test_a_change_that_leaves_no_place_for_a_device_is_refused(near, verb, about):
    before = near.json('server show db1'), near.json('host list')
    result = near.run(*verb.split(), 'db1')
    assert (1, '') == (result.returncode, result.stdout)
    assert result.stderr.startswith(f"numaplace: {about}--disk 'path=/srv/a.img,format=raw,node=1': ")
    assert 1 == result.stderr.count('\n')
    assert before == (near.json('server show db1'), near.json('host list'))


def test_a_device_of_a_server_counts_when_it_is_moved(near):
    path = near.directory / 'power'
    path.write_bytes(recordings.capabilities('seed3').replace(b'x86_64', b'ppc64le'))
    near('host import power --capabilities power')
    result = near.run('server', 'migrate', '--host', 'power', 'db1')
    assert (3, '') == (result.returncode, result.stdout)
    told = "--disk 'path=/srv/a.img,format=raw,node=1': machine type pseries of ppc64le has no PCIe expander bus, "
    assert told in result.stderr


def test_a_resize_asks_whether_the_devices_of_the_new_flavor_can_be(near):
    """A guest without a second cell loses the NIC with it, and none comes to one that has no such cell."""
    near('flavor create --ram 512 --vcpus 2 --property hw:numa_nodes=1 m1.one')
    near('server create --flavor m1.numa db2')
    assert 'm1.one' == near.json('server resize --flavor m1.one db2')['flavor']
    assert [] == _devices(near, 'db2').findall('interface')
    near('server resize confirm db2')
    bad = '--property hw:numa_nodes=1 --property numaplace:nic.0=network=a,node=1'
    near(f'flavor create --ram 512 --vcpus 2 {bad} m1.bad')
    assert 1 == near.run('server', 'resize', '--flavor', 'm1.bad', 'db2').returncode
    assert 'm1.one' == near.json('server show db2')['flavor']
