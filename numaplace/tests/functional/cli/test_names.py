# SPDX-License-Identifier: Apache-2.0
"""Names from strangers do no harm: refused with a clear line, or shown harmlessly everywhere."""

import csv
import io
import json
from pathlib import Path

import pytest
from lxml import etree

REFUSED = {
    'a terminal escape': ('a\x1b[31mb', 'a\\x1b[31mb'),
    'a line end': ('a\nb', 'a\\nb'),
    'a carriage return': ('a\rb', 'a\\rb'),
    'a bidirectional override': ('a\u202eb', 'a\\u202eb'),
    '300 characters': ('x' * 300, '300 characters'),
    'nothing': ('', "''"),
    'a space at the end': ('a ', "'a '"),
}


@pytest.mark.parametrize(
    'command',
    [
        ['server', 'create', '--flavor', 'm1.tiny'],
        ['flavor', 'create'],
        ['host', 'import', '--capabilities', 'x.xml'],
        ['flavor', 'create', 'other', '--id'],
        ['server', 'create', '--flavor', 'm1.tiny', 'other', '--image'],
    ],
    ids=['server', 'flavor', 'host', 'flavor id', 'image'],
)
def test_names_that_are_refused(refused, command):
    for name, shown in REFUSED.values():
        line = refused(1, *command, name)
        assert shown in line
        assert '255 printable characters' in line


@pytest.mark.parametrize(
    'name', [name for name, _ in REFUSED.values() if name], ids=[key for key in REFUSED if REFUSED[key][0]]
)
def test_names_that_nothing_has(refused, name):
    line = refused(1, 'server', 'show', name)
    assert '\x1b' not in line
    assert '\u202e' not in line


@pytest.mark.parametrize('command', ['server show', 'host show', 'flavor show'])
def test_a_name_that_is_no_text(refused, command):
    assert 'is not UTF-8' in refused(1, *command.split(), '\udcff')


LONG = {
    'server show': [],
    'server dumpxml': [],
    'server delete': [],
    'host show': [],
    'host delete': [],
    'flavor show': [],
    'flavor delete': [],
    'flavor set': ['--property', 'hw:numa_nodes=1'],
    'flavor unset': ['--property', 'hw:numa_nodes'],
    'flavor unset m1.tiny --property': [],
    'server create --flavor m1.tiny x --host': [],
    'server create x --flavor': [],
}


@pytest.mark.parametrize('command', LONG)
@pytest.mark.parametrize('name', ['x' * 5000, '\x1b' * 500], ids=['letters', 'escapes'])
def test_a_long_name_that_nothing_has_is_cut(refused, command, name):
    line = refused(1, *command.split(), name, *LONG[command])
    assert name[0].encode('unicode_escape').decode() * 14 in line
    assert "...'" in line
    assert len(line) < 200


def test_a_long_name_that_exists_is_cut(prepared):
    prepared('flavor create', 'x' * 255)
    line = prepared.run('flavor', 'create', 'x' * 255).stderr
    assert f"'{'x' * 57}...'" in line
    assert 'x' * 58 not in line


HARMLESS = ['a"b', "a'b", '<b>&amp;', '../../etc/passwd', '$(id)', '--', 'ünï cödé', 'x' * 255, ']]>', '%s{0}']


def test_harmless_names_are_kept_as_they_are(prepared):
    for name in HARMLESS:
        prepared('server create --flavor m1.tiny', '--', name)
    shown = prepared.json('server list')
    assert HARMLESS == [server['Name'] for server in shown]
    rows = list(csv.DictReader(io.StringIO(prepared('server list -f csv'))))
    assert HARMLESS == [row['Name'] for row in rows]
    for server in shown:
        domain = etree.fromstring(prepared(f'server dumpxml {server["ID"]}'))
        assert server['Name'] == domain.findtext('title')
    lines = prepared('server list').splitlines()
    assert {len(lines[0])} == {len(line) for line in lines}
    assert max(map(len, prepared('host show --picture seed3').splitlines())) <= 80


def test_values_of_a_capabilities_file_are_escaped(numaplace):
    """XML 1.0 has no escape character, but it has C1 controls and overrides of direction."""
    text = Path(numaplace.fixture('seed3')).read_text('utf-8')
    file = numaplace.directory / 'bad.xml'
    file.write_text(text.replace('<model>Nehalem<', '<model>\u202eX\u009b31m\n+--+<'), 'utf-8')
    numaplace('host import bad --capabilities bad.xml')
    for line in (
        'host show bad',
        'host show bad -f value',
        'host show bad -f yaml',
        'host list',
        'host show bad -f json',
    ):
        printed = numaplace(line)
        assert not {'\u202e', '\u009b'} & set(printed)
    model = json.loads(numaplace('host show bad -f json'))['cpu_model']
    assert model.startswith('\u202eX\u009b31m')


def test_names_that_the_encoding_lacks_are_escaped(prepared):
    prepared('server create --flavor m1.tiny ünï')
    result = prepared.spawn('server', 'list', PYTHONIOENCODING='ascii')
    assert (0, '') == (result.returncode, result.stderr)
    assert '\\xfcn\\xef' in result.stdout
