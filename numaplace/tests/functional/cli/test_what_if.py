# SPDX-License-Identifier: Apache-2.0
"""``fleet what-if``: what it foretells is what the same changes do, and it changes nothing."""

import json

import pytest

PINNED = '--vcpus 2 --ram 256 --property hw:cpu_policy=dedicated'


@pytest.fixture(scope='module')
def filled(make_program):
    """The program with two hosts of three cells, of which one has a pinned server, and two flavors."""
    program = make_program()
    for name in ('h1', 'h2'):
        program(f'host import {name} --capabilities {program.fixture("seed3")}')
    program(f'flavor create {PINNED} m2.pinned')
    program(f'flavor create {PINNED} --property hw:numa_nodes=2 m2.wide')
    program('server create --flavor m2.pinned --host h1 db')
    return program


@pytest.fixture
def fleet(filled, numaplace):
    """A copy of the fleet."""
    return filled.copy_to(numaplace)


def _bounds(row, name):
    return row[f'{name}_at_least'], row[f'{name}_at_most']


#: What is asked, and the commands that do it; ``{}`` is the file of capabilities.
CHANGES = {
    'a server is deleted': ('--delete-server db', ['server delete db']),
    'hosts are added': (
        '--add-host h3=h1 --add-host h4=h2',
        ['host import h3 --capabilities {}', 'host import h4 --capabilities {}'],
    ),
    'a host without servers is removed': ('--remove-host h2', ['host delete h2']),
    'a host is replaced': (
        '--delete-server db --add-host h3=h1 --remove-host h1',
        ['server delete db', 'host import h3 --capabilities {}', 'host delete h1'],
    ),
    'a flavor needs more host cells': (
        '--flavor-set m2.pinned:hw:numa_nodes=2',
        ['flavor set --property hw:numa_nodes=2 m2.pinned'],
    ),
    'a flavor needs no CPUs of its own': (
        '--flavor-set m2.pinned:hw:cpu_policy=shared',
        ['flavor set --property hw:cpu_policy=shared m2.pinned'],
    ),
}

#: Options of hosts, and the same in a configuration file.
OPTIONS = {
    'both sets': (
        '--set cpu_shared_set=6-7 --set cpu_dedicated_set=0-5',
        '[compute]\ncpu_shared_set = 6-7\ncpu_dedicated_set = 0-5',
    ),
    'one set': ('--set cpu_dedicated_set=0-4', '[compute]\ncpu_dedicated_set = 0-4'),
    'reserved pages': (
        '--set reserved_huge_pages=node:0,size:2048,count:200 --set reserved_huge_pages=node:1,size:2MB,count:100',
        '[DEFAULT]\nreserved_huge_pages = node:0,size:2048,count:200\nreserved_huge_pages = node:1,size:2MB,count:100',
    ),
    'ratios': (
        '--set cpu_allocation_ratio=1.5 --set ram_allocation_ratio=0.5',
        '[DEFAULT]\ncpu_allocation_ratio = 1.5\nram_allocation_ratio = 0.5',
    ),
}

FLAVORS = '--flavor m2.pinned m2.wide m2.large m2.float'


def _agrees(program, words, act):
    """Ask what if, do it, and compare."""
    program(f'flavor create {PINNED} --property hw:mem_page_size=large m2.large')
    program('flavor create --vcpus 2 --ram 700 m2.float')
    now = program.json(f'fleet capacity {FLAVORS}')
    _status, found = _audit(program)
    before = program.digest()
    told = program.json(f'fleet what-if {words} {FLAVORS}')
    assert before == program.digest()
    act()
    then = program.json(f'fleet capacity {FLAVORS}')
    assert [(row['at_least'], row['at_most']) for row in now] == [_bounds(row, 'before') for row in told['capacity']]
    assert [(row['at_least'], row['at_most']) for row in then] == [_bounds(row, 'after') for row in told['capacity']]
    _status, later = _audit(program)
    assert [one for one in later if one not in found] == told['new_findings']
    assert [one for one in found if one not in later] == told['gone_findings']
    return told


def _audit(program):
    done = program.run('fleet', 'audit', '-f', 'json')
    return done.returncode, json.loads(done.stdout)


@pytest.mark.parametrize('case', CHANGES)
def test_the_same_change_has_the_result_that_was_foretold(fleet, case):
    words, commands = CHANGES[case]

    def act():
        for line in commands:
            fleet(line.format(fleet.fixture('seed3')))

    _agrees(fleet, words, act)


@pytest.mark.parametrize('case', OPTIONS)
def test_the_same_options_have_the_result_that_was_foretold(fleet, case):
    words, more = OPTIONS[case]

    def act():
        fleet.configure(more=more)
        for name in ('h1', 'h2'):
            fleet(f'host import --refresh {name} --capabilities {fleet.fixture("seed3")}')

    told = _agrees(fleet, words, act)
    assert any(_bounds(row, 'before') != _bounds(row, 'after') for row in told['capacity'])


def test_both_states_stand_side_by_side_with_the_hosts_that_change(fleet):
    uuid = fleet.json('server show db')['id']
    told = fleet('fleet what-if --remove-host h1 --flavor m2.pinned m2.wide --hosts').splitlines()
    assert [
        '           before  after  difference',
        'm2.pinned       7      4          -3',
        '  h1            3      0          -3',
        'm2.wide         7      4          -3',
        '  h1            3      0          -3',
        'findings that are new: 1',
    ] == told[:6]
    assert told[6].startswith(f'  error: h1: {uuid}: the server is on host h1, which does not exist; ')
    assert ['findings that are gone: none'] == told[7:]


def test_options_of_one_host_win_over_those_of_all_and_the_last_one_counts(fleet):
    lines = [
        f'fleet what-if --flavor m2.pinned --hosts {words}'
        for words in (
            '--set cpu_dedicated_set=0-3 --set h2:cpu_dedicated_set=0-5',
            '--set h2:cpu_dedicated_set=7 --set h2:cpu_dedicated_set=0-5 --set cpu_dedicated_set=0-3',
        )
    ]
    told = [fleet.json(line)['capacity'] for line in lines]
    assert told[0] == told[1]
    assert [(None, 4), ('h1', 1), ('h2', 3)] == [(row['host'], row['after_at_most']) for row in told[0]]


def test_a_file_gives_the_same_answer_as_the_database(fleet):
    fleet('fleet export fleet.json.gz')
    words = '--delete-server db --add-host h3=h1 --set h2:cpu_dedicated_set=0-3 --flavor m2.wide --hosts'
    assert fleet(f'fleet what-if {words}') == fleet(f'fleet what-if --from fleet.json.gz {words}')


def test_findings_alone_are_told_without_a_flavor(fleet):
    assert 'findings that are new: none\nfindings that are gone: none\n' == fleet('fleet what-if --delete-server db')
    told = fleet.json('fleet what-if --set h1:cpu_dedicated_set=4-7')
    assert ([], ['cpus.outside']) == (
        told['capacity'],
        [one['code'] for one in told['new_findings'] if one['server'] is not None],
    )


@pytest.mark.parametrize(
    ('words', 'status', 'message'),
    [
        ('--flavor m2.wide', 2, 'no change: expected one or more of --delete-server, --add-host, '),
        ('--remove-host x', 1, "there is no host 'x'; known hosts: h1, h2"),
        ('--add-host x', 2, "argument --add-host: 'x': expected NAME=LIKE, a new name and a known host"),
        ('--add-host =h1', 2, "argument --add-host: host name '' (0 characters): expected 1 to 255 "),
        ('--add-host h2=h1', 1, "there is a host 'h2' already"),
        ('--delete-server x', 1, "there is no server 'x'"),
        ('--set x:cpu_shared_set=1', 1, "there is no host 'x'"),
        ('--set h1:cores=1', 2, "argument --set: 'h1:cores=1': expected [HOST:]KEY=VALUE, where KEY is cpu_dedicated"),
        ('--set cpu_shared_set=x', 2, "argument --set: 'cpu_shared_set=x': invalid CPU list element 'x': expected "),
        ('--set cpu_shared_set=0-9', 1, "host 'h1': cpu_shared_set = 0-9: CPUs 8-9 are not known there: expected some"),
        ('--set h2:ram_allocation_ratio=0', 2, "'h2:ram_allocation_ratio=0': expected a number above 0, "),
        ('--set reserved_huge_pages=1', 2, "'reserved_huge_pages=1': expected the form 'node:0,size:2048,count:64'"),
        ('--flavor-set m2.wide', 2, "argument --flavor-set: 'm2.wide': expected FLAVOR:KEY=VALUE"),
        ('--flavor-set m2.wide:x', 1, "--flavor-set 'x': expected KEY=VALUE with letters, digits"),
        ('--flavor-set x:a=b', 1, "--flavor-set 'x': there is no such flavor; known flavors: m2.pinned, m2.wide;"),
        ('--flavor-set m2.wide:hw:numa_nodes=3 --flavor m2.wide', 1, "flavor 'm2.wide': hw:numa_nodes='3': "),
        ('--delete-server db --flavor x', 1, "--flavor 'x': there is no such flavor"),
    ],
)
def test_a_change_that_cannot_be_is_one_line(fleet, words, status, message):
    done = fleet.run('fleet', 'what-if', *words.split())
    assert (status, '', 1) == (done.returncode, done.stdout, done.stderr.count('\n'))
    assert message in done.stderr
