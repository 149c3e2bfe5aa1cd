# SPDX-License-Identifier: Apache-2.0
"""PCI devices: claimed with the CPUs, held on both sides of a move, freed with the server; on each database."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import sqlalchemy as sa

from numaplace import exception, fit
from numaplace.compute import adoption, audit, claims, hotplug_claims, migration, resource_tracker
from numaplace.db import api
from numaplace.db.records import InstanceRequest
from numaplace.db.tables import PCI_DEVICES
from numaplace.model import Flavor, GrantedDevice, HostDevices, PciDevice, PciRequest, Refusal
from numaplace.model.holding import Holding
from numaplace.model.pci import PF, REQUIRED, VF
from numaplace.model.records import DOWN, UP
from numaplace.tests import samples
from numaplace.tests.functional.db import moving

GPU, NIC = ('10de', '20b0'), ('8086', '1572')
GPUS = tuple(PciDevice(f'0000:0{cell + 1}:00.0', *GPU, numa_node=cell, tags={'managed': 'yes'}) for cell in (0, 1))
CARD = PciDevice('0000:05:00.0', *NIC, PF, 0)
VFS = tuple(PciDevice(f'0000:05:02.{number}', *NIC, VF, 0, CARD.address, {'trusted': 'true'}) for number in range(2))
DEVICES = (*GPUS, CARD, *VFS)


def asks(number, kind=GPU, dev_type='type-PCI', policy=REQUIRED):
    wanted = dict(zip(('vendor_id', 'product_id'), kind, strict=True)) | {'dev_type': dev_type}
    return PciRequest(number, (wanted,), policy, 'gpu' if kind == GPU else 'nic')


def guest(*requests, **keys):
    return replace(samples.guest(**keys), pci_requests=requests)


def record(name, devices=DEVICES):
    found = samples.host_record(name)
    return replace(found, host=replace(found.host, devices=HostDevices(tuple(devices))))


@pytest.fixture
def cards(database):
    """Two hosts with devices."""
    for name in ('a', 'b'):
        resource_tracker.register(database, record(name))
    return database


def claim(database, wanted, host='a', name='guest1'):
    request = samples.instance_request(wanted, name)
    specs = request.flavor.extra_specs | ({'pci_passthrough:alias': 'gpu:1'} if wanted.pci_requests else {})
    return claims.instance_claim(database, replace(request, flavor=replace(request.flavor, extra_specs=specs)), host)


def statuses(database, host='a'):
    """Return the stored status and owner of the devices of a host that are not available."""
    number = database.host(host).number
    query = sa.select(PCI_DEVICES.c.address, PCI_DEVICES.c.status, PCI_DEVICES.c.instance_uuid)
    with database._transaction(reads=True) as connection:
        rows = connection.execute(query.where(PCI_DEVICES.c.compute_node_id == number)).all()
    return {address: (status, owner) for address, status, owner in rows if status != 'available'}


def held(instance):
    return [granted.device.address for granted in instance.placement.devices]


def test_a_host_is_read_with_its_devices(cards):
    assert cards.host('a').host.devices == HostDevices(DEVICES)
    assert cards.fleet().hosts[1].host.devices.count == len(DEVICES)


def test_a_claim_takes_a_device_and_the_cell_that_it_is_on(cards):
    server = claim(cards, guest(asks(1))).instance
    other = claim(cards, guest(asks(1)), name='guest2').instance
    assert server.placement.devices == (GrantedDevice(GPUS[0], 'gpu'),)
    assert [placed.host_cell for placed in other.placement.cells] == [1]
    assert statuses(cards) == {
        GPUS[0].address: ('allocated', server.uuid),
        GPUS[1].address: ('allocated', other.uuid),
    }
    assert [cards.instance(one.uuid) for one in (server, other)] == [server, other]
    refusal = claim(cards, guest(asks(1)), name='guest3')
    assert [(reason.code, reason.available) for reason in refusal.reasons] == [('pci.total', 0)]
    claims.release(cards, server.uuid)
    claims.release(cards, other.uuid)
    assert statuses(cards) == {}
    moving.check(cards)


def test_a_guest_that_floats_gets_devices_too(cards):
    floating = replace(samples.guest(), cells=(), pci_requests=(asks(2),))
    server = claim(cards, floating).instance
    assert held(server) == [gpu.address for gpu in GPUS]
    assert cards.instance(server.uuid) == server


def test_a_card_is_given_whole_or_as_functions(cards):
    vf = claim(cards, guest(asks(1, NIC, VF))).instance
    assert statuses(cards) == {VFS[0].address: ('allocated', vf.uuid), CARD.address: ('unavailable', None)}
    assert isinstance(claim(cards, guest(asks(1, NIC, PF)), name='guest2'), Refusal)
    claims.release(cards, vf.uuid)
    claim(cards, guest(asks(1, NIC, PF)), name='guest2')
    assert {status for status, _ in statuses(cards).values()} == {'allocated', 'unclaimable'}
    assert isinstance(claim(cards, guest(asks(1, NIC, VF)), name='guest3'), Refusal)


def test_a_guest_without_devices_stays_off_their_cells_where_it_can(database):
    resource_tracker.register(database, record('a', [replace(gpu, numa_node=0) for gpu in GPUS]))
    server = claim(database, guest()).instance
    assert [placed.host_cell for placed in server.placement.cells] == [1]
    assert server.placement.devices == ()


def test_both_sides_of_a_resize_hold_devices(cards):
    server = claim(cards, guest(asks(1))).instance
    large = Flavor('large', 2, 512, id='large')

    def read(_flavor, _image):
        return guest(asks(1))

    for end, here, left in ((migration.revert, 'a', 'b'), (migration.confirm, 'b', 'a')):
        claims.resize_claim(cards, server.uuid, 'b', flavor=large, read=read)
        assert [list(statuses(cards, name)) for name in 'ab'] == [[GPUS[0].address]] * 2
        assert cards.instance(server.uuid).move.new.placement.devices
        migration.finish(cards, server.uuid)
        end(cards, server.uuid)
        assert (list(statuses(cards, here)), statuses(cards, left)) == ([GPUS[0].address], {})
        assert held(cards.instance(server.uuid)) == [GPUS[0].address]
        moving.check(cards)


def test_a_resize_on_the_same_host_takes_another_device(cards):
    server = claim(cards, guest(asks(1))).instance
    large = Flavor('large', 2, 512, id='large')
    claims.resize_claim(cards, server.uuid, 'a', flavor=large, read=lambda *_: guest(asks(1)))
    assert list(statuses(cards)) == [gpu.address for gpu in GPUS]
    migration.finish(cards, server.uuid)
    migration.confirm(cards, server.uuid)
    assert statuses(cards) == {GPUS[1].address: ('allocated', server.uuid)}
    moving.check(cards)


def test_a_resize_to_a_flavor_without_devices_frees_them_once_it_is_confirmed(cards):
    server = claim(cards, guest(asks(1))).instance
    claims.resize_claim(cards, server.uuid, 'b', flavor=moving.LARGE, read=moving.read)
    migration.finish(cards, server.uuid)
    assert list(statuses(cards)) == [GPUS[0].address]
    migration.confirm(cards, server.uuid)
    assert (statuses(cards), held(cards.instance(server.uuid))) == ({}, [])


def test_an_evacuated_server_gets_devices_of_its_new_host(cards):
    server = claim(cards, guest(asks(2), cells=2)).instance
    resource_tracker.switch(cards, 'a', state=DOWN)
    claims.rebuild_claim(cards, server.uuid, 'b', read=lambda *_: guest(asks(2), cells=2))
    assert len(statuses(cards)) == len(statuses(cards, 'b')) == 2
    migration.finish(cards, server.uuid)
    resource_tracker.switch(cards, 'a', state=UP)
    assert (statuses(cards), len(statuses(cards, 'b'))) == ({}, 2)


def test_a_shelved_server_holds_none_and_gets_some_back(cards):
    server = claim(cards, guest(asks(1))).instance
    migration.shelve(cards, server.uuid)
    assert statuses(cards) == {}
    claims.unshelve_claim(cards, server.uuid, 'b', read=lambda *_: guest(asks(1)))
    assert statuses(cards, 'b') == {GPUS[0].address: ('allocated', server.uuid)}


@pytest.mark.parametrize('verb', ['resize', 'evacuate', 'unshelve'])
def test_a_reader_without_aliases_moves_no_server_with_devices(verb, cards):
    flavor = Flavor('gpu', 2, 512, 1, {'pci_passthrough:alias': 'gpu:1'}, 'gpu')
    request = InstanceRequest('guest1', flavor, guest(asks(1)))
    server = claims.instance_claim(cards, request, 'a').instance
    move = claims.resize_claim
    if verb == 'evacuate':
        resource_tracker.switch(cards, 'a', state=DOWN)
        move = claims.rebuild_claim
    if verb == 'unshelve':
        migration.shelve(cards, server.uuid)
        move = claims.unshelve_claim
    before = statuses(cards)
    with pytest.raises(exception.PciRequestAliasNotDefined, match="pci_passthrough:alias='gpu:1': alias 'gpu'"):
        move(cards, server.uuid, 'b')
    assert (statuses(cards), statuses(cards, 'b')) == (before, {})
    move(cards, server.uuid, 'b', read=lambda *_: guest(asks(1)))
    assert list(statuses(cards, 'b')) == [GPUS[0].address]


def test_hotplug_keeps_devices(cards):
    flavor = Flavor('grows', 4, 512, 1, {'hw:cpu_policy': 'dedicated', 'numaplace:vcpu_hotplug': 'true'}, 'grows')
    wanted = guest(asks(1), vcpus=4)
    request = InstanceRequest('guest1', flavor, wanted)
    server = claims.instance_claim(cards, request, 'a').instance
    changed = hotplug_claims.set_vcpus(cards, server.uuid, 2)
    assert (held(changed), list(statuses(cards))) == ([GPUS[0].address], [GPUS[0].address])
    moving.check(cards)


def test_a_device_that_a_domain_holds_is_not_given(cards):
    domain = Holding('other', 'd', devices=(GPUS[0].address,))
    cards.change_host('a', lambda found, _: replace(found, libvirt_uri='test:///default', unmanaged=(domain,)))
    assert statuses(cards) == {GPUS[0].address: ('unavailable', None)}
    assert held(claim(cards, guest(asks(1))).instance) == [GPUS[1].address]
    assert isinstance(claim(cards, guest(asks(1)), name='guest2'), Refusal)


def test_a_domain_that_is_off_may_have_the_device_of_a_server(cards):
    server = claim(cards, guest(asks(1))).instance
    domain = Holding('other', 'd', devices=(GPUS[0].address,))
    cards.change_host('a', lambda found, _: replace(found, libvirt_uri='test:///default', unmanaged=(domain,)))
    claims.release(cards, server.uuid)
    assert statuses(cards) == {GPUS[0].address: ('unavailable', None)}


def test_the_device_of_a_domain_that_stays_is_not_available(cards):
    server = claim(cards, guest(asks(1))).instance
    claims.release(cards, server.uuid, is_left=True)
    assert statuses(cards) == {GPUS[0].address: ('unavailable', None)}
    assert held(claim(cards, guest(asks(1)), name='guest2').instance) == [GPUS[1].address]


@pytest.mark.parametrize('name', ['repair', 'refresh'])
def test_a_wrong_owner_of_a_device_is_made_right(name, cards):
    server, other = (claim(cards, guest(asks(1)), name=each).instance for each in ('guest1', 'guest2'))
    right = statuses(cards)
    with cards._transaction() as connection:
        is_first = PCI_DEVICES.c.instance_uuid == server.uuid
        connection.execute(sa.update(PCI_DEVICES).where(is_first).values(instance_uuid=other.uuid))
    if name == 'repair':
        cards.change_host('a', lambda found, _: replace(found, host=replace(found.host, memory_used_mib=1)))
        assert audit.repair(cards, 'a').differences
    else:
        resource_tracker.refresh(cards, 'a', record('a').host)
    assert statuses(cards) == right


def adopt(database, name='guest1'):
    placement = fit.place(database.host('a').host, samples.guest())
    request = replace(samples.instance_request(samples.guest(), name), adopted_name=name)
    return adoption.adopt(database, request, 'a', replace(placement, devices=(GrantedDevice(GPUS[1]),)))


def test_an_adopted_domain_keeps_devices_that_nobody_stored_for_it(cards):
    server = adopt(cards)
    assert statuses(cards) == {GPUS[1].address: ('allocated', server.uuid)}
    assert cards.instance(server.uuid) == server
    with pytest.raises(adoption.Conflict, match=rf'PCI devices 0000:02:00.0 are given to .* and to {server.uuid}'):
        adopt(cards, 'guest2')


@pytest.mark.parametrize(
    'move',
    [
        lambda database, uuid: claims.resize_claim(database, uuid, 'b', read=lambda *_: samples.guest()),
        migration.shelve,
    ],
    ids=['migrate', 'shelve'],
)
def test_an_adopted_domain_loses_no_device_that_its_flavor_does_not_request(move, cards):
    server = adopt(cards)
    with pytest.raises(exception.Conflict, match=r'PCI devices \(0000:02:00.0\) that its flavor does not request'):
        move(cards, server.uuid)
    assert statuses(cards) == {GPUS[1].address: ('allocated', server.uuid)}


@pytest.mark.parametrize('damage', [{'status': 'bogus'}, {'vendor_id': ''}], ids=['status', 'vendor'])
def test_a_refresh_makes_damaged_devices_right(damage, cards):
    server = claim(cards, guest(asks(1))).instance
    number = cards.host('a').number
    with cards._transaction() as connection:
        connection.execute(sa.update(PCI_DEVICES).where(PCI_DEVICES.c.compute_node_id == number).values(damage))
    if damage.get('status'):
        with pytest.raises(exception.InvalidObject, match='bogus'):
            cards.host('a')
    resource_tracker.refresh(cards, 'a', record('a').host)
    assert statuses(cards) == {GPUS[0].address: ('allocated', server.uuid)}
    assert cards.host('a').host.devices == HostDevices(DEVICES, frozenset({GPUS[0].address}))


def test_a_refresh_adds_and_removes_free_devices(cards):
    server = claim(cards, guest(asks(1))).instance
    new = PciDevice('0000:09:00.0', *GPU)
    resource_tracker.refresh(cards, 'a', record('a', (GPUS[0], new)).host)
    assert cards.host('a').host.devices == HostDevices((GPUS[0], new), frozenset({GPUS[0].address}))
    assert statuses(cards) == {GPUS[0].address: ('allocated', server.uuid)}


@pytest.mark.parametrize(
    ('left', 'message'),
    [
        ((), '0000:01:00.0 is not among those of the host'),
        ((replace(GPUS[0], product_id='20b5'),), r'0000:01:00.0 is 10de:20b5 \(type-PCI\) now, and was 10de:20b0'),
    ],
    ids=['gone', 'changed'],
)
def test_a_device_in_use_that_is_gone_or_another_is_not_freed(cards, left, message):
    server = claim(cards, guest(asks(1))).instance
    with pytest.raises(
        exception.PciDeviceInvalid, match=rf"server 'guest1' \({server.uuid}\) on host 'a': .*{message}"
    ):
        resource_tracker.refresh(cards, 'a', record('a', left).host)
    assert statuses(cards) == {GPUS[0].address: ('allocated', server.uuid)}


def test_the_audit_frees_what_no_server_holds(cards):
    server = claim(cards, guest(asks(1))).instance
    cards.discard(server.uuid)
    report = audit.repair(cards, 'a')
    assert 'devices.leaked' in [finding.code for finding in report.differences]
    assert statuses(cards) == {}


def test_rivals_never_get_one_device(cards, database_url):
    """Each of six claims wants one of two GPUs, wherever: two get one, and none both."""

    def try_it(number):
        with api.connect(database_url) as own:
            wanted = replace(samples.guest(), cells=(), pci_requests=(asks(1),))
            return claim(own, wanted, name=f'rival{number}')

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(try_it, range(6)))
    found = [held(answer.instance) for answer in answers if not isinstance(answer, Refusal)]
    assert sorted(found) == [[gpu.address] for gpu in GPUS]
    assert sorted(owner for _, owner in statuses(cards).values()) == sorted(
        answer.instance.uuid for answer in answers if not isinstance(answer, Refusal)
    )
    moving.check(cards)
