# SPDX-License-Identifier: Apache-2.0
"""The quickstart shows what it promises, and touches nothing else."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

README = Path(os.environ.get('NUMAPLACE_SOURCE', Path(__file__).parents[4])) / 'README.rst'


@pytest.fixture(scope='module')
def tour(make_program):
    """The program, and what its quickstart printed."""
    program = make_program()
    return program, program('quickstart')


def test_the_database_of_the_user_is_left_alone(tour):
    program, _ = tour
    assert not program.database.exists()


def test_every_command_is_shown_as_it_is_typed(tour, numaplace):
    lines = re.findall(r'^\$ numaplace (\w+ \w+)', tour[1], re.MULTILINE)
    assert [] == [line for line in set(lines) if numaplace.run(*line.split(), '--help').returncode]
    assert {'host import', 'host show', 'flavor create', 'flavor set', 'server create', 'server dumpxml'} <= set(lines)


@pytest.mark.parametrize(
    'words',
    [
        '| cells | none: floats over the whole host |',
        '| cells | 0: vCPUs 0-3 on host cell ',
        'pinned1: cell ',
        'pinned vCPUs',
        'huge1: cell ',
        '2M pages',
        "<memnode cellid='1' mode='strict' nodeset='",
        '   A A',
        "no valid host for server 'wide1'",
        'host cell 0 has 4 (2 short)',
    ],
)
def test_the_steps_are_shown(tour, words):
    assert words in tour[1]


def test_lines_fit_a_terminal(tour):
    lines = [line for line in tour[1].splitlines() if not line.startswith(('$', '    guest cell'))]
    assert max(map(len, lines)) <= 120


def test_a_database_that_is_deleted_is_said_to_be_and_how_to_keep_it(tour):
    last = 'To go on with its hosts, flavors and servers: numaplace quickstart --keep DIR\n'
    assert tour[1].endswith(f"The tour's database is deleted. {last}")


@pytest.fixture(scope='module')
def kept(make_program):
    """The program, and what its quickstart printed that keeps its database, in a directory with a space."""
    program = make_program()
    program.spawning = False
    return program, program('quickstart', '--keep', 'my tours/first')


def test_the_last_line_of_a_kept_tour_can_be_typed(kept):
    program, text = kept
    *_, told, line = text.splitlines()
    assert "The tour's database is kept. Go on with commands that begin like this:" == told
    prompt, name, *words = shlex.split(line)
    assert ('$', 'numaplace', ['server', 'list']) == (prompt, name, words[-2:])
    assert str(program.directory / 'my tours' / 'first' / 'quickstart.conf') == words[1]
    done = subprocess.run(
        [program.script, *words, '-f', 'value', '-c', 'Name', '--sort-column', 'Name'],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env=program.environment,
        cwd='/',
    )
    assert ['cirros1', 'cirros2', 'cirros3'] == done.stdout.splitlines()
    assert not program.database.exists()


@pytest.mark.skipif(not README.is_file(), reason='there is no source tree beside the package')
def test_what_the_readme_shows_after_the_tour_can_be_typed(make_program):
    text = README.read_text('utf-8')
    (tour_line,) = re.findall(r'bin/numaplace (quickstart --keep \w+)$', text, re.MULTILINE)
    program = make_program()
    program(tour_line)
    steps = re.findall(r'^    \$ (numaplace .*)\n((?:    (?!\$).*\n|\n(?=    ))+)', text, re.MULTILINE)
    assert 3 == len(steps)
    for line, block in steps:
        shown = [each.removeprefix('    ') for each in block.splitlines()]
        done = subprocess.run(
            [program.script, *line.split()[1:]],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env=program.environment,
            cwd=program.directory,
        )
        assert (3 if 'no valid host' in block else 0, shown) == (
            done.returncode,
            (done.stdout + done.stderr).rstrip().splitlines(),
        ), line


KEPT_NOWHERE = {
    'a tour is there': ('my tours/first', 'the directory already has a tour'),
    'a file': ('file', "--keep 'file': cannot be used: File exists"),
    'below a file': ('file/tour', "--keep 'file/tour': cannot be used: Not a directory"),
    'a name with a dollar': ('$HOME', "--keep '$HOME': expected a directory, in printable characters and none of $ ?"),
    'nothing': ('', "--keep '': expected a directory"),
}


@pytest.mark.parametrize(('directory', 'message'), KEPT_NOWHERE.values(), ids=KEPT_NOWHERE)
def test_where_a_tour_cannot_be_kept(kept, directory, message):
    program, _ = kept
    (program.directory / 'file').touch()
    done = program.run('quickstart', '--keep', directory)
    assert (1, '', 1) == (done.returncode, done.stdout, done.stderr.count('\n'))
    assert message in done.stderr
