# SPDX-License-Identifier: Apache-2.0
"""The files next to the package agree with it: the command reference, the refusal codes, the sample file."""

import doctest
import importlib.metadata
import inspect
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from oslo_config import generator

import numaplace
from numaplace import partition, plugins
from numaplace.cli import vnuma_picture
from numaplace.libvirt import capabilities, vnuma
from numaplace.model.vnuma import DISTRIBUTIONS
from numaplace.scheduler import names
from numaplace.tests import real

#: The source tree: tox names it where the package is installed.
SOURCE = Path(os.environ.get('NUMAPLACE_SOURCE', Path(__file__).parents[3]))

MAN_PAGE = SOURCE / 'doc' / 'man' / 'numaplace.1'

pytestmark = pytest.mark.skipif(
    not (SOURCE / 'setup.cfg').is_file(), reason='there is no source tree around the package'
)

COMMANDS = sorted(entry.name.replace('_', ' ') for entry in importlib.metadata.entry_points(group='numaplace.cli'))


def _pages() -> str:
    """Return the text of all pages; a command may stand on two lines."""
    texts = (page.read_text('utf-8') for page in (SOURCE / 'doc' / 'source').rglob('*.rst'))
    return ' '.join(' '.join(texts).split())


def test_every_link_of_the_readme_leads_to_a_file_of_the_tree():
    links = re.findall(r'<((?!http)[^>]+)>`_', (SOURCE / 'README.rst').read_text('utf-8'))
    assert 'doc/source/nova-fit-cache.rst' in links
    assert [] == [link for link in links if not (SOURCE / link).is_file()]


def test_every_module_that_a_page_names_exists():
    named = set(re.findall(r'``(numaplace/[\w/.]+\.\w+)``', _pages()))
    assert 'numaplace/tests/audit.py' in named
    assert [] == sorted(path for path in named if not (SOURCE / path).is_file())


@pytest.mark.parametrize('noun', sorted({command.split()[0] for command in COMMANDS}))
def test_every_noun_has_its_page_in_the_command_reference(noun):
    page = SOURCE / 'doc' / 'source' / 'cli' / f'{noun}.rst'
    assert f'.. commands:: {noun}\n' in page.read_text('utf-8')
    assert f'   {noun}\n' in (page.parent / 'index.rst').read_text('utf-8')


def test_the_page_of_the_scheduler_has_every_filter_and_weigher():
    page = (SOURCE / 'doc' / 'source' / 'scheduling.rst').read_text('utf-8')
    known = {*plugins.known(plugins.FILTERS), *plugins.known(plugins.WEIGHTS)}
    known |= {*names.IDLE_FILTERS, *names.REMOVED_FILTERS, *names.IDLE_WEIGHERS}
    assert [] == sorted(name for name in known if f'``{name}``' not in page)


@pytest.mark.parametrize('command', COMMANDS)
def test_every_command_is_used_somewhere_in_the_documentation(command):
    assert f'numaplace {command}' in _pages()


@pytest.mark.parametrize('command', COMMANDS)
def test_the_help_of_every_command_has_an_example(command):
    (entry,) = importlib.metadata.entry_points(group='numaplace.cli', name=command.replace(' ', '_'))
    assert any(f'numaplace {command}' in example for example in entry.load().examples)


@pytest.mark.parametrize('command', COMMANDS)
@pytest.mark.skipif(sys.version_info >= (3, 13), reason='argparse writes -f, --format otherwise since Python 3.13')
def test_the_man_page_has_the_help_of_every_command(command):
    (entry,) = importlib.metadata.entry_points(group='numaplace.cli', name=command.replace(' ', '_'))
    described = entry.load()
    parser = described(None, None).get_parser(f'numaplace {command}')
    parser.epilog = parser.description = None
    text = [inspect.cleandoc(described.__doc__), *described.examples, parser.format_help()]
    assert _squeezed('\n'.join(text)) == _sections()[f'numaplace {command}'], 'tox -e genman writes it anew'


def test_the_man_page_has_no_other_command():
    assert set(COMMANDS) == {
        heading.removeprefix('numaplace ') for heading in _sections() if heading.startswith('numaplace ')
    }


def test_the_man_page_is_of_this_release_and_has_what_a_man_page_has():
    assert f'"{numaplace.__version__}"' in MAN_PAGE.read_text('utf-8')
    assert {'NAME', 'SYNOPSIS', 'DESCRIPTION', 'GLOBAL OPTIONS', 'OUTPUT', 'EXIT STATUS'} < set(_sections())


def test_the_text_of_the_man_page_is_up_to_date():
    """Each paragraph of the page that the man page is made of is in it, but for markup."""
    page = (SOURCE / 'doc' / 'source' / 'cli' / 'index.rst').read_text('utf-8').partition('Commands\n====')[0]
    paragraphs = [
        paragraph
        for paragraph in re.split(r'\n\s*\n', page.replace('``', ''))
        if not re.search(r'^(=+|[|]|\.\. |\s+(:|[*]))', paragraph, re.MULTILINE)
    ]
    assert len(paragraphs) > 10
    text = ''.join(_sections().values())
    assert [] == [paragraph for paragraph in paragraphs if _squeezed(paragraph) not in text]


def test_man_shows_the_man_page_without_a_warning():
    man = real.require_program('man')
    done = subprocess.run(
        [man, '--warnings', '-l', str(MAN_PAGE)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={**os.environ, 'LC_ALL': 'C.UTF-8', 'MANWIDTH': '100', 'MAN_KEEP_FORMATTING': ''},
    )
    assert '' == done.stderr
    assert 'place virtual machines on the NUMA cells' in done.stdout


def _sections() -> dict[str, str]:
    """Return the text below each heading of the man page, without markup and white space."""
    found = {}
    for section in re.split(r'^\.S[HS] ', MAN_PAGE.read_text('utf-8'), flags=re.MULTILINE)[1:]:
        heading, *lines = section.splitlines()
        lines = [line.removeprefix('.B ') for line in lines if not line.startswith('.') or line.startswith('.B ')]
        found[_plain(heading)] = _squeezed(_plain('\n'.join(lines)))
    return found


def _plain(text: str) -> str:
    marks = {'\\-': '-', '\\(aq': "'", '\\(dq': '"', '\\(ga': '`', '\\(ti': '~', '\\(ha': '^', '\\e': '\\'}
    return re.sub(r'\\(?:\(..|f.|.)', lambda mark: marks.get(mark[0], ''), text)


def _squeezed(text: str) -> str:
    return ''.join(text.split())


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


def test_the_examples_of_the_python_api_say_what_happens():
    page = SOURCE / 'doc' / 'source' / 'reference' / 'python-api.rst'
    done = doctest.testfile(str(page), module_relative=False, encoding='utf-8')
    assert done.failed == 0
    assert done.attempted > 15
