# SPDX-License-Identifier: Apache-2.0
"""CPU lists: what is read, what is written, what is refused."""

import re

import pytest

from numaplace import cpuset, exception

LISTS = {
    'nothing': ('', ()),
    'blanks and commas alone': (' , ,', ()),
    'one CPU': ('5', (5,)),
    'CPU 0': ('0', (0,)),
    'a range': ('2-4', (2, 3, 4)),
    'a range of one': ('7-7', (7,)),
    'two ranges': ('0-1,8-9', (0, 1, 8, 9)),
    'blanks around everything': (' 1 , 3 - 4 ', (1, 3, 4)),
    'a list in no order': ('9,1,4', (1, 4, 9)),
    'the same CPU twice': ('3,3,2-4', (2, 3, 4)),
    'an exclusion': ('0-3,^2', (0, 1, 3)),
    'an exclusion before what it excludes': ('^2,0-3', (0, 1, 3)),
    'an excluded range': ('0-7,^2-5', (0, 1, 6, 7)),
    'an exclusion of what is not there': ('0,^9', (0,)),
    'exclusions alone': ('^1', ()),
    'the largest CPU number': ('65535', (65535,)),
}


@pytest.mark.parametrize(('spec', 'cpus'), LISTS.values(), ids=LISTS)
def test_a_list_is_read(spec, cpus):
    assert cpus == tuple(cpuset.ids(cpuset.parse(spec)))


FAULTY = {
    'a word': ('all', "'all'"),
    'a negative number': ('-1', "'-1'"),
    'an open range': ('3-', "'3-'"),
    'a range of three': ('1-2-3', "'1-2-3'"),
    'a range that ends before it starts': ('4-2', 'ends before it starts'),
    'a caret alone': ('0,^', "'^'"),
    'two carets': ('^^1', "'^^1'"),
    'a step': ('0-8:2', "'0-8:2'"),
    'a fraction': ('1.5', "'1.5'"),
    'another blank': ('1 2', "'1 2'"),
    'digits of another script': ('\u0663', '\u0663'),
    'a superscript': ('\u00b2', '\u00b2'),
    'a CPU that no kernel knows': ('65536', 'up to 65535'),
    'a number of a million digits': ('9' * 1_000_000, 'up to 65535'),
    'a range of a terabyte': ('0-99999999999999', 'up to 65535'),
}


@pytest.mark.parametrize(('spec', 'message'), FAULTY.values(), ids=FAULTY)
def test_an_invalid_list_is_refused_by_its_element(spec, message):
    with pytest.raises(exception.Invalid, match=re.escape(message)):
        cpuset.parse(spec)


def test_only_the_faulty_element_is_reported():
    with pytest.raises(exception.Invalid, match="'x'") as caught:
        cpuset.parse('0-3,x,8')
    assert "'x'" in str(caught.value)
    assert '0-3,x' not in str(caught.value)


WRITTEN = {
    'nothing': ((), '', ''),
    'one CPU': ((5,), '5', '5'),
    'two neighbours': ((1, 2), '1-2', '1,2'),
    'a gap': ((0, 2, 3, 4, 9), '0,2-4,9', '0,2,3,4,9'),
    'a high CPU': ((65535,), '65535', '65535'),
}


@pytest.mark.parametrize(('cpus', 'short', 'long'), WRITTEN.values(), ids=WRITTEN)
def test_a_mask_is_written_with_and_without_ranges(cpus, short, long):
    mask = cpuset.mask(cpus)
    assert short == cpuset.text(mask)
    assert long == cpuset.text(mask, ranges=False)


@pytest.mark.parametrize('cpu', [-1, 65536])
def test_a_mask_takes_only_cpu_numbers(cpu):
    with pytest.raises(exception.Invalid, match=str(cpu)):
        cpuset.mask([0, cpu])


@pytest.mark.parametrize(('number', 'cpus'), [(0, ()), (2, (1, 4)), (3, (1, 4, 6)), (9, (1, 4, 6))])
def test_first_takes_the_lowest_cpus_that_there_are(number, cpus):
    assert cpuset.mask(cpus) == cpuset.first(cpuset.mask([6, 4, 1]), number)
