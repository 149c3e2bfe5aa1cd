# SPDX-License-Identifier: Apache-2.0
"""Hosts and servers of a Nova become those of numaplace, from Nova's own tables, on each kind of database."""

import importlib.metadata
import json

import pytest

from numaplace.cli import main
from numaplace.db import api
from numaplace.tests import real
from numaplace.tests.nova.databases import KINDS, Databases, healthy, scratch, url, uuid_of


@pytest.fixture(params=KINDS)
def nova(request, tmp_path):
    """The databases of a healthy Nova: servers s1 to s3 on h1, s4 resized from there to h2, and s5 without a host."""
    if not importlib.metadata.entry_points(group='numaplace.cli'):
        real.missing('the commands of numaplace, which is not installed')
    with scratch(request.param, tmp_path) as urls:
        databases = Databases(urls)
        databases.store(healthy())
        yield databases


@pytest.fixture
def own(tmp_path):
    """The URL of a database of numaplace."""
    own = f'sqlite:///{tmp_path}/own.sqlite'
    api.upgrade(own)
    return own


@pytest.fixture
def run(nova, own, tmp_path, capsys):
    """Return a function that runs a command with Nova's configuration; it returns the status and what was printed."""
    groups = {'api_database': url(nova.api), 'database': url(nova.cell1), 'numaplace': own}
    text = ''.join(f'[{group}]\nconnection = {each}\n' for group, each in groups.items())
    config = tmp_path / 'nova.conf'
    config.write_text(text.replace('%', '%%'), 'utf-8')

    def run(line):
        status = main.main(['--config-file', str(config), *line.split(), '-f', 'json'])
        printed = capsys.readouterr()
        assert '' == printed.err
        return status, json.loads(printed.out)

    return run


def test_servers_of_a_nova_are_adopted_where_they_are(nova, own, run):
    theirs = nova.read()
    status, hosts = run('host import --from nova')
    assert (0, [('h1', 'registered'), ('h2', 'registered')]) == (
        status,
        [(host['name'], host['result']) for host in hosts],
    )
    status, dry = run('server adopt --host h1 --all --from nova --dry-run')
    assert (1, (1, dry)) == (status, run('server adopt --host h1 --all --from nova'))
    assert {'s1': 'adopted', 's2': 'adopted', 's3': 'adopted', 's4': 'refused'} == {
        one['server']: one['status'] for one in dry
    }
    assert 'it is in a resize, which is finished: confirm, revert or abort that first' in dry[3]['text']
    known = {server.uuid: server for server in theirs.servers}
    with api.connect(own) as database:
        adopted = database.instances()
        assert {uuid_of(name) for name in ('s1', 's2', 's3')} == {server.uuid for server in adopted}
        for server in adopted:
            for key in ('name', 'host', 'domain_name', 'placement', 'image_properties'):
                assert getattr(known[server.uuid], key) == getattr(server, key), key
            assert known[server.uuid].flavor.extra_specs == server.flavor.extra_specs
    assert (0, []) == run('host audit')
    assert theirs == nova.read(), 'Nova has its rows as before'


def test_a_host_that_has_changed_in_nova_is_refreshed_and_keeps_its_servers(run):
    run('host import --from nova h1')
    run('server adopt --host h1 --from nova s1')
    status, answers = run('host import --from nova --refresh')
    assert (0, {'h1': 'refreshed', 'h2': 'registered'}) == (
        status,
        {host['name']: host['result'] for host in answers},
    )
    _, shown = run('host show h1')
    assert shown['vcpus_used'] == 4
    assert (0, []) == run('host audit')
