# SPDX-License-Identifier: Apache-2.0
"""Refusals read as sentences, with numbers and units, and nothing from strangers reaches a terminal raw."""

import pytest

from numaplace import explain
from numaplace.model import Reason, Refusal

# reason, sentence
SENTENCES = [
    (
        Reason('cpus.dedicated.free', 4, 3, 'CPUs', (0,), (1,)),
        'guest cell 0 needs 4 free dedicated CPUs; host cell 1 has 3 (1 short)',
    ),
    (
        Reason('pages.1048576', 1, 0, 'pages', (2,), (0,)),
        'guest cell 2 needs 1 free page of 1G; host cell 0 has 0 (1 short)',
    ),
    (
        Reason('cells.assignment', 2, 1, 'cells', (1, 2), (3,)),
        'guest cells 1, 2 fit only host cell 3: 2 guest cells for 1 host cell',
    ),
    (Reason('cells.count', 4, 1, 'cells'), 'the guest needs 4 host cells; the host has 1 (3 short)'),
    (
        Reason('network.physnet', 1, 0, 'cells', (), (2, 3), 'lake'),
        'the physical network lake needs one of host cells 2, 3; the guest cells cannot go there',
    ),
    (
        Reason('memory.host', 2048, 1536.0, 'MiB'),
        'the guest needs 2048 MiB of memory; the host has 1536 left (512 short)',
    ),
    (
        Reason('image.hw_architecture', subject='hw_architecture=ppc64, the host has x86_64'),
        'the host does not run such an image: hw_architecture=ppc64, the host has x86_64',
    ),
    (Reason('rack.power', subject='rack 7 is full'), 'rack.power: rack 7 is full'),
]


@pytest.mark.parametrize(('reason', 'expected'), SENTENCES)
def test_a_reason_is_a_sentence(reason, expected):
    assert expected == explain.sentence(reason)


def test_host_cells_that_lack_the_same_thing_share_a_line_and_so_do_guest_cells():
    lacks = [
        Reason('cpus.dedicated.free', 4, have, 'CPUs', (guest,), (host,))
        for guest in (0, 1)
        for host, have in ((0, 3), (1, 2))
    ]
    assert explain.lines(Refusal.of(*lacks)) == [
        'guest cells 0, 1 each need 4 free dedicated CPUs: host cell 0 has 3 (1 short), host cell 1 has 2 (2 short)'
    ]


def test_the_host_cells_of_a_network_stay_in_its_line():
    refusal = Refusal.of(Reason('network.tunnel', 1, 0, 'cells', (), (1, 4)))
    assert explain.lines(refusal) == ['tunnelled networks need one of host cells 1, 4: the guest cells cannot go there']


@pytest.mark.parametrize('code', explain.CODES)
def test_every_code_reads_as_words_without_gaps(code):
    name = code.replace('SIZE', '2048').replace('PROPERTY', 'hw_vm_mode')
    sentence = explain.sentence(Reason(name, 3, 1, '', (0,), (1,), 'subject'))
    assert '{' not in sentence
    assert '  ' not in sentence
    assert explain.CODES[code].about.endswith('.')


@pytest.mark.parametrize(
    ('raw', 'expected'),
    [
        ('plain', 'plain'),
        ('Grüße 東京', 'Grüße 東京'),
        ('\x1b[31mred', '\\x1b[31mred'),
        ('two\nlines\t', 'two\\nlines\\t'),
        ('\u202egnp.exe', '\\u202egnp.exe'),
        ('\x9b2J', '\\x9b2J'),
        ('\u2028', '\\u2028'),
        ('\udc80', '\\udc80'),
    ],
)
def test_what_a_terminal_would_act_on_is_shown_as_an_escape(raw, expected):
    assert expected == explain.escape(raw)


def test_the_name_in_a_reason_is_escaped():
    assert 'a\\x1b[2Jb' in explain.sentence(Reason('network.physnet', 1, 0, '', (), (1,), 'a\x1b[2Jb'))
