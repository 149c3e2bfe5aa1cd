# SPDX-License-Identifier: Apache-2.0
"""The search by the index finds the hosts, their order and the refusals that asking every host gives."""

import os
import random
from dataclasses import replace

import pytest

from numaplace import conf, fit, model, plugins
from numaplace.fit.usefulness import Mix
from numaplace.model.grouping import POLICIES, Aggregate, ServerGroup
from numaplace.model.records import DISABLED, DOWN, ENABLED, UP, HostRecord
from numaplace.model.vnuma import AUTO_MODE, HOST_MODE
from numaplace.scheduler.filters import Filter, Request
from numaplace.scheduler.index import HostIndex
from numaplace.scheduler.search import Search
from numaplace.scheduler.weights import Weigher, weigh
from numaplace.scheduler.weights.numa_preserve import NUMAPreserveWeigher
from numaplace.tests import amount, samples
from numaplace.tests.property import cases

#: Drawn fleets, each with several requests; more by hand.
FLEETS = int(os.environ.get('NUMAPLACE_INDEX_FLEETS', '120'))
_CHUNKS = 8

_FACTS = (
    {'architecture': 'x86_64', 'domains': [['x86_64', 'kvm', 'hvm']]},
    {'architecture': 'aarch64', 'domains': [['aarch64', 'qemu', 'hvm']]},
    {},
)

_SPECS = ({}, {}, {'hw:cpu_policy': 'dedicated'}, {'capabilities:vcpus_total': '>= 20'}, {'pinned': 'true'})
_MIXES = ((), ((1, 1, 512, 30), (1, 2, 1024, 5), (2, 2, 1024, 3)))
_SERVERS = [f'server{number}' for number in range(8)]
_AGGREGATES = [
    Aggregate('pinned', {'pinned': 'true'}),
    Aggregate('project', {'filter_tenant_id': 'p1'}),
    Aggregate('image', {'hw_architecture': 'x86_64'}),
    Aggregate('flavor', {'instance_type': 'm1.sample'}),
    Aggregate('numbers', {'ram_weight_multiplier': '3', 'max_instances_per_host': '2', 'ram_allocation_ratio': '2.0'}),
]


class OddNames(Filter):
    """A plug-in without a form for all hosts at once."""

    def admit(self, host, request):
        if hash(int(host.name[1:])) % 5 == 0:
            return model.Refusal.of(model.Reason('zone', subject=host.name))
        return True


class FewVcpus(Weigher):
    """A plug-in without a form for all hosts at once."""

    multiplier_option = 'ram_weight_multiplier'

    def weigh(self, host, request):
        return -float(host.host.vcpus_used)


class Asked(Request):
    """A request whose networks are given."""

    __slots__ = ('given',)

    @property
    def networks(self):
        return self.given


def _record(dice, name, host):
    servers = frozenset(dice.sample(_SERVERS, dice.randrange(4)))
    return HostRecord(
        name,
        replace(host, floating_vcpus=dice.choice((0, 0, 0, 1, 5))),
        availability_zone=dice.choice(('nova', 'nova', 'az1')),
        facts=dice.choice(_FACTS),
        cpu_allocation_ratio=dice.choice((None, 1.0, 0.5, 16.0)),
        ram_allocation_ratio=dice.choice((None, 1.0, 0.75, 1.5)),
        status=dice.choice((ENABLED,) * 9 + (DISABLED,)),
        state=dice.choice((UP,) * 9 + (DOWN,)),
        aggregates=tuple(dice.sample(_AGGREGATES, dice.choice((0, 0, 1, 2)))),
        servers=servers,
    )


def _guest(dice, guest):
    """Return the guest as drawn, or without its cells, or with a wish in their place."""
    kind = dice.random()
    if kind < 0.1:
        return model.Guest(guest.vcpus, guest.memory_mib)
    if kind < 0.2:
        wish = model.Wish(dice.choice((AUTO_MODE, HOST_MODE)))
        return model.Guest(guest.vcpus, guest.memory_mib, wish=wish)
    return guest


def _request(dice, records):
    _host, guest, _limits, networks = cases.build(cases.draw(dice.randrange(10**9)))
    guest = _guest(dice, guest)
    plain = samples.instance_request(guest)
    specs = dice.choice(
        ({}, {}, {'hw:cpu_policy': 'dedicated'}, {'capabilities:vcpus_total': '>= 20'}, {'pinned': 'true'})
    )
    instance = replace(
        plain,
        flavor=replace(plain.flavor, extra_specs=specs),
        availability_zone=dice.choice((None, None, 'nova', 'az1')),
        project=dice.choice((None, 'p1')),
        hints=dice.choice(({}, {}, {'different_host': ('server1', 'server2')}, {'same_host': ('server3',)})),
        image_properties=dice.choice(({}, {}, {'hw_architecture': 'x86_64'})),
    )
    bindings = None
    if records and guest.cells and dice.random() < 0.15:
        ids = [cell.id for cell in dice.choice(records).host.cells]
        bindings = tuple(dice.choice(ids) for _ in guest.cells)
    group = None
    if records and dice.random() < 0.4:
        members = {name: frozenset({dice.choice(records).name}) for name in dice.sample(_SERVERS, dice.randrange(4))}
        group = ServerGroup('group', dice.choice(POLICIES), 'group', dice.choice((None, 2)), members)
    asked = Asked(instance, dice.choice((fit.SPREAD, fit.PACK, fit.LINEAR)), bindings, (), group)
    object.__setattr__(asked, 'given', networks)
    return asked


def _one_by_one(records, request, filters, weighers):
    """Ask every host."""
    admitted, refused = [], []
    for record in sorted(records, key=lambda record: record.name):
        for name, check in filters:
            answer = check.admit(record, request)
            if isinstance(answer, model.Refusal):
                refused.append((record.name, name, answer.reasons))
                break
        else:
            admitted.append(record)
    return [(record.name, weight) for record, weight in weigh(admitted, weighers, request)], refused


def _check(seed):
    dice = random.Random(seed)
    hosts = [cases.build(cases.draw(dice.randrange(10**9)))[0] for _ in range(dice.choice((1, 5, 20, 40)))]
    records = [_record(dice, f'h{number:03}', host) for number, host in enumerate(hosts)]
    group = conf.load([]).filter_scheduler
    names = dice.sample(plugins.known(plugins.FILTERS), dice.randint(5, 12))
    filters = [
        (name, kind.of(group)) for name, kind in zip(names, plugins.load(plugins.FILTERS, names, ''), strict=True)
    ]
    kinds = plugins.load(plugins.WEIGHTS, plugins.known(plugins.WEIGHTS), '')
    weighers = [(kind(), dice.choice((1.0, 1.5, -0.5))) for kind in kinds if dice.random() < 0.6]
    if dice.random() < 0.5:
        weighers.append((NUMAPreserveWeigher(Mix.of(dice.choice(_MIXES))), dice.choice((1.0, -0.5))))
    if dice.random() < 0.4:
        filters.insert(dice.randrange(len(filters) + 1), ('OddNames', OddNames()))
    if dice.random() < 0.4:
        weighers.append((FewVcpus(), dice.choice((-1.0, 0.5, 3.0))))
    index = HostIndex(dice.sample(records, len(records)))
    found, request = 0, None
    for _ in range(6):
        again = request is not None and dice.random() < 0.4  # what is kept of the last guest counts then
        request = request if again else _request(dice, records)
        wanted = _one_by_one(records, request, filters, weighers)
        search = Search(index, request, filters, weighers)
        got = [(record.name, weight) for record, weight in search.heaviest_first()]
        refused = [(name, check, refusal.reasons) for name, check, refusal in search.refusals()]
        assert (got, refused) == wanted, f'seed {seed}'
        _check_counts(search, records, refused, f'seed {seed}')
        found += bool(got)
        _change(dice, index, records)
    return found


def _check_counts(search, records, refused, about):
    """A filter counts a host only for what its own refusal names; each refused host is counted."""
    counts = search.counts()
    assert len(refused) <= sum(counts.values()), about
    if len(refused) == len(records):
        assert not [count for count in counts.values() if not 0 < count <= len(records)], about
    for name, check in search.filters:
        passing = check.may_admit(search.index, search.request)
        for kind, lacks in check.lacking(search.index, search.request).items():
            assert not (lacks & passing).any(), about
            for row in lacks.nonzero()[0]:
                answer = check.admit(search.index.records[row], search.request)
                codes = {reason.code for reason in answer.reasons}
                assert kind in answer.kinds or (kind, 'memory.multiple') in {('pages', code) for code in codes}, (
                    f'{about}: {name} {kind} {codes}'
                )


def _change(dice, index, records):
    """Change a host, remove one, take a new one in."""
    if not records:
        return
    number = dice.randrange(len(records))
    host = cases.build(cases.draw(dice.randrange(10**9)))[0]
    records[number] = _record(dice, records[number].name, host)
    index.update([records[number]])
    if dice.random() < 0.2:
        index.update([], [records.pop(dice.randrange(len(records))).name])
    if dice.random() < 0.3:
        new = _record(dice, f'h{dice.randrange(1000):03}x'.rstrip('x'), host)
        records[:] = [record for record in records if record.name != new.name] + [new]
        index.update([new])


@pytest.mark.parametrize('chunk', range(_CHUNKS))
def test_the_index_answers_as_asking_every_host_does(chunk):
    found = sum(_check(seed) for seed in amount.seeds(chunk, FLEETS // _CHUNKS, _CHUNKS))
    assert found > FLEETS // _CHUNKS, 'most fleets have a host for some request'
