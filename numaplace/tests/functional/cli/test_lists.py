# SPDX-License-Identifier: Apache-2.0
"""Lists: which things they show, in which order and columns, and the hosts in the words of the openstack client."""

import importlib.metadata
import json

import pytest
from cliff import lister

COMMANDS = {entry.name.replace('_', ' '): entry for entry in importlib.metadata.entry_points(group='numaplace.cli')}
LISTS = {
    'aggregate list': '',
    'config check': '',
    'db migrate-topologies': '',
    'flavor lint': '',
    'flavor list': '',
    'host audit': '',
    'host list': '',
    'hypervisor list': '--long',
    'fleet audit': '',
    'fleet capacity': '--flavor m1.tiny',
    'fleet explain': '--flavor m1.tiny',
    'fleet mix': '',
    'server group list': '',
    'server list': '--long',
    'server migration list': '',
}


@pytest.fixture(scope='module')
def fleet(make_program):
    """The program with three hosts in two zones, and servers of two flavors."""
    program = make_program()
    program.spawning = False
    program(f'host import b1 --capabilities {program.fixture("seed3")}')
    program(f'host import a1 --capabilities {program.fixture("one2")}')
    program.configure(more='[DEFAULT]\ndefault_availability_zone = north')
    program(f'host import c1 --capabilities {program.fixture("one2")}')
    program('flavor create --ram 512 --vcpus 1 --id 7 m1.tiny')
    program('flavor create --ram 512 --vcpus 2 --property hw:cpu_policy=dedicated m1.pinned')
    program('server create --flavor m1.tiny --host b1 web')
    program('server create --flavor m1.pinned --host b1 --image cirros db')
    program('server create --flavor m1.tiny --host a1 web2')
    program('server create --flavor m1.tiny --host c1 away')
    program('server shelve away')
    program('aggregate create --property ssd=true b')
    program('aggregate add host b b1')
    program('aggregate create a')
    program('server group create --policy anti-affinity b')
    program('server group create --policy affinity a')
    program('server migrate --host c1 web2')
    return program


def test_every_list_that_has_things_here_is_sorted_below(fleet):
    lists = {name for name, entry in COMMANDS.items() if issubclass(entry.load(), lister.Lister)}
    assert set(LISTS) == lists - {'fleet simulate', 'fleet survive', 'server adopt', 'server check', 'vnuma plan'}


@pytest.mark.parametrize('command', LISTS)
def test_a_list_is_sorted_by_any_of_its_columns_and_shown_in_any_format(fleet, command):
    line = f'{command} {LISTS[command]}'
    rows = fleet.json(line)
    for column in rows[0] if rows else ():
        shown = fleet(line, '--sort-column', column, '-f', 'value', '-c', column).splitlines()
        assert len(shown) >= len(rows)
    assert len(rows) == len(fleet(f'{line} -f csv --quote none').splitlines()) - 1
    assert bool(rows) == fleet(f'{line} -f yaml').startswith('- ')


SORTED = {
    'by number': ('server list', ['web', 'db', 'web2', 'away']),
    'by name': ('server list --sort-column Name', ['away', 'db', 'web', 'web2']),
    'backwards': ('server list --sort-column Name --sort-descending', ['web2', 'web', 'db', 'away']),
    'no host comes last': ('server list --sort-column Host --sort-column Name', ['db', 'web', 'web2', 'away']),
    'by words': ('server list --long --sort-column Cells', ['db', 'web', 'web2', 'away']),
    'hosts by a number': ('host list --sort-column Cells', ['a1', 'c1', 'b1']),
    'flavors by their properties': ('flavor list --sort-column Properties', ['m1.tiny', 'm1.pinned']),
    'hypervisors': (
        'hypervisor list --sort-column hypervisor_hostname --sort-descending -c Hypervisor&Hostname',
        ['c1', 'b1', 'a1'],
    ),
}


@pytest.mark.parametrize(('line', 'expected'), SORTED.values(), ids=SORTED)
def test_the_order_of_a_list(fleet, line, expected):
    words = [word.replace('&', ' ') for word in line.split()]
    words += ['-f', 'value', *([] if '-c' in words else ['-c', 'Name'])]
    assert expected == fleet(words[0], *words[1:]).splitlines()


SHOWN = {
    'servers of a host': ('server list --host b1', ['web', 'db']),
    'servers that came to a host': ('server list --host c1', ['web2']),
    'no servers on a host that they left': ('server list --host a1', []),
    'servers of a flavor': ('server list --flavor m1.pinned', ['db']),
    'servers of a flavor by its id': ('server list --flavor 7', ['web', 'web2', 'away']),
    'servers of both': ('server list --host b1 --flavor m1.tiny', ['web']),
    'hosts of a zone': ('host list --zone north', ['c1']),
    'hosts of another zone': ('host list --zone nova', ['a1', 'b1']),
}


@pytest.mark.parametrize(('line', 'expected'), SHOWN.values(), ids=SHOWN)
def test_which_things_a_list_shows(fleet, line, expected):
    assert expected == [row['Name'] for row in fleet.json(line)]


def test_a_deleted_flavor_still_finds_its_servers(prepared):
    prepared('server create --flavor m1.tiny web')
    prepared('flavor delete m1.tiny')
    assert ['web'] == [row['Name'] for row in prepared.json('server list --flavor m1.tiny')]


UNKNOWN = {
    'server list --host h9': "numaplace: there is no host 'h9'\n",
    'server list --flavor m9': "numaplace: --flavor 'm9': there is no such flavor; known flavors: m1.numa, m1.tiny; "
    'see `numaplace flavor create --help`\n',
    'host list --zone z9': "numaplace: --zone 'z9': no host is in this availability zone; known zones: nova\n",
    'hypervisor show h9': "numaplace: there is no host 'h9'\n",
}


@pytest.mark.parametrize(('line', 'expected'), UNKNOWN.items(), ids=UNKNOWN)
def test_what_there_is_not_is_named(refused, line, expected):
    assert expected == refused(1, *line.split())


def test_the_long_list_of_servers(fleet):
    (row,) = fleet.json('server list --host b1 --flavor m1.pinned --long')
    cells = row.pop('Cells')
    assert [(0, [0, 1])] == [(cell['host_cell'], cell['vcpus']) for cell in cells]
    (flavor,) = [each['ID'] for each in fleet.json('flavor list') if each['Name'] == 'm1.pinned']
    (short,) = fleet.json('server list --host b1 --flavor m1.pinned')
    assert row == short | {
        'Flavor ID': flavor,
        'Image Name': 'cirros',
        'Availability Zone': 'nova',
        'vCPUs': 2,
        'MiB': 512,
        'Pins': {'0': 0, '1': 1},
    }


def test_the_pins_are_a_set_of_cpus_for_people(fleet):
    assert '| Pins' in fleet('server list --long')
    assert ['none', '0-1', 'none', 'none'] == [
        line.strip('| ') for line in fleet('server list --long -c Pins').splitlines()[3:-1]
    ]


def test_hosts_show_what_is_free_and_for_people_the_totals(fleet):
    one, two = ['a1', 'b1'], fleet.json('host list --zone nova')
    assert one == [row['Name'] for row in two]
    assert [2, 6] == [row['CPUs Free'] for row in two]
    pages = [{'size_kib': 2048, 'free': 512}, {'size_kib': 1048576, 'free': 1}]
    assert pages == two[1]['Huge Pages Free']
    *_, last = fleet('host list --zone nova').splitlines()
    assert last.startswith('Total: 2 hosts, 10 CPUs, 4 vCPUs used, 1536 of ')
    assert last.endswith(' MiB used, free: 8 dedicated CPUs, huge pages 768 x 2M, 1 x 1G')
    assert fleet('host list --zone north').splitlines()[-1].startswith('Total: 1 host, ')


@pytest.mark.parametrize('words', ['-f value', '-f csv', '-f yaml', '-c Name'])
def test_totals_are_not_for_machines(fleet, words):
    assert 'Total' not in fleet(f'host list {words}')


EMPTY = {
    'aggregate list': 'no aggregates',
    'flavor lint': 'nothing is wrong: no findings',
    'flavor list': 'no flavors',
    'host audit': 'nothing is wrong: the stored usage is what the servers hold',
    'host list': 'no hosts',
    'hypervisor list': 'no hosts',
    'fleet audit': 'nothing is wrong: no findings',
    'fleet mix': 'no server has pinned CPUs: a mix is made of those',
    'server group list': 'no server groups',
    'server list': 'no servers',
    'server migration list': 'no migrations',
    'db migrate-topologies': 'no topology is stored in an old format',
}


@pytest.mark.parametrize(('line', 'expected'), EMPTY.items(), ids=EMPTY)
def test_an_empty_list_says_so_where_a_person_looks_on(numaplace, line, expected):
    numaplace('db upgrade')
    shown = numaplace.on_terminal(*line.split())
    assert (0, '\n', f'numaplace: {expected}\n') == (shown.returncode, shown.stdout, shown.stderr)
    read = numaplace.on_terminal(*line.split(), '-f', 'json')
    assert (0, [], '') == (read.returncode, json.loads(read.stdout), read.stderr)
    assert '\n' == numaplace(line)


def test_every_list_has_words_for_an_empty_one():
    kinds = {name: entry.load() for name, entry in COMMANDS.items()}
    lists = {name for name, kind in kinds.items() if issubclass(kind, lister.Lister)}
    assert EMPTY.keys() | {'config check', 'server adopt', 'server check'} == {
        name for name in lists if kinds[name].nothing
    }
    # These never show an empty table.
    assert {'fleet capacity', 'fleet explain', 'fleet simulate', 'fleet survive', 'vnuma plan'} == {
        name for name in lists if not kinds[name].nothing
    }


def test_a_server_on_no_host_has_no_zone(fleet):
    (row,) = [row for row in fleet.json('server list --long') if row['Name'] == 'away']
    assert (None, None, 'SHELVED_OFFLOADED') == (row['Host'], row['Availability Zone'], row['Status'])


def test_hypervisors_have_the_columns_of_the_client(fleet):
    short = fleet.json('hypervisor list')
    assert ['ID', 'Hypervisor Hostname', 'Hypervisor Type', 'Host IP', 'State'] == list(short[0])
    (long,) = fleet.json('hypervisor list --long --matching b')
    host = fleet.json('host show b1')
    assert {
        'ID': host['uuid'],
        'Hypervisor Hostname': 'b1',
        'Hypervisor Type': 'QEMU',
        'Host IP': None,
        'State': 'up',
        'vCPUs Used': 3,
        'vCPUs': 8,
        'Memory MB Used': 1024,
        'Memory MB': host['memory_mib'],
    } == long


def test_a_hypervisor_has_the_fields_of_the_client(fleet):
    host = fleet.json('host show b1')
    assert {
        'id': host['uuid'],
        'hypervisor_hostname': 'b1',
        'hypervisor_type': 'QEMU',
        'service_host': 'b1',
        'state': 'up',
        'status': 'enabled',
        'vcpus': 8,
        'vcpus_used': 3,
        'memory_mb': host['memory_mib'],
        'memory_mb_used': 1024,
        'free_ram_mb': host['memory_mib'] - 1024,
        'running_vms': 2,
        'cpu_info': {'arch': 'x86_64', 'model': host['cpu_model'], 'vendor': 'Intel'},
    } == fleet.json('hypervisor show b1')
