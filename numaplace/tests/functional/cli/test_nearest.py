# SPDX-License-Identifier: Apache-2.0
"""``fleet explain --nearest`` and ``server create --why``: with the change that they name, the server is created."""

import json

import pytest

from numaplace.fleet.changes import KINDS

PINNED = '--property hw:cpu_policy=dedicated'
TWO_CELLS = f'{PINNED} --property hw:numa_nodes=2 --property hw:numa_mem.0=256 --property hw:numa_mem.1=256'


@pytest.fixture(scope='module')
def filled(make_program):
    """The program with a host of four, two and two CPUs, and a server on three of the four."""
    program = make_program()
    program(f'host import h1 --capabilities {program.fixture("seed3")}')
    for name, vcpus in (('one', 1), ('two', 2), ('three', 3)):
        program(f'flavor create --vcpus {vcpus} --ram 256 {PINNED} {name}')
    program('server create --flavor three db')
    return program


@pytest.fixture
def fleet(filled, numaplace):
    """A copy of the fleet."""
    return filled.copy_to(numaplace)


#: What no host takes, by the kind of the nearest change: its text, and what is asked for with it.
CASES = {
    'page_size': (
        f'--vcpus 2 --ram 512 {PINNED} --property hw:mem_page_size=2MB',
        'with page size 4K instead of 2M',
        f'--vcpus 2 --ram 512 {PINNED} --property hw:mem_page_size=4KB',
    ),
    'thread_policy': (
        f'--vcpus 2 --ram 256 {PINNED} --property hw:cpu_thread_policy=require',
        'with thread policy prefer instead of require',
        f'--vcpus 2 --ram 256 {PINNED}',
    ),
    'split': (
        f'--vcpus 4 --ram 512 {TWO_CELLS} --property hw:numa_cpus.0=0-2 --property hw:numa_cpus.1=3',
        'with guest cells of 2 vCPUs and 256 MiB, 2 vCPUs and 256 MiB',
        f'--vcpus 4 --ram 512 {TWO_CELLS} --property hw:numa_cpus.0=0-1 --property hw:numa_cpus.1=2-3',
    ),
    'cells': (
        f'--vcpus 4 --ram 512 {PINNED}',
        'with 2 guest cells instead of 1',
        f'--vcpus 4 --ram 512 {PINNED} --property hw:numa_nodes=2',
    ),
    'vcpus': (f'--vcpus 7 --ram 256 {PINNED}', 'with 2 vCPUs instead of 7', f'--vcpus 2 --ram 256 {PINNED}'),
    'memory': (
        f'--vcpus 2 --ram 2501 {PINNED} --property hw:numa_nodes=1',
        'with 1710 MiB of memory instead of 2501',
        f'--vcpus 2 --ram 1710 {PINNED}',
    ),
}


@pytest.mark.parametrize('kind', CASES)
def test_with_the_change_a_server_is_created(fleet, kind):
    asked, text, instead = CASES[kind]
    fleet(f'flavor create {asked} asked')
    assert fleet('fleet explain --flavor asked --nearest').endswith(f'nearest change: h1: {text}\n')
    ((row),) = json.loads(fleet('fleet explain --flavor asked --nearest -f json'))
    assert (kind, text) == (row['nearest']['kind'], row['nearest']['text'])
    refused = fleet.run('server', 'create', '--flavor', 'asked', '--why', 'new')
    assert (3, f'  nearest change: h1: {text}') == (refused.returncode, refused.stderr.splitlines()[-1])
    fleet(f'flavor create {instead} instead')
    fleet('server create --flavor instead new')


def test_without_the_smallest_server_another_one_is_created(fleet):
    for name in ('two', 'two', 'one'):
        fleet(f'server create --flavor {name} {name}')
    refused = json.loads(fleet.run('server', 'create', '--flavor', 'one', '--why', 'new', '-f', 'json').stdout)
    change = refused['refusals'][0]['nearest']
    assert ('server', 'one') == (change['kind'], change['subject'].partition(' ')[0])
    fleet('server delete one')
    fleet('server create --flavor one new')


def test_another_host_is_the_last_resort(fleet):
    fleet(f'host import h2 --capabilities {fleet.fixture("seed3")}')
    fleet('host set --disable h1')
    refused = fleet.run('server', 'create', '--flavor', 'one', '--host', 'h1', '--why', 'new')
    assert refused.stderr.endswith('nearest change: h1: on host h2\n')
    assert (
        KINDS[-1] == json.loads(fleet('fleet explain --flavor one --nearest --all-hosts -f json'))[1]['nearest']['kind']
    )
    assert 'nearest change' not in fleet('fleet explain --flavor one --nearest')


def test_where_no_change_helps_it_is_said(fleet):
    fleet('host set --disable h1')
    assert fleet('fleet explain --flavor one --nearest').endswith(
        'nearest change: none; no single change makes it fit\n'
    )


def test_no_change_is_named_where_one_server_fits_and_several_do_not(fleet):
    refused = fleet.run('server', 'create', '--flavor', 'two', '--min', '9', '--why', 'new')
    assert 3 == refused.returncode
    assert 'nearest change' not in refused.stderr
