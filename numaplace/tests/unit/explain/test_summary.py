# SPDX-License-Identifier: Apache-2.0
"""Many refusals read as one line: counted by cause, the least short host named."""

import pytest

from numaplace import explain
from numaplace.model import Reason, Refusal


def free(needed, available, guest=0, host=0):
    return Reason('cpus.dedicated.free', needed, available, 'CPUs', (guest,), (host,))


PAGES = Reason('pages.1048576', 4, 0, 'pages', (0,), (1,))
ASSIGNMENT = Reason('cells.assignment', 2, 1, 'cells', (1, 2), (3,))
REQUIRE = Reason('threads.require.smt', 2, 1, 'threads per core', (0,), (0,))

# reasons of one host, what the line reports about it
HOSTS = {
    'one pair': ([free(4, 3)], '1 cpus.dedicated.free; least short: cn-1, 1 dedicated CPU in cell 0'),
    'the best host cell counts': (
        [free(4, 1, host=0), free(4, 2, host=1)],
        '1 cpus.dedicated.free; least short: cn-1, 2 dedicated CPUs in cell 1',
    ),
    'the worst guest cell counts': (
        [free(8, 7, guest=0), Reason('pages.2048', 8, 6, 'pages', (1,), (1,))],
        '1 pages.2048; least short: cn-1, 2 pages of 2M in cell 1',
    ),
    'a guest cell that fits somewhere does not count': (
        [free(6, 4, 0, 0), free(6, 4, 0, 1), free(8, 0, 1, 0)],
        '1 cpus.dedicated.free; least short: cn-1, 2 dedicated CPUs in cell 0',
    ),
    'the joint choice takes precedence over pairs': (
        [free(4, 1, 1), ASSIGNMENT],
        '1 cells.assignment; least short: cn-1, 1 host cell for 2 guest cells',
    ),
    'memory': (
        [Reason('memory.limit', 2048, 1536, 'MiB', (0,), (2,))],
        '1 memory.limit; least short: cn-1, room for 512 MiB in cell 2',
    ),
    'vCPUs, not CPUs, where a ratio applies': (
        [Reason('cpus.shared.limit', 4, 0, 'vCPUs', (0,), (2,))],
        '1 cpus.shared.limit; least short: cn-1, room for 4 shared vCPUs in cell 2',
    ),
    'vCPUs of the whole host': (
        [Reason('cpus.host', 4, 3, 'vCPUs')],
        '1 cpus.host; least short: cn-1, room for 1 vCPU',
    ),
    'a cause that never ends is larger than any share': (
        [Reason('memory.multiple', 1, 2, 'KiB', (0,), (0,)), free(4, -4)],
        '1 memory.multiple; least short: cn-1, guest cell 0 needs memory in whole pages, and has 1 KiB; '
        'on host cell 0 a page would be 2 KiB and 8 dedicated CPUs',
    ),
    'even shares of cores': (
        [Reason('threads.require', 4, 3, 'cores', (0,), (0,), '2')],
        '1 threads.require; least short: cn-1, 1 core with 2 free threads in cell 0',
    ),
    'a whole host': (
        [Reason('cells.count', 4, 2, 'cells')],
        '1 cells.count; least short: cn-1, 2 host cells',
    ),
    'all that the best host cell lacks': (
        [
            free(6, 4, host=0),
            Reason('memory.free', 512, 177, 'MiB', (0,), (0,)),
            free(6, 5, host=1),
            Reason('memory.free', 512, 0, 'MiB', (0,), (1,)),
        ],
        '1 memory.free; least short: cn-1, 2 dedicated CPUs and 335 MiB of memory in cell 0',
    ),
    'more of one host cell than there are host cells': (
        [free(8, 6, 0, 0), Reason('memory.free', 8, 7, 'MiB', (0,), (0,)), free(4, 3, 1, 0), free(4, 1, 1, 1)],
        '1 cpus.dedicated.free; least short: cn-1, 1 dedicated CPU in cell 0',
    ),
    'cores that do not count': (
        [Reason('threads.isolate', 9, 8, 'cores', (0,), (0,), '16')],
        '1 threads.isolate; least short: cn-1, 1 wholly free core of the widest in cell 0',
    ),
    'a reason with numbers and one without': (
        [free(4, 3), REQUIRE],
        '1 threads.require.smt; least short: cn-1, guest cell 0 needs cores with several threads; '
        'the cores of host cell 0 have one and 1 dedicated CPU',
    ),
    'an amount that no guest can have': (
        [Reason('memory.invalid', 1, -256, 'MiB', (0,))],
        '1 memory.invalid; least short: cn-1, the memory of guest cell 0 is -256 MiB: expected at least 1',
    ),
    'no number of things': (
        [REQUIRE],
        '1 threads.require.smt; least short: cn-1, guest cell 0 needs cores with several threads; '
        'the cores of host cell 0 have one',
    ),
    'no numbers': ([Reason('host.topology')], '1 host.topology; least short: cn-1, the host reports no NUMA topology'),
    'a plug-in': (
        [Reason('rack\n.power', subject='\x1b[2J')],
        '1 rack\\n.power; least short: cn-1, rack\\n.power: \\x1b[2J',
    ),
}


@pytest.mark.parametrize(('reasons', 'expected'), HOSTS.values(), ids=HOSTS)
def test_the_cause_of_a_host(reasons, expected):
    assert f'0 of 1 host: {expected}' == explain.summary({'cn-1': Refusal.of(*reasons)})


def test_each_host_counts_once_and_the_most_frequent_cause_goes_first():
    refusals = {f'cn-{number}': Refusal.of(free(4, 1), free(4, 0, host=1)) for number in range(180)}
    refusals |= {f'cp-{number}': Refusal.of(PAGES) for number in range(30)}
    refusals |= {f'ca-{number}': Refusal.of(ASSIGNMENT) for number in range(4)}
    refusals['cn-12'] = Refusal.of(free(4, 3))
    assert explain.summary(refusals) == (
        '0 of 214 hosts: 180 cpus.dedicated.free, 30 pages.1048576, 4 cells.assignment; '
        'least short: cn-12, 1 dedicated CPU in cell 0'
    )


def test_what_is_missing_is_measured_by_what_is_needed():
    refusals = {'small': Refusal.of(free(2, 1)), 'large': Refusal.of(free(16, 14))}
    assert explain.summary(refusals).endswith('least short: large, 2 dedicated CPUs in cell 0')


def test_a_host_that_could_fit_goes_first_and_equals_go_by_name():
    refusals = {'b': Refusal.of(free(4, 3)), 'a': Refusal.of(Reason('cells.count', 4, 3, 'cells'))}
    assert explain.summary(refusals) == (
        '0 of 2 hosts: 1 cells.count, 1 cpus.dedicated.free; least short: b, 1 dedicated CPU in cell 0'
    )
    refusals['a'] = Refusal.of(free(4, 3))
    assert explain.summary(refusals).endswith('least short: a, 1 dedicated CPU in cell 0')


def test_names_of_hosts_are_escaped():
    assert 'least short: cn\\x1b[2J\\n, 1 ded' in explain.summary({'cn\x1b[2J\n': Refusal.of(free(4, 3))})


def test_no_hosts_and_refusals_without_reasons_have_a_summary_too():
    assert explain.summary({}) == '0 of 0 hosts'
    assert explain.summary({'a': Refusal.of(), 'b': Refusal.of(free(2, 1))}) == (
        '0 of 2 hosts: 1 cpus.dedicated.free; least short: b, 1 dedicated CPU in cell 0'
    )
