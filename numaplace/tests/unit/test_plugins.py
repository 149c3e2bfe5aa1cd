# SPDX-License-Identifier: Apache-2.0
"""Plug-ins by name: found in the order of the names, and reported where a name is wrong."""

import re
import sys

import pytest

from numaplace import exception, fit, plugins

OPTION = '[numaplace] strategy'


def test_names_become_objects_in_their_order():
    assert [fit.SPREAD, fit.LINEAR] == plugins.load(plugins.STRATEGIES, ['spread', 'linear'], OPTION)


def test_the_known_names_are_sorted():
    assert plugins.known(plugins.STRATEGIES) == ['closest', 'linear', 'pack', 'preserve', 'spread']


def test_an_unknown_name_lists_the_known_ones_and_the_option():
    with pytest.raises(
        exception.UnknownPlugin,
        match='^'
        + re.escape("[numaplace] strategy: unknown name 'best'; known are closest, linear, pack, preserve, spread")
        + '$',
    ):
        plugins.load(plugins.STRATEGIES, ['linear', 'best'], OPTION)


def test_an_unknown_name_of_an_empty_group_says_that_there_is_none():
    with pytest.raises(exception.UnknownPlugin, match='known are none'):
        plugins.load('numaplace.no.such.group', ['best'], OPTION)


@pytest.mark.parametrize('target', ['no_such_module:Thing', 'json:NoSuchThing'])
def test_a_plugin_that_cannot_be_imported_is_reported_with_its_cause(tmp_path, monkeypatch, target):
    metadata = tmp_path / 'broken-1.0.dist-info'
    metadata.mkdir()
    (metadata / 'METADATA').write_text('Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n')
    (metadata / 'entry_points.txt').write_text(f'[numaplace.broken.{tmp_path.name}]\nbroken = {target}\n')
    monkeypatch.setattr(sys, 'path', [str(tmp_path), *sys.path])
    with pytest.raises(exception.UnknownPlugin, match=r"'broken' is installed but cannot be imported: .*[Nn]o"):
        plugins.load(f'numaplace.broken.{tmp_path.name}', ['broken'], OPTION)
