# SPDX-License-Identifier: Apache-2.0
"""The database finds the hosts, and their order, that reading and asking every host gives."""

import os
import random
import shutil
from dataclasses import replace

import pytest

from numaplace import conf, plugins
from numaplace.db import api
from numaplace.db.capacity import capacity
from numaplace.model.grouping import Aggregate
from numaplace.scheduler import direct
from numaplace.scheduler.select import Policy
from numaplace.tests import amount
from numaplace.tests.property import cases
from numaplace.tests.property.test_index import FewVcpus, OddNames, _one_by_one, _record, _request

#: Drawn fleets, each with several requests; more by hand.
FLEETS = int(os.environ.get('NUMAPLACE_DIRECT_FLEETS', '120'))
_CHUNKS = 8
_AGGREGATES = [Aggregate('zone', {'availability_zone': 'az1'}), Aggregate('odd', {'pinned': 'true'})]


def _fill(dice, database):
    """Store drawn hosts, some of them in aggregates."""
    hosts = [cases.build(cases.draw(dice.randrange(10**9)))[0] for _ in range(dice.choice((1, 5, 20, 40)))]
    alike = dice.random() < 0.3
    for number, host in enumerate(hosts):
        record = _record(dice, f'h{number:03}', hosts[0] if alike else host)
        database.create_host(replace(record, aggregates=(), servers=frozenset()))
    if dice.random() < 0.3:
        for aggregate in _AGGREGATES:
            database.create_aggregate(aggregate)
            names = tuple(sorted(dice.sample([f'h{number:03}' for number in range(len(hosts))], min(3, len(hosts)))))
            database.change_aggregate(aggregate.name, lambda before, names=names: replace(before, hosts=names))


def _policy(dice):
    loaded = conf.load([])
    policy = Policy.of(loaded)
    names = dice.sample(plugins.known(plugins.FILTERS), dice.randint(5, 12))
    filters = policy.filters
    if dice.random() < 0.5:
        kinds = plugins.load(plugins.FILTERS, names, '')
        filters = tuple((name, kind.of(loaded.filter_scheduler)) for name, kind in zip(names, kinds, strict=True))
    if dice.random() < 0.4:
        filters = (*filters, ('OddNames', OddNames()))
    weighers = tuple((weigher, dice.choice((multiplier,) * 4 + (-0.5, 0.0))) for weigher, multiplier in policy.weighers)
    has_plugin = dice.random() < 0.1
    return replace(policy, filters=filters, weighers=(*weighers, (FewVcpus(), 3.0)) if has_plugin else weighers)


def _has(found, least):
    return found == least if isinstance(least, str) else found >= least


def _check(seed, empty, monkeypatch):
    dice = random.Random(seed)
    monkeypatch.setattr(direct, '_FIRST_PAGE', dice.choice((1, 2, 3, 64)))
    file = empty.with_name(f'{seed}.sqlite')
    shutil.copy(empty, file)
    database = api.connect(f'sqlite:///{file}')
    try:
        return _ask(seed, dice, database)
    finally:
        database.close()
        file.unlink()


def _ask(seed, dice, database):
    _fill(dice, database)
    records, _ = database.candidates(None)
    assert database.fleet().hosts == tuple(database.hosts())
    found = answers = 0
    for _ in range(6):
        request, policy = _request(dice, records), _policy(dice)
        object.__setattr__(request, 'group', None)
        wanted, _refused = _one_by_one(records, request, policy.filters, policy.weighers)
        for _name, check in policy.filters:
            needs = check.needs(request)
            for record in records:
                row = {**capacity(record), 'status': record.status, 'state': record.state}
                if not all(_has(row[key], least) for key, least in needs.items()):
                    assert check.admit(record, request) is not True, f'seed {seed}: {needs} of {record.name}'
        number = dice.choice((1, 3, 100))
        got = [(record.name, weight) for record, weight in direct.heaviest(database, request, policy, number)]
        if got:
            assert got == wanted[:number], f'seed {seed}'
        found += bool(got)
        answers += bool(wanted)
    return found, answers


@pytest.mark.parametrize('chunk', range(_CHUNKS))
def test_the_database_answers_as_asking_every_host_does(chunk, tmp_path, monkeypatch):
    empty = tmp_path / 'empty.sqlite'
    api.connect(f'sqlite:///{empty}').close()
    sums = [_check(seed, empty, monkeypatch) for seed in amount.seeds(chunk, FLEETS // _CHUNKS, _CHUNKS)]
    found, answers = (sum(each) for each in zip(*sums, strict=True))
    assert answers > FLEETS // _CHUNKS, 'most fleets have a host for some request'
    assert found > answers / 3, 'most answers are found without reading all hosts'
