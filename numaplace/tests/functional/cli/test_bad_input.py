# SPDX-License-Identifier: Apache-2.0
"""Bad input: one line that says what was wrong and where, the exit status, and an unchanged database."""

import contextlib
import json
import sqlite3

import pytest

from numaplace.tests import recordings

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
    'a size that is not a number': (2, 'flavor create --ram much x', ['--ram', "'much'", 'whole number from 1']),
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
    'a page size that is not a size': (['hw:mem_page_size=huge'], ['hw:mem_page_size', "'huge'"]),
}


@pytest.mark.parametrize(('properties', 'words'), FLAVORS.values(), ids=FLAVORS)
def test_a_flavor_that_makes_no_guest(prepared, refused, properties, words):
    stored = prepared.run('flavor', 'set', 'm1.numa', *(f'--property={each}' for each in properties))
    assert (0, '', 1) == (stored.returncode, stored.stdout, stored.stderr.count('\n'))
    told = refused(1, 'server', 'create', '--flavor', 'm1.numa', 'x')
    assert [] == [word for word in ['m1.numa', *words] if word not in told]
    assert stored.stderr == told.replace('numaplace: ', 'numaplace: warning: ', 1)


WRONG_KEYS = {
    'the nearest key': (['numaplace:vnum=3'], "numaplace:vnum='3': there is no such key: expected numaplace:vnuma\n"),
    'no near key': (
        ['numaplace:q=3'],
        "numaplace:q='3': there is no such key: expected one of numaplace:strategy, numaplace:vnuma, ",
    ),
    'several': (['numaplace:vcpu_hotplg=x', 'numaplace:memory_slot=y'], 'expected numaplace:vcpu_hotplug; flavor'),
}


@pytest.mark.parametrize(('properties', 'words'), WRONG_KEYS.values(), ids=WRONG_KEYS)
def test_a_flavor_has_no_unknown_key_of_ours(prepared, refused, properties, words):
    options = [f'--property={each}' for each in properties]
    assert words in refused(1, 'flavor', 'set', 'm1.numa', *options)
    assert words in refused(1, 'flavor', 'create', 'other', *options)


def test_an_unknown_key_of_nova_is_told_with_the_nearest_one(prepared):
    made = prepared.run('flavor', 'create', '--property=hw:cpu_polcy=dedicated', '--property=quota:cpu_share=9', 'f')
    assert 0 == made.returncode
    told = (
        "flavor 'f': hw:cpu_polcy='dedicated': there is no such key, and it does nothing; the nearest is hw:cpu_policy",
        "flavor 'f': quota:cpu_share='9': there is no such key, and it does nothing; the nearest is quota:cpu_shares",
    )
    assert ''.join(f'numaplace: warning: {text}\n' for text in told) == made.stderr
    assert made.stderr == prepared.run('flavor', 'set', '--property=hw:pmu=true', 'f').stderr
    server = prepared.run('server', 'create', '--flavor=f', '--image-property=hw_cpu_polcy=dedicated', 'one')
    told = "image: hw_cpu_polcy='dedicated': there is no such key, and it does nothing; the nearest is hw_cpu_policy"
    assert f'{made.stderr}numaplace: warning: {told}\n' == server.stderr
    assert 0 == server.returncode


#: More than anything can have of anything.
ENDLESS = 10**30

LARGE_OPTIONS = {
    'flavor create x --ram': '1 to 2147483647',
    'flavor create x --disk': '0 to 2147483647',
    'flavor create x --vcpus': '1 to 65536',
    'server create x --flavor m1.numa --min': '1 to 10000',
    'server create x --flavor m1.numa --max': '1 to 10000',
    'vnuma plan x --host seed3 --keep': '0 to 65535',
}


@pytest.mark.parametrize(('line', 'expected'), LARGE_OPTIONS.items(), ids=LARGE_OPTIONS)
def test_a_number_without_end_is_refused_by_the_name_of_its_option(refused, line, expected):
    told = refused(2, *line.split(), str(ENDLESS))
    assert f"argument {line.split()[-1]}: '{ENDLESS}': expected a whole number from {expected}; see" in told


LARGE_KEYS = {
    'hw:numa_nodes': 'up to 999999999',
    'hw:numa_mem.0': 'of at least 1, with up to 15 digits',
    'hw:numa_cpus.0': 'CPU numbers up to 65535',
    'hw:mem_page_size': 'which is a power of two of up to 2 ZiB',
    'hw:cpu_sockets': 'from 0 to 999999999',
    'quota:cpu_shares': 'from 2 to 262144',
    'resources:PCPU': 'up to 15 digits',
    'numaplace:max_memory': 'from 1025 to 4294967296 MiB',
    'numaplace:memory_slots': 'from 1 to 256',
    'numaplace:vnuma_cells': 'from 1 to 999999999',
}
_WITH = {
    'hw:numa_mem.0': ['hw:numa_nodes=1', 'hw:numa_cpus.0=0-3'],
    'hw:numa_cpus.0': ['hw:numa_nodes=1', 'hw:numa_mem.0=1024'],
    'numaplace:max_memory': ['numaplace:memory_slots=1'],
    'numaplace:memory_slots': ['numaplace:max_memory=2048'],
    'numaplace:vnuma_cells': ['numaplace:vnuma=host'],
}


@pytest.mark.parametrize(('key', 'expected'), LARGE_KEYS.items(), ids=LARGE_KEYS)
def test_a_number_without_end_is_refused_by_the_name_of_its_key(prepared, refused, key, expected):
    options = [f'--property={each}' for each in (f'{key}={ENDLESS}', *_WITH.get(key, []))]
    assert 0 == prepared.run('flavor', 'set', 'm1.numa', *options).returncode
    told = refused(1, 'server', 'create', '--flavor', 'm1.numa', 'x')
    assert f"flavor 'm1.numa': {key}='{ENDLESS}': " in told
    assert expected in told


#: The recorded output in which one number is replaced, and the place that the error names.
LARGE_SIZES = {
    'memory': ('capabilities.xml', "KiB'>3930164<", f"KiB'>{ENDLESS}<", 'cells/cell[1]/memory: '),
    'a unit': ('capabilities.xml', "KiB'>3930164<", "PiB'>99999999999999<", 'cells/cell[1]/memory: '),
    'pages': ('capabilities.xml', "'2048'>256<", f"'2048'>{ENDLESS}<", 'cells/cell[1]/pages[2]: '),
    'a page': ('capabilities.xml', "'2048'>256<", "'3000'>256<", 'power of two of up to 2 ZiB'),
    'lstopo': ('lstopo.xml', 'local_memory="', f'local_memory="{ENDLESS}', '@local_memory: '),
    'a page of lstopo': (
        'lstopo.xml',
        'page_type size="2097152"',
        'page_type size="3072"',
        'power of two of up to 2 ZiB',
    ),
}


@pytest.mark.parametrize('case', LARGE_SIZES.values(), ids=LARGE_SIZES)
def test_a_size_that_no_host_has_is_refused_by_its_place(prepared, refused, case):
    name, old, new, told = case
    text = recordings.text(f'seed3.{name}').decode()
    assert old in text
    (prepared.directory / 'host').write_text(text.replace(old, new, 1))
    shown = refused(1, 'host', 'import', 'other', f'--{name.partition(".")[0]}', 'host')
    assert told in shown
    assert shown.startswith('numaplace: host: line ')


@pytest.mark.parametrize('memory', [f'<memory>{ENDLESS}', "<memory unit='PiB'>99999999999999999"])
def test_a_domain_has_no_endless_memory(prepared, refused, memory):
    xml = f"<domain type='kvm'><name>g</name><vcpu>6</vcpu>{memory}</memory><vnuma mode='host'/></domain>"
    (prepared.directory / 'guest.xml').write_text(xml)
    told = refused(1, 'vnuma', 'plan', 'guest.xml', '--host', 'seed3')
    assert "/domain/memory: '" in told
    assert 'is not a memory size: expected a whole number' in told


@pytest.mark.parametrize('size', ['3', '3000', '1.5MB', '3MB', '1000000KB', '4ZB', '1024QB', '0'])
def test_a_page_size_is_a_power_of_two(prepared, refused, size):
    prepared.run('flavor', 'set', f'--property=hw:mem_page_size={size}', 'm1.numa')
    told = refused(1, 'server', 'create', '--flavor', 'm1.numa', 'x')
    assert f"hw:mem_page_size='{size}': expected small, large, any, a size in KiB or" in told
    assert told.endswith(', which is a power of two of up to 2 ZiB\n')


@pytest.mark.parametrize('size', ['3000', '3MB'])
def test_reserved_pages_have_a_size_that_is_a_power_of_two(prepared, refused, size):
    prepared.configure(more=f'[DEFAULT]\nreserved_huge_pages = node:0,size:{size},count:1')
    told = refused(1, 'host', 'discover', 'x')
    assert f"[DEFAULT] reserved_huge_pages = 'node:0,size:{size},count:1': expected the form" in told
    assert 'a power of two of up to 2 ZiB' in told


OPTIONS = {
    'a global option': ('--databse sqlite:///x server list -f json', '--databse', ''),
    'one with its value': ('--databse=mysql://u:secret@h/d server list', '--databse', ''),
    'one after the command': ('server list --databse mysql://u:secret@h/d', '--databse', 'numaplace server list '),
    'two options': ('server list --a x --b', '--a --b', 'numaplace server list '),
    'a word': ('server show one two', 'two', 'numaplace server show '),
}


@pytest.mark.parametrize(('line', 'named', 'command'), OPTIONS.values(), ids=OPTIONS)
def test_an_option_that_there_is_not_is_named_alone(refused, line, named, command):
    assert f'numaplace: unrecognized arguments: {named}; see {command}--help\n' == refused(2, *line.split())


HALVES = ['hw_numa_nodes=2', 'hw_numa_cpus.0=0,1', 'hw_numa_cpus.1=2,3']

#: Extra specs, properties of the image, and what the line must hold.
HOSTILE = {
    'memory below 0': ([], [*HALVES, 'hw_numa_mem.0=-256', 'hw_numa_mem.1=1280'], ["image: hw_numa_mem.0='-256'"]),
    'no memory': ([], [*HALVES, 'hw_numa_mem.0=0', 'hw_numa_mem.1=1024'], ["hw_numa_mem.0='0'", 'at least 1']),
    'memory as only Python writes it': (
        [],
        [*HALVES, 'hw_numa_mem.0=5_12', 'hw_numa_mem.1=512'],
        ["hw_numa_mem.0='5_12'", 'MiB'],
    ),
    'memory without end': (
        ['hw:numa_nodes=1', 'hw:numa_cpus.0=0-3', f'hw:numa_mem.0={"9" * 200}'],
        [],
        ['hw:numa_mem.0=', 'at least 1'],
    ),
    'a guest cell without vCPUs': (
        [],
        ['hw_numa_nodes=2', 'hw_numa_cpus.0=^0', 'hw_numa_cpus.1=0-3', 'hw_numa_mem.0=512', 'hw_numa_mem.1=512'],
        ["hw_numa_cpus.0='^0'", 'at least one vCPU'],
    ),
    'cells in digits of another script': (
        [],
        ['hw_numa_nodes=\uff12'],
        ["hw_numa_nodes='\uff12'", 'expected an integer'],
    ),
    'pages below 0': (['hw:mem_page_size=-2MB'], [], ["hw:mem_page_size='-2MB'", 'small, large, any']),
    'pages that stand for a choice': (['hw:mem_page_size=-2KB'], [], ["hw:mem_page_size='-2KB'", 'small, large, any']),
    'pages of the image below 0': (
        ['hw:mem_page_size=large'],
        ['hw_mem_page_size=-2MB'],
        ["image: hw_mem_page_size='-2MB'", 'small, large, any'],
    ),
    'pages of the image of size 0': (
        ['hw:mem_page_size=any'],
        ['hw_mem_page_size=0'],
        ["image: hw_mem_page_size='0'", 'small, large, any'],
    ),
    'parts of a division without end': (
        ['numaplace:vnuma=host', f'numaplace:vnuma_keep={"0" * 12}{"9" * 200}'],
        [],
        ['numaplace:vnuma_keep=', 'expected an integer from 0'],
    ),
}


@pytest.mark.parametrize(('specs', 'image', 'words'), HOSTILE.values(), ids=HOSTILE)
def test_a_request_of_impossible_amounts_is_one_line_and_claims_nothing(prepared, refused, specs, image, words):
    created = prepared.run(
        'flavor', 'create', '--ram', '1024', '--vcpus', '4', 'x', *(f'--property={one}' for one in specs)
    )
    assert (0, int(bool(specs) and not image)) == (created.returncode, created.stderr.count('\n'))
    told = refused(1, 'server', 'create', '--flavor', 'x', 's', *(f'--image-property={one}' for one in image))
    assert [] == [word for word in words if word not in told]
    assert [] == prepared.json('server list')


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
        {'more': '[filter_scheduler]\nenabled_filters = ComputeFilter,GpuFilter'},
        ['[filter_scheduler] enabled_filters', "'GpuFilter'", 'NUMATopologyFilter'],
    ),
    'an unknown weigher': (
        {'more': '[filter_scheduler]\nweight_classes = nova.scheduler.weights.gpu.GPUWeigher'},
        ['[filter_scheduler] weight_classes', "'GPUWeigher'", 'RAMWeigher'],
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


@pytest.mark.parametrize('command', ['host list', 'flavor list', 'server create --flavor m1.tiny x', 'server list'])
@pytest.mark.parametrize('name', ['an unknown strategy', 'an unknown filter', 'an unknown weigher'])
def test_a_name_in_the_configuration_is_checked_by_every_command_alike(prepared, refused, name, command):
    """Not only by the first one that needs it."""
    options, words = CONFIGURATIONS[name]
    prepared.configure(**options)
    told = refused(1, *command.split())
    assert [] == [word for word in words if word not in told]
