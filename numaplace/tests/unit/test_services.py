# SPDX-License-Identifier: Apache-2.0
"""Without the extra of the services, whoever starts or asks one is told in one line what to install."""

import subprocess
import sys

import pytest

_CALLS = {
    'numaplace-compute': 'from numaplace.services.programs import compute; sys.exit(compute())',
    'numaplace-scheduler': 'from numaplace.services.programs import scheduler; sys.exit(scheduler())',
    'numaplace': (
        'from numaplace.cli.main import main; '
        "main([*DATABASE, 'flavor', 'create', '--ram', '64', '--vcpus', '1', 'm1']); "
        "sys.exit(main([*DATABASE, '--scheduler', 'rpc', 'server', 'create', '--flavor', 'm1', 'x']))"
    ),
}


@pytest.mark.parametrize('missing', ['cotyledon', 'oslo_messaging', 'oslo_service'])
@pytest.mark.parametrize('program', _CALLS)
def test_a_library_that_is_missing_is_named_with_the_extra_that_has_it(program, missing, tmp_path):
    database = ['--database', f'sqlite:///{tmp_path}/db']
    code = f'import sys; sys.modules[{missing!r}] = None; DATABASE = {database}; {_CALLS[program]}'
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=False, timeout=60)
    assert 1 == done.returncode
    (line,) = done.stderr.splitlines()
    assert line.startswith(f'{program}: ')
    assert f'{missing} is not installed: expected the extra services' in line
