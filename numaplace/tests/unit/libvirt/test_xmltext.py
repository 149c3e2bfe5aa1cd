# SPDX-License-Identifier: Apache-2.0
"""XML text: what is written is read back, whatever the text."""

import re

from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from numaplace.libvirt import xmltext

_TEXT = st.text(st.characters(exclude_categories=()), max_size=30)


def test_elements_without_content_are_closed_at_once():
    root = xmltext.element('a', None, xmltext.element('b'), None, xmltext.element('c', {'d': '1'}, text='e'))
    assert xmltext.write(root) == "<a>\n  <b/>\n  <c d='1'>e</c>\n</a>\n"


@given(_TEXT)
def test_cleaning_is_done_once_and_leaves_one_line(text):
    cleaned = xmltext.clean(text)
    assert xmltext.clean(cleaned) == cleaned
    assert len(cleaned) == len(text)
    assert not re.search('[\x00-\x1f]', cleaned)


@given(_TEXT, _TEXT)
def test_text_and_attributes_are_read_back_as_they_were_cleaned(text, value):
    root = xmltext.element('a', None, xmltext.element('b', {'c': value}, text=text))
    written = xmltext.write(root)
    read = etree.fromstring(written).find('b')
    assert (read.text or '') == xmltext.clean(text)
    assert read.get('c') == xmltext.clean(value)
    assert written.count('\n') == 3
    assert not re.search('[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]', written)
