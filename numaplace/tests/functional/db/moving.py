# SPDX-License-Identifier: Apache-2.0
"""Servers that move between the hosts a and b."""

from numaplace import cpuset
from numaplace.compute import claims
from numaplace.model import Flavor
from numaplace.tests import samples

__all__ = [
    'BIG',
    'IDLE',
    'LARGE',
    'LARGE_GUEST',
    'SMALL',
    'SMALL_GUEST',
    'check',
    'place',
    'read',
    'resize',
    'statuses',
    'used',
]

LARGE = Flavor('large', 4, 1024, id='large')
SMALL_GUEST, LARGE_GUEST = samples.guest(vcpus=2), samples.guest(vcpus=4, memory_mib=1024)


def read(flavor, _image):
    """What the flavors of these tests request."""
    return LARGE_GUEST if flavor.id == LARGE.id else SMALL_GUEST


def place(database, guest, host='a', name='guest1'):
    claim = claims.instance_claim(database, samples.instance_request(guest, name), host)
    return claim.instance.uuid


def used(database):
    """Return for each host the CPUs that are pinned, and the memory that is used."""
    check(database)
    return {
        record.name: (
            ','.join(cpuset.text(cell.pinned_cpus) for cell in record.host.cells if cell.pinned_cpus),
            record.host.memory_used_mib,
        )
        for record in database.hosts()
    }


def check(database):
    """Hold the usage of every host to what its servers hold."""
    instances = database.instances()
    for record in database.hosts():
        assert samples.used(record, instances) == record.host


def resize(database, server, host='b', **keys):
    return claims.resize_claim(database, server, host, flavor=LARGE, read=read, **keys)


def statuses(database):
    return [(record.kind, record.status) for record in database.migrations()]


#: CPUs and memory of a host without servers, with one of the small flavor, and with one of the large.
IDLE, SMALL, BIG = ('', 0), ('0-1', 512), ('0-3', 1024)
