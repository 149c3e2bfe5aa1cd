# SPDX-License-Identifier: Apache-2.0
"""The quickstart shows what it promises, and touches nothing else."""

import re

import pytest


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
