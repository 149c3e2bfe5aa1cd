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
        Reason('cpus.shared.limit', 5, 4, 'vCPUs', (0,), (1,)),
        'guest cell 0 needs room for 5 shared vCPUs; host cell 1 has room for 4 (1 short)',
    ),
    (
        Reason('cpus.host', 5, 4, 'vCPUs'),
        'the guest needs room for 5 vCPUs; the host has room for 4 (1 short)',
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
        'the guest needs room for 2048 MiB; the host has room for 1536 (512 short)',
    ),
    (
        Reason('image.hw_architecture', subject='hw_architecture=ppc64, the host has x86_64'),
        'the host cannot run the image: hw_architecture=ppc64, the host has x86_64',
    ),
    (
        Reason('threads.isolate', 9, 8, 'cores', (0,), (0,), '16'),
        'guest cell 0 needs 9 wholly free cores; '
        'host cell 0 has 8 of the widest, and 16 narrower that do not count (1 short)',
    ),
    (
        Reason('threads.isolate', 9, 8, 'cores', (0,), (0,)),
        'guest cell 0 needs 9 wholly free cores; host cell 0 has 8 (1 short)',
    ),
    (
        Reason('threads.require', 4, 3, 'cores', (0, 1), (0,), '2'),
        'guest cells 0, 1 together need 4 cores with 2 free threads each; host cell 0 has 3 (1 short)',
    ),
    (
        Reason('cpus.dedicated.free', 4, 3, 'CPUs', (0,), (0,), '1'),
        'guest cell 0 needs 4 free dedicated CPUs; '
        'host cell 0 has 3 and 1 more on cores that are kept free or partly used (1 short)',
    ),
    (
        Reason('pages.2048.total', 512, 500, 'pages', (0,), (0,)),
        'guest cell 0 needs 512 pages of 2M; host cell 0 has 500 (12 short)',
    ),
    (
        Reason('memory.invalid', 1, -256, 'MiB', (0,)),
        'the memory of guest cell 0 is -256 MiB: expected at least 1',
    ),
    (Reason('memory.invalid', 1, 0, 'MiB'), 'the memory of the guest is 0 MiB: expected at least 1'),
    (
        Reason('pages.invalid', 1, -2048, 'KiB', (1,)),
        'the page size of guest cell 1 is -2048 KiB: expected at least 1, or small, large or any',
    ),
    (
        Reason('cpus.invalid', 1, 0, 'vCPUs', (0,)),
        'the number of vCPUs of guest cell 0 is 0: expected at least 1',
    ),
    (
        Reason('memory.total', 10**400, 4096, 'MiB', (0,), (0,)),
        'guest cell 0 needs more than 1e+300 MiB of memory; host cell 0 has 4096 (more than 1e+300 short)',
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


def test_permanent_causes_come_first_and_then_the_line_with_the_smallest_share():
    lacks = [
        Reason('memory.multiple', 262145, 4, 'KiB', (0,), (0,)),
        Reason('memory.free', 512, 448, 'MiB', (0,), (0,)),
        Reason('cpus.dedicated.free', 4, 2, 'CPUs', (0,), (0,)),
        Reason('cpus.dedicated.free', 4, 3, 'CPUs', (0,), (1,)),
        Reason('memory.free', 512, 128, 'MiB', (0,), (1,)),
        Reason('cpus.dedicated.free', 5, 4, 'CPUs', (1,), (0,)),
        Reason('cells.assignment', 2, 1, 'cells', (1, 2), (3,)),
    ]
    assert explain.lines(Refusal.of(*lacks)) == [
        'guest cell 0 needs memory in whole pages, and has 262145 KiB: on host cell 0 a page would be 4 KiB',
        'guest cell 0 needs 512 MiB of free memory: host cell 0 has 448 (64 short), host cell 1 has 128 (384 short)',
        'guest cell 0 needs 4 free dedicated CPUs: host cell 0 has 2 (2 short), host cell 1 has 3 (1 short)',
        'guest cell 1 needs 5 free dedicated CPUs: host cell 0 has 4 (1 short)',
        'guest cells 1, 2 fit only host cell 3: 2 guest cells for 1 host cell',
    ]


def test_what_guest_cells_lack_together_is_not_what_each_of_them_lacks():
    each = [Reason('cpus.dedicated.free', 4, 3, 'CPUs', (guest,), (0,)) for guest in (0, 1)]
    assert explain.lines(Refusal.of(*each, Reason('cpus.dedicated.free', 4, 3, 'CPUs', (0, 1), (0,)))) == [
        'guest cells 0, 1 each need 4 free dedicated CPUs: host cell 0 has 3 (1 short)',
        'guest cells 0, 1 together need 4 free dedicated CPUs: host cell 0 has 3 (1 short)',
    ]


def test_host_cells_of_which_some_have_cores_that_do_not_count_share_a_line():
    lacks = [
        Reason('threads.isolate', 9, 8, 'cores', (0,), (0,), '16'),
        Reason('threads.isolate', 9, 7, 'cores', (0,), (1,)),
    ]
    assert explain.lines(Refusal.of(*lacks)) == [
        'guest cell 0 needs 9 wholly free cores: host cell 0 has 8 of the widest, and 16 narrower that do not count '
        '(1 short), host cell 1 has 7 (2 short)'
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
