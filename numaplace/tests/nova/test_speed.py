# SPDX-License-Identifier: Apache-2.0
"""The benchmark of the filter runs, leaves the same hosts on both sides, and numaplace is faster by far."""

import importlib.metadata
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(os.environ.get('NUMAPLACE_SOURCE', Path(__file__).parents[3]))

#: The benchmarks of the source tree, with the package that is tested.
SCRIPT = """
import runpy, sys
sys.path.append(sys.argv.pop(1))
runpy.run_module('benchmarks.filter_beside_nova', run_name='__main__')
"""

#: What a run of few hosts and turns never falls below, by the beginning of the line; the page of the benchmarks has
#: three times as much.
AT_LEAST = {
    '1 host of 16 cells': 300,
    'filter, 40 hosts of 8 cells, all fit, cold': 3,
    'filter, 40 hosts of 8 cells, all fit, repeated': 7,
    'filter, 40 hosts of 8 cells, a tenth fits, repeated': 7,
    'select_destinations, 40 hosts of 8 cells, all fit, repeated': 1.2,
}


def test_the_filter_is_faster_than_novas_and_leaves_the_same_hosts(tmp_path):
    if not importlib.metadata.version('nova').startswith('34.'):
        pytest.skip('the benchmark is for Nova 34')
    run = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', SCRIPT, SOURCE, '--hosts', '40', '--budget', '1', '--limit', '10'],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        cwd=tmp_path,
        env={**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)},
    )
    assert 0 == run.returncode, run.stderr
    ratios = dict(re.findall(r'^(\S.*?)  .*?([\d,.]+)  \d+ left$', run.stdout, re.MULTILINE))
    assert 9 == len(ratios), run.stdout
    for name, least in AT_LEAST.items():
        (ratio,) = (float(found.replace(',', '')) for line, found in ratios.items() if line.startswith(name))
        assert ratio >= least, run.stdout
