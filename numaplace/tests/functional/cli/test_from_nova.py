# SPDX-License-Identifier: Apache-2.0
"""Hosts and servers of another database become ours; a file of `fleet export` stands for the databases of a Nova."""

import json

import pytest

from numaplace.tests.functional.cli.conftest import Program


@pytest.fixture
def exported(prepared):
    """A file with the host seed3 and servers on it, one of which is in a move."""
    prepared('flavor create --ram 512 --vcpus 2 --property hw:cpu_policy=dedicated pinned')
    prepared('flavor create --ram 512 --vcpus 4 --property hw:numa_nodes=2 celled')
    for flavor in ('m1.tiny', 'pinned', 'celled', 'pinned'):
        prepared(f'server create --flavor {flavor} of-{flavor}')
    prepared(f'host import other --capabilities {prepared.fixture("seed3")}')
    uuid = prepared.json('server list')[3]['ID']
    prepared(f'server migrate {uuid}')
    prepared('fleet export fleet.json')
    return prepared.directory / 'fleet.json'


@pytest.fixture
def ours(exported, tmp_path_factory):
    """The program with a database of its own."""
    program = Program(tmp_path_factory.mktemp('ours'))
    (program.directory / 'fleet.json').write_text(exported.read_text())
    return program


def test_hosts_come_without_their_servers(ours):
    assert [(one['name'], one['result']) for one in ours.json('host import --from fleet.json')] == [
        ('other', 'registered'),
        ('seed3', 'registered'),
    ]
    assert ours.json('host show seed3')['vcpus_used'] == 0
    done = ours.run('host', 'import', '--from', 'fleet.json', 'seed3', '-f', 'json')
    assert (done.returncode, json.loads(done.stdout)[0]['result']) == (1, 'refused')
    assert ours.json('host import --refresh --from fleet.json seed3')[0]['result'] == 'refreshed'


def test_servers_come_exactly_where_they_are(ours, prepared):
    ours('host import --from fleet.json')
    words = ('server', 'adopt', '--host', 'seed3', '--all', '--from', 'fleet.json', '-f', 'json')
    before = ours.digest()
    dry = ours.run(*words, '--dry-run')
    assert ours.digest() == before
    done = ours.run(*words)
    assert (done.returncode, done.stdout) == (1, dry.stdout)
    answers = json.loads(done.stdout)
    assert [one['status'] for one in answers] == ['adopted'] * 3 + ['refused']
    assert 'it is in a migration, which is ' in answers[3]['text']
    for server in prepared.json('server list')[:3]:
        theirs, mine = (program.json(f'server show {server["ID"]}') for program in (prepared, ours))
        for key in ('name', 'instance_name', 'cells', 'vcpus', 'memory_mib', 'flavor'):
            assert theirs[key] == mine[key], key
    assert ours.json('host audit') == []
    assert {finding['code'] for finding in ours.json('fleet audit')} <= {'cpus.floating'}, 'both sets are the same'
    assert {one['domain']: (one['dedicated'], one['floating'], one['memory_mib']) for one in answers[:2]} == {
        'instance-00000001': ('', 1, {'0-2': 512}),
        'instance-00000002': ('0-1', 0, {'0': 512}),
    }


@pytest.mark.parametrize(
    ('line', 'text'),
    [
        ('host import --from fleet.json nowhere', "there is no host 'nowhere'"),
        ('server adopt --host seed3 nobody --from fleet.json', "there is no server 'nobody' on host 'seed3'"),
        ('server adopt --host seed3 --all --from nova', '[api_database] connection is not set'),
        ('server adopt --host seed3 --all --from missing.json', "'missing.json': No such file or directory"),
    ],
)
def test_a_source_without_it_is_a_fault_in_one_line(ours, line, text):
    ours('host import --from fleet.json')
    done = ours.run(*line.split())
    assert (done.returncode, done.stdout, done.stderr.count('\n')) == (1, '', 1)
    assert text in done.stderr
