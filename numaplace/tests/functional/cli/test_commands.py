# SPDX-License-Identifier: Apache-2.0
"""A command runs by its whole name alone; an unknown command is refused, and similar ones are named."""

import importlib.metadata

import pytest

NAMES = sorted(entry.name.replace('_', ' ') for entry in importlib.metadata.entry_points(group='numaplace.cli'))

NEAR = {
    'server set x': "'server set-vcpus'",
    'server set': "'server set-vcpus'",
    'server attach x': "'server attach-memory'",
    'host li': "'host list'",
    'f l': "'flavor lint', 'flavor list'",
    'server mig abort x 1': "'server migration abort'",
    'server migration li': "'server migration list'",
    'db upgarde': "'db upgrade'",
    'comp': "'complete'",
    'vnuma': "'vnuma expand', 'vnuma plan'",
    'frobnicate': 'none',
}


@pytest.mark.parametrize(('line', 'near'), NEAR.items(), ids=NEAR)
def test_what_is_no_command_is_refused_and_near_ones_are_named(refused, line, near):
    expected = f"numaplace: '{line}' is not a command; similar: {near}; see --help\n"
    assert expected == refused(2, *line.split())


def _starts(name):
    """Return what a name begins with, cut in its last word and in each of them."""
    words = name.split()
    return {' '.join([*words[:-1], words[-1][:-1]]), ' '.join(word[:-1] for word in words), ' '.join(words)[:-2]}


@pytest.mark.parametrize('name', NAMES)
def test_the_start_of_a_name_runs_nothing(refused, name):
    # What is left of a longer name may be a command of its own, which says which option it needs.
    own = [start for start in _starts(name) if any(start.startswith(f'{other} ') for other in NAMES)]
    for start in _starts(name) - set(own) - set(NAMES):
        assert f"'{start}' is not a command; similar: " in refused(2, *start.split())
    for start in own:
        assert 'is required' in refused(2, *start.split())


def test_help_on_what_is_no_command_is_one_line(numaplace):
    done = numaplace.run('help', 'frobnicate')
    assert (1, '', "numaplace: 'frobnicate' is not a command; similar: none; see --help\n") == (
        done.returncode,
        done.stdout,
        done.stderr,
    )


def test_a_long_line_that_is_no_command_is_cut(refused):
    assert len(refused(2, 'x' * 5000)) < 200
