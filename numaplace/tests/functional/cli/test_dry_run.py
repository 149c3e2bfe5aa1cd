# SPDX-License-Identifier: Apache-2.0
"""``--dry-run`` shows what the command would store, refuses what it would refuse, and stores nothing."""

import pytest

#: Columns that differ from one run to the next: a UUID is made up, and what was dry has no number.
_OWN = ('id', 'instance_name', 'migration')


@pytest.fixture
def fleet(prepared):
    """The program with two hosts of three cells, pinned flavors, and the server db1 on compute1."""
    prepared(f'host import compute1 --capabilities {prepared.fixture("seed3")}')
    prepared('flavor create --ram 512 --vcpus 2 --property hw:cpu_policy=dedicated m1.pinned')
    prepared('flavor create --ram 512 --vcpus 4 --property hw:cpu_policy=dedicated m1.large')
    prepared('flavor create --ram 512 --vcpus 64 --property hw:cpu_policy=dedicated m1.huge')
    prepared('server create --flavor m1.pinned --host compute1 db1')
    return prepared


@pytest.mark.parametrize(
    ('before', 'words'),
    [
        ('host list', 'server create --flavor m1.large --host seed3 web'),
        ('host list', 'server create --flavor m1.pinned --max 3 web'),
        ('host list', 'server resize --flavor m1.large db1'),
        ('host list', 'server migrate db1'),
        ('host list', 'server migrate --live-migration db1'),
        ('host set --down compute1', 'server evacuate db1'),
        ('server migrate db1', 'server resize --confirm db1'),
    ],
)
def test_a_dry_run_shows_what_the_command_does_and_leaves_the_file_as_it_was(fleet, before, words):
    fleet(before)
    stored = fleet.digest()
    dry = fleet.json(f'{words} --dry-run')
    assert stored == fleet.digest()
    done = fleet.json(words)
    assert stored != fleet.digest()
    if 'servers' in dry:
        assert [(one['name'], one['host']) for one in dry['servers']] == [
            (one['name'], one['host']) for one in done['servers']
        ]
        return
    assert {key: dry[key] for key in dry if key not in _OWN} == {key: done[key] for key in done if key not in _OWN}
    assert dry['cells'][0]['pins']


@pytest.mark.parametrize(
    'words', ['server create --flavor m1.huge web', 'server resize --flavor m1.huge db1', 'server create --flavor x y']
)
def test_a_dry_run_is_refused_as_the_command_is(fleet, words):
    stored = fleet.digest()
    dry, real = fleet.run(*words.split(), '--dry-run'), fleet.run(*words.split())
    assert (real.returncode, real.stdout, real.stderr) == (dry.returncode, dry.stdout, dry.stderr)
    assert real.returncode > 0
    assert stored == fleet.digest()


def test_a_person_is_told_that_nothing_is_written(fleet):
    result = fleet.on_terminal('server', 'create', '--flavor', 'm1.pinned', 'web', '--dry-run')
    assert (0, True) == (result.returncode, 'a dry run: nothing is written' in result.stderr)
