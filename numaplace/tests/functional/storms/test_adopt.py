# SPDX-License-Identifier: Apache-2.0
"""Sixteen processes adopt the same domains and claim others: each domain is one server, no CPU is held twice."""

import random
from collections import Counter
from contextlib import suppress

from numaplace import cpuset, exception, partition
from numaplace.compute import adoption, claims
from numaplace.db import api
from numaplace.db.records import InstanceRequest
from numaplace.fleet import audit
from numaplace.model import Flavor, Refusal
from numaplace.tests import samples
from numaplace.tests.functional.storms import crew

PROCESSES, DOMAINS, CLAIMS = 16, 50, 12
_NAME, _SIZE = 'adopting', {'cells': 4, 'cpus': 48}


def _flavor(guest):
    return Flavor(f'of {guest.vcpus}', guest.most_vcpus, guest.memory_mib, id='of-it')


def _domains(host):
    """Return fifty requests with their placements, of which some take CPUs that others take too."""
    dice, placed = random.Random(1), []
    empty = host
    for number in range(DOMAINS):
        guest = samples.guest(cells=dice.choice((1, 2)), vcpus=dice.choice((1, 2)), memory_mib=64)
        placement = partition.place(host, guest)
        if isinstance(placement, Refusal) or number % 5 == 4:
            placement = partition.place(empty, guest)  # the CPUs of an earlier one
        else:
            host = host.consume(placement)
        uuid = f'{number:08x}-0000-4000-8000-000000000000'
        request = InstanceRequest(f'd{number}', _flavor(guest), placement.guest, uuid=uuid, adopted_name=f'd{number}')
        placed.append((request, placement))
    return placed


def work(url, number):
    """Adopt all domains in an order of one's own, and claim other servers in between."""
    dice = random.Random(number)
    steps = [*_domains(samples.host(**_SIZE)), *[None] * CLAIMS]
    dice.shuffle(steps)
    with api.connect(url) as database:
        for step in steps:
            if step is None:
                guest = samples.guest(vcpus=1, memory_mib=64)
                claims.instance_claim(database, InstanceRequest('other', _flavor(guest), guest), _NAME)
                continue
            with suppress(adoption.Conflict, exception.AlreadyExists):
                adoption.adopt(database, step[0], _NAME, step[1])


def test_each_domain_is_one_server_and_no_cpu_is_held_twice(database_url, make_tables):
    make_tables(database_url)
    with api.connect(database_url) as database:
        database.create_host(samples.host_record(_NAME, **_SIZE))
    codes = crew.join([crew.start(work, database_url, number) for number in range(PROCESSES)])
    assert codes == [0] * PROCESSES
    with api.connect(database_url) as database:
        servers = database.instances()
        found = audit.audit(database.fleet())
    assert [finding for finding in found if finding.severity == 'error'] == []
    adopted = Counter(server.uuid for server in servers if server.adopted_name)
    assert set(adopted.values()) == {1}
    cpus = Counter(cpu for server in servers for placed in server.placement.cells for cpu in cpuset.ids(placed.taken))
    assert set(cpus.values()) == {1}
    assert 0 < len(adopted) <= DOMAINS < len(servers)
