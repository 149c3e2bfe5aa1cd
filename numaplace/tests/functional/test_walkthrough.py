# SPDX-License-Identifier: Apache-2.0
"""The walk-through of the documentation does what it shows."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from numaplace.tests import real

SOURCE = Path(os.environ.get('NUMAPLACE_SOURCE', Path(__file__).parents[3]))
PAGE = SOURCE / 'doc' / 'source' / 'walkthrough.rst'

pytestmark = pytest.mark.skipif(not PAGE.is_file(), reason='there is no source tree beside the package')


def _steps() -> list[tuple[str, str]]:
    """Return each command line with the output that is shown below it."""
    steps = []
    for block in re.findall(r'^\.\. code-block:: console\n\n((?:   .*\n|\n)+)', PAGE.read_text('utf-8'), re.MULTILINE):
        lines = '\n'.join(line.removeprefix('   ') for line in block.splitlines())
        for step in re.split(r'^\$ ', lines, flags=re.MULTILINE)[1:]:
            command, _, output = step.partition('\n')
            steps.append((command, output.strip()))
    return steps


def test_every_line_can_be_typed_and_gives_what_is_shown(tmp_path):
    real.require_program('sqlite3')
    home = os.environ | {'HOME': str(tmp_path), 'COLUMNS': '80'}
    home.pop('XDG_DATA_HOME', None)
    for command, shown in _steps():
        words = [
            word.replace('~', str(tmp_path), 1) if word.startswith('~/') else word for word in shlex.split(command)
        ]
        done = subprocess.run(words, cwd=SOURCE, env=home, capture_output=True, text=True, check=False)
        assert done.returncode == (3 if 'no valid host' in shown else 0), f'{command}: {done.stderr}'
        if shown:
            assert shown == (done.stdout + done.stderr).strip(), command
