# SPDX-License-Identifier: Apache-2.0
"""The package as it is installed: where it comes from, what it brings, and the laws that its files keep."""

import ast
import importlib.metadata
import os
import re
from importlib import resources
from pathlib import Path

import pytest

import numaplace

PACKAGE = Path(numaplace.__file__).parent
FILES = sorted(str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob('*.py'))
ENTRY_POINTS = sorted(
    importlib.metadata.distribution('numaplace').entry_points, key=lambda entry: (entry.group, entry.name)
)


@pytest.mark.skipif('NUMAPLACE_INSTALLED' not in os.environ, reason='tox sets NUMAPLACE_INSTALLED')
def test_the_installed_package_is_what_is_tested():
    assert 'site-packages' in PACKAGE.parts
    assert PACKAGE.parent == Path(__file__).parents[3]


@pytest.mark.skipif('NUMAPLACE_INSTALLED' not in os.environ, reason='tox sets NUMAPLACE_INSTALLED')
def test_the_man_page_is_installed():
    installed = [file for file in importlib.metadata.files('numaplace') if file.name == 'numaplace.1']
    assert [('share', 'man', 'man1', 'numaplace.1')] == [file.parts[-4:] for file in installed]
    assert installed[0].locate().read_text('utf-8').startswith('\'\\" t\n')


def test_the_version_is_the_one_that_is_installed():
    assert numaplace.__version__ == importlib.metadata.version('numaplace')


def test_the_metadata_say_what_an_index_shows():
    told = importlib.metadata.metadata('numaplace')
    assert ('numaplace', 'text/x-rst') == (told['Name'], told['Description-Content-Type'])
    assert all(told[name] for name in ('Summary', 'Author', 'License'))
    assert told.get_payload().lstrip().startswith('=========\nnumaplace\n')
    versions = [name.rpartition(' :: ')[2] for name in told.get_all('Classifier') if ':: Python :: 3.' in name]
    assert f'>={versions[0]}' == told['Requires-Python']


def test_outside_of_the_extras_nothing_is_required_that_nova_does_not_have():
    base = {re.match(r'[\w.-]+', item)[0] for item in importlib.metadata.requires('numaplace') if 'extra' not in item}
    assert {'oslo.config', 'oslo.log', 'oslo.versionedobjects', 'stevedore'} == base


def test_the_types_are_shipped():
    assert resources.files('numaplace').joinpath('py.typed').is_file()


@pytest.mark.parametrize('entry', ENTRY_POINTS, ids=lambda entry: f'{entry.group}:{entry.name}')
def test_every_entry_point_can_be_loaded(entry):
    assert entry.load() is not None


@pytest.mark.parametrize('name', FILES)
def test_a_file_bears_its_licence_and_says_what_it_is(name):
    text = (PACKAGE / name).read_text('utf-8')
    assert text.startswith('# SPDX-License-Identifier: Apache-2.0\n')
    assert ast.get_docstring(ast.parse(text))


@pytest.mark.parametrize('name', FILES)
def test_a_file_and_its_functions_stay_readable_in_length(name):
    text = (PACKAGE / name).read_text('utf-8')
    assert text.count('\n') <= 600
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < 60, f'{node.name} is too long'
