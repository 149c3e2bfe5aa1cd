# SPDX-License-Identifier: Apache-2.0
"""What stands beside the package agrees with it: the command reference, the refusal codes, the sample file."""

import importlib.metadata
import io
import os
from pathlib import Path

import pytest
from oslo_config import generator

from numaplace import partition
from numaplace.cli import vnuma_picture
from numaplace.libvirt import capabilities, vnuma
from numaplace.model.wish import DISTRIBUTIONS

#: The source tree: tox names it where the package is installed.
SOURCE = Path(os.environ.get('NUMAPLACE_SOURCE', Path(__file__).parents[3]))

pytestmark = pytest.mark.skipif(
    not (SOURCE / 'setup.cfg').is_file(), reason='there is no source tree beside the package'
)

COMMANDS = sorted(entry.name.replace('_', ' ') for entry in importlib.metadata.entry_points(group='numaplace.cli'))


def _pages() -> str:
    return '\n'.join(page.read_text('utf-8') for page in (SOURCE / 'doc' / 'source').rglob('*.rst'))


@pytest.mark.parametrize('noun', sorted({command.split()[0] for command in COMMANDS}))
def test_every_noun_has_its_page_in_the_command_reference(noun):
    page = SOURCE / 'doc' / 'source' / 'cli' / f'{noun}.rst'
    assert f'.. commands:: {noun}\n' in page.read_text('utf-8')
    assert f'   {noun}\n' in (page.parent / 'index.rst').read_text('utf-8')


@pytest.mark.parametrize('command', COMMANDS)
def test_every_command_is_used_somewhere_in_the_documentation(command):
    assert f'numaplace {command}' in _pages()


@pytest.mark.parametrize('command', COMMANDS)
def test_the_help_of_every_command_has_an_example(command):
    (entry,) = importlib.metadata.entry_points(group='numaplace.cli', name=command.replace(' ', '_'))
    assert any(f'numaplace {command}' in example for example in entry.load().examples)


def test_the_sample_of_the_configuration_is_up_to_date(monkeypatch):
    written = io.StringIO()
    monkeypatch.chdir(SOURCE)
    conf = generator.cfg.ConfigOpts()
    generator.register_cli_opts(conf)
    conf(['--config-file', 'etc/numaplace/config-generator.conf'], default_config_files=[], default_config_dirs=[])
    generator.generate(conf, output_file=written)
    sample = (SOURCE / 'etc' / 'numaplace' / 'numaplace.conf.sample').read_text('utf-8')
    assert sample == written.getvalue(), 'tox -e genconfig writes it anew'


@pytest.mark.parametrize('distribution', DISTRIBUTIONS)
def test_the_pictures_of_the_distributions_are_up_to_date(distribution):
    pages = SOURCE / 'doc' / 'source' / 'vnuma'
    host = capabilities.read((pages / 'host.xml').read_bytes())
    text = (pages / 'guest.xml').read_text('utf-8').replace('contiguous', distribution)
    placement = partition.place(host, vnuma.read(text.encode()).guest)
    assert (pages / f'{distribution}.svg').read_text('utf-8') == vnuma_picture.svg(host, placement)
