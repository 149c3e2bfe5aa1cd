# SPDX-License-Identifier: Apache-2.0
"""An anonymised fleet keeps no name, and gives the same answers."""

import json
import re
from collections import Counter
from dataclasses import replace

from numaplace import wire
from numaplace.fleet.anonymise import anonymise
from numaplace.fleet.audit import audit
from numaplace.model import Devices, Disk, Flavor, HostResources, MemoryModule, Nic
from numaplace.model.fleet import Aggregate, Inventory, Provider, Unread
from numaplace.model.host_resources import Namespace, pmem
from numaplace.model.records import RequestSpec
from numaplace.tests.unit.fleet import fleets
from numaplace.tests.unit.fleet.fleets import NOW
from numaplace.wire.fleet import read_fleet, write_fleet

#: Marks everything that its owner named.
MARK = 'secret'


def _flavor(flavor):
    specs = {
        **flavor.extra_specs,
        f'{MARK}key': f'{MARK}value',
        f'aggregate_instance_extra_specs:{MARK}rack': f'{MARK}1',
        'numaplace:nic.0': f'network={MARK}net',
        'hw:pmem': MARK,
        f'hw:{MARK}': '1',
        f'trait:CUSTOM_{MARK.upper()}': 'required',
        f'resources:CUSTOM_{MARK.upper()}': '1',
    }
    return replace(flavor, name=f'{MARK}{flavor.name}', id=f'{MARK}{flavor.id}', extra_specs=specs)


def _side(side):
    return replace(side, host=MARK + side.host, flavor=_flavor(side.flavor))


def _server(server):
    guest = replace(server.placement.guest, modules=(MemoryModule(128, 0, f'/{MARK}/dax'),))
    if guest.cells:  # a guest that floats has no topology that names it
        guest = replace(guest, instance_uuid=f'{MARK}{server.uuid}')
    return replace(
        server,
        uuid=f'{MARK}{server.uuid}',
        name=f'{MARK}{server.name}',
        host=server.host and MARK + server.host,
        flavor=_flavor(server.flavor),
        image_properties={
            'hw_machine_type': 'q35',
            'image_name': f'{MARK}image',
            f'{MARK}': 'x',
            'os_command_line': f'token={MARK}',
            'os_admin_user': MARK,
            'hw_ephemeral_encryption_secret_uuid': MARK,
        },
        placement=replace(server.placement, guest=guest, resources=(pmem(f'{MARK}ns'),)),
        availability_zone=f'{MARK}zone',
        move=server.move
        and replace(server.move, uuid=f'{MARK}move', old=_side(server.move.old), new=_side(server.move.new)),
        devices=Devices(
            (Nic(network=f'{MARK}net', place=f'{MARK}'), Nic(bridge=f'{MARK}br')), (Disk(f'/srv/{MARK}.img'),)
        ),
        metadata={'hw:cpu_policy': 'dedicated', 'owner': f'{MARK}person'},
        request_spec=RequestSpec(_flavor(server.flavor), f'{MARK}zone', (f'{MARK}h1',), True),
    )


def _host(record):
    cells = [
        replace(cell, shape=replace(cell.shape, physnets=frozenset({f'{MARK}phys'}))) for cell in record.host.cells
    ]
    return replace(
        record,
        name=MARK + record.name,
        uuid=MARK + record.uuid,
        availability_zone=f'{MARK}zone',
        facts={**record.facts, 'address': f'{MARK}.example.org'},
        host=replace(record.host, cells=tuple(cells), resources=HostResources(namespaces=(_NAMESPACE,))),
    )


#: Each server holds it, so that the audit has something to find.
_NAMESPACE = Namespace(f'{MARK}ns', f'{MARK}label', f'/dev/{MARK}', 1 << 20, 2048)


def _marked():
    fleet = fleets.fleet()
    uuid = f'{MARK}s1'
    return replace(
        fleet,
        hosts=tuple(map(_host, fleet.hosts)),
        servers=tuple(map(_server, fleet.servers)),
        flavors=(*map(_flavor, fleet.flavors), Flavor(f'{MARK}m9', 99, 1, id=f'{MARK}9')),
        aggregates=(
            Aggregate(f'{MARK}agg', {'availability_zone': f'{MARK}zone', f'{MARK}rack': f'{MARK}1'}, (f'{MARK}h1',)),
        ),
        providers=(
            Provider(
                f'{MARK}h1',
                f'{MARK}p1',
                {'PCPU': Inventory(12), f'CUSTOM_{MARK.upper()}': Inventory(1)},
                {uuid: {'PCPU': 4, f'CUSTOM_{MARK.upper()}': 1}},
                frozenset({'HW_CPU_X86_VMX', f'CUSTOM_{MARK.upper()}'}),
            ),
        ),
        unread=(
            Unread('row.unreadable', 'instances', f'{MARK}s8', f'{MARK} text', f'{MARK}h1', f'{MARK}s8'),
            Unread('row.unreadable', 'flavors', f'{MARK}m8', f'{MARK} text'),
        ),
    )


def test_none_of_the_names_is_left():
    written = json.dumps(write_fleet(anonymise(_marked())))
    assert [] == re.findall(f'.{{30}}{MARK}.{{10}}', written, re.IGNORECASE)


def test_the_audit_finds_the_same():
    marked = _marked()
    found, hidden = (audit(fleet, now=NOW) for fleet in (marked, anonymise(marked)))
    assert found
    assert Counter((finding.code, finding.cell, finding.severity) for finding in found) == Counter(
        (finding.code, finding.cell, finding.severity) for finding in hidden
    )


def test_the_same_name_is_the_same_everywhere():
    fleet = anonymise(_marked())
    assert {record.name for record in fleet.hosts} >= {server.host for server in fleet.servers if server.host}
    assert fleet.aggregates[0].hosts[0] == fleet.hosts[0].name == fleet.providers[0].host
    assert fleet.aggregates[0].metadata['availability_zone'] == fleet.hosts[0].availability_zone
    key = next(key for key in fleet.aggregates[0].metadata if key != 'availability_zone')
    specs = fleet.flavors[0].extra_specs
    assert fleet.aggregates[0].metadata[key] == specs[f'aggregate_instance_extra_specs:{key}']
    assert [fleet.servers[0].uuid] == list(fleet.providers[0].allocations)
    assert 'dedicated' == specs['hw:cpu_policy']


def test_a_fleet_is_read_as_it_was_written():
    for fleet in (fleets.fleet(), anonymise(_marked())):
        assert fleet == read_fleet(wire.loads(wire.dumps(write_fleet(fleet))))
