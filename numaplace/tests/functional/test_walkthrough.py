# SPDX-License-Identifier: Apache-2.0
"""The pages of the documentation that can be typed from top to bottom do what they show."""

import contextlib
import io
import os
import re
import shlex
import subprocess
import sysconfig
from pathlib import Path

import pytest

from numaplace.cli.main import main
from numaplace.tests import real
from numaplace.tests.functional.cli.conftest import logging_as_it_was

SOURCE = Path(os.environ.get('NUMAPLACE_SOURCE', Path(__file__).parents[3]))
PAGES = SOURCE / 'doc' / 'source'

pytestmark = pytest.mark.skipif(not PAGES.is_dir(), reason='there is no source tree beside the package')

#: The pages about a fleet, each of which goes on where the one before it ends.
_PLANNING = [
    *(f'planning/{name}.rst' for name in ('index', 'capacity', 'what-if', 'dry-run')),
    'nearest-change.rst',
    *(f'planning/{name}.rst' for name in ('drain', 'defragment', 'consolidate', 'rebalance', 'survive', 'plans')),
]

#: Results that end a command with the status 3.
_UNPLACED = ('no valid host', 'cannot leave', 'without a place')

#: A move of a plan. Of plans that are as good as each other, any may be shown.
_MOVE = re.compile(r'^ +(?:live|cold) \S+: \S+ -> \S+ \(.*\)$', re.MULTILINE)
_UUID = re.compile(r'[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}')

_BLOCK = re.compile(
    r'^\.\. code-block:: (?:console|ini\n   :caption: (?P<file>.+))\n\n(?P<lines>(?:   .*\n|\n)+)', re.MULTILINE
)


def _steps(page, directory):
    """Yield each command line with the output that is shown below it; the files before it are written by then."""
    for block in _BLOCK.finditer((PAGES / page).read_text('utf-8')):
        lines = '\n'.join(line.removeprefix('   ') for line in block['lines'].splitlines())
        if block['file']:
            (directory / block['file']).write_text(lines)
            continue
        for step in re.split(r'^\$ ', lines, flags=re.MULTILINE)[1:]:
            command, _, output = step.partition('\n')
            yield command, output.strip()


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home directory that looks like the top of the source tree, and is where commands run."""
    (tmp_path / 'numaplace').symlink_to(SOURCE / 'numaplace')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.setenv('COLUMNS', '80')
    monkeypatch.delenv('XDG_DATA_HOME', raising=False)
    return tmp_path


def _spawn(words):
    """Run a command line as a process, with the program that is tested."""
    if words[0] == 'numaplace':
        words = [str(Path(sysconfig.get_path('scripts'), words[0])), *words[1:]]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def _call(words):
    """Run a command line of our program in this process, which is ten times faster, and any other as :func:`_spawn`."""
    if words[0] != 'numaplace':
        return _spawn(words)
    out, told = io.StringIO(), io.StringIO()
    with logging_as_it_was(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(told):
        status = main(words[1:])
    return subprocess.CompletedProcess(words, status, out.getvalue(), told.getvalue())


def _type(command, run, home):
    """Run a command line, with the little that is used of a shell: the home directory, and a file for the output."""
    words = [word.replace('~', str(home), 1) if word.startswith('~/') else word for word in shlex.split(command)]
    if '>' not in words:
        return run(words)
    *words, _, file = words
    done = run(words)
    (home / file).write_text(done.stdout)
    return subprocess.CompletedProcess(words, done.returncode, '', done.stderr)


def _words(text):
    """Return the words of an output without what differs from run to run."""
    return _MOVE.sub('MOVE', _UUID.sub('UUID', text)).split()


@pytest.mark.parametrize(
    ('pages', 'run'),
    [(['walkthrough.rst'], _spawn), (['troubleshooting.rst'], _call), (_PLANNING, _call)],
    ids=['walkthrough', 'troubleshooting', 'planning'],
)
def test_every_line_can_be_typed_and_gives_what_is_shown(pages, run, home):
    """Lines of output may be broken on the page; warnings come first, as on a terminal."""
    real.require_program('sqlite3')
    typed = 0
    for command, shown in [step for page in pages for step in _steps(page, home)]:
        done = _type(command, run, home)
        status = 3 if any(text in shown for text in _UNPLACED) else 0
        assert done.returncode == status, f'{command}: {done.stdout}{done.stderr}'
        if shown:
            assert _words(shown) == _words(done.stderr + done.stdout), command
        typed += 1
    assert typed > 15
