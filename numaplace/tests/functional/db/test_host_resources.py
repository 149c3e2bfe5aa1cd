# SPDX-License-Identifier: Apache-2.0
"""Memory encryption and persistent memory: claimed with the CPUs, on both sides of a move, freed with the server."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import sqlalchemy as sa

from numaplace import exception, fit
from numaplace.compute import adoption, audit, claims, migration, resource_tracker
from numaplace.db import api
from numaplace.db.records import InstanceRequest
from numaplace.db.tables import HOSTS
from numaplace.model import Flavor, HostResources, Refusal
from numaplace.model.holding import Holding
from numaplace.model.host_resources import AMD_SEV, AMD_SEV_ES, Encryption, Namespace, pmem
from numaplace.model.records import DOWN, UP
from numaplace.tests import samples
from numaplace.tests.functional.db import moving

SPACES = tuple(Namespace(f'ns{node}', '6GB', f'/dev/dax{node}.0', 6 << 20, 2048, node) for node in (0, 1))
LARGE = Namespace('ns2', 'LARGE', '/dev/dax1.1', 64 << 20, 2048, 1)
RESOURCES = HostResources((Encryption(AMD_SEV, 2, 47, 1), Encryption(AMD_SEV_ES, 1, 47, 1)), (*SPACES, LARGE))
SIX = pmem('6GB')


def record(name, resources=RESOURCES):
    found = samples.host_record(name)
    return replace(found, host=replace(found.host, resources=resources))


@pytest.fixture
def able(database):
    """Two hosts with memory encryption and persistent memory."""
    for name in ('a', 'b'):
        resource_tracker.register(database, record(name))
    return database


def guest(*requests, **keys):
    return replace(samples.guest(**keys), resource_requests=requests)


def floating(*requests):
    return replace(samples.guest(), cells=(), resource_requests=requests)


def claim(database, wanted, host='a', name='guest1'):
    specs = {'hw:pmem': '6GB'} if wanted.resource_requests else {}
    flavor = Flavor('held', wanted.vcpus, wanted.memory_mib, 1, specs, 'held')
    return claims.instance_claim(database, InstanceRequest(name, flavor, wanted), host)


def used(database, host='a'):
    return database.host(host).host.resources.used


def codes(refusal):
    return [(reason.code, reason.needed, reason.available, reason.subject) for reason in refusal.reasons]


def test_a_host_is_read_with_its_resources(able):
    assert able.host('a').host.resources == RESOURCES
    assert able.fleet().hosts[1].host.resources == RESOURCES


def test_the_number_of_encrypted_guests_is_a_limit(able):
    first, _ = (claim(able, floating(AMD_SEV), name=name).instance for name in ('guest1', 'guest2'))
    assert able.instance(first.uuid) == first
    assert (first.placement.resources, first.placement.guest.resource_requests) == ((AMD_SEV,), ())
    assert codes(claim(able, floating(AMD_SEV), name='guest3')) == [('encryption.free', 1, 0, AMD_SEV)]
    claim(able, guest(AMD_SEV_ES), name='guest4')
    assert used(able) == (AMD_SEV, AMD_SEV, AMD_SEV_ES)
    claims.release(able, first.uuid)
    assert used(able) == (AMD_SEV, AMD_SEV_ES)
    moving.check(able)


def test_a_host_without_encryption_refuses_whatever_it_has_room_for(database):
    resource_tracker.register(database, record('a', HostResources()))
    for wanted in (floating(AMD_SEV), guest(AMD_SEV)):
        assert codes(claim(database, wanted)) == [('encryption.total', 1, 0, AMD_SEV)]
    assert codes(claim(database, guest(SIX))) == [('pmem.total', 1, 0, '6GB')]


def test_an_encryption_without_a_known_limit_has_none(database):
    resource_tracker.register(database, record('a', HostResources((Encryption(AMD_SEV),))))
    for number in range(3):
        claim(database, floating(AMD_SEV), name=f'guest{number}')
    assert used(database) == (AMD_SEV,) * 3


def test_a_label_gets_a_namespace_near_the_guest_and_then_any(able):
    near = [claim(able, guest(SIX), name=f'guest{number}').instance for number in range(2)]
    for server in near:
        (cell,) = server.placement.cells
        assert server.placement.resources == (pmem(f'ns{cell.host_cell}'),)
    assert codes(claim(able, guest(SIX), name='guest3')) == [('pmem.free', 1, 0, '6GB')]
    assert codes(claim(able, guest(*[SIX] * 3), name='guest3')) == [('pmem.total', 3, 2, '6GB')]
    claims.release(able, near[0].uuid)
    claims.release(able, near[1].uuid)
    both = claim(able, guest(pmem('LARGE'), SIX, SIX, AMD_SEV)).instance
    assert sorted(both.placement.resources) == [AMD_SEV, 'pmem:ns0', 'pmem:ns1', 'pmem:ns2']
    assert both.placement.resources[0] == 'pmem:ns2'
    assert able.instance(both.uuid) == both
    moving.check(able)


def test_both_sides_of_a_resize_hold_resources(able):
    server = claim(able, guest(AMD_SEV, SIX)).instance
    large = Flavor('large', 2, 512, id='large')

    def read(_flavor, _image):
        return guest(AMD_SEV, SIX)

    for end, here, left in ((migration.revert, 'a', 'b'), (migration.confirm, 'b', 'a')):
        claims.resize_claim(able, server.uuid, 'b', flavor=large, read=read)
        assert [len(used(able, name)) for name in 'ab'] == [2, 2]
        assert (
            able.instance(server.uuid).move.new.placement.resources
            == able.instance(server.uuid).move.old.placement.resources
        )
        migration.finish(able, server.uuid)
        end(able, server.uuid)
        assert (len(used(able, here)), used(able, left)) == (2, ())
        moving.check(able)


def test_a_resize_on_the_same_host_takes_others(able):
    server = claim(able, guest(AMD_SEV_ES, SIX)).instance
    large = Flavor('large', 2, 512, id='large')
    refused = claims.resize_claim(able, server.uuid, 'a', flavor=large, read=lambda *_: guest(AMD_SEV_ES, SIX))
    assert codes(refused) == [('encryption.free', 1, 0, AMD_SEV_ES)]
    claims.resize_claim(able, server.uuid, 'a', flavor=large, read=lambda *_: guest(SIX))
    assert used(able) == (AMD_SEV_ES, 'pmem:ns0', 'pmem:ns1')
    migration.finish(able, server.uuid)
    migration.confirm(able, server.uuid)
    assert used(able) == ('pmem:ns1',)
    moving.check(able)


def test_an_evacuated_and_a_shelved_server_get_them_anew(able):
    server = claim(able, guest(AMD_SEV, SIX)).instance
    resource_tracker.switch(able, 'a', state=DOWN)
    claims.rebuild_claim(able, server.uuid, 'b', read=lambda *_: guest(AMD_SEV, SIX))
    migration.finish(able, server.uuid)
    resource_tracker.switch(able, 'a', state=UP)
    assert (used(able), len(used(able, 'b'))) == ((), 2)
    migration.shelve(able, server.uuid)
    assert used(able, 'b') == ()
    claims.unshelve_claim(able, server.uuid, 'a', read=lambda *_: guest(AMD_SEV, SIX))
    assert len(used(able)) == 2
    moving.check(able)


@pytest.mark.parametrize('kind', [AMD_SEV, SIX])
def test_such_a_server_is_not_moved_while_it_runs(able, kind):
    server = claim(able, guest(kind)).instance
    name = server.placement.resources[0]
    with pytest.raises(exception.Conflict, match=rf'holds memory \({name}\), which does not move while it runs'):
        claims.live_migration_claim(able, server.uuid, 'b')
    assert (used(able), used(able, 'b')) == ((name,), ())


def test_an_image_does_not_change_what_a_server_holds(able):
    flavor = Flavor('held', 1, 128, 1, {}, 'held')
    image = {'hw_mem_encryption': 'true', 'hw_firmware_type': 'uefi'}
    request = InstanceRequest('guest1', flavor, claims.read_request(flavor, {}), {})
    server = claims.instance_claim(able, request, 'a').instance
    with pytest.raises(exception.ImageNUMATopologyRebuildConflict, match='and encryption'):
        claims.rebuild(able, server.uuid, image)
    assert used(able) == ()


def test_what_a_domain_holds_is_not_given(able):
    domain = Holding('other', 'd', resources=(AMD_SEV_ES, pmem('/dev/dax0.0'), pmem('/dev/elsewhere')))
    able.change_host('a', lambda found, _: replace(found, libvirt_uri='test:///default', unmanaged=(domain,)))
    assert able.host('a').host.resources.held == (AMD_SEV_ES, 'pmem:ns0')
    assert codes(claim(able, guest(AMD_SEV_ES))) == [('encryption.free', 1, 0, AMD_SEV_ES)]
    assert claim(able, guest(SIX)).instance.placement.resources == ('pmem:ns1',)


def test_an_adopted_domain_keeps_them_and_is_not_moved_without(able):
    placement = replace(fit.place(able.host('a').host, samples.guest()), resources=('pmem:ns1',))
    request = replace(samples.instance_request(samples.guest(), 'guest1'), adopted_name='guest1')
    server = adoption.adopt(able, request, 'a', placement)
    assert (used(able), able.instance(server.uuid)) == (('pmem:ns1',), server)
    with pytest.raises(exception.Conflict, match=r'memory \(pmem:ns1\) that its flavor does not request'):
        migration.shelve(able, server.uuid)


def test_a_refresh_keeps_what_servers_hold_or_is_refused(able):
    server = claim(able, guest(AMD_SEV, SIX)).instance
    less = HostResources((Encryption(AMD_SEV, 1),), SPACES)
    resource_tracker.refresh(able, 'a', record('a', less).host)
    assert able.host('a').host.resources == replace(less, used=tuple(sorted(server.placement.resources)))
    with pytest.raises(exception.UsageInvalid, match=r"'guest1' .* on host 'a': amd-sev: 1 servers would hold it"):
        resource_tracker.refresh(able, 'a', record('a', HostResources((), SPACES)).host)
    resource_tracker.refresh(able, 'a', samples.host_record('a').host, keeps_resources=True)
    assert able.host('a').host.resources == replace(less, used=tuple(sorted(server.placement.resources)))


def test_the_audit_frees_what_no_server_holds(able):
    server = claim(able, guest(AMD_SEV, SIX)).instance
    able.discard(server.uuid)
    report = audit.repair(able, 'a')
    assert 'resources.leaked' in [finding.code for finding in report.differences]
    assert used(able) == ()


@pytest.mark.parametrize('text', ['{', '{}', '[]'])
def test_a_damaged_column_is_named_and_a_refresh_makes_it_right(able, text):
    with able._transaction() as connection:
        connection.execute(sa.update(HOSTS).where(HOSTS.c.host == 'a').values(host_resources=text))
    with pytest.raises(exception.InvalidObject, match=r"host 'a'.*host_resources"):
        able.host('a')
    resource_tracker.refresh(able, 'a', record('a').host)
    assert able.host('a').host.resources == RESOURCES


def test_rivals_never_exceed_the_limit(able, database_url):
    """Each of eight claims wants encryption, of which there are two, and one of two namespaces: two get both."""

    def try_it(number):
        with api.connect(database_url) as own:
            return claim(own, floating(AMD_SEV, SIX), name=f'rival{number}')

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(try_it, range(8)))
    found = [answer.instance.placement.resources for answer in answers if not isinstance(answer, Refusal)]
    assert sorted(found) == [(AMD_SEV, 'pmem:ns0'), (AMD_SEV, 'pmem:ns1')]
    assert used(able) == (AMD_SEV, AMD_SEV, 'pmem:ns0', 'pmem:ns1')
    moving.check(able)
