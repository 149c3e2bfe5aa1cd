# SPDX-License-Identifier: Apache-2.0
"""Names of architectures, and whose code a CPU runs."""

import pytest

from numaplace import architecture, exception
from numaplace.request import machines


@pytest.mark.parametrize(
    ('name', 'expected'),
    [
        ('x86_64', 'x86_64'),
        ('amd64', 'x86_64'),
        ('i586', 'i686'),
        (' ARM64 ', 'aarch64'),
        ('armv8l', 'armv7l'),
        ('ppc64el', 'ppc64le'),
        ('s390x', 's390x'),
        ('LoongArch64', 'loongarch64'),
    ],
)
def test_the_name_is_libvirts(name, expected):
    assert expected == architecture.canonical(name)


def test_each_architecture_that_is_known_has_a_machine_type():
    assert set(architecture.KNOWN) == set(machines.DEFAULTS)


def test_another_architecture_is_refused_with_the_known_ones():
    assert 'aarch64' == architecture.check('arm64', '--architecture')
    with pytest.raises(
        exception.Invalid, match=r"--architecture 'z80': expected an architecture, one of aarch64, .*x86"
    ):
        architecture.check('z80', '--architecture')


@pytest.mark.parametrize(
    ('host', 'guest', 'expected'),
    [
        ('x86_64', 'x86_64', True),
        ('x86_64', 'i686', True),
        ('i686', 'x86_64', False),
        ('aarch64', 'armv7l', True),
        ('armv7l', 'aarch64', False),
        ('ppc64le', 'ppc64', True),
        ('ppc64', 'ppc64le', True),
        ('x86_64', 'aarch64', False),
        ('s390x', 'x86_64', False),
    ],
)
def test_a_cpu_runs_its_own_code_and_that_of_its_older_kind(host, guest, expected):
    assert expected == architecture.is_native(host, guest)
