# SPDX-License-Identifier: Apache-2.0
"""Rows in the formats of old releases of Nova, as their operator meets them."""

import json
from importlib import resources

import pytest

from numaplace.tests.functional.cli.test_audit import change


def row(name):
    return resources.files('numaplace.tests.data.seed').joinpath(f'{name}.json').read_text('utf-8')


@pytest.fixture
def old(prepared):
    """The program with a server whose row has no versions."""
    prepared('flavor create --ram 1024 --vcpus 4 --property hw:numa_nodes=1 m1.one')
    prepared('server create --flavor m1.one cirros')
    change(prepared, 'UPDATE instance_extra SET numa_topology = ?', row('older-one-cell-guest'))
    return prepared


COLUMNS = ('-f', 'value', '-c', 'Table', '-c', 'Old format', '-c', 'Result')
WHAT = 'instances InstanceNUMATopology without a version'


def test_a_migration_lists_what_it_rewrites_and_has_nothing_to_do_the_second_time(old):
    before, shown = old.digest(), old.json('server show cirros')
    assert f'{WHAT} would be rewritten\n' == old('db migrate-topologies --dry-run', *COLUMNS)
    assert before == old.digest()
    assert f'{WHAT} rewritten\n' == old('db migrate-topologies', *COLUMNS)
    assert '' == old('db migrate-topologies', *COLUMNS)
    assert shown == old.json('server show cirros')
    assert '' == old('host audit -f value')


def test_an_old_row_is_a_finding_from_the_database_and_from_a_file(old):
    old('fleet export fleet.json')
    for source in ('', ' --from fleet.json'):
        (found,) = [one for one in old.json(f'fleet audit{source}') if one['code'] == 'row.old']
        assert ('warning', 'seed3', 'InstanceNUMATopology without a version') == (
            found['severity'],
            found['host'],
            found['found'],
        )
        assert 'run `numaplace db migrate-topologies`' in found['text']


@pytest.mark.parametrize('name', ['older-three-cell-host', 'juno'])
@pytest.mark.parametrize('many', [False, True])
def test_what_a_host_does_not_say_comes_from_its_capabilities(old, name, many):
    juno = json.dumps({'cells': [{'id': 0, 'cpus': '0,1', 'mem': {'total': 512, 'used': 0}, 'cpu_usage': 0}]})
    right = old.json('host show seed3')
    change(old, 'UPDATE compute_nodes SET numa_topology = ?', juno if name == 'juno' else row(name))
    done = old.run('db', 'migrate-topologies', '-f', 'json')
    assert (1, '') == (done.returncode, done.stderr)
    host, server = json.loads(done.stdout)
    assert ('compute_nodes', 'seed3', '') == (host['Table'], host['Row'], host['Old format'])
    assert 'too old to be read: it does not name the dedicated CPUs; expected 1.4 to 1.5' in host['Result']
    assert 'instances' == server['Table']
    path = old.fixture('seed3')
    old(f'host import --refresh seed3={path}' if many else f'host import --refresh seed3 --capabilities {path}')
    assert right == old.json('host show seed3')
    assert f'{WHAT} rewritten\n' == old('db migrate-topologies', *COLUMNS)
