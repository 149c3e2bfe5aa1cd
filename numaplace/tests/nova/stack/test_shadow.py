# SPDX-License-Identifier: Apache-2.0
"""Shadow mode in a whole Nova: Nova decides as ever, and the logs say where numaplace would not have."""

import pytest

from numaplace.tests.nova.stack import clients, judging, reading

HOST = 'cmp1'
TALLY = 'numaplace.nova.shadow_report'
SERVICES = ('nova-scheduler', HOST)


@pytest.fixture(scope='module', autouse=True)
def shadow(stack, tmp_path_factory):
    """The scheduler and the host decide as Nova does."""
    config = tmp_path_factory.mktemp('shadow') / 'shadow.conf'
    config.write_text('[numaplace]\nmode = shadow\n')
    stack.restart(*SERVICES, config=[config])
    yield
    stack.restart(*SERVICES)


@pytest.fixture
def disagreements(cloud, stack):
    """Return a function that tells what the services log of a server's request; a claim does not know the server."""
    logs = {name: reading.Log(stack.log(name)) for name in SERVICES}

    def disagreements(server):
        request = cloud.request_id(server)
        lines = {
            name: [line for line in log.lines(TALLY, 'disagreement (') if request in line.text]
            for name, log in logs.items()
        }
        assert {'WARNING'} >= {line.level for found in lines.values() for line in found}
        return {name: [line.text.partition('numaplace shadow: ')[2] for line in found] for name, found in lines.items()}

    return disagreements


def test_a_guest_that_numaplace_would_refuse_goes_as_without_it_and_is_told(cloud, rows, disagreements):
    idle = judging.usage(rows.host(HOST))
    server = cloud.boot(cloud.cells('one-one-six', 1, 1, 6), 'guest', host=HOST)
    assert ('ACTIVE', None) == (server.status, server.fault)
    assert {} == judging.pins(rows.guest(server)[2])
    told = disagreements(server)
    (line,) = [line for line in told['nova-scheduler'] if '(filter, ' in line]
    assert line.startswith(f'disagreement (filter, nova-fits) on {HOST}: Nova fits on host cells ')
    assert 'numaplace refuses: guest cell 2 needs 6 dedicated CPUs' in line
    (line,) = [line for line in told[HOST] if '(claim, ' in line]
    assert line.startswith(f'disagreement (claim, nova-fits) on {HOST}: ')
    cloud.delete([server])
    clients.await_that(lambda: judging.usage(rows.host(HOST)), lambda now: now == idle)


def test_a_guest_that_numaplace_would_take_is_refused_as_without_it_and_is_told(cloud, disagreements):
    crowd = cloud.boot(cloud.cells('crowd', 4, 2, 3), 'crowd', host=HOST)
    assert ('ACTIVE', None) == (crowd.status, crowd.fault)
    server = cloud.boot(cloud.cells('one-two', 1, 2), 'guest', host=HOST)
    assert 'No valid host was found. There are not enough hosts available.' == server.fault['message']
    (line,) = disagreements(server)['nova-scheduler']
    text = f'disagreement (filter, nova-refuses) on {HOST}: Nova refuses, numaplace fits on host cells 2, 1'
    assert line.startswith(text)


def test_nothing_is_told_where_both_agree(cloud, disagreements):
    server = cloud.boot(cloud.cells('two-two', 2, 2), 'guest', host=HOST)
    assert ('ACTIVE', None) == (server.status, server.fault)
    assert {name: [] for name in SERVICES} == disagreements(server)


def test_a_host_in_shadow_mode_has_no_trait(cloud, stack):
    traits = {host: 'CUSTOM_NUMAPLACE' in cloud.traits(host) for host in stack.hosts}
    assert {host: host != HOST for host in stack.hosts} == traits
