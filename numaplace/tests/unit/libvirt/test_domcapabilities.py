# SPDX-License-Identifier: Apache-2.0
"""What a libvirt says of its domains."""

import re

import pytest

from numaplace import exception
from numaplace.libvirt import domcapabilities
from numaplace.model.host_resources import Encryption


@pytest.mark.parametrize(('inside', 'expected'), [("<vcpu max='288'/>", 288), ('', None)])
def test_the_most_vcpus_are_read_where_they_are_told(inside, expected):
    xml = f'<domainCapabilities><machine>pc-q35-7.2</machine>{inside}<os/><cpu/></domainCapabilities>'.encode()
    found = domcapabilities.read(xml, 'qemu:///system')
    assert ('qemu:///system', expected) == (found.place, found.max_vcpus)


_SEV = '<cbitpos>47</cbitpos><reducedPhysBits>1</reducedPhysBits>'


@pytest.mark.parametrize(
    ('inside', 'expected'),
    [
        (f"<sev supported='yes'>{_SEV}</sev>", [Encryption('amd-sev', None, 47, 1)]),
        (
            f"<sev supported='yes'>{_SEV}<maxGuests>15</maxGuests><maxESGuests>5</maxESGuests></sev>",
            [Encryption('amd-sev', 15, 47, 1), Encryption('amd-sev-es', 5, 47, 1)],
        ),
        (
            f"<sev supported='yes'>{_SEV}<maxGuests>509</maxGuests><maxESGuests>0</maxESGuests></sev>",
            [Encryption('amd-sev', 509, 47, 1)],
        ),
        (
            f"<sev supported='yes'>{_SEV}<maxGuests>0</maxGuests><maxESGuests>7</maxESGuests></sev>",
            [Encryption('amd-sev-es', 7, 47, 1)],
        ),
        ("<sev supported='no'/>", []),
        ('', []),
    ],
)
def test_the_memory_encryption_of_the_host_is_read_with_its_limits(inside, expected):
    xml = f'<domainCapabilities><cpu/><features>{inside}</features></domainCapabilities>'.encode()
    assert list(domcapabilities.read(xml, 'here').encryption) == expected


@pytest.mark.parametrize(
    ('xml', 'told'),
    [
        (b'<capabilities/>', 'output of `virsh domcapabilities`'),
        (b"<domainCapabilities><vcpu max='many'/><cpu/></domainCapabilities>", '/domainCapabilities/vcpu/@max: '),
        (b'<domainCapabilities><vcpu/><cpu/></domainCapabilities>', '/domainCapabilities/vcpu'),
        (
            b"<domainCapabilities><cpu/><features><sev supported='yes'><maxGuests>-1</maxGuests></sev></features>"
            b'</domainCapabilities>',
            '/domainCapabilities/features/sev/maxGuests',
        ),
    ],
)
def test_what_is_no_such_document_is_told_with_its_place(xml, told):
    with pytest.raises(exception.InvalidCapabilities, match=f'^here: .*{re.escape(told)}') as caught:
        domcapabilities.read(xml, 'here')
    assert str(caught.value).startswith('here: ')
    assert told in str(caught.value)
