# SPDX-License-Identifier: Apache-2.0
"""Many servers in one request: as many as fit, or none if those are too few."""

import pytest


@pytest.fixture
def pinned(prepared):
    """The program with a flavor of which few fit."""
    prepared('flavor create --ram 256 --vcpus 2 --property hw:cpu_policy=dedicated m1.pinned')
    return prepared


def test_several_servers_are_numbered_as_nova_numbers_them(prepared):
    servers = prepared.json('server create --flavor m1.tiny --max 3 web')['servers']
    assert ['web-1', 'web-2', 'web-3'] == [server['name'] for server in servers]
    assert [server['id'] for server in servers] == [server['ID'] for server in prepared.json('server list')]


def test_several_servers_are_a_line_each_for_people(prepared):
    words = prepared('server create --flavor m1.tiny --min 2 db')
    assert 'db-1 (instance-00000001) on seed3' in words
    assert 'db-2 (instance-00000002) on seed3' in words


def test_one_server_keeps_its_name(prepared):
    assert 'one' == prepared.json('server create --flavor m1.tiny --min 1 --max 1 one')['name']


def test_as_many_servers_as_fit_are_placed(pinned):
    done = pinned.run(*['server', 'create', '--flavor', 'm1.pinned', '--min', '2', '--max', '99', 'web'])
    fit = len(pinned.json('server list'))
    assert 2 < fit < 99
    assert (0, f'numaplace: warning: {fit} of 99 servers were placed: no host takes another one\n') == (
        done.returncode,
        done.stderr,
    )


def test_if_fewer_fit_than_are_needed_none_is_placed(pinned):
    done = pinned.run(*['server', 'create', '--flavor', 'm1.pinned', '--min', '98', '--max', '99', 'web'])
    assert (3, '') == (done.returncode, done.stdout)
    assert done.stderr.startswith("numaplace: no valid host for server 'web':\n  seed3 (NUMATopologyFilter):\n")
    assert [] == pinned.json('server list')
    assert [] == pinned.json('host show seed3')['servers']


@pytest.mark.parametrize(
    ('options', 'status', 'message'),
    [
        ('--min 3 --max 2', 2, '--min 3: more than --max 2'),
        ('--max 0', 2, "'0': expected a whole number from 1 to 10000"),
        ('--min two', 2, "'two': expected a whole number from 1 to 10000"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(refused, options, status, message):
    assert message in refused(status, *f'server create --flavor m1.tiny {options} web'.split())
