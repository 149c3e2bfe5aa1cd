# SPDX-License-Identifier: Apache-2.0
"""Bad input: one line that says what was wrong and where, the exit status, and an unchanged database."""

import contextlib
import json
import sqlite3

import pytest

FILES = {
    'other.xml': '<domain/>',
    'text.xml': 'hello',
    'no-topology.xml': '<capabilities><host><cpu><arch>x86_64</arch></cpu></host></capabilities>',
    'no-arch.xml': '<capabilities/>',
    'entity.xml': '<!DOCTYPE c [<!ENTITY e SYSTEM "file:///etc/passwd">]><capabilities>&e;</capabilities>',
    'dtd.xml': '<!DOCTYPE c SYSTEM "http://127.0.0.1:1/c.dtd"><capabilities/>',
    'empty.xml': '',
}

#: Command, and what the line must hold.
IMPORTS = {
    'a missing file': ('absent.xml', ['absent.xml', 'No such file', 'virsh capabilities']),
    'a directory': ('.', ['cannot be read', 'virsh capabilities']),
    'another document': ('other.xml', ['other.xml', 'line 1', "'domain'", '<capabilities>']),
    'no XML': ('text.xml', ['text.xml', 'no XML', 'virsh capabilities']),
    'an empty file': ('empty.xml', ['empty.xml', 'virsh capabilities']),
    'no topology': ('no-topology.xml', ['no-topology.xml', 'host/topology/cells/cell']),
    'no architecture': ('no-arch.xml', ['no-arch.xml', 'virsh capabilities']),
    'an entity': ('entity.xml', ['entity.xml', 'DOCTYPE']),
    'a DTD': ('dtd.xml', ['dtd.xml', 'DOCTYPE']),
}


@pytest.mark.parametrize(('file', 'words'), IMPORTS.values(), ids=IMPORTS)
def test_a_file_that_is_no_capabilities(prepared, refused, file, words):
    for name, text in FILES.items():
        (prepared.directory / name).write_text(text)
    line = refused(1, 'host', 'import', 'new', '--capabilities', file)
    assert [] == [word for word in words if word not in line]


def test_an_entity_is_not_resolved(prepared, refused):
    (prepared.directory / 'entity.xml').write_text(FILES['entity.xml'])
    assert 'root:' not in refused(1, 'host', 'import', 'new', '--capabilities', 'entity.xml')


COMMANDS = {
    'a known host': (
        1,
        'host import seed3 --capabilities {seed3}',
        ["'seed3'", 'exists', '--refresh', 'another name'],
    ),
    'a known flavor': (
        1,
        'flavor create m1.tiny',
        ["'m1.tiny'", 'exists', '`numaplace flavor delete`', 'another name'],
    ),
    'an unknown flavor': (1, 'server create --flavor m9 x', ['--flavor', "'m9'", 'm1.numa, m1.tiny']),
    'an unknown flavor to delete': (1, 'flavor delete m9', ["'m9'"]),
    'an unknown extra spec': (1, 'flavor unset --property hw:x m1.tiny', ["'m1.tiny'", "'hw:x'"]),
    'an unknown host': (1, 'host show h9', ["'h9'"]),
    'an unknown host to force': (1, 'server create --flavor m1.tiny --host h9 x', ["'h9'"]),
    'an unknown server': (1, 'server dumpxml s9', ["'s9'"]),
    'a property without a value': (1, 'flavor set --property hw:x m1.tiny', ['--property', "'hw:x'", 'KEY=VALUE']),
    'an image property without a value': (
        1,
        'server create --flavor m1.tiny --image-property x y',
        ['--image-property', "'x'", 'KEY=VALUE'],
    ),
    'a size that is no number': (2, 'flavor create --ram much x', ['--ram', "'much'", 'whole number from 1']),
    'no vCPU': (2, 'flavor create --vcpus 0 x', ['--vcpus', "'0'", 'whole number from 1']),
    'a size beyond the database': (2, 'flavor create --ram 99999999999 x', ['--ram', 'to 2147483647']),
    'more vCPUs than a list can name': (2, 'flavor create --vcpus 65537 x', ['--vcpus', 'from 1 to 65536']),
    'no name': (2, 'flavor create', ['NAME', '--help']),
    'an unknown command': (2, 'sever list', ["'sever list'", 'server list']),
    'an unknown option': (2, 'server list --colour', ['--colour', '--help']),
    'an unknown format': (2, 'server list -f pdf', ["'pdf'", 'json']),
    'an unknown column': (1, 'server list -c colour', ['colour', 'Name']),
    'an unknown configuration file': (1, '--config-file absent.conf server list', ['absent.conf', 'does not exist']),
}


@pytest.mark.parametrize(('status', 'line', 'words'), COMMANDS.values(), ids=COMMANDS)
def test_a_command_that_cannot_be_done(prepared, refused, status, line, words):
    told = refused(status, *line.format(seed3=prepared.fixture('seed3')).split())
    assert [] == [word for word in words if word not in told]


FLAVORS = {
    'no guest cell': (['hw:numa_nodes=0'], ['hw:numa_nodes', "'0'", 'at least 1']),
    'a vCPU beyond the flavor': (
        ['hw:numa_nodes=2', 'hw:numa_cpus.0=9', 'hw:numa_cpus.1=1', 'hw:numa_mem.0=512', 'hw:numa_mem.1=512'],
        ["hw:numa_cpus.0='9'", 'no vCPU 9', '0-3'],
    ),
    'an unknown CPU policy': (['hw:cpu_policy=pinned'], ['hw:cpu_policy', "'pinned'", 'shared, dedicated, mixed']),
    'an odd number of cells': (['hw:numa_nodes=3'], ["hw:numa_nodes='3'", '4 vCPUs', '3 guest cells', 'numa_cpus.N']),
    'a page size that is no size': (['hw:mem_page_size=huge'], ['hw:mem_page_size', "'huge'"]),
}


@pytest.mark.parametrize(('properties', 'words'), FLAVORS.values(), ids=FLAVORS)
def test_a_flavor_that_makes_no_guest(prepared, refused, properties, words):
    stored = prepared.run('flavor', 'set', 'm1.numa', *(f'--property={each}' for each in properties))
    assert (0, '', 1) == (stored.returncode, stored.stdout, stored.stderr.count('\n'))
    told = refused(1, 'server', 'create', '--flavor', 'm1.numa', 'x')
    assert [] == [word for word in ['m1.numa', *words] if word not in told]
    assert stored.stderr == told.replace('numaplace: ', 'numaplace: warning: ', 1)


def test_a_new_flavor_that_makes_no_guest_is_stored_with_a_warning(prepared):
    stored = prepared.run('flavor', 'create', 'x', '-f', 'json', '--vcpus', '2', '--property', 'hw:cpu_policy=mixed')
    assert 0 == stored.returncode
    assert {'hw:cpu_policy': 'mixed'} == json.loads(stored.stdout)['properties']
    assert stored.stderr.startswith("numaplace: warning: flavor 'x': ")
    assert 1 == stored.stderr.count('\n')
    prepared('flavor set x --property hw:cpu_dedicated_mask=0')  # which is what it lacked


def test_a_warning_shows_what_a_terminal_would_obey(prepared):
    # Names of flavors are printable, but other programs write the database too.
    with contextlib.closing(sqlite3.connect(prepared.database)) as database, database:
        database.execute('UPDATE flavors SET name = ? WHERE name = ?', ('a\x1b[31m\nb', 'm1.tiny'))
    told = prepared.run('flavor', 'set', 'a\x1b[31m\nb', '--property', 'hw:numa_nodes=0').stderr
    assert told.startswith("numaplace: warning: flavor 'a\\x1b[31m\\nb': ")
    assert 1 == told.count('\n')


DELETIONS = {
    'servers': ('server delete nope s1 nothing s2', 'server list', ["no server 'nope'", "no server 'nothing'"]),
    'flavors': ('flavor delete m9 m1.tiny m8 m1.numa', 'flavor list', ["no flavor 'm9'", "no flavor 'm8'"]),
    'hosts': ('host delete h9 one2 seed3 oracle4', 'host list', ["no host 'h9'", "'seed3' has 1 server"]),
}


@pytest.mark.parametrize(('line', 'rest', 'faults'), DELETIONS.values(), ids=DELETIONS)
def test_what_cannot_be_deleted_does_not_keep_the_others(prepared, line, rest, faults):
    for host in ('one2', 'oracle4'):
        prepared(f'host import {host} --capabilities {prepared.fixture(host)}')
    for server in ('s1', 's2', 's3'):
        # Servers that stay are on a host of their own.
        if server == 's3' or line.startswith('server'):
            prepared(f'server create --flavor m1.tiny --host seed3 {server}')
    result = prepared.run(*line.split())
    assert (1, '') == (result.returncode, result.stdout)
    lines = result.stderr.splitlines()
    assert len(faults) == len(lines)
    assert all(told.startswith('numaplace: ') and fault in told for told, fault in zip(lines, faults, strict=True))
    expected = {'server list': ['s3'], 'flavor list': [], 'host list': ['seed3']}[rest]
    assert expected == [row['Name'] for row in prepared.json(rest)]


def test_an_image_that_makes_no_guest(prepared, refused):
    told = refused(1, *['server', 'create', '--flavor', 'm1.numa', '--image-property', 'hw_numa_nodes=none', 'x'])
    assert [] == [word for word in ('image', 'hw_numa_nodes', "'none'", 'at least 1') if word not in told]


DATABASES = {
    'no database': ('text.xml', ['text.xml', 'not a database']),
    'an unwritable directory': ('/proc/numaplace/x.sqlite', ['/proc/numaplace/x.sqlite', 'can be written']),
}


@pytest.mark.parametrize(('file', 'words'), DATABASES.values(), ids=DATABASES)
def test_a_database_that_cannot_be_opened(prepared, refused, file, words):
    path = prepared.directory / file
    if path.parent == prepared.directory:
        path.write_text('hello' * 1000)
    told = refused(1, '--database', f'sqlite:///{path}', 'server', 'list')
    assert [] == [word for word in words if word not in told]


def test_a_password_is_never_shown(refused):
    told = refused(1, '--database', 'oracle://user:hunter2@127.0.0.1/x', 'server', 'list')
    assert 'hunter2' not in told
    assert 'sqlite:///' in told


CONFIGURATIONS = {
    'an unknown strategy': ({'strategy': 'random'}, ['[numaplace] strategy', "'random'", 'linear, spread, pack']),
    'an unknown filter': (
        {'more': '[filter_scheduler]\nenabled_filters = ComputeFilter,DiskFilter'},
        ['[filter_scheduler] enabled_filters', "'DiskFilter'", 'NUMATopologyFilter'],
    ),
    'an unknown weigher': (
        {'more': '[filter_scheduler]\nweight_classes = nova.scheduler.weights.cpu.CPUWeigher'},
        ['[filter_scheduler] weight_classes', "'CPUWeigher'", 'RAMWeigher'],
    ),
    'CPUs in both sets': (
        {'more': '[compute]\ncpu_shared_set = 0-3\ncpu_dedicated_set = 2-5'},
        ['cpu_shared_set', 'cpu_dedicated_set', '2-3'],
    ),
    'no CPU list': (
        {'more': '[compute]\ncpu_shared_set = 0-x'},
        ['test.conf', '[compute] cpu_shared_set', "'0-x'", "'0-3,8,^2'"],
    ),
}


@pytest.mark.parametrize(('options', 'words'), CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_a_configuration_that_cannot_be_used(prepared, refused, options, words):
    prepared.configure(**options)
    told = refused(1, *['server', 'create', '--flavor', 'm1.tiny', 'x'])
    assert [] == [word for word in words if word not in told]


def test_a_cpu_set_beyond_the_host(prepared, refused):
    prepared.configure(more='[compute]\ncpu_dedicated_set = 6-9')
    told = refused(1, *f'host import other --capabilities {prepared.fixture("seed3")}'.split())
    assert [] == [word for word in ('[compute] cpu_dedicated_set', '8-9', '0-7') if word not in told]
