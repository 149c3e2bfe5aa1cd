# SPDX-License-Identifier: Apache-2.0
"""What users type is checked, and shown harmlessly where it is refused."""

import argparse
import io

import pytest

from numaplace import exception
from numaplace.cli import names
from numaplace.cli.streams import Guarded


@pytest.mark.parametrize('name', ['a', 'x' * 255, 'a b', '../a', '<a>', "a'b", 'ü'])
def test_a_printable_name_is_kept(name):
    assert name == names.name('server', name)


@pytest.mark.parametrize('name', ['', 'x' * 256, ' a', 'a\x00', 'a\x1b', 'a\n', '\u202e', '\udc80', 'a\u2028b'])
def test_other_names_are_refused_in_one_printable_line(name):
    with pytest.raises(exception.Invalid, match='expected') as caught:
        names.name('server', name)
    assert str(caught.value).isprintable()


def test_pairs_are_split_at_the_first_sign():
    assert {'a:b': 'c=d', 'e': ''} == names.pairs('--property', ['a:b=c=d', 'e='])


@pytest.mark.parametrize('word', ['a', '=b', 'a\x1b=b', 'a=\x1b', 'k' * 256 + '=v', 'k=' + 'v' * 256, 'a/b=c'])
def test_a_word_that_is_no_pair_is_refused(word):
    with pytest.raises(exception.Invalid, match=r"--property '.*expected KEY=VALUE"):
        names.pairs('--property', [word])


@pytest.mark.parametrize('text', ['', '-1', '0', '1.5', '1_000', '٣', '2147483648', 'x\x1b'])
def test_what_is_no_whole_number_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match='whole number from 1 to 2147483647'):
        names.whole(1)(text)


def test_a_guarded_stream_shows_what_a_terminal_would_obey():
    stream = io.StringIO()
    Guarded(stream).write('a\x1b[31m\tb\r\n\u202ec\x9b')
    assert 'a\\x1b[31m\tb\\r\n\\u202ec\\x9b' == stream.getvalue()


def test_a_guarded_stream_escapes_what_its_encoding_lacks():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding='ascii')
    Guarded(stream).write('ü')
    stream.flush()
    assert b'\\xfc' == raw.getvalue()
