# SPDX-License-Identifier: Apache-2.0
"""The operators of extra specs mean what they mean in Nova."""

import pytest

from numaplace.scheduler.filters import operators

CASES = [
    ('4', '4', True),
    ('4', '5', False),
    ('4', '= 3', True),
    ('4', '= 5', False),
    ('4', '== 4.0', True),
    ('4', '!= 4', False),
    ('4', '>= 4', True),
    ('4', '<= 3', False),
    ('x86_64', 's== x86_64', True),
    ('x86_64', 's!= x86_64', False),
    ('b', 's< c', True),
    ('b', 's<= a', False),
    ('b', 's> a', True),
    ('b', 's>= c', False),
    ('avx avx2', '<in> avx2', True),
    ('avx', '<in> sse', False),
    ('aes avx', '<all-in> aes avx', True),
    ('aes', '<all-in> aes avx', False),
    ('b', '<or> a <or> b', True),
    ('c', '<or> a <or> b', False),
    ('many', '>= 4', False),
    ('4', '>= many', False),
    ('4', '>=', False),
    ('4', '', False),
    ('', '', True),
]


@pytest.mark.parametrize(('value', 'requirement', 'met'), CASES, ids=[f'{a!r} {b!r}' for a, b, _ in CASES])
def test_match(value, requirement, met):
    assert met is operators.match(value, requirement)
