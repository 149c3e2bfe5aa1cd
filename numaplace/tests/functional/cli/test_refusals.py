# SPDX-License-Identifier: Apache-2.0
"""What a refusal prints: for people few lines, for machines all of it, whatever the number of hosts."""

import json
from dataclasses import replace

import pytest
import yaml

from numaplace.db import api
from numaplace.model import Reason, Refusal
from numaplace.operations import requests
from numaplace.scheduler.claiming import NoHost, Rejection

WIDE = 'server create --flavor m1.wide'
EXPLAIN = 'fleet explain --flavor m1.wide'


def _add_hosts(program, names):
    with api.connect(f'sqlite:///{program.database}') as database:
        pattern = database.host('seed3')
        for name in names:
            database.create_host(replace(pattern, name=name, uuid=f'{name}-uuid'))


@pytest.fixture
def wide(prepared):
    """The program with a flavor that needs six pinned CPUs in one cell, which no host has."""
    prepared('flavor create --ram 512 --vcpus 6 --property hw:cpu_policy=dedicated m1.wide')
    return prepared


def refused(program, line):
    done = program.run(*line.split())
    assert 3 == done.returncode
    return done


ONE_HOST = """\
numaplace: no valid host for server 'x':
  seed3 (NUMATopologyFilter):
    guest cell 0 needs 6 dedicated CPUs: host cell 0 has 4 (2 short), host cell 1 has 2 (4 short), \
host cell 2 has 2 (4 short)
"""


def test_one_host_has_its_reasons(wide):
    assert ('', ONE_HOST) == (refused(wide, f'{WIDE} x').stdout, refused(wide, f'{WIDE} x').stderr)


def test_501_equal_hosts_are_named_once(wide):
    _add_hosts(wide, [f'a{number:03}' for number in range(500)])
    done = refused(wide, f'{WIDE} x')
    head, _, *reasons = ONE_HOST.splitlines()
    assert [head, '  501 hosts: a000, a001, a002, ... (NUMATopologyFilter):', *reasons] == done.stderr.splitlines()
    each = refused(wide, f'{WIDE} --all-hosts x').stderr.splitlines()
    assert 1 + 501 * 2 == len(each)
    assert '  a499 (NUMATopologyFilter):' in each


def test_hosts_that_differ_come_the_nearest_first(wide):
    _add_hosts(wide, ['a1', 'a2', 'b1'])
    wide('host set --disable a1')
    wide('host set --disable a2')
    wide('host set --down b1')
    head, seed3, reasons = ONE_HOST.splitlines()
    assert [
        head,
        seed3,
        reasons,
        '  2 hosts: a1, a2 (ComputeFilter):',
        '    the host is disabled',
        '  b1 (ComputeFilter):',
        '    the host is down',
    ] == refused(wide, f'{WIDE} x').stderr.splitlines()


@pytest.mark.parametrize(('form', 'read'), [('json', json.loads), ('yaml', yaml.safe_load)])
def test_machines_get_the_reasons_on_stdout(wide, form, read):
    done = refused(wide, f'{WIDE} x -f {form}')
    assert ONE_HOST == done.stderr
    shown = read(done.stdout)
    assert ('NoValidHost', "no valid host for server 'x'") == (shown['error'], shown['message'])
    (each,) = shown['refusals']
    assert ('seed3', 'NUMATopologyFilter') == (each['host'], each['filter'])
    reasons = each['reasons']
    assert [
        ('cpus.dedicated.total', [0], [0], 6, 4, 'CPUs'),
        ('cpus.dedicated.total', [0], [1], 6, 2, 'CPUs'),
        ('cpus.dedicated.total', [0], [2], 6, 2, 'CPUs'),
    ] == [
        tuple(reason[key] for key in ('code', 'guest_cells', 'host_cells', 'needed', 'available', 'unit'))
        for reason in reasons
    ]
    assert 'guest cell 0 needs 6 dedicated CPUs; host cell 0 has 4 (2 short)' == reasons[0]['text']


@pytest.mark.parametrize('ask', [f'{WIDE} x', f'{WIDE} --min 2 --max 3 x', EXPLAIN])
def test_many_hosts_are_counted_by_cause_first(wide, ask):
    """With an index, without one, and where nothing is claimed."""
    _add_hosts(wide, [f'a{number}' for number in range(10)])
    wide('host set --disable a3')
    done = wide.run(*ask.split())
    lines = [line.strip() for line in (done.stdout or done.stderr).splitlines()]
    assert lines[1] == 'hosts by cause: 10 cpus (NUMATopologyFilter); 1 host (ComputeFilter)'
    assert any(line.startswith('10 hosts: a0, a1, a2, ... (NUMATopologyFilter):') for line in lines)


def test_of_very_many_hosts_some_are_asked_for_all_reasons(wide, monkeypatch):
    monkeypatch.setattr(requests, 'MOST_HOSTS', 3)
    found = [Rejection(f'h{number}', 'claim', Refusal.of(Reason('host.down'))) for number in range(20)]
    asked = []

    def find():
        for each in found:
            asked.append(each.host)
            yield each

    text = str(requests.refuse('x', NoHost(find, {('ComputeFilter', 'host'): 20})))
    assert [
        "numaplace: no valid host for server 'x':",
        '  hosts by cause: 20 host (ComputeFilter)',
        '  of 3 hosts, those that are nearest; --all-hosts looks at the others too',
        '  3 hosts: h0, h1, h2 (claim):',
    ] == text.splitlines()[:4]
    assert ['h0', 'h1', 'h2', 'h3'] == asked
    error = requests.refuse('x', NoHost(find, {('ComputeFilter', 'host'): 20}))
    assert [{'filter': 'ComputeFilter', 'kind': 'host', 'hosts': 20}] == error.counts
    assert ['h0', 'h1', 'h2'] == [each['host'] for each in error.refusals()]
    assert 20 == len(requests.refuse('x', NoHost(find), all_hosts=True).refusals())


def test_machines_get_every_host(wide):
    _add_hosts(wide, [f'a{number}' for number in range(9)])
    shown = json.loads(refused(wide, f'{WIDE} x -f json').stdout)
    assert [*(f'a{number}' for number in range(9)), 'seed3'] == [each['host'] for each in shown['refusals']]
    assert [{'filter': 'NUMATopologyFilter', 'kind': 'cpus', 'hosts': 10}] == shown['counts']


@pytest.mark.parametrize('form', ['table', 'value', 'shell'])
def test_formats_that_cannot_hold_it_stay_empty(wide, form):
    assert '' == refused(wide, f'{WIDE} x -f {form}').stdout


def test_without_hosts_the_document_is_there(numaplace):
    numaplace('flavor create m1.tiny')
    done = refused(numaplace, 'server create --flavor m1.tiny x -f json')
    message = (
        "no valid host for server 'x': there are no hosts; register one with `numaplace host discover` or "
        '`numaplace host import`'
    )
    assert {'error': 'NoValidHost', 'message': message, 'counts': [], 'refusals': []} == json.loads(done.stdout)


MOVES = {
    'resize': 'server resize --flavor m1.wide small',
    'migrate': 'server migrate small',
    'live migrate': 'server migrate --live-migration small',
}


@pytest.mark.parametrize('line', MOVES.values(), ids=MOVES)
def test_moves_are_refused_alike(wide, line):
    wide('server create --flavor m1.tiny small')
    shown = json.loads(refused(wide, f'{line} --all-hosts -f json').stdout)
    assert ['seed3'] == [each['host'] for each in shown['refusals']]
    assert {'host.same'} == {reason['code'] for each in shown['refusals'] for reason in each['reasons']}


def test_an_evacuation_is_refused_alike(wide):
    wide('server create --flavor m1.tiny small')
    wide('host set --down seed3')
    shown = json.loads(refused(wide, 'server evacuate small -f json').stdout)
    assert ['host.same'] == [reason['code'] for each in shown['refusals'] for reason in each['reasons']]


def test_an_unshelved_server_is_refused_in_lines(wide):
    wide('server create --flavor m1.tiny small')
    wide('server shelve small')
    wide('host set --disable seed3')
    _add_hosts(wide, ['a1'])
    wide('host set --disable a1')
    assert '  2 hosts: a1, seed3 (ComputeFilter):\n' in refused(wide, 'server unshelve small').stderr
    assert '  a1 (ComputeFilter):\n' in refused(wide, 'server unshelve --all-hosts small').stderr


def test_a_hot_change_is_refused_alike(wide):
    wide(
        'flavor create --ram 512 --vcpus 4 --property hw:cpu_policy=dedicated --property numaplace:vcpu_hotplug=true '
        'm1.hot'
    )
    wide('flavor create --ram 512 --vcpus 3 --property hw:cpu_policy=dedicated m1.three')
    wide('server create --flavor m1.hot hot')
    wide('server set-vcpus hot 1')
    wide('server create --flavor m1.three other')
    shown = json.loads(refused(wide, 'server set-vcpus hot 4 -f json').stdout)
    ((host, reason),) = ((each['host'], reason) for each in shown['refusals'] for reason in each['reasons'])
    assert ('seed3', 'cpus.dedicated.free', 3, 0) == (host, reason['code'], reason['needed'], reason['available'])
