# SPDX-License-Identifier: Apache-2.0
"""Several schedulers on one database keep the policies of server groups, whichever of them is faster."""

import collections
import contextlib
import os
import random
import subprocess
import sys
import time

import pytest

from numaplace.model import allocations
from numaplace.model.grouping import AFFINITY, ANTI_AFFINITY, ServerGroup

PROCESSES, HOSTS = 8, 6
#: Steps of each process.
EACH = int(os.environ.get('NUMAPLACE_GROUP_STEPS', '25'))

#: Places, moves and deletes members of the groups; each decision of a policy is the claim's alone, as no filter helps.
SCHEDULER = """
import dataclasses, functools, random, sys
from numaplace import conf, exception
from numaplace.compute import claims, migration
from numaplace.db import api
from numaplace.db.records import InstanceRequest
from numaplace.scheduler import select
from numaplace.scheduler.filters import Request
from numaplace.tests import samples

chance = random.Random(sys.argv[2])
policy = dataclasses.replace(select.Policy.of(conf.load([])), filters=(), shuffles=True, subset_size=3)
with api.connect(sys.argv[1]) as database:
    groups = database.server_groups()
    print('ready', flush=True)
    sys.stdin.readline()
    mine = []
    for number in range(int(sys.argv[3])):
        group = chance.choice(groups)
        asked = dataclasses.replace(samples.instance_request(samples.guest(vcpus=1, memory_mib=64)), group=group.uuid)
        try:
            if mine and chance.random() < 0.3:
                uuid = mine.pop(chance.randrange(len(mine)))
                claims.release(database, uuid)
            elif mine and chance.random() < 0.4:
                server = database.instance(chance.choice(mine))
                asked = dataclasses.replace(asked, uuid=server.uuid, group=server.group)
                claim = functools.partial(claims.resize_claim, database, server.uuid)
                if select.select(database, Request(asked), policy, leaves=server.host, claim=claim):
                    migration.finish(database, server.uuid)
                    chance.choice((migration.confirm, migration.revert))(database, server.uuid)
            elif select.select(database, Request(asked), policy):
                mine.append(asked.uuid)
        except exception.ConcurrentUpdate:
            pass
    print('done', len(mine))
"""


@pytest.fixture
def database(database):
    """Return a database with idle hosts and groups of each policy that claims keep."""
    database.create_server_group(ServerGroup('apart', ANTI_AFFINITY))
    database.create_server_group(ServerGroup('pairs', ANTI_AFFINITY, max_server_per_host=2))
    database.create_server_group(ServerGroup('together', AFFINITY))
    database.create_server_group(ServerGroup('along', AFFINITY))
    return database


def test_eight_schedulers_keep_the_policies(database_url, database):
    """No anti-affinity group has more members on a host than it may, no affinity group is on two hosts."""
    command = [sys.executable, '-W', 'ignore', '-c', SCHEDULER, database_url]
    seeds = [str(random.Random(number).random()) for number in range(PROCESSES)]
    with contextlib.ExitStack() as running:
        processes = [
            running.enter_context(
                subprocess.Popen([*command, seed, str(EACH)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
            for seed in seeds
        ]
        for process in processes:
            running.callback(process.kill)
            assert 'ready\n' == process.stdout.readline()
        for process in processes:
            process.stdin.write('go\n')
            process.stdin.flush()
        while any(process.poll() is None for process in processes):
            check(database)
            time.sleep(0.3)
        assert ['done'] * PROCESSES == [process.communicate()[0].split()[0] for process in processes]
    check(database)
    members = {group.name: len(group.members) for group in database.server_groups()}
    assert 0 < members['apart'] <= HOSTS
    assert 0 < members['pairs'] <= 2 * HOSTS
    assert sum(members.values()) == len(database.instances())


def check(database):
    """Compare what is held with the policies, as of one moment; both hosts of a move count."""
    groups = {group.uuid: group for group in database.server_groups()}
    on = collections.defaultdict(lambda: collections.defaultdict(set))
    for server in database.instances():
        for side in allocations.holds(server):
            on[server.group][side.host].add(server.uuid)
    for uuid, hosts in on.items():
        group = groups[uuid]
        if group.policy == ANTI_AFFINITY:
            assert max(map(len, hosts.values())) <= (group.max_server_per_host or 1), (group.name, dict(hosts))
        elif len(hosts) > 1:
            # One that moves alone holds two hosts until its move is over.
            assert 1 == len(set.union(*hosts.values())), (group.name, dict(hosts))
