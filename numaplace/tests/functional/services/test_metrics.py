# SPDX-License-Identifier: Apache-2.0
"""The board of Grafana and the alerts of Prometheus use metrics that are there, and the alerts say what they should."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from numaplace.tests import real

SOURCE = Path(os.environ.get('NUMAPLACE_SOURCE', Path(__file__).parents[4]))
BOARD = SOURCE / 'etc' / 'grafana' / 'numaplace.json'
RULES = SOURCE / 'etc' / 'prometheus' / 'numaplace.rules.yml'
#: What Prometheus stores of a metric, by its kind.
SUFFIXES = {'counter': ['_total'], 'gauge': [''], 'histogram': ['_bucket', '_count', '_sum']}
#: The labels of what the services count.
LABELS = {
    'numaplace_decisions': ('method', 'outcome'),
    'numaplace_decision_seconds': ('method',),
    'numaplace_refusals': ('cause',),
    'numaplace_index_hosts': ('state',),
    'numaplace_waiting': ('task',),
}
#: What Prometheus adds to every sample.
GENERAL = {'instance', 'job', 'le'}
_SELECTED = re.compile(r'\b(numaplace_\w+)(?:\{([^}]*)\})?')
_LABEL = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)')


@pytest.fixture
def known(prepared):
    """The labels of each series that a service offers or `numaplace metrics` writes, by its name."""
    prometheus, parser = map(real.require_module, ('prometheus_client', 'prometheus_client.parser'))
    metrics = real.require_module('numaplace.services.metrics')
    found = {}
    for one in vars(metrics).values():
        if isinstance(one, prometheus.Counter | prometheus.Gauge | prometheus.Histogram):
            (family,) = one.describe()
            labels = LABELS.get(family.name, ())
            if labels:
                one.labels(**dict.fromkeys(labels, 'test'))  # which fails for others
            found |= {family.name + suffix: set(labels) for suffix in SUFFIXES[family.type]}
    text = prepared('metrics --hosts')
    for family in parser.text_string_to_metric_families(text):
        labels = set().union(*(sample.labels for sample in family.samples))
        found[family.name] = labels or {'flavor'}
    return found


def expressions():
    board = json.loads(BOARD.read_text())
    asked = [target['expr'] for panel in board['panels'] for target in panel.get('targets', ())]
    return {BOARD.name: asked, RULES.name: [RULES.read_text()]}


@pytest.mark.parametrize('file', [BOARD.name, RULES.name])
def test_each_metric_that_is_asked_for_is_there_with_its_labels(file, known):
    asked = [found for text in expressions()[file] for found in _SELECTED.findall(text)]
    assert len(asked) >= 10
    for name, selected in asked:
        assert name in known
        assert set(_LABEL.findall(selected)) <= known[name] | GENERAL, name


def test_the_board_shows_all_that_the_services_count(known):
    shown = {name for texts in expressions().values() for text in texts for name, _ in _SELECTED.findall(text)}
    counted = {name for name in known if not name.endswith(('_sum', '_count'))}
    assert counted - shown <= {'numaplace_cell_pages_total', 'numaplace_flavor_invalid'}


@pytest.mark.parametrize('words', [('check', RULES.name), ('test', 'numaplace.test.yml')], ids=lambda words: words[0])
def test_the_alerts_are_valid_and_fire_when_they_should(words):
    program = real.require_program('promtool')
    verb, file = words
    told = subprocess.run(
        [program, verb, 'rules', file], cwd=RULES.parent, capture_output=True, text=True, check=False, timeout=60
    )
    assert 0 == told.returncode, told.stdout + told.stderr
