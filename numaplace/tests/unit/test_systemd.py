# SPDX-License-Identifier: Apache-2.0
"""The units of the services, as systemd judges them."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from numaplace.tests import real

SOURCE = Path(os.environ.get('NUMAPLACE_SOURCE', Path(__file__).parents[3]))
UNITS = sorted((SOURCE / 'etc' / 'systemd').glob('numaplace-*.service'))
#: The worst that a unit may be exposed; 10 is a unit without any protection.
MOST_EXPOSED = 1.5


@pytest.mark.parametrize('unit', UNITS, ids=lambda unit: unit.stem)
def test_a_unit_is_valid_and_its_service_is_kept_from_what_it_does_not_need(unit, tmp_path):
    program = real.require_program('systemd-analyze')
    copy = tmp_path / unit.name
    text = unit.read_text()
    assert f'ExecStart=/usr/bin/{unit.stem} --config-file' in text
    copy.write_text(text.replace(f'/usr/bin/{unit.stem}', '/bin/true'))
    told = subprocess.run([program, 'verify', copy], capture_output=True, text=True, check=False)
    assert (0, '') == (told.returncode, told.stderr)
    judged = subprocess.run(
        [program, 'security', '--offline=true', copy], capture_output=True, text=True, check=True
    ).stdout
    assert MOST_EXPOSED >= float(re.search(r'exposure level for .*: ([0-9.]+)', judged)[1])
