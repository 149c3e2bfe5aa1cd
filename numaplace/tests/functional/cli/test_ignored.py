# SPDX-License-Identifier: Apache-2.0
"""Commands for the openstack client are accepted as guides have them; one line names what means nothing here."""

import importlib.metadata

import pytest

from numaplace.cli import ignored

COMMANDS = {
    entry.name.replace('_', ' '): entry.load() for entry in importlib.metadata.entry_points(group='numaplace.cli')
}
IGNORING = {name: command for name, command in COMMANDS.items() if command.ignores != ignored.NOTHING}
WARNING = 'numaplace: warning: ignored, because it has no meaning here: '

#: A command of a guide, and the options that are ignored.
PASTED = {
    'a flavor': (
        'flavor create --ram 1024 --disk 1 --vcpus 4 --swap 0 --ephemeral 0 --public m1.pasted',
        '--swap, --ephemeral, --public',
    ),
    'a flavor of a project': ('flavor create --private --project demo --id auto m1.private', '--private, --project'),
    'a property with a description': ('flavor set m1.numa --description x --property hw:numa_nodes=1', '--description'),
    'all flavors': ('flavor list --all --long', '--all, --long'),
    'a server': (
        'server create --flavor m1.tiny --image cirros --nic net-id=0c1d --key-name mykey --security-group default web',
        '--nic net-id, --key-name, --security-group',
    ),
    'a server with networks': (
        'server create --flavor m1.tiny --network private --network public --port p1 --config-drive true --wait web',
        '--network, --port, --config-drive, --wait',
    ),
    'a server with an address': (
        'server create --flavor m1.tiny --nic net-id=0c1d,v4-fixed-ip=10.0.0.5 web',
        '--nic net-id',
    ),
    'a server without networks': ('server create --flavor m1.tiny --nic none web', '--nic none'),
    'a server from a volume': (
        'server create --flavor m1.tiny --volume v1 --user-data c.cfg --property a=b --hypervisor-hostname seed3 web',
        '--volume, --user-data, --property',
    ),
    'the cloud': (
        '--os-cloud devstack --os-compute-api-version 2.79 server list',
        '--os-cloud, --os-compute-api-version',
    ),
    'both at once': ('server list --all-projects --os-cloud=devstack -n', '--os-cloud, --all-projects, -n'),
    'moves': ('server migration list --project demo', '--project'),
}


def _run(program, line):
    return program.run(*line.split())


@pytest.mark.parametrize(('line', 'expected'), PASTED.values(), ids=PASTED)
def test_a_pasted_command_is_done_and_one_line_names_what_is_ignored(prepared, line, expected):
    done = prepared.run(*line.split())
    assert (0, f'{WARNING}{expected}\n') == (done.returncode, done.stderr)


def test_a_password_is_not_shown(prepared):
    done = _run(prepared, 'server create --flavor m1.tiny --password hunter2 web')
    assert (0, f'{WARNING}--password\n') == (done.returncode, done.stderr)
    assert 'hunter2' not in done.stdout


def test_interfaces_of_ours_keep_their_meaning_beside_those_of_neutron(prepared):
    done = _run(prepared, 'server create --flavor m1.tiny --nic network=default --nic net-id=0c1d --nic bridge=br0 web')
    assert (0, f'{WARNING}--nic net-id\n') == (done.returncode, done.stderr)
    nics = prepared.json('server show web')['devices']['nics']
    assert [('default', None), (None, 'br0')] == [(nic['network'], nic['bridge']) for nic in nics]


MOVES = {
    'server migrate --wait --block-migration --live-migration --host one2 web': '--wait, --block-migration',
    'server resize --wait --flavor m1.numa web': '--wait',
    'server rebuild --wait --preserve-ephemeral --key-name k web': '--wait, --preserve-ephemeral, --key-name',
    'server shelve --offload --wait web': '--offload, --wait',
    'server delete --wait --all-projects web': '--wait, --all-projects',
}


@pytest.mark.parametrize(('line', 'expected'), MOVES.items(), ids=MOVES)
def test_moves_are_done_as_guides_have_them(prepared, line, expected):
    prepared.configure(more='[DEFAULT]\nallow_resize_to_same_host = true')
    prepared('server create --flavor m1.tiny --host seed3 web')
    prepared(f'host import one2 --capabilities {prepared.fixture("seed3")}')
    done = prepared.run(*line.split())
    assert (0, f'{WARNING}{expected}\n') == (done.returncode, done.stderr)


def test_an_evacuated_and_an_unshelved_server(prepared):
    prepared('server create --flavor m1.tiny web')
    prepared(f'host import one2 --capabilities {prepared.fixture("seed3")}')
    prepared('host set --down seed3')
    done = _run(prepared, 'server evacuate --shared-storage --password p web')
    assert (0, f'{WARNING}--shared-storage, --password\n') == (done.returncode, done.stderr)
    prepared('server shelve web')
    done = _run(prepared, 'server unshelve --wait web')
    assert (0, f'{WARNING}--wait\n') == (done.returncode, done.stderr)


@pytest.mark.parametrize('name', IGNORING)
def test_every_option_that_is_ignored_is_named_in_the_help(numaplace, name):
    text = ' '.join(numaplace(f'{name} --help').split())
    options = IGNORING[name].ignores
    assert 'options of the openstack client, accepted and ignored:' in text
    assert [] == [each for each in options.switches if f' {each} ' not in f'{text} ']
    assert [] == [each for each in options.valued if f' {each} VALUE' not in text]


NEEDED = {
    'flavor create': ['x'],
    'flavor list': [],
    'flavor set': ['--property', 'a=b', 'x'],
    'flavor unset': ['--property', 'a', 'x'],
    'server create': ['--flavor', 'x', 'x'],
    'server group list': [],
    'server list': [],
    'server migration list': [],
    'server resize': ['--flavor', 'x', 'x'],
}


@pytest.mark.parametrize('name', IGNORING)
def test_an_option_that_is_ignored_is_none_of_the_command(name):
    parser = IGNORING[name](None, None).get_parser(f'numaplace {name}')
    options = IGNORING[name].ignores
    given = [*options.switches, *(word for option in options.valued for word in (option, 'x'))]
    parsed, left = parser.parse_known_args([*given, *NEEDED.get(name, ['x'])])
    assert [] == left
    assert [*options.switches, *options.valued] == parsed.ignored


UNKNOWN = {
    'an unknown option': 'server create --flavor m1.tiny --frobnicate web',
    'an option of another command': 'flavor create --key-name k m1.x',
    'what lists other things': 'server list --status ERROR',
    'an unknown option of the client': '--os-frobnicate x server list',
}


@pytest.mark.parametrize('line', UNKNOWN.values(), ids=UNKNOWN)
def test_what_would_mean_something_is_refused(refused, line):
    assert 'unrecognized arguments: ' in refused(2, *line.split()) or '--os-frobnicate' in refused(2, *line.split())


def test_an_interface_of_both_kinds_is_refused(refused):
    words = ['server', 'create', '--flavor', 'm1.tiny', '--nic', 'net-id=0c1d,node=1', 'web']
    line = refused(1, *words)
    assert "--nic 'net-id=0c1d,node=1': expected network=NAME or bridge=NAME" in line
