# SPDX-License-Identifier: Apache-2.0
"""The columns beside Nova's JSON: what they hold that they should not is named."""

import pytest

from numaplace import exception
from numaplace.db import details
from numaplace.model import Guest
from numaplace.tests import samples


@pytest.mark.parametrize(
    ('change', 'error', 'message'),
    [
        ({'numaplace_object.version': '1.1'}, exception.IncompatibleObjectVersion, r"version '1\.1' cannot be read"),
        ({'numaplace_object.name': 'Else'}, exception.InvalidObject, "found 'Else'"),
        ({'numaplace_object.data': {}}, exception.InvalidObject, 'KeyError at '),
        ({'numaplace_object.data': None}, exception.InvalidObject, 'TypeError at '),
    ],
)
def test_details_that_cannot_be_read_are_a_fault(change, error, message):
    host, guest = samples.host(), samples.guest()
    with pytest.raises(error, match=message):
        details.read_host(details.write_host(host) | change, host)
    with pytest.raises(error, match=message):
        details.read_guest(details.write_guest(guest) | change, guest)
    with pytest.raises(error, match=message):
        details.read_move(details.write_move(guest, guest) | change)


def test_a_guest_without_details_is_read():
    assert details.read_guest(None, Guest(1, 512)) == Guest(1, 512)
