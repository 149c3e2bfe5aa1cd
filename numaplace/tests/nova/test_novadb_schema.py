# SPDX-License-Identifier: Apache-2.0
"""The command on the schema that ``nova-manage`` and ``placement-manage`` make, on each kind of database."""

import importlib.metadata
import json

import pytest

from numaplace.cli import main
from numaplace.tests import real
from numaplace.tests.nova.databases import KINDS, Databases, healthy, manage, scratch, url
from numaplace.tests.unit.fleet import fleets


@pytest.fixture(params=KINDS)
def managed(request, tmp_path):
    """The databases of a healthy Nova and its placement, but for cell0 with the schema of their programs."""
    if not importlib.metadata.entry_points(group='numaplace.cli'):
        real.missing('the commands of numaplace, which is not installed')
    with scratch(request.param, tmp_path, 4) as urls:
        for number, kind in ((0, 'api'), (2, 'main'), (3, 'placement')):
            manage(urls[number], kind)
        databases = Databases(urls)
        databases.store(fleets.placed(healthy()))
        yield databases


@pytest.fixture
def fleet(managed, tmp_path, capsys):
    """Return a function that runs a command of the noun on a Nova; it returns the status and what was printed."""
    groups = {'api_database': managed.api, 'database': managed.cell1, 'placement_database': managed.placement}
    text = ''.join(f'[{group}]\nconnection = {url(engine)}\n' for group, engine in groups.items())
    config = tmp_path / 'nova.conf'
    config.write_text(text.replace('%', '%%'), 'utf-8')

    def fleet(*words):
        status = main.main(['--config-file', str(config), 'fleet', *words, '--from', 'nova'])
        printed = capsys.readouterr()
        assert '' == printed.err
        return status, printed.out

    return fleet


def test_a_nova_is_audited_and_explained_on_its_own_schema(managed, fleet):
    # The move of the healthy fleet is old by the clock on the wall.
    old = '--move-hours=1000000'
    status, text = fleet('audit', '-f', 'json', old)
    assert (0, []) == (status, json.loads(text))
    managed.damage('services', deleted=1)
    status, text = fleet('audit', '-f', 'json', old)
    assert (1, [('host.service', 'h1'), ('host.service', 'h2')]) == (
        status,
        [(finding['code'], finding['host']) for finding in json.loads(text)],
    )
    status, text = fleet('explain', '--server', 's5')
    assert text.startswith('0 of 2 hosts take it\n')
