# SPDX-License-Identifier: Apache-2.0
"""Each finding of an audit, and that a healthy fleet has none."""

from dataclasses import replace
from datetime import timedelta

import pytest

from numaplace.fleet import findings
from numaplace.fleet.audit import audit
from numaplace.fleet.configuration import Settings
from numaplace.model import Flavor, GrantedDevice, HostDevices, HostResources, PciDevice
from numaplace.model.fleet import Fleet, Unread
from numaplace.model.host_resources import Encryption, Namespace
from numaplace.model.records import GONE
from numaplace.tests.unit.fleet import fleets, test_kernel
from numaplace.tests.unit.fleet.fleets import NOW, placed, recounted, with_cell, with_server


def _placement(fleet, name, **changes):
    """Return the fleet with the first cell of a server's placement changed."""
    server = next(server for server in fleet.servers if server.name == name)
    first, *others = server.placement.cells
    cells = (replace(first, **changes), *others)
    return with_server(fleet, name, placement=replace(server.placement, cells=cells))


NAMESPACE = Namespace('ns0', '6GB', '/dev/dax0.0', 6 << 20, 2048, 0)
GPU = PciDevice('0000:41:00.0', '10de', '20b0')


def _with_devices(fleet, known, *names, taken=()):
    """Return the fleet with devices of host h1, of which each of some servers holds the GPU."""
    for name in names:
        server = next(server for server in fleet.servers if server.name == name)
        placement = replace(server.placement, devices=(GrantedDevice(GPU, 'gpu'),))
        fleet = with_server(fleet, name, placement=placement)
    first, *others = fleet.hosts
    devices = HostDevices(tuple(known), frozenset(taken))
    return replace(fleet, hosts=(replace(first, host=replace(first.host, devices=devices)), *others))


def _with_resources(fleet, resources, *names):
    """Return the fleet with resources of host h1, of which each of some servers holds the first namespace."""
    for name in names:
        server = next(server for server in fleet.servers if server.name == name)
        fleet = with_server(fleet, name, placement=replace(server.placement, resources=('pmem:ns0',)))
    first, *others = fleet.hosts
    return replace(fleet, hosts=(replace(first, host=replace(first.host, resources=resources)), *others))


def _pin(fleet, name, *cpus):
    server = next(server for server in fleet.servers if server.name == name)
    vcpus = [vcpu for vcpu, _cpu in server.placement.cells[0].pins]
    taken = 0
    for cpu in cpus:
        taken |= 1 << cpu
    return _placement(fleet, name, pins=tuple(zip(vcpus, cpus, strict=False)), taken=taken)


def _add(fleet, server):
    return replace(fleet, servers=(*fleet.servers, server))


def _twin(fleet):
    """Return the fleet with a second server exactly where the first one is."""
    return _add(fleet, replace(fleet.servers[0], uuid='s6', name='s6', number=6))


def _flavor(fleet, *words, **specs):
    return replace(fleet, flavors=(Flavor(*words, extra_specs=specs),))


def _hosts(fleet, **changes):
    return replace(fleet, hosts=tuple([replace(record, **changes) for record in fleet.hosts]))


def _pages(fleet, **changes):
    (small, large) = fleet.hosts[0].host.cells[0].pages
    return with_cell(fleet, 'h1', 0, pages=(small, replace(large, **changes)))


def _unread(code):
    def damage(fleet):
        return replace(fleet, unread=(Unread(code, 'instance_extra.numa_topology', 's9', 'no JSON', None, 's9'),))

    return damage


#: What is done to the healthy fleet, and its findings: code, host, server, cell, found, expected, subject.
CASES = {
    'two vCPUs of a guest on one CPU': (
        lambda fleet: _pin(fleet, 's1', 2, 2),
        [
            ('cpus.leaked', 'h1', None, 0, '3', '', ''),
            ('cpus.twice', 'h1', 's1', None, '2', '', 's1'),
        ],
    ),
    'CPUs that are counted and not held': (
        lambda fleet: with_cell(fleet, 'h2', 1, pinned_cpus=0b11 << 12),
        [('cpus.leaked', 'h2', None, 1, '12-13', '', '')],
    ),
    'CPUs that are held and not counted': (
        lambda fleet: with_cell(fleet, 'h1', 1, pinned_cpus=1 << 12),
        [('cpus.uncounted', 'h1', None, 1, '10-11', '', '')],
    ),
    'a device that is given and not counted, to two': (
        lambda fleet: _with_devices(fleet, [GPU], 's1', 's2'),
        [
            ('devices.uncounted', 'h1', None, None, GPU.address, '', ''),
            ('devices.twice', 'h1', 's1', None, GPU.address, '', 's2'),
            ('devices.twice', 'h1', 's2', None, GPU.address, '', 's1'),
        ],
    ),
    'a device that is gone': (
        lambda fleet: _with_devices(fleet, [], 's1'),
        [('devices.missing', 'h1', 's1', None, GPU.address, '', '')],
    ),
    'a device that is another now': (
        lambda fleet: _with_devices(fleet, [replace(GPU, product_id='1db4')], 's1', taken=[GPU.address]),
        [('devices.missing', 'h1', 's1', None, GPU.address, '', '')],
    ),
    'a device that is counted and not held': (
        lambda fleet: _with_devices(fleet, [GPU], taken=[GPU.address]),
        [('devices.leaked', 'h1', None, None, GPU.address, '', '')],
    ),
    'a namespace that is given and not counted, to two': (
        lambda fleet: _with_resources(fleet, HostResources(namespaces=(NAMESPACE,)), 's1', 's2'),
        [
            ('resources.uncounted', 'h1', None, None, 'pmem:ns0, pmem:ns0', '', ''),
            ('resources.overdrawn', 'h1', 's1', None, '2', '1', 'pmem:ns0'),
            ('resources.overdrawn', 'h1', 's2', None, '2', '1', 'pmem:ns0'),
        ],
    ),
    'a namespace that is gone': (
        lambda fleet: _with_resources(fleet, HostResources(), 's1'),
        [('resources.missing', 'h1', 's1', None, 'pmem:ns0', '', '')],
    ),
    'memory encryption that is counted and not held': (
        lambda fleet: _with_resources(fleet, HostResources((Encryption('amd-sev', 2),), used=('amd-sev',) * 2)),
        [('resources.leaked', 'h1', None, None, 'amd-sev, amd-sev', '', '')],
    ),
    'CPUs that left the dedicated set': (
        lambda fleet: with_cell(fleet, 'h1', 0, dedicated_cpus=0b11111000, online_cpus=0b11111111),
        [('cpus.outside', 'h1', 's1', 0, '2', '3-7', '')],
    ),
    'a CPU that is not there': (
        lambda fleet: _pin(fleet, 's1', 2, 99),
        [
            ('cpus.leaked', 'h1', None, 0, '3', '', ''),
            ('cpus.uncounted', 'h1', None, 0, '99', '', ''),
            ('cpus.missing', 'h1', 's1', 0, '99', '', ''),
        ],
    ),
    'a CPU of another host cell': (
        lambda fleet: _pin(fleet, 's1', 2, 14),
        [
            ('cpus.leaked', 'h1', None, 0, '3', '', ''),
            ('cpus.uncounted', 'h1', None, 1, '14', '', ''),
            ('cpus.node', 'h1', 's1', 0, '14', '', ''),
        ],
    ),
    'vCPUs that are pinned to nothing': (
        lambda fleet: recounted(_placement(fleet, 's1', pins=(), taken=0)),
        [('cpus.unpinned', 'h1', 's1', 0, '0-1', '', '')],
    ),
    'guests that float over pinned CPUs': (
        lambda fleet: with_cell(fleet, 'h1', 0, shared_cpus=0b1111),
        [
            ('cpus.floating', 'h1', 's2', None, '0-1', '', '2-3'),
            ('cpus.floating', 'h1', 's3', None, '0-1', '', '2-3'),
        ],
    ),
    'guest cells on one host cell': (
        lambda fleet: recounted(_placement(fleet, 's1', host_cell=1, pins=((0, 13), (1, 14)), taken=0b11 << 13)),
        [('cells.shared', 'h1', 's1', 1, '0, 1', '', '')],
    ),
    'a guest cell on a host cell that is gone': (
        lambda fleet: _placement(fleet, 's3', host_cell=7),
        [
            ('cpus.shared', 'h1', None, 0, '2', '0', ''),
            ('memory.counted', 'h1', None, 0, '1024', '512', ''),
            ('pages.counted', 'h1', None, 0, '256', '0', '2M'),
            ('server.cell', 'h1', 's3', 7, '', '0, 1', ''),
        ],
    ),
    'a host that is gone': (
        lambda fleet: _add(fleet, fleets.server('s6', 'h9', fleet.servers[1].placement)),
        [('server.host', 'h9', 's6', None, 'h9', '', '')],
    ),
    'keys of flavors in metadata': (
        lambda fleet: with_server(fleet, 's2', metadata={'hw:cpu_policy': 'dedicated', 'owner': 'hw:me', 'hw': '1'}),
        [('server.metadata', 'h1', 's2', None, 'hw:cpu_policy=dedicated', '', '')],
    ),
    'a move that takes too long': (
        lambda fleet: with_server(
            fleet, 's4', move=replace(fleet.servers[3].move, updated_at=NOW - timedelta(hours=2))
        ),
        [('move.stuck', 'h1', 's4', None, 'finished', '2026-11-01 10:00', 'resize')],
    ),
    'a move that is over': (
        lambda fleet: recounted(
            with_server(
                fleet,
                's4',
                move=replace(fleet.servers[3].move, status='confirmed', updated_at=NOW - timedelta(hours=2)),
            )
        ),
        [],
    ),
    'memory beyond the ratio': (
        lambda fleet: _hosts(fleet, ram_allocation_ratio=0.2),
        [('memory.overdrawn', 'h1', None, 0, '1024', '819', '')],
    ),
    'fewer pages than guests have': (
        lambda fleet: _pages(fleet, total=200),
        [('pages.overdrawn', 'h1', None, 0, '256', '198', '2M')],
    ),
    'usage below zero': (
        lambda fleet: with_cell(fleet, 'h2', 1, cpu_usage=-2),
        [
            ('cpus.shared', 'h2', None, 1, '-2', '0', ''),
            ('usage.negative', 'h2', None, 1, '-2 shared vCPUs', '', ''),
        ],
    ),
    'totals of a host': (
        lambda fleet: replace(
            fleet, hosts=(replace(fleet.hosts[0], host=replace(fleet.hosts[0].host, vcpus_used=10)), fleet.hosts[1])
        ),
        [('usage.host', 'h1', None, None, '10', '9', 'vCPUs')],
    ),
    'most CPUs in no set': (
        lambda fleet: _hosts(fleet, facts={'cpus': 96}),
        [
            ('host.cpus', 'h1', None, None, '16 (0-15)', '96', ''),
            ('host.cpus', 'h2', None, None, '16 (0-15)', '96', ''),
        ],
    ),
    'a host without a compute service': (
        lambda fleet: replace(fleet, hosts=(replace(fleet.hosts[0], state=GONE), *fleet.hosts[1:])),
        [('host.service', 'h1', None, None, '', '', '')],
    ),
    'a flavor that contradicts itself': (
        lambda fleet: _flavor(fleet, 'm2', 3, 1024, **{'hw:numa_nodes': '2'}),
        [('flavor.invalid', None, None, None, None, '', 'm2')],
    ),
    'a flavor that no host can take': (
        lambda fleet: _flavor(fleet, 'm3', 8, 1024, **{'hw:cpu_policy': 'dedicated'}),
        [('flavor.unplaceable', None, None, None, None, '', 'm3')],
    ),
    'placement as it should be': (placed, []),
    'an allocation without a server': (
        lambda fleet: placed(fleet, more=('gone',)),
        [('allocation.orphan', 'h1', None, None, '2 PCPU', '', 'gone')],
    ),
    'a server without an allocation': (
        lambda fleet: placed(fleet, forget=('s2',)),
        [('allocation.missing', 'h1', 's2', None, '', '', '')],
    ),
    'an inventory that is not the dedicated set': (
        lambda fleet: placed(fleet, pcpus=10),
        [('inventory.pcpu', 'h1', None, None, '10', '12', '')],
    ),
    'a host in an old format': (
        lambda fleet: replace(fleet, hosts=(replace(fleet.hosts[0], old_format='NUMACell 1.4'), *fleet.hosts[1:])),
        [('row.old', 'h1', None, None, 'NUMACell 1.4', '', '')],
    ),
    'a server in an old format': (
        lambda fleet: with_server(fleet, 's1', old_format='InstanceNUMACell 1.5'),
        [('row.old', 'h1', 's1', None, 'InstanceNUMACell 1.5', '', '')],
    ),
    **{
        code: (_unread(code), [(code, None, 's9', None, 'no JSON', '', 'instance_extra.numa_topology s9')])
        for code in ('cell.unreachable', 'host.twice', 'libvirt.unreadable', 'row.unreadable')
    },
}


def _fields(finding, expected):
    """Return a finding as a tuple; where the text is a refusal's or an error's, None stands for it."""
    found = finding.found if expected is None or expected[4] is not None else None
    return finding.code, finding.host, finding.server, finding.cell, found, finding.expected, finding.subject


@pytest.mark.parametrize('case', CASES)
def test_what_is_damaged_is_found_and_nothing_else(case):
    damage, expected = CASES[case]
    found = audit(damage(fleets.fleet()), now=NOW)
    assert sorted(expected, key=str) == sorted(
        (_fields(*pair) for pair in zip(found, [*expected, *[None] * len(found)], strict=False)), key=str
    )


def test_servers_on_the_same_cpus_name_each_other():
    found = [finding for finding in audit(_twin(fleets.fleet()), now=NOW) if finding.code == 'cpus.twice']
    assert [('s1', '2-3,10-11', 's6'), ('s6', '2-3,10-11', 's1')] == [
        (finding.server, finding.found, finding.subject) for finding in found
    ]


def test_a_healthy_fleet_in_moves_has_no_findings():
    assert [] == audit(fleets.fleet(), now=NOW)
    assert [] == audit(Fleet())


def test_cells_of_automatic_vnuma_may_share_a_host_cell():
    fleet = CASES['guest cells on one host cell'][0](fleets.fleet())
    flavor = replace(fleet.servers[0].flavor, extra_specs={'numaplace:vnuma': 'host'})
    assert [] == audit(with_server(fleet, 's1', flavor=flavor), now=NOW)


def test_hosts_that_differ_from_the_configuration_are_found():
    fleet = _hosts(fleets.fleet(), cpu_allocation_ratio=16.0, ram_allocation_ratio=1.5)
    settings = Settings(0b11111100, 0b11 | 0b11 << 8, 4.0, 1.5)
    assert [
        ('cpus.outside', 'h1', '10-11', '2-7', ''),
        ('cpus.outside', 'h1', '12', '2-7', ''),
        ('host.ratio', 'h1', '16.0', '4.0', 'cpu_allocation_ratio'),
        ('host.sets', 'h1', '2-7,10-15', '2-7', 'dedicated'),
        ('host.ratio', 'h2', '16.0', '4.0', 'cpu_allocation_ratio'),
        ('host.sets', 'h2', '2-7,10-15', '2-7', 'dedicated'),
    ] == [
        (finding.code, finding.host, finding.found, finding.expected, finding.subject)
        for finding in audit(fleet, settings=settings, now=NOW)
    ]


def test_errors_come_first_then_hosts_by_name():
    fleet = with_cell(_hosts(fleets.fleet(), facts={'cpus': 96}), 'h2', 1, pinned_cpus=1 << 12)
    found = audit(fleet, now=NOW)
    assert ['cpus.leaked', 'host.cpus', 'host.cpus'] == [finding.code for finding in found]
    assert ['error', 'warning', 'warning'] == [finding.severity for finding in found]


def test_every_code_has_a_case_here():
    codes = {code for _damage, expected in CASES.values() for code, *_rest in expected}
    codes |= {'host.ratio', 'host.sets'} | findings.OF_DOMAINS | test_kernel.CODES | test_kernel.READ
    assert set(findings.CODES) == codes


@pytest.mark.parametrize('code', findings.CODES)
def test_the_text_of_a_finding_is_one_line_with_cause_effect_and_cure(code):
    finding = findings.Finding(code, 'h1', 's1', 0, 'FOUND', 'EXPECTED', 'SUBJECT')
    cause, effect = finding.text.split('; ', 1)
    assert ('\n' in finding.text, bool(cause), ': ' in effect) == (False, True, True)
    entry = findings.CODES[code]
    assert ('{found}' in entry.cause, '{expected}' in entry.cause) == (
        'FOUND' in finding.text,
        'EXPECTED' in finding.text,
    )
