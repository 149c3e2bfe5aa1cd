# SPDX-License-Identifier: Apache-2.0
"""The availability zone of a host: from where it comes, and what changes it."""

import pytest

from numaplace.tests import recordings


def _zone(program, name='seed3'):
    return program.json(f'host show {name}')['availability_zone']


def test_a_host_is_moved_to_another_zone_with_its_servers(prepared):
    prepared('server create --flavor m1.tiny one')
    prepared('host set --zone north seed3')
    (host,) = prepared.json('host list --zone north')
    assert ('seed3', 'enabled', 'up') == (host['Name'], host['Status'], host['State'])
    assert 'seed3' == prepared.json('server show one')['host']


def test_a_zone_is_set_together_with_the_rest(prepared):
    prepared('host set --disable --down --zone north seed3')
    (host,) = prepared.json('host list')
    assert ('disabled', 'down', 'north') == (host['Status'], host['State'], host['Zone'])
    prepared('host set --enable seed3')
    assert 'north' == _zone(prepared)


def test_nothing_to_set_is_wrong_usage(refused):
    expected = 'nothing to set: expected --enable, --disable, --up, --down or --zone; see numaplace host set --help'
    assert f'numaplace: {expected}\n' == refused(2, 'host', 'set', 'seed3')


@pytest.mark.parametrize('line', ['host set seed3', 'host discover here', 'host import --refresh --directory .'])
def test_a_zone_without_a_name_is_refused(refused, line):
    assert "--zone: name '' (0 characters): expected" in refused(1, *line.split(), '--zone', '')


def test_a_host_is_registered_in_a_zone(numaplace):
    numaplace(f'host import seed3 --zone north --capabilities {numaplace.fixture("seed3")}')
    assert 'north' == _zone(numaplace)


@pytest.mark.parametrize('many', [False, True], ids=['one host', 'many hosts'])
def test_an_import_that_refreshes_moves_the_host_only_to_a_zone_that_is_given(prepared, many):
    path = prepared.fixture('seed3')
    line = f'host import --refresh seed3={path}' if many else f'host import --refresh seed3 --capabilities {path}'
    prepared(f'{line} --zone north')
    assert 'north' == _zone(prepared)
    prepared(line)
    assert 'north' == _zone(prepared)


def test_a_discovery_that_refreshes_moves_the_host_only_to_a_zone_that_is_given(numaplace):
    recordings.lay_out('tiers', numaplace.directory / 'tiers' / 'sys')
    line = 'host discover here --root tiers'
    numaplace(line)
    assert 'nova' == _zone(numaplace, 'here')
    numaplace(f'{line} --refresh --zone north')
    numaplace(f'{line} --refresh')
    assert 'north' == _zone(numaplace, 'here')
