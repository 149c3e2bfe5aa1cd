# SPDX-License-Identifier: Apache-2.0
"""Several schedulers on one database hand nothing out twice, and leave nothing over that somebody requests."""

import subprocess
import sys

from numaplace import conf
from numaplace.scheduler import select
from numaplace.scheduler.filters import Request
from numaplace.tests import samples

PROCESSES = 4
#: Hosts of 16 CPUs for guests of 2: each process requests as many as fill its share.
HOSTS = 5
EACH = HOSTS * 16 // 2 // PROCESSES

SCHEDULER = """
import dataclasses, sys
from numaplace import conf
from numaplace.db import api
from numaplace.scheduler import select
from numaplace.scheduler.filters import Request
from numaplace.tests import samples

# Each look tries one host, so that whoever loses it has to look again.
policy = dataclasses.replace(select.Policy.of(conf.load([])), max_attempts=1)
with api.connect(sys.argv[1]) as database:
    print('ready', flush=True)
    sys.stdin.readline()
    for number in range(int(sys.argv[2])):
        asked = samples.instance_request(samples.guest(vcpus=2, memory_mib=64), f'guest{number}')
        print(bool(select.select(database, Request(asked), policy)))
"""


def test_schedulers_share_hosts_to_the_last_cpu(database_url, database):
    """All guests are placed, as there is room for all; one more is refused by every host."""
    command = [sys.executable, '-W', 'ignore', '-c', SCHEDULER, database_url, str(EACH)]
    running = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(PROCESSES)
    ]
    for process in running:
        assert 'ready\n' == process.stdout.readline()
    for process in running:
        process.stdin.write('go\n')
        process.stdin.flush()
    assert [['True'] * EACH] * PROCESSES == [process.communicate()[0].split() for process in running]
    servers = database.instances()
    for record in database.hosts():
        # Not every server could be counted if two held a CPU.
        assert record.host == samples.used(record, servers)
        assert 0 == sum(cell.free_cpus.bit_count() for cell in record.host.cells)
    asked = Request(samples.instance_request(samples.guest(vcpus=1, memory_mib=64)))
    refused = select.select(database, asked, select.Policy.of(conf.load([])))
    assert [record.name for record in database.hosts()] == [each.host for each in refused.rejections]
