# SPDX-License-Identifier: Apache-2.0
"""The capabilities XML: recorded hosts agree with what other tools said of them, and faults say where they are."""

import re

import pytest

from numaplace import cpuset, exception
from numaplace.libvirt import capabilities
from numaplace.libvirt.topology import GuestType
from numaplace.model import CpuTopology, Pages
from numaplace.tests import recordings


def _read(name, **options):
    return capabilities.read(recordings.capabilities(name), **options)


@pytest.mark.parametrize('name', recordings.HOSTS)
def test_nodes_cpus_sizes_and_distances_are_those_of_numactl(name):
    said = recordings.numactl(name)
    cells = _read(name).cells
    assert {cell.id: list(cpuset.ids(cell.shape.shared_cpus)) for cell in cells} == said.cpus
    assert {cell.id: cell.shape.memory_mib for cell in cells} == said.sizes_mib
    assert {cell.id: [distance for _, distance in cell.shape.distances] for cell in cells} == said.distances


@pytest.mark.parametrize('name', recordings.HOSTS)
def test_siblings_are_those_of_the_kernel(name):
    files = recordings.kernel_files(name)
    for cell in _read(name).cells:
        cores = {
            cpuset.parse(files[f'/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list'])
            for cpu in cpuset.ids(cell.shape.shared_cpus)
        }
        assert set(cell.shape.siblings) == cores
        assert list(cell.shape.siblings) == sorted(cell.shape.siblings, key=lambda core: core & -core)


@pytest.mark.parametrize(
    ('name', 'expected'),
    [('seed3', [None, None, None]), ('one2', [0]), ('oracle4', [0, 1, 2, 3]), ('fake-oracle-host', [0, 1, 2, 3])],
)
def test_a_cell_that_spans_several_sockets_has_none(name, expected):
    assert [cell.shape.socket for cell in _read(name).cells] == expected


def test_pages_are_listed_by_size():
    assert _read('seed3').cells[1].pages == (Pages(4, 176474), Pages(2048, 128), Pages(1048576, 1))


def test_a_fresh_host_is_unused():
    host = _read('oracle4')
    assert (host.vcpus_used, host.memory_used_mib) == (0, 0)
    assert not any(cell.pinned_cpus or cell.cpu_usage or cell.memory_usage_mib for cell in host.cells)


def test_facts_are_what_filters_ask_for():
    facts = capabilities.facts(recordings.capabilities('oracle4split'))
    assert (facts.arch, facts.cpu_model, facts.vendor) == ('x86_64', 'Nehalem', 'Intel')
    assert facts.uuid == 'd37f617e-5555-4a4f-8ef2-731278b44d33'
    assert facts.cpu_topology == CpuTopology(1, 2, 2)
    assert facts.features == ('ht', 'hypervisor', 'pdpe1gb')
    assert [(guest.os_type, guest.arch, guest.domain_types) for guest in facts.guests] == [
        ('hvm', 'i686', ('qemu',)),
        ('hvm', 'x86_64', ('qemu',)),
    ]
    assert {'q35', 'pc-q35-7.2', 'pc'} <= set(facts.guests[1].machines)
    most = dict(facts.guests[1].max_vcpus)
    assert (288, 255, 255) == (most['pc-q35-7.2'], most['pc'], most['pc-q35-2.5'])


def test_facts_that_are_not_told_are_empty():
    facts = capabilities.facts(
        b"<capabilities><host><cpu><arch>s390x</arch></cpu></host><guest><arch name='s390x'/></guest></capabilities>"
    )
    assert (facts.uuid, facts.cpu_model, facts.vendor, facts.cpu_topology, facts.features) == (None,) * 4 + ((),)
    assert facts.guests == (GuestType('', 's390x'),)


def test_facts_need_an_architecture():
    with pytest.raises(exception.InvalidCapabilities, match='there is no host/cpu/arch'):
        capabilities.facts(b'<capabilities/>')


_CPU = "<cpu id='0' socket_id='0' siblings='0'/>"


def _document(*cells: str) -> bytes:
    return f'<capabilities><host><topology><cells>{"".join(cells)}</cells></topology></host></capabilities>'.encode()


def _cell(attributes: str = "id='0'", inner: str = "<memory unit='KiB'>4096</memory>", cpus: str = _CPU) -> str:
    return f'<cell {attributes}>{inner}<cpus>{cpus}</cpus></cell>'


def test_offline_cpus_are_left_out():
    cpus = "<cpu id='0' socket_id='0' siblings='0-1'/><cpu id='1'/><cpu id='2' socket_id='0' siblings='2'/>"
    (cell,) = capabilities.read(_document(_cell(cpus=cpus))).cells
    assert cell.shape.shared_cpus == 0b101
    assert cell.shape.siblings == (0b001, 0b100)


def test_a_cell_may_have_memory_alone_and_another_cpus_alone():
    memory_only = _cell("id='7'", "<memory unit='KiB'>2047</memory>", '')
    cpu_only = _cell(inner='')
    host = capabilities.read(_document(cpu_only, memory_only))
    assert [(cell.id, cell.shape.shared_cpus, cell.shape.memory_mib) for cell in host.cells] == [(0, 1, 0), (7, 0, 1)]
    assert [cell.shape.socket for cell in host.cells] == [0, None]


@pytest.mark.parametrize('package', ['-1', '0'])
def test_a_number_of_minus_1_is_that_of_no_package_and_no_die(package):
    """So Arm servers and POWER have it in /sys, where these are the same host."""
    cpus = ''.join(
        f"<cpu id='{cpu}' socket_id='{package}' die_id='-1' cluster_id='{cpu // 2}' core_id='{cpu}' siblings='{cpu}'/>"
        for cpu in range(4)
    )
    (cell,) = capabilities.read(_document(_cell(cpus=cpus))).cells
    assert (cell.shape.socket, cell.shape.dies, cell.shape.clusters) == (0, (), (0b11, 0b1100))
    assert cell.shape.siblings == (1, 2, 4, 8)


@pytest.mark.parametrize(
    ('size', 'expected_mib'),
    [
        ("<memory unit='KiB'>3145727</memory>", 3071),
        ('<memory>2048</memory>', 2),
        ("<memory unit='b'>2097151</memory>", 1),
        ("<memory unit='bytes'>2097152</memory>", 2),
        ("<memory unit='MiB'> 7 </memory>", 7),
        ("<memory unit='M'>7</memory>", 7),
        ("<memory unit='GiB'>2</memory>", 2048),
        ("<memory unit='tib'>1</memory>", 1048576),
        ("<memory unit='GB'>1</memory>", 953),
    ],
)
def test_memory_comes_in_any_of_libvirts_units(size, expected_mib):
    (cell,) = capabilities.read(_document(_cell(inner=size))).cells
    assert cell.shape.memory_mib == expected_mib


def test_page_sizes_come_in_any_of_libvirts_units():
    inner = "<pages unit='b' size='4096'>10</pages><pages unit='MiB' size='2'>3</pages><pages size='1048576'>0</pages>"
    (cell,) = capabilities.read(_document(_cell(inner=inner))).cells
    assert cell.pages == (Pages(4, 10), Pages(2048, 3), Pages(1048576, 0))


_BAD = {
    'nothing': (b'', 'x.xml: no XML: .*empty.*; expected the output of `virsh capabilities`'),
    'no XML': (b'{"cells": []}', 'x.xml: no XML: '),
    'an unknown encoding': (b"<?xml version='1.0' encoding='x-none'?><capabilities/>", 'x.xml: no XML: '),
    'cut off': (_document(_cell())[:-20], 'x.xml: no XML: '),
    'another document': (b"<domain type='kvm'/>", "x.xml: line 1: the root is 'domain': expected <capabilities>"),
    'a namespace': (b"<capabilities xmlns='urn:x'/>", "the root is '{urn:x}capabilities'"),
    'no host': (b'<capabilities/>', 'x.xml: line 1, /capabilities: there is no host/topology/cells/cell'),
    'no topology': (b'<capabilities><host/></capabilities>', 'there is no host/topology/cells/cell'),
    'no cells': (_document(), 'there is no host/topology/cells/cell'),
    'a cell without id': (
        _document(_cell('')),
        '/capabilities/host/topology/cells/cell/@id: the cell number is missing',
    ),
    'a cell id that is not a number': (
        _document(_cell("id='one'")),
        "cell/@id: 'one' is not a cell number: expected a whole",
    ),
    'a negative cell id': (
        _document(_cell("id='-1'")),
        "cell/@id: '-1' is not a cell number: expected .* from 0 to 65535",
    ),
    'a huge cell id': (_document(_cell("id='65536'")), "cell/@id: '65536' is not a cell number"),
    'two cells of one id': (
        _document(_cell(), _cell(cpus="<cpu id='1' siblings='1'/>")),
        r'/cells/cell\[2\]/@id: there are two cells 0: expected each number once',
    ),
    'a CPU in two cells': (
        _document(_cell(), _cell("id='1'")),
        r'/cells/cell\[2\]/cpus/cpu/@id: CPU 0 is in cell 0 already: expected each CPU once, in one cell',
    ),
    'a CPU twice in a cell': (_document(_cell(cpus=_CPU * 2)), r'cpu\[2\]/@id: CPU 0 is in cell 0 already'),
    'a CPU without id': (_document(_cell(cpus="<cpu siblings='0'/>")), 'cpu/@id: the CPU number is missing'),
    'a CPU that is not a number': (_document(_cell(cpus="<cpu id='0x1' siblings='0'/>")), "'0x1' is not a CPU number"),
    'a CPU beyond all kernels': (
        _document(_cell(cpus="<cpu id='65536' siblings='0'/>")),
        "'65536' is not a CPU number",
    ),
    'digits of another script': (_document(_cell(cpus="<cpu id='٣' siblings='0'/>")), "'٣' is not a CPU number"),
    'siblings that are no list': (
        _document(_cell(cpus="<cpu id='0' siblings='0,x'/>")),
        "cpu/@siblings: invalid CPU list element 'x'",
    ),
    'cores that overlap': (
        _document(_cell(cpus="<cpu id='0' siblings='0-1'/><cpu id='1' siblings='1'/>")),
        'cell: CPUs 1 are in two cores: expected the same siblings for each CPU of a core',
    ),
    'a socket that is not a number': (
        _document(_cell(cpus="<cpu id='0' socket_id='' siblings='0'/>")),
        "cpu/@socket_id: '' is not a socket number",
    ),
    'very old': (
        _document(_cell(inner='', cpus="<cpu id='0'/>"), _cell("id='1'", '', "<cpu id='1'/>")),
        r"cell\[1\]: neither .* reports how much memory a cell has \('memory'\) or which CPUs share a core "
        r"\(cpus/cpu with 'siblings'\), as with very old libvirts: import the host from lstopo, ",
    ),
    'no memory of any cell': (_document(_cell(inner='')), r"reports how much memory a cell has \('memory'\), as"),
    'no siblings of any CPU': (
        _document(_cell(cpus="<cpu id='0'/>")),
        r"share a core \(cpus/cpu with 'siblings'\), as",
    ),
    'memory that is not a number': (
        _document(_cell(inner="<memory unit='KiB'>4e6</memory>")),
        "line 1, /capabilities/host/topology/cells/cell/memory: '4e6' is not a size: expected a whole number",
    ),
    'negative memory': (_document(_cell(inner='<memory>-1</memory>')), "memory: '-1' is not a size"),
    'empty memory': (_document(_cell(inner='<memory/>')), 'memory: the size is missing'),
    'memory without end': (
        _document(_cell(inner=f'<memory>{"9" * 5000}</memory>')),
        r"memory: '9{57}\.\.\.' is not a size",
    ),
    'an unknown unit': (
        _document(_cell(inner="<memory unit='pages'>1</memory>")),
        "memory/@unit: 'pages' is not a unit: expected b, KiB, MiB, GiB",
    ),
    'a page size that is not a number': (
        _document(_cell(inner="<pages size='4K'>1</pages>")),
        "pages/@size: '4K' is not a page",
    ),
    'a page size of half a KiB': (
        _document(_cell(inner="<pages unit='b' size='512'>1</pages>")),
        'pages/@size: a page size of 512 bytes: expected a whole number of KiB',
    ),
    'a number of pages that is none': (
        _document(_cell(inner="<pages size='4'>?</pages>")),
        r"'\?' is not a number of pages",
    ),
    'pages of one size twice': (
        _document(_cell(inner="<pages size='4'>1</pages><pages unit='b' size='4096'>1</pages>")),
        r'pages\[2\]/@size: pages of 4 KiB stand here twice',
    ),
    'a distance that is not a number': (
        _document(_cell(inner="<distances><sibling id='0' value='near'/></distances>")),
        "distances/sibling/@value: 'near' is not a distance",
    ),
    'escapes of a terminal': (_document(_cell("id='\u202e\x9b31m'")), r"'\\u202e\\x9b31m' is not a cell number"),
    'an entity': (
        b'<!DOCTYPE c [<!ENTITY x SYSTEM "file:///etc/passwd">]><capabilities><host>&x;</host></capabilities>',
        r'x.xml: the document has a DTD \(<!DOCTYPE>\), which is refused',
    ),
    'a parameter entity': (
        b'<!DOCTYPE c [<!ENTITY % x SYSTEM "file:///etc/passwd"> %x;]><capabilities/>',
        'the document has a DTD',
    ),
    'a DTD elsewhere': (b'<!DOCTYPE c SYSTEM "http://127.0.0.1:9/c.dtd"><capabilities/>', 'the document has a DTD'),
    'a DTD in another encoding': ('<!DOCTYPE c><capabilities/>'.encode('utf-16'), 'the document has a DTD'),
    'an entity that was not declared': (b'<capabilities>&x;</capabilities>', 'x.xml: no XML: '),
    'entities within entities': (
        b'<!DOCTYPE c [<!ENTITY a "aaaaaaaaaa">'
        + b''.join(b'<!ENTITY %c "%s">' % (letter, b'&%c;' % (letter - 1) * 10) for letter in range(98, 108))
        + b']><capabilities x="&k;"/>',
        'x.xml: ',
    ),
    'elements within elements': (b'<a>' * 100000, 'x.xml: no XML: '),
}


@pytest.mark.parametrize('name', _BAD)
def test_a_document_that_cannot_be_used_is_refused_in_one_line_that_says_where(name):
    xml, expected = _BAD[name]
    with pytest.raises(exception.InvalidCapabilities, match=expected) as caught:
        capabilities.read(xml, place='x.xml')
    assert '\n' not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_line_numbers_are_those_of_the_file():
    xml = recordings.capabilities('seed3').replace(b"cpu id='5'", b"cpu id='4'")
    line = xml.split(b"cpu id='4'")[0].count(b'\n') + 2
    with pytest.raises(exception.InvalidCapabilities, match=rf'^capabilities: line {line}, .*cell\[2\]/cpus/cpu\[2\]'):
        capabilities.read(xml)


def test_a_file_is_loaded_as_it_is(tmp_path):
    path = tmp_path / 'host.xml'
    path.write_bytes(recordings.capabilities('one2'))
    assert capabilities.load(str(path)) == recordings.capabilities('one2')


@pytest.mark.parametrize(
    ('name', 'reason'),
    [
        ('missing.xml', 'No such file or directory'),
        ('.', 'Is a directory'),
        ('x' * 300, 'File name too long'),
        ('null\0.xml', 'embedded null byte'),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, name, reason):
    with pytest.raises(
        exception.InvalidCapabilities,
        match='^' + re.escape(f'{tmp_path}/{name}: cannot be read: {reason}; expected a file that holds'),
    ):
        capabilities.load(f'{tmp_path}/{name}')


def test_a_file_without_end_is_not_read_to_its_end():
    with pytest.raises(exception.InvalidCapabilities, match=r'^/dev/zero: larger than \d+ bytes'):
        capabilities.load('/dev/zero')
