# SPDX-License-Identifier: Apache-2.0
"""Sizes of memory: which forms are read, and how a size is written for people."""

import pytest

from numaplace import exception, units

SIZES = {
    '4KB': 4,
    '2048KB': 2048,
    '2048KiB': 2048,
    '2MB': 2048,
    '2MiB': 2048,
    '1GB': 1048576,
    '1GiB': 1048576,
    '16GB': 16777216,
    '1TB': 1073741824,
    '1PiB': 1099511627776,
    '1024B': 1,
    '8192b': 1,
    '8Kb': 1,
    '16Mbit': 2048,
    '0.5MB': 512,
    ' 2MB ': 2048,
}


@pytest.mark.parametrize(('text', 'kib'), SIZES.items())
def test_a_size_is_read_as_kib(text, kib):
    assert kib == units.parse_kib(text)


@pytest.mark.parametrize(
    'text',
    [
        '',
        'MB',
        '2',
        '2 MB',
        '2mb',
        '2M',
        '-2MB',
        '+2MB',
        '2MBB',
        '1e3KB',
        '2,5MB',
        '\u0662MB',
        '2MB\n3MB',
        '9' * 99 + 'MB',
    ],
)
def test_an_invalid_size_is_reported_with_the_accepted_form(text):
    with pytest.raises(exception.Invalid, match='expected a number with a unit') as caught:
        units.parse_kib(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize('text', ['0KB', '1B', '1025B', '1Kb', '0.3KB'])
def test_a_size_that_is_no_whole_number_of_kib_is_refused(text):
    with pytest.raises(exception.Invalid, match='not a whole number of KiB'):
        units.parse_kib(text)


@pytest.mark.parametrize(
    ('kib', 'text'),
    [
        (0, '0K'),
        (4, '4K'),
        (1023, '1023K'),
        (1024, '1M'),
        (2048, '2M'),
        (2049, '2049K'),
        (1048576, '1G'),
        (1073741824, '1T'),
        (1099511627776, '1024T'),
    ],
)
def test_a_size_is_written_in_its_largest_whole_unit(kib, text):
    assert text == units.size(kib)
