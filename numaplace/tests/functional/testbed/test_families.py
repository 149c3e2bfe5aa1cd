# SPDX-License-Identifier: Apache-2.0
"""Guests of all kinds that the fit has placed, in a real libvirt with QEMU on their hosts."""

import pytest

from numaplace.libvirt.profile import PROFILES
from numaplace.tests import recordings
from numaplace.tests.functional import defining
from numaplace.tests.unit.libvirt import families

_HOSTS = ('seed3', 'oracle4split with two sets', 'fake-oracle-host with two sets', 'tiers')


@pytest.mark.parametrize('host', _HOSTS)
def test_libvirt_keeps_of_each_server_what_was_written(testbed, tmp_path_factory, tmp_path, host):
    # A directory of a short name: libvirt makes sockets there.
    there = testbed.fakehost.FakeHost(tmp_path_factory.mktemp('host'), recordings.sysfs(host.partition(' ')[0]))
    documents = [
        (f'{server.name}, {profile}', server.uuid, server.xml(profile))
        for server in families.placed(host)
        for profile in PROFILES
    ]
    assert [] == defining.differences(there.virsh, documents, tmp_path)
