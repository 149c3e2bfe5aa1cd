# SPDX-License-Identifier: Apache-2.0
"""The nova.conf that the devstack plugin writes is what a real Nova makes numaplace's filter of."""

import json
import subprocess
import sys

from numaplace.tests import devstack

pytestmark = devstack.needs_source

#: As the host manager of the scheduler chooses its filters: by name, the last one of a name.
_CHOOSE = """
import json, sys
from nova import conf
from nova.scheduler import filters
conf.CONF([], project='nova', default_config_files=sys.argv[1:], default_config_dirs=[])
found = filters.HostFilterHandler().get_matching_classes(conf.CONF.filter_scheduler.available_filters)
by_name = {found_class.__name__: found_class.__module__ for found_class in found}
print(json.dumps([by_name[name] for name in conf.CONF.filter_scheduler.enabled_filters]))
"""


def test_the_scheduler_finds_numaplaces_filter_beside_novas_others(tmp_path):
    machine = devstack.Devstack(tmp_path)
    machine.stack()
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', _CHOOSE, machine.nova_conf], capture_output=True, text=True, check=False
    )
    assert not done.returncode, done.stderr
    assert [
        'nova.scheduler.filters.compute_filter',
        'nova.scheduler.filters.image_props_filter',
        'numaplace.nova.filter',
    ] == json.loads(done.stdout.splitlines()[-1])
