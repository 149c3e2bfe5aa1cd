# SPDX-License-Identifier: Apache-2.0
"""What domains hold, in the forms that people write by hand or with other tools."""

import json
from pathlib import Path

import pytest

from numaplace import cpuset, exception
from numaplace.fleet import findings
from numaplace.libvirt import capabilities, document, domain_reading
from numaplace.libvirt.domain_threads import Affinities
from numaplace.tests import data

FORMS = Path(data.__file__).parent / 'domains'
_READINGS = json.loads((FORMS / 'readings.json').read_text())
_DEDICATED, _SHARED = '2-7,10-15,18-23,26-31', '0-1,8-9,16-17,24-25'


def a_host(dedicated=_DEDICATED, shared=_SHARED):
    xml = (FORMS / 'capabilities.xml').read_bytes()
    return capabilities.read(xml, dedicated_cpus=cpuset.parse(dedicated), shared_cpus=cpuset.parse(shared))


def read(xml, host=None, affinities=None):
    parsed = document.parse(xml.encode(), 'the test', 'domain', 'a domain', exception.InvalidDomain)
    return domain_reading.read(parsed, host or a_host(), affinities)


def _as_json(holding):
    memory = {cpuset.text(cpuset.mask(cells)): mib for cells, mib in holding.memory}
    pages = {}
    for cells, size, number in holding.pages:
        pages.setdefault(cpuset.text(cpuset.mask(cells)), {})[str(size)] = number
    return {
        'vcpus': holding.vcpus,
        'online': cpuset.text(cpuset.mask(holding.online)),
        'dedicated': cpuset.text(cpuset.mask(holding.dedicated)),
        'floating': holding.floating,
        'memory_mib': memory,
        'pages': pages,
        'devices': list(holding.devices),
        'findings': holding.findings,
    }


@pytest.mark.parametrize('form', _READINGS)
def test_a_form_reads_as_it_should(form):
    expected = _READINGS[form]
    found = read((FORMS / f'{form}.xml').read_text())
    assert _as_json(found.holding) == {key: expected[key] for key in _as_json(found.holding)}
    is_refused = bool(domain_reading.REFUSED & set(found.holding.findings))
    assert is_refused == (expected['status'] == 'refused')
    assert is_refused or found.placement is not None


def a_domain(*, vcpu='<vcpu>2</vcpu>', tune='', nodes='', cpu='', backing='', more='', kind='kvm'):
    return (
        f"<domain type='{kind}'><name>one</name><uuid>5b0e2ad1-8bd1-4b0c-a7ef-d53a1d0cf4d6</uuid>"
        f"<memory unit='MiB'>2048</memory>{backing}{vcpu}<cputune>{tune}</cputune><numatune>{nodes}</numatune>"
        f"<cpu>{cpu}</cpu><os><type arch='x86_64' machine='q35'>hvm</type></os><devices>{more}</devices></domain>"
    )


def _pins(*cpus):
    return ''.join(f"<vcpupin vcpu='{vcpu}' cpuset='{cpu}'/>" for vcpu, cpu in enumerate(cpus))


_EMULATOR = "<emulatorpin cpuset='0-1'/>"
_NODE_0 = "<memory mode='strict' nodeset='0'/>"
_CELLS = "<numa><cell cpus='0' memory='1' unit='GiB'/><cell cpus='1' memory='1' unit='GiB'/></numa>"

CASES = {
    'a CPU for two vCPUs': ({'tune': _pins(2, 2) + _EMULATOR, 'nodes': _NODE_0}, '2', 0, ['cpus.twice']),
    'a CPU that is not there': ({'tune': _pins(2, 40) + _EMULATOR, 'nodes': _NODE_0}, '2', 1, ['cpus.missing']),
    'a set with a CPU that is not there': (
        {'tune': _pins('0-1', '0-1,99'), 'nodes': _NODE_0},
        '',
        2,
        ['cpus.missing'],
    ),
    'pins of a vCPU that is not there': ({'tune': _pins(2, 3, 4) + _EMULATOR, 'nodes': _NODE_0}, '2-3', 0, []),
    'another node than that of the memory': (
        {'tune': _pins(10, 11) + _EMULATOR, 'nodes': _NODE_0},
        '10-11',
        0,
        ['cpus.node'],
    ),
    'pins on two nodes, and memory from anywhere': (
        {'tune': _pins(2, 10) + _EMULATOR},
        '2,10',
        0,
        ['memory.spread'],
    ),
    'a node for one of two cells': (
        {'tune': _pins(2, 3) + _EMULATOR, 'cpu': _CELLS, 'nodes': "<memnode cellid='0' mode='strict' nodeset='0'/>"},
        '2-3',
        0,
        ['memory.unbound'],
    ),
    'a node that is not there': (
        {'tune': _pins(2, 3) + _EMULATOR, 'nodes': "<memory mode='strict' nodeset='5'/>"},
        '2-3',
        0,
        ['server.cell'],
    ),
    'huge pages from anywhere': (
        {'backing': '<memoryBacking><hugepages/></memoryBacking>'},
        '',
        2,
        ['cpus.unpinned', 'memory.spread'],
    ),
    'the emulator on another node': (
        {'tune': _pins(2, 3) + "<emulatorpin cpuset='12'/>", 'nodes': _NODE_0},
        '2-3,12',
        0,
        ['emulator.node'],
    ),
    'an I/O thread on CPUs of its own': (
        {
            'vcpu': '<vcpu>2</vcpu><iothreads>1</iothreads>',
            'tune': _pins(2, 3) + _EMULATOR + "<iothreadpin iothread='1' cpuset='4'/>",
            'nodes': _NODE_0,
        },
        '2-4',
        0,
        [],
    ),
    'an I/O thread in the set of the domain': (
        {
            'vcpu': "<vcpu cpuset='0,5'>2</vcpu><iothreads>2</iothreads>",
            'tune': _pins(2, 3) + _EMULATOR + "<iothreadpin iothread='2' cpuset='1'/>",
            'nodes': _NODE_0,
        },
        '2-3,5',
        0,
        [],
    ),
    'a pin of an I/O thread that is not there': (
        {'tune': _pins(2, 3) + _EMULATOR + "<iothreadpin iothread='1' cpuset='4'/>", 'nodes': _NODE_0},
        '2-3',
        0,
        [],
    ),
    'a mode that is not strict': (
        {'tune': _pins(2, 3) + _EMULATOR, 'nodes': "<memory mode='interleave' nodeset='0'/>"},
        '2-3',
        0,
        ['memory.preferred'],
    ),
    'numad for the memory alone': (
        {'tune': _pins(2, 3) + _EMULATOR, 'nodes': "<memory mode='strict' placement='auto'/>"},
        '2-3',
        0,
        ['placement.auto'],
    ),
    'another hypervisor': (
        {'tune': _pins(2, 3) + _EMULATOR, 'nodes': _NODE_0, 'kind': 'xen'},
        '2-3',
        0,
        ['domain.type'],
    ),
    'emulator threads anywhere': ({'tune': _pins(2, 3), 'nodes': _NODE_0}, '2-3', 0, ['emulator.unpinned']),
}


@pytest.mark.parametrize('case', CASES)
def test_what_cannot_be_said_is_held_and_told(case):
    parts, dedicated, floating, expected = CASES[case]
    holding = read(a_domain(**parts)).holding
    found = cpuset.text(cpuset.mask(holding.dedicated)), holding.floating, holding.findings
    assert (dedicated, floating, expected) == found
    assert all(note.text and '\n' not in note.text for note in holding.notes)


def test_every_code_of_domains_has_a_case_here():
    codes = {code for *_rest, expected in CASES.values() for code in expected}
    assert codes >= findings.OF_DOMAINS


def test_the_affinity_of_the_threads_says_what_numad_chose():
    xml = a_domain(vcpu="<vcpu placement='auto'>2</vcpu>", nodes="<memory mode='strict' placement='auto'/>")
    node_1 = cpuset.parse('8-15,24-31')
    holding = read(xml, affinities=Affinities({0: node_1, 1: node_1}, node_1)).holding
    assert cpuset.text(cpuset.mask(holding.dedicated)) == '10-15,26-31'
    assert holding.memory == ((frozenset({1}), 2048),)
    assert holding.findings == ['cpus.floating', 'placement.auto']


def test_what_numad_chose_for_the_memory_alone_is_not_known():
    parts, *_rest = CASES['numad for the memory alone']
    assert read(a_domain(**parts)).holding.memory == ((frozenset({0, 1}), 2048),)


def test_an_affinity_to_all_cpus_chooses_nothing():
    xml = a_domain(vcpu="<vcpu placement='auto'>2</vcpu>")
    holding = read(xml, affinities=Affinities(dict.fromkeys(range(2), (1 << 32) - 1), (1 << 32) - 1)).holding
    assert (holding.dedicated, holding.findings) == (frozenset(), ['placement.auto'])


def test_shared_cpus_hold_nothing_where_both_sets_are_the_same():
    host = a_host('0-31', '0-31')
    holding = read(a_domain(vcpu="<vcpu cpuset='0-31'>2</vcpu>"), host).holding
    assert (holding.dedicated, holding.floating, holding.findings) == (frozenset(), 2, [])


@pytest.mark.parametrize(
    'kind', ["hostdev mode='subsystem' type='pci'", "interface type='hostdev'", "disk type='nvme' device='disk'"]
)
def test_a_device_of_the_host_has_its_address(kind):
    tag = kind.partition(' ')[0]
    source = "<source><address domain='0x0001' bus='0x82' slot='0x1f' function='0x3'/></source>"
    assert read(a_domain(more=f'<{kind}>{source}</{tag}>')).holding.devices == ('0001:82:1f.3',)


@pytest.mark.parametrize(
    ('parts', 'where'),
    [
        ({'vcpu': '<vcpu>many</vcpu>'}, 'vcpu'),
        ({'tune': "<vcpupin vcpu='0' cpuset='2-'/>"}, 'vcpupin/@cpuset'),
        ({'nodes': "<memory nodeset='x'/>"}, 'memory/@nodeset'),
        ({'cpu': "<numa><cell cpus='0-1' memory='1' unit='ells'/></numa>"}, 'cell/@unit'),
        ({'more': "<hostdev type='pci'><source><address bus='zz'/></source></hostdev>"}, 'address/@bus'),
    ],
)
def test_a_fault_names_its_place(parts, where):
    with pytest.raises(exception.InvalidDomain, match=where):
        read(a_domain(**parts))
