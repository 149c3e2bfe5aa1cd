# SPDX-License-Identifier: Apache-2.0
"""``numaplace vnuma`` and flavors that request automatic vNUMA."""

import json
import subprocess

import pytest
from lxml import etree

from numaplace.tests import real
from numaplace.tests.unit.libvirt.domains import talk, whole


@pytest.fixture
def capabilities(numaplace):
    """A recorded host of four nodes as a file."""
    return numaplace.fixture('fake-oracle-host')


@pytest.fixture
def guest(numaplace):
    """Return a function that writes a domain and returns its path."""

    def write(text):
        path = numaplace.directory / 'guest.xml'
        path.write_text(text)
        return str(path)

    return write


@pytest.fixture
def imported(numaplace, capabilities):
    """The program with that host in its database."""
    numaplace(f'host import big --capabilities {capabilities}')
    return numaplace


def test_plan_shows_the_guest_cells_and_a_picture(numaplace, capabilities, guest):
    path = guest(talk("<vnuma mode='host' pinning='core'/>"))
    shown = numaplace(f'vnuma plan {path} --capabilities {capabilities}')
    assert '|    1 | 4-7   | 8192 |         1 | 16-17,76-77   |' in shown
    assert '   . 1 1 . .' in shown
    rows = json.loads(numaplace(f'vnuma plan {path} --capabilities {capabilities} -f json'))
    assert ['1-2,61-62', '16-17,76-77', '31-32,91-92', '46-47,106-107'] == [row['CPUs'] for row in rows]


@pytest.mark.parametrize('host', ['--capabilities {}', '--host big'])
def test_a_network_of_the_domain_brings_it_to_the_nodes_near_it(numaplace, capabilities, guest, host):
    numaplace.configure(more='[neutron]\nphysnets = lake\n[neutron_physnet_lake]\nnuma_nodes = 2\n')
    numaplace(f'host import big --capabilities {capabilities}')
    devices = "<devices><interface type='network'><source network='lake'/></interface></devices>"
    path = guest(talk("<vnuma mode='auto' pinning='core'/>").replace('</domain>', f'{devices}</domain>'))
    (row,) = json.loads(numaplace(f'vnuma plan {path} {host.format(capabilities)} -f json'))
    assert 2 == row['Host Cell']


def test_plan_draws_svg(numaplace, capabilities, guest):
    path = guest(talk("<vnuma mode='host' pinning='core'/>"))
    numaplace(f'vnuma plan {path} --capabilities {capabilities} --svg plan.svg -f json')
    root = etree.parse(numaplace.directory / 'plan.svg').getroot()
    assert '{http://www.w3.org/2000/svg}svg' == root.tag
    labels = [text.text for text in root.iter('{http://www.w3.org/2000/svg}text')]
    assert {str(cpu) for cpu in range(120)} <= set(labels)
    assert 'cell 3: vCPUs 12-15, 8192 MiB' in labels
    assert {f'v{vcpu}' for vcpu in range(16)} <= set(labels)
    fills = [rect.get('fill') for rect in root.iter('{http://www.w3.org/2000/svg}rect')]
    assert 5 == fills.count('#88ccee'), 'four CPUs and the key of cell 0'


def test_options_go_before_the_element(numaplace, capabilities, guest):
    path = guest(talk())
    rows = json.loads(numaplace(f'vnuma plan {path} --capabilities {capabilities} --pinning core --keep 0 -f json'))
    assert '0-1,60-61' == rows[0]['CPUs']


def test_expand_writes_the_full_domain(numaplace, capabilities, guest):
    xml = numaplace(f'vnuma expand {guest(whole())} --capabilities {capabilities}')
    root = etree.fromstring(xml)
    assert root.find('vnuma') is None
    assert 4 == len(root.findall('cpu/numa/cell'))
    assert '<!-- near -->' in xml


def test_expand_claims_what_the_guest_takes_and_deleting_the_server_gives_it_back(imported, guest):
    element = "<vnuma mode='auto' pinning='core' keep='0'/>"
    first = etree.fromstring(imported('vnuma expand', guest(talk(element)), '--host', 'big'))
    assert {'0'} == {node.get('nodeset') for node in first.findall('numatune/memnode')}
    server = imported.json('server show OL8-vnuma')
    assert first.findtext('uuid') == server['id']
    pins = {pin.get('vcpu'): int(pin.get('cpuset')) for pin in first.findall('cputune/vcpupin')}
    assert pins == server['cells'][0]['pins']
    second = etree.fromstring(imported('vnuma expand', guest(talk(element, vcpu='30')), '--host', 'big'))
    assert {'1'} == {node.get('nodeset') for node in second.findall('numatune/memnode')}, 'node 0 has not enough left'
    for uuid in (first.findtext('uuid'), second.findtext('uuid')):
        imported(f'server delete {uuid}')
    assert 0 == imported.json('host show big')['vcpus_used']


def test_plan_claims_nothing(imported, guest):
    imported('vnuma plan', guest(talk("<vnuma mode='auto' pinning='core'/>")), '--host', 'big')
    assert [] == imported.json('server list')


def test_a_guest_that_is_not_defined_keeps_no_claim(imported, guest):
    result = imported.run('vnuma', 'expand', guest(whole()), '--host', 'big', '--define', 'nowhere:///')
    assert (1, '') == (result.returncode, result.stdout)
    assert 1 == result.stderr.count('\n')
    assert [] == imported.json('server list')


def test_expand_defines_where_it_is_asked(numaplace, capabilities, guest):
    real.require_program('virsh')
    path = guest(whole().replace("type='kvm'", "type='test'"))
    assert numaplace(f'vnuma expand {path} --capabilities {capabilities} --define test:///default')


def test_output_that_cannot_be_written_leaves_the_server_and_is_told(imported, guest):
    words = imported.command('vnuma', 'expand', guest(talk()), '--host', 'big')
    with open('/dev/full', 'w', encoding='utf-8') as full:
        done = subprocess.run(
            words, stdout=full, stderr=subprocess.PIPE, text=True, check=False, env=imported.environment, timeout=60
        )
    (server,) = imported.json('server list')
    told = f'the output cannot be written: No space left on device; all the same the server {server["Name"]!r} exists'
    assert (1, f'numaplace: {told}, with the UUID {server["ID"]}\n') == (done.returncode, done.stderr)


def test_a_guest_that_does_not_fit_is_told_why(imported, guest):
    text = talk("<vnuma mode='node' pinning='core'><partition nodeset='1'/></vnuma>", vcpu='30')
    path = guest(text)
    planned = imported.run('vnuma', 'plan', path, '--host', 'big', '-f', 'json')
    result = imported.run('vnuma', 'expand', path, '--host', 'big')
    assert (3, result.stderr) == (planned.returncode, planned.stderr)
    shown = json.loads(planned.stdout)
    assert ('the guest does not fit big', ['big']) == (shown['message'], [each['host'] for each in shown['refusals']])
    assert {'cpus.dedicated.total'} <= {reason['code'] for reason in shown['refusals'][0]['reasons']}
    assert (3, '') == (result.returncode, result.stdout)
    assert 'numaplace: the guest does not fit big:\n' in result.stderr
    assert 'dedicated CPUs' in result.stderr
    assert [] == imported.json('server list')


@pytest.mark.parametrize(
    ('text', 'told'),
    [
        (talk("<vnuma mode='all'/>"), "line 4, /domain/vnuma/@mode: 'all': expected host, node or auto"),
        (talk(vcpu='15'), '/domain/vcpu: 15 vCPUs are no whole cores of 2 threads'),
        ('<domain', 'no XML: '),
        ("<!DOCTYPE d [<!ENTITY e 'x'>]><domain/>", 'has a DTD'),
    ],
)
def test_a_wrong_domain_is_one_line(numaplace, capabilities, guest, text, told):
    for verb in ('plan', 'expand'):
        result = numaplace.run('vnuma', verb, guest(text), '--capabilities', capabilities)
        assert (1, '') == (result.returncode, result.stdout)
        assert 1 == result.stderr.count('\n')
        assert told in result.stderr


def test_a_file_that_is_missing_is_one_line(numaplace, capabilities):
    result = numaplace.run('vnuma', 'plan', 'none.xml', '--capabilities', capabilities)
    assert (1, 'numaplace: none.xml: cannot be read: No such file or directory') == (
        result.returncode,
        result.stderr.split(';')[0],
    )


def test_a_flavor_asks_for_it_on_the_usual_way(imported):
    imported('flavor create --ram 32768 --disk 1 --vcpus 16 v --property numaplace:vnuma=host')
    imported('flavor set v --property hw:cpu_policy=dedicated')
    imported('server create --flavor v one')
    cells = imported.json('server show one')['cells']
    assert [0, 1, 2, 3] == [cell['host_cell'] for cell in cells]
    assert {'0': 1, '1': 61, '2': 2, '3': 62} == cells[0]['pins']
    root = etree.fromstring(imported('server dumpxml one'))
    assert ['4', '2', '2'] == [root.find('cpu/topology').get(name) for name in ('sockets', 'cores', 'threads')]


def test_hosts_that_cannot_be_divided_are_refused_each_for_its_reason(imported):
    imported(f'host import small --capabilities {imported.fixture("seed3")}')
    imported('flavor create --ram 1024 --disk 1 --vcpus 16 v --property numaplace:vnuma=host')
    imported('server create --flavor v one')
    assert 'big' == imported.json('server show one')['host']
    result = imported.run('server', 'create', '--flavor', 'v', '--host', 'small', 'two')
    assert 3 == result.returncode
    assert 'cannot be divided over the host: 16 vCPUs do not divide evenly over 3 guest cells' in result.stderr


def test_a_flavor_with_a_wrong_wish_is_told_by_its_key(imported):
    command = ['flavor', 'create', '--ram', '1024', '--disk', '1', '--vcpus', '4', 'w']
    result = imported.run(*command, '--property', 'numaplace:vnuma=most')
    assert "numaplace:vnuma='most': expected host, node or auto" in result.stderr


def _topology(numaplace, server):
    return dict(etree.fromstring(numaplace(f'server dumpxml {server}').encode()).find('cpu/topology').attrib)


def test_a_socket_in_two_cells_has_two_dies_and_a_warning(imported):
    specs = ('--property', 'hw:numa_nodes=2', '--property', 'hw:cpu_sockets=1')
    text = 'sockets of 8 cores lie in several guest cells: on x86 each gets 2 dies, and with an AMD CPU model Linux '
    created = imported.run('flavor', 'create', 'one', '--ram', '1024', '--vcpus', '8', *specs)
    assert created.stderr.startswith(f"numaplace: warning: flavor 'one': {text}")
    placed = imported.run('server', 'create', '--flavor', 'one', 's')
    assert placed.stderr.startswith(f"numaplace: warning: server 's': {text}")
    assert {'sockets': '1', 'dies': '2', 'cores': '4', 'threads': '1'} == _topology(imported, 's')
    assert '1:8:1' == imported.json('server show s')['cpu_topology'], 'as Nova counts'


@pytest.mark.parametrize(
    'cells',
    [(), ('hw:numa_cpus.0=0-2', 'hw:numa_mem.0=512', 'hw:numa_cpus.1=3-5', 'hw:numa_mem.1=512')],
    ids=['equal cells', 'cells by their vCPUs'],
)
def test_a_core_in_two_cells_has_a_warning(imported, cells):
    keys = ('hw:numa_nodes=2', 'hw:cpu_threads=2', *cells)
    specs = [word for key in keys for word in ('--property', key)]
    created = imported.run('flavor', 'create', 'split', '--ram', '1024', '--vcpus', '6', *specs)
    assert created.stderr.startswith(
        "numaplace: warning: flavor 'split': cores of 2 threads lie in several guest cells: Linux warns at boot"
    )


def test_the_most_sockets_of_an_image_hold_for_a_divided_guest(imported):
    imported('flavor create v --ram 1024 --vcpus 16 --property numaplace:vnuma=host')
    imported('server create --flavor v wide')
    assert {'sockets': '4', 'cores': '2', 'threads': '2'} == _topology(imported, 'wide')
    limited = imported.run('server', 'create', '--flavor', 'v', '--image-property', 'hw_cpu_max_sockets=2', 'narrow')
    assert (0, True) == (limited.returncode, 'each gets 2 dies' in limited.stderr)
    assert {'sockets': '2', 'dies': '2', 'cores': '2', 'threads': '2'} == _topology(imported, 'narrow')
    rebuilt = imported.run('server', 'rebuild', '--image-property', 'hw_cpu_max_sockets=4', 'narrow')
    assert (1, True) == (rebuilt.returncode, 'the image changes its NUMA topology' in rebuilt.stderr)
