# SPDX-License-Identifier: Apache-2.0
"""The scheduler as processes on a real bus: what it answers, once and not twice, to whom, and when it dies."""

import gc
import json
import os
import random
import signal
import sqlite3
import threading
import uuid
from collections import Counter
from dataclasses import replace
from importlib import resources

import pytest

from numaplace import conf as configuration
from numaplace import exception, wire
from numaplace.compute import claims, resource_tracker
from numaplace.db import api
from numaplace.model.records import DOWN, UP, HostRecord
from numaplace.operations.servers import Direct
from numaplace.scheduler.fresh import FreshIndex
from numaplace.tests import real, samples
from numaplace.tests.functional.cli.conftest import Program
from numaplace.tests.functional.services import bus as buses
from numaplace.tests.functional.services.running import PATIENCE_S, Running, soon
from numaplace.tests.functional.storms import ledger, servers
from numaplace.wire import messages

#: Kills of each kind under load; each long run takes about two seconds for a kill.
KILLS = int(os.environ.get('NUMAPLACE_SERVICES', '3'))
IS_LONG = KILLS > 3
BUS = os.environ.get('NUMAPLACE_TEST_BUS', 'rabbit://guest:guest@127.0.0.1:5672/')
WORKERS = 2


def configure(program, bus, timeout=60, **options):
    """Write the configuration of a command and its schedulers, which no other ones on the bus hear."""
    group = f'[DEFAULT]\ntransport_url = {bus}\n[oslo_messaging_rabbit]\nrabbit_retry_interval = 1\n'
    topic = f'test-{uuid.uuid4().hex}'
    more = {'scheduler_topic': topic, 'scheduler_timeout': timeout, 'scheduler_workers': WORKERS}
    program.configure(**{'scheduler': 'rpc', **more, **options, 'more': group})
    return program


@pytest.fixture(scope='module')
def bus():
    """The URL of a bus that runs."""
    real.require_module('numaplace.services.scheduler')
    kombu = real.require_module('kombu')
    try:
        with kombu.Connection(BUS.replace('rabbit://', 'amqp://'), connect_timeout=3) as connection:
            connection.ensure_connection(max_retries=1, timeout=3)
    except kombu.exceptions.OperationalError as error:
        real.missing(f'a RabbitMQ at {BUS} (NUMAPLACE_TEST_BUS names another): {error}')
    return BUS


@pytest.fixture(scope='module')
def running(_prepared, bus, tmp_path_factory):
    """The program with the host seed3, flavors and a bus, and a scheduler that runs; nothing makes it fail."""
    directory = tmp_path_factory.mktemp('scheduler')
    program = configure(_prepared.copy_to(Program(directory)), bus)
    with Running('numaplace-scheduler', program.config, directory / 'log') as scheduler:
        scheduler.await_line('answers', WORKERS)
        yield program, scheduler
        assert 0 == scheduler.end()
    assert 'Traceback' not in scheduler.log, scheduler.log


class Client:
    """A client of the schedulers that sends messages as they are."""

    def __init__(self, program):
        from numaplace.services.client import Remote  # noqa: PLC0415 - needs the libraries

        self.remote = Remote(configuration.load([str(program.config)]), [str(program.config)])

    def create(self, request):
        return self.remote.call('create', request)

    def close(self):
        """End the connections to a bus that nobody uses any more."""
        from numaplace.services import messaging  # noqa: PLC0415

        messaging.client(self.remote.conf, ['--config-file', *self.remote.files]).transport.cleanup()

    def send(self, method, version=None, **arguments):
        """Send anything; return the answer as it is."""
        from numaplace.services import messaging  # noqa: PLC0415

        client = messaging.client(self.remote.conf, ['--config-file', *self.remote.files])
        return client.prepare(timeout=9, **({'version': version} if version else {})).call({}, method, **arguments)


def a_request(database, number=1, flavor='m1.tiny', **fields):
    uuids = tuple(str(uuid.uuid4()) for _ in range(number))
    names = tuple(f'server{each[:6]}' for each in uuids)
    return messages.CreateRequest(
        str(uuid.uuid4()), uuids, names, database.flavor(flavor), {}, **{'at_least': number, **fields}
    )


def test_a_scheduler_does_what_the_command_asks_and_says_who_decided(running):
    """Each verb goes over the bus; a refusal has the reasons and the status that it has without a scheduler."""
    fleet, _ = running
    told = fleet.on_terminal('server', 'create', '--flavor', 'm1.numa', 'one')
    assert 0 == told.returncode
    assert 'numaplace: decided by ' in told.stderr
    fleet('server create --flavor m1.tiny --min 2 --max 2 web')
    assert {'one', 'web-1', 'web-2'} <= {row['Name'] for row in fleet.json('server list')}
    for command in ('server shelve one', 'server unshelve one', 'server delete web-1 web-2'):
        fleet(command)
    fleet('flavor create --ram 99999 --disk 1 --vcpus 1 huge')
    for words in (('create', '--flavor', 'huge', '-f', 'json', 'big'), ('resize', '--flavor', 'huge', 'one')):
        refused, direct = fleet.run('server', *words), fleet.run('--scheduler', 'direct', 'server', *words)
        assert (3, direct.stdout, direct.stderr) == (refused.returncode, refused.stdout, refused.stderr)
    fleet('server delete one')
    assert not {'one', 'web-1', 'web-2'} & {row['Name'] for row in fleet.json('server list')}


@pytest.mark.parametrize(
    'verbs',
    [
        ('server migrate away', 'server resize confirm away', 'server delete away'),
        ('server migrate --live-migration away', 'server delete away'),
        ('server resize --flavor m1.tiny away', 'server resize confirm away', 'server delete away'),
        ('host set --down lost', 'server evacuate away', 'server delete away'),
        ('server shelve away', 'server delete away'),
        ('server delete away',),
    ],
    ids=lambda verbs: verbs[0],
)
def test_a_server_is_taken_away_over_the_bus_from_a_host_whose_cpus_are_gone(running, verbs):
    fleet, _ = running
    fleet(f'host import lost --capabilities {fleet.fixture("seed3")}')
    flavor = f'm1.{uuid.uuid4().hex[:8]}'
    fleet('flavor create --ram 64 --vcpus 1 --property hw:cpu_policy=dedicated', flavor)
    fleet(f'server create --flavor {flavor} --host lost away')
    with api.connect(f'sqlite:///{fleet.database}') as database:
        whole = database.host('lost').host
        cells = [replace(cell, shape=replace(cell.shape, dedicated_cpus=0)) for cell in whole.cells]
        lost = replace(whole, cells=tuple(cells))
        resource_tracker.refresh(database, 'lost', lost, force=True)
        for verb in verbs:
            fleet(verb)
        assert resource_tracker.empty(lost) == database.host('lost').host
    fleet('host delete lost')


def there(database, request):
    return {server.uuid for server in database.instances()} & set(request.uuids)


def test_a_message_that_is_delivered_twice_is_carried_out_once(running):
    fleet, _ = running
    client, url = Client(fleet), f'sqlite:///{fleet.database}'
    with api.connect(url) as database:
        request = a_request(database, 2)
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(client.create(request))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert 4 == len(answers)
        assert {request.uuids} == {answer.uuids for answer in answers}
        assert set(request.uuids) == there(database, request)

        delete = messages.ServerRequest(str(uuid.uuid4()), request.uuids[0], 'delete')
        assert client.remote.call('do', delete).worker
        assert () == client.remote.call('do', delete).uuids, 'it was done, so it is no fault'
        assert (request.uuids[1],) == client.create(request).uuids, 'what was deleted since does not come back'
        assert {request.uuids[1]} == there(database, request)
        assert [] == ledger.at(url).faults()


def test_a_move_that_a_worker_left_on_its_way_is_finished_by_the_next_one(running):
    """The claim is stored and the worker is dead: the same message again goes on from there."""
    fleet, _ = running
    client, url = Client(fleet), f'sqlite:///{fleet.database}'
    fleet('--scheduler direct server create --flavor m1.tiny moving')
    with api.connect(url) as database:
        resource_tracker.register(database, replace(database.host('seed3'), name='other', uuid='', unmanaged=()))
        server = database.instance('moving')
        request = messages.ServerRequest(str(uuid.uuid4()), server.uuid, 'live_migrate')
        assert claims.live_migration_claim(database.for_request(request.uuid), server.uuid, 'other')
        for _ in range(2):
            assert ('other',) == client.remote.call('do', request).hosts
        assert ['completed'] == [move.status for move in database.migrations()]
        assert [] == ledger.at(url).faults()


def overtake(monkeypatch, answers, act):
    """Let a worker carry a request out while another one has just seen that nobody has."""
    ask = api.Database.was_carried_out

    def do(worker):
        answers.append(messages.read(act(worker), 'Decision'))

    def look(view, uuids):
        found = ask(view, uuids)
        monkeypatch.setattr(api.Database, 'was_carried_out', ask)
        do('first')
        return found

    monkeypatch.setattr(api.Database, 'was_carried_out', look)
    do('second')


@pytest.mark.parametrize('is_begun', [False, True], ids=['new', 'begun'])
def test_what_another_worker_creates_between_the_look_and_the_choice_of_hosts_is_no_fault(
    prepared, bus, monkeypatch, is_begun
):
    """The same message twice at once, for as many servers as there is room for: the second one finds none."""
    from numaplace.services.endpoint import Endpoint  # noqa: PLC0415

    prepared('flavor create all --vcpus 2 --ram 256 --property hw:cpu_policy=dedicated')
    conf, answers = configuration.load([str(configure(prepared, bus).config)]), []
    with api.connect(f'sqlite:///{prepared.database}') as database:
        most = sum(cell.free_cpus.bit_count() for cell in database.host('seed3').host.cells) // 2
        index = FreshIndex(database, trust_s=PATIENCE_S, lost=lambda: None)
        index.refresh()
        request = messages.write(a_request(database, most, 'all'))
        if is_begun:  # by a worker that died after the first server
            create = Direct.create
            with monkeypatch.context() as patch:
                patch.setattr(
                    Direct, 'create', lambda self, view, wanted, name, **_more: create(self, view, wanted[:1], name)
                )
                Endpoint(conf, database, 'dead', index).create({}, request=request)
            assert 1 == len(database.instances())
        overtake(
            monkeypatch, answers, lambda worker: Endpoint(conf, database, worker, index).create({}, request=request)
        )
        more = messages.write(a_request(database, 1, 'all'))
        refused = messages.read(Endpoint(conf, database, 'third', index).create({}, request=more), 'Decision')
        assert most == len(database.instances())
    assert [('first', None), ('second', None)] == [(each.worker, each.fault) for each in answers]
    assert most == len(answers[0].uuids)
    assert answers[0].uuids == answers[1].uuids
    assert 'NoValidHost' == refused.fault


@pytest.mark.parametrize(
    'asked',
    [
        *((verb, None) for verb in ('delete', 'shelve', 'migrate', 'live_migrate', 'resize', 'evacuate')),
        *((verb, 'other') for verb in ('migrate', 'live_migrate', 'evacuate')),
    ],
)
def test_what_another_worker_does_between_the_look_and_the_change_is_no_fault(
    prepared, bus, make_claim, monkeypatch, asked
):
    """The same message twice at once, as when the last commit of a worker that was killed comes late."""
    from numaplace.services.endpoint import Endpoint  # noqa: PLC0415

    verb, host = asked
    conf, answers = configuration.load([str(configure(prepared, bus).config)]), []
    with api.connect(f'sqlite:///{prepared.database}') as database:
        resource_tracker.register(database, replace(database.host('seed3'), name='other', uuid='', unmanaged=()))
        server, flavor = make_claim(database, 'seed3'), database.flavor('m1.tiny') if verb == 'resize' else None
        if verb == 'evacuate':
            resource_tracker.switch(database, 'seed3', state=DOWN)
        index = FreshIndex(database, trust_s=PATIENCE_S, lost=lambda: None)
        index.refresh()
        request = messages.write(messages.ServerRequest(str(uuid.uuid4()), server.uuid, verb, flavor, host))

        overtake(monkeypatch, answers, lambda worker: Endpoint(conf, database, worker, index).do({}, request=request))
    assert [('first', None), ('second', None)] == [(each.worker, each.fault) for each in answers]
    assert answers[1].hosts == (() if verb == 'delete' else answers[0].hosts)


def before(name):
    """Return a message, or what an agent stored, of the release before."""
    return json.loads(resources.files('numaplace.tests.data').joinpath('messages', name).read_text())


def test_a_scheduler_answers_a_client_of_the_release_before_and_a_client_asks_a_scheduler_of_it(running):
    """Its messages are fixtures; they are answered as it expects, about hosts as its agents stored them."""
    fleet, _ = running
    client, url = Client(fleet), f'sqlite:///{fleet.database}'
    old = before('1.0.json')
    with api.connect(url) as database:
        resource_tracker.register(
            database, HostRecord('older', samples.host(cells=2), facts={'architecture': 'x86_64'})
        )
        with sqlite3.connect(fleet.database) as rows:
            text = json.dumps(before('agent.json'))
            rows.execute("UPDATE compute_nodes SET numa_topology = ? WHERE host = 'older'", (text,))
        create = old['CreateRequest']
        data = create['numaplace_object.data'] | {'uuid': str(uuid.uuid4()), 'uuids': [str(uuid.uuid4())]}
        data['host'] = 'older'
        answer = client.send('create', version='1.0', request=create | {'numaplace_object.data': data})
        assert '1.0' == answer['numaplace_object.version']
        assert old['Decision']['numaplace_object.data'].keys() == answer['numaplace_object.data'].keys()
        assert ['older'] == answer['numaplace_object.data']['hosts']
        asked = a_request(database)
        assert '1.1' == client.send('create', request=messages.write(asked))['numaplace_object.version']

        fleet.config.write_text(fleet.config.read_text() + '[upgrade_levels]\nnumaplace = 1.0\n')
        pinned = Client(fleet)
        assert 0 == pinned.create(a_request(database)).took_ms, 'a Decision 1.0 does not say it'
        assert '1.0' == pinned.send('explain', request=messages.write(asked, '1.0'))['numaplace_object.version']
        fleet.config.write_text(fleet.config.read_text().replace('numaplace = 1.0', 'numaplace = 0.9'))
        with pytest.raises(exception.InvalidConfiguration, match='upgrade_levels'):
            Client(fleet)
        fleet.config.write_text(fleet.config.read_text().partition('[upgrade_levels]')[0])
        for server in database.instances():
            claims.release(database, server.uuid)
        database.delete_host('older')


def test_a_process_tells_the_others_which_hosts_it_has_changed(running):
    import kombu  # noqa: PLC0415

    fleet, _ = running
    client, url = Client(fleet), f'sqlite:///{fleet.database}'
    exchange = kombu.Exchange(f'{client.remote.conf.numaplace.scheduler_topic}_fanout', 'fanout', passive=True)
    with api.connect(url) as database, kombu.Connection(BUS.replace('rabbit://', 'amqp://')) as connection:
        queue = kombu.Queue(f'test-{uuid.uuid4().hex}', exchange, exclusive=True, auto_delete=True, durable=False)
        heard = connection.SimpleQueue(queue(connection.channel()))
        decision = client.create(a_request(database))
        told = {'worker': None, 'hosts': []}
        # What came before may be told first, or with it.
        while told['worker'] != decision.worker or not set(decision.hosts) <= set(told['hosts']):
            message = json.loads(json.loads(heard.get(timeout=60).body)['oslo.message'])
            assert 'changed' == message['method']
            told = message['args']
        heard.close()


@pytest.mark.parametrize(('worker', 'lost'), [('another', 0), ('this', 1)])
def test_a_process_that_hears_of_a_change_loses_no_claim_by_it(prepared, bus, make_claim, worker, lost):
    from numaplace.services.endpoint import Endpoint  # noqa: PLC0415

    conf, failed = configuration.load([str(configure(prepared, bus).config)]), []
    with api.connect(f'sqlite:///{prepared.database}') as database:
        index = FreshIndex(database, trust_s=PATIENCE_S, lost=lambda: failed.append(1))
        index.refresh()
        endpoint = Endpoint(conf, database, 'this', index)
        make_claim(database, 'seed3')
        endpoint.changed({}, worker=worker, hosts=['seed3'])
        answer = endpoint.create({}, request=messages.write(a_request(database)))
    assert ('this', ('seed3',)) == (messages.read(answer, 'Decision').worker, messages.read(answer, 'Decision').hosts)
    assert lost == len(failed)


STRANGE = {
    'no request': ('create', {}),
    'not an object': ('create', {'request': 'rm -rf /'}),
    'another object': ('do', {'request': wire.primitive('Decision', {})}),
    'a newer version': (
        'do',
        {'request': wire.primitive('ServerRequest', {}) | {'numaplace_object.version': '1.99'}},
    ),
    'no UUID': (
        'do',
        {'request': messages.write(messages.ServerRequest('x\x1b[31m', 'y', 'delete'))},
    ),
}


def test_what_strangers_send_is_refused_with_one_line_each_and_the_others_are_answered(running):
    import kombu  # noqa: PLC0415

    from numaplace.services.threading_backend import oslo_messaging  # noqa: PLC0415

    fleet, scheduler = running
    client, url = Client(fleet), f'sqlite:///{fleet.database}'
    topic = client.remote.conf.numaplace.scheduler_topic
    with api.connect(url) as database:
        for method, arguments in STRANGE.values():
            decision = messages.read(client.send(method, **arguments), 'Decision')
            assert decision.fault in ('InvalidObject', 'IncompatibleObjectVersion')
        assert client.send('changed', worker='x', hosts='seed3') is None
        assert len(STRANGE) + 1 == scheduler.log.count('an invalid message is refused')
        assert '\x1b' not in scheduler.log
        with pytest.raises(oslo_messaging.RemoteError, match='shutdown'):
            client.send('shutdown')
        scheduler.await_line('a message is refused: ')
        with kombu.Connection(BUS.replace('rabbit://', 'amqp://')) as connection:
            producer = connection.Producer()
            for body in (b'\x00\xff', b'{}', b'[]', b'{"oslo.version": "2.0", "oslo.message": "no"}'):
                producer.publish(body, routing_key=topic, exchange='', content_type='application/json')
        assert client.create(a_request(database)).uuids, 'it still answers'
        assert client.create(a_request(database)).uuids


def test_without_a_scheduler_a_command_ends_with_one_line_in_its_time(prepared, bus):
    told = configure(prepared, bus, timeout=2).run('server', 'create', '--flavor', 'm1.tiny', 'one')
    assert (1, '', 1) == (told.returncode, told.stdout, told.stderr.count('\n'))
    assert told.stderr.startswith('numaplace: no scheduler answered request ')
    prepared.configure(scheduler='rpc')
    told = prepared.run('server', 'create', '--flavor', 'm1.tiny', 'one')
    assert (1, 1) == (told.returncode, told.stderr.count('[DEFAULT] transport_url is missing'))


# --- deaths


class Load:
    """Clients that create and delete servers until they are stopped, and what they were told."""

    def __init__(self, program, url, clients=4):
        self.told, self.created, self.deleted, self.asked = Counter(), set(), set(), set()
        #: Servers whose deletion failed, of which nobody knows whether they are there, and those that no host takes.
        self.unsure, self.refused = set(), set()
        self._stop = threading.Event()
        self.client, self._url = Client(program), url
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(clients)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_exc):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, number):
        dice, mine = random.Random(number), []
        with api.connect(self._url) as database:
            flavor = database.flavor('pinned')
        while not self._stop.is_set():
            deletes = bool(mine) and dice.random() < 0.5
            try:
                if deletes:
                    server = mine.pop()
                    self._twice(dice, 'do', messages.ServerRequest(str(uuid.uuid4()), server, 'delete'))
                    self.deleted.add(server)
                else:
                    server = str(uuid.uuid4())
                    self.asked.add(server)
                    request = messages.CreateRequest(str(uuid.uuid4()), (server,), (f's{server[:8]}',), flavor, {})
                    self._twice(dice, 'create', request)
                    self.created.add(server)
                    mine.append(server)
                self.told['done'] += 1
            except exception.NumaplaceException as error:
                self.told[type(error).__name__] += 1
                if deletes:
                    self.unsure.add(server)
                elif isinstance(error, exception.NoValidHost):
                    self.refused.add(server)

    def _twice(self, dice, method, request):
        """Send a request; a third of them are delivered twice."""
        self.client.remote.call(method, request)
        if dice.random() < 0.34:
            self.client.remote.call(method, request)

    def await_more(self, number=8):
        """Wait until the schedulers have done something more."""
        before = self.told['done']
        soon(lambda: self.told['done'] >= before + number, 120)


def check(load, url):
    """Judge what the clients were told by the rows."""
    story = dict(load.told)
    rows = ledger.at(url)
    assert [] == rows.faults(), story
    stored = set(rows.servers)
    assert load.created - load.deleted - load.unsure <= stored, f'what was answered is stored: {story}'
    assert not load.refused & stored, f'what was refused is not stored: {story}'
    assert not load.deleted & stored, f'what was deleted is gone: {story}'
    assert stored <= load.asked, f'nothing is there that nobody asked for: {story}'
    known = {'NoValidHost', 'ConcurrentUpdate', 'UnknownDatabase', 'NoAnswer', 'LostConnection', 'UnknownOutcome'}
    assert set(story) <= {'done', *known}, story


def fill(url):
    api.upgrade(url)
    with api.connect(url) as database:
        for number in range(4):
            host = samples.host(cells=2)
            resource_tracker.register(database, HostRecord(f'host{number}', host, facts={'architecture': 'x86_64'}))
        from numaplace.model import Flavor  # noqa: PLC0415

        database.create_flavor(Flavor('pinned', 1, 16, 1, {'hw:cpu_policy': 'dedicated'}, 'pinned'))


_AGENT = """[DEFAULT]
host = agent
report_interval = 1
service_down_time = 30
[libvirt]
connection_uri = test:///default
[compute]
cpu_dedicated_set = 0-7
[numaplace]
connection = {url}
discovery_interval = 1
"""


def test_workers_and_agents_are_killed_under_load_and_messages_come_twice(tmp_path, bus, database_url_mysql):
    """Nothing is claimed twice or lost; every request is answered or times out."""
    real.require_program('virsh')
    program = configure(Program(tmp_path), bus, timeout=10, connection=database_url_mysql)
    fill(database_url_mysql)
    dice = random.Random(1)
    config = tmp_path / 'agent.conf'
    config.write_text(_AGENT.format(url=database_url_mysql))
    with (
        Running('numaplace-scheduler', program.config, tmp_path / 'log') as scheduler,
        Running('numaplace-compute', config, tmp_path / 'agent.log') as agent,
    ):
        scheduler.await_line('answers', WORKERS)
        agent.await_line("host 'agent' is registered")
        with Load(program, database_url_mysql) as load:
            load.await_more()
            for _ in range(KILLS):
                os.kill(dice.choice(soon(lambda: scheduler.children) + soon(lambda: agent.children)), signal.SIGKILL)
                load.await_more()
        check(load, database_url_mysql)
        with api.connect(database_url_mysql) as database:
            soon(lambda: UP == database.host('agent').state)
    for log in (scheduler.log, agent.log):
        assert 'Traceback' not in log, log


@pytest.mark.skipif(not IS_LONG, reason='NUMAPLACE_SERVICES sets a number of kills above 3')
# kombu leaves the sockets to a bus that was killed to the garbage collector, which is called where that is ignored.
@pytest.mark.filterwarnings('ignore::pytest.PytestUnraisableExceptionWarning')
def test_the_bus_and_the_database_are_killed_under_load(tmp_path):
    """Clients and schedulers wait for both, and go on."""
    dice = random.Random(2)
    with buses.rabbitmq() as bus, servers.mariadb() as server:
        with server.admin.connect() as connection:
            connection.exec_driver_sql('CREATE DATABASE numaplace')
        program = configure(Program(tmp_path), bus.url, timeout=20, connection=server.url)
        fill(server.url)
        with Running('numaplace-scheduler', program.config, tmp_path / 'log') as scheduler:
            scheduler.await_line('answers', WORKERS)
            with Load(program, server.url) as load:
                load.await_more()
                for _ in range(max(2, KILLS // 20)):
                    victim = dice.choice((bus, server))
                    victim.kill()
                    victim.start()
                    load.await_more()
            check(load, server.url)
        load.client.close()
    del load
    gc.collect()
