# SPDX-License-Identifier: Apache-2.0
"""What a command pays for opening a file."""

import subprocess
import sys

from numaplace.db import api


def test_a_file_is_opened_without_eventlet_and_without_what_servers_need(tmp_path):
    api.connect(f'sqlite:///{tmp_path}/new.sqlite').close()
    code = f"""
import sys
from numaplace.db import api
api.connect('sqlite:///{tmp_path}/new.sqlite').close()
bad = 'eventlet', 'numaplace.request', 'sqlalchemy.orm', 'sqlalchemy.dialects.mysql', 'oslo_messaging', 'alembic'
print([name for name in bad if name in sys.modules])
"""
    done = subprocess.run([sys.executable, '-W', 'error', '-c', code], capture_output=True, text=True, check=False)
    assert ('[]\n', '') == (done.stdout, done.stderr)
