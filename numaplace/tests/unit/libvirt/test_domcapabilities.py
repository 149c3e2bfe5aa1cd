# SPDX-License-Identifier: Apache-2.0
"""What a libvirt says of its domains."""

import re

import pytest

from numaplace import exception
from numaplace.libvirt import domcapabilities


@pytest.mark.parametrize(('inside', 'expected'), [("<vcpu max='288'/>", 288), ('', None)])
def test_the_most_vcpus_are_read_where_they_are_told(inside, expected):
    xml = f'<domainCapabilities><machine>pc-q35-7.2</machine>{inside}<os/><cpu/></domainCapabilities>'.encode()
    found = domcapabilities.read(xml, 'qemu:///system')
    assert ('qemu:///system', expected) == (found.place, found.max_vcpus)


@pytest.mark.parametrize(
    ('xml', 'told'),
    [
        (b'<capabilities/>', 'output of `virsh domcapabilities`'),
        (b"<domainCapabilities><vcpu max='many'/><cpu/></domainCapabilities>", '/domainCapabilities/vcpu/@max: '),
        (b'<domainCapabilities><vcpu/><cpu/></domainCapabilities>', '/domainCapabilities/vcpu'),
    ],
)
def test_what_is_no_such_document_is_told_with_its_place(xml, told):
    with pytest.raises(exception.InvalidCapabilities, match=f'^here: .*{re.escape(told)}') as caught:
        domcapabilities.read(xml, 'here')
    assert str(caught.value).startswith('here: ')
    assert told in str(caught.value)
