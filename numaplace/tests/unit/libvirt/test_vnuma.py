# SPDX-License-Identifier: Apache-2.0
"""A domain with <vnuma> is read, or the fault is named with its XPath."""

import importlib.resources
import re

import pytest
from lxml import etree

from numaplace import exception, partition
from numaplace.libvirt import vnuma
from numaplace.model import Wish
from numaplace.model.vnuma import AUTO_MODE, NODE_MODE, PIN_TO_CORE
from numaplace.tests.unit.libvirt.domains import host, talk

FULL = """<vnuma mode='host' distribution='round-robin'>
    <memory unit='GiB'>32</memory>
    <partition nodeset="0-3,^2" cells="6"/>
  </vnuma>"""


def _schema():
    path = importlib.resources.files('numaplace.libvirt').joinpath('vnuma.rng')
    return etree.RelaxNG(etree.fromstring(path.read_bytes()))


def _element(text):
    return etree.fromstring(text.encode()).find('vnuma')


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        (talk(), Wish()),
        (talk(FULL, vcpu='24'), Wish(distribution='round-robin', nodes=0b1011, cells=6)),
        (talk("<vnuma mode='node'><partition nodeset='1'/></vnuma>"), Wish(NODE_MODE, nodes=2)),
        (talk("<vnuma mode='host' pinning='core' keep='0'/>"), Wish(pinning=PIN_TO_CORE, keep=0)),
        (talk("<vnuma mode='host' remainder='first'><!-- all --></vnuma>"), Wish(remainder_first=True)),
        (
            talk("<vnuma mode='auto'><memory unit='MiB' tier='1024'>32768</memory></vnuma>"),
            Wish(AUTO_MODE, tier_mib=1024),
        ),
    ],
)
def test_the_grammar_is_read(text, expected):
    domain = vnuma.read(text.encode())
    assert expected == domain.guest.wish
    assert 32768 == domain.guest.memory_mib
    assert _schema().validate(_element(text)), 'the schema knows it as well'


def test_memory_may_stand_in_the_element_alone():
    text = talk("<vnuma mode='host'><memory unit='GiB'>32</memory></vnuma>", memory='')
    assert 32768 == vnuma.read(text.encode()).guest.memory_mib


#: What is wrong in the element itself, so that the schema refuses it as well.
WRONG_ELEMENTS = {
    'no mode': ('<vnuma/>', '/domain/vnuma: the attribute mode is missing: expected host, node or auto'),
    'mode': ("<vnuma mode='all'/>", "/domain/vnuma/@mode: 'all': expected host, node or auto"),
    'distribution': (
        "<vnuma mode='host' distribution='random'/>",
        "/domain/vnuma/@distribution: 'random': expected contiguous, siblings, round-robin or interleave",
    ),
    'pinning': ("<vnuma mode='host' pinning='cpu'/>", "/domain/vnuma/@pinning: 'cpu': expected node or core"),
    'remainder': ("<vnuma mode='host' remainder='last'/>", "@remainder: 'last': expected refuse or first"),
    'keep': ("<vnuma mode='host' keep='-1'/>", "/domain/vnuma/@keep: '-1' is not a number of cores"),
    'attribute': ("<vnuma mode='host' cells='4'/>", "/domain/vnuma: attribute 'cells' is not known: expected mode"),
    'child': ("<vnuma mode='host'><vcpu>4</vcpu></vnuma>", "/domain/vnuma/vcpu: 'vcpu' is not known here"),
    'nodeset': (
        "<vnuma mode='host'><partition nodeset='0-x'/></vnuma>",
        "/domain/vnuma/partition/@nodeset: invalid node list element '0-x'",
    ),
    'cells': (
        "<vnuma mode='host'><partition cells='0'/></vnuma>",
        "/domain/vnuma/partition/@cells: '0' is not a number of guest cells",
    ),
    'two partitions': (
        "<vnuma mode='host'><partition/><partition/></vnuma>",
        '/domain/vnuma/partition[2]: a second <partition>: expected one',
    ),
    'unit': ("<vnuma mode='host'><memory unit='GiBi'>32</memory></vnuma>", "/domain/vnuma/memory/@unit: 'GiBi' is no"),
    'memory': ("<vnuma mode='host'><memory>much</memory></vnuma>", "/domain/vnuma/memory: 'much' is not a memory size"),
}


def _backed(pages):
    return talk(more=f'<memoryBacking><hugepages>{pages}</hugepages></memoryBacking>')


@pytest.mark.parametrize(
    ('pages', 'expected'),
    [('', None), ("<page size='2048'/>", 2048), ("<page size='1' unit='GiB'/>", 1048576)],
)
def test_the_pages_of_all_cells_are_read(pages, expected):
    assert expected == vnuma.read(_backed(pages).encode()).guest.wish.pagesize_kib


@pytest.mark.parametrize(('size', 'fits'), [('2048', True), ('16384', False)])
def test_pages_are_counted_where_the_guest_goes(size, fits):
    domain = vnuma.read(_backed(f"<page size='{size}'/>").replace('32<', '1<').encode())
    placement = partition.place(host('oracle4'), domain.guest)
    assert fits == bool(placement)
    assert not fits or {2048} == {placed.pagesize_kib for placed in placement.cells}


@pytest.mark.parametrize('name', WRONG_ELEMENTS)
def test_a_wrong_element_is_named_with_its_place(name):
    element, told = WRONG_ELEMENTS[name]
    with pytest.raises(exception.InvalidDomain, match=re.escape(told)) as caught:
        vnuma.read(talk(element).encode(), place='guest.xml')
    assert str(caught.value).startswith('guest.xml: line ')
    assert told in str(caught.value)
    assert '\n' not in str(caught.value)
    assert not _schema().validate(_element(talk(element))), 'the schema refuses it as well'


@pytest.mark.parametrize(
    ('text', 'told'),
    [
        ('<domain>', 'guest.xml: no XML: '),
        ('', 'guest.xml: no XML: '),
        ('<network/>', "the root is 'network': expected <domain>"),
        ('<domain/>', '/domain: there is no <vnuma>'),
        (
            "<!DOCTYPE domain [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><domain>&a;</domain>",
            'the document has a DTD (<!DOCTYPE>), which is refused',
        ),
        (talk("<vnuma mode='host'/><vnuma mode='host'/>"), '/domain/vnuma[2]: a second <vnuma>: expected one'),
        (talk(memory=''), '/domain/vnuma: there is no <memory>'),
        (
            _backed("<page size='2048' nodeset='0'/>"),
            '/domain/memoryBacking/hugepages/page: pages of some cells: expected one <page> without nodeset',
        ),
        (
            _backed("<page size='2048'/><page size='4'/>"),
            '/domain/memoryBacking/hugepages/page[2]: pages of some cells: expected one <page> without nodeset',
        ),
        (_backed("<page size='1' unit='b'/>"), 'page/@size: 1 bytes: expected a whole number of KiB, a power of two'),
        (talk(vcpu='many'), "/domain/vcpu: 'many' is not a number of vCPUs"),
        (talk(vcpu='0'), "/domain/vcpu: '0' is not a number of vCPUs: expected a whole number from 1"),
        (talk().replace("<vcpu placement='static'>16</vcpu>", ''), '/domain: there is no <vcpu>'),
        (
            talk().replace("'static'", "'static' current='17'"),
            "/domain/vcpu/@current: '17' is not a number of vCPUs that are on: expected a whole number from 1 to 16",
        ),
        (
            talk(memory='<memory>1025</memory>'),
            '/domain/memory: 1049600 bytes: expected a positive number of whole MiB',
        ),
        (
            talk("<vnuma mode='host'><memory unit='GiB'>16</memory></vnuma>"),
            '/domain/vnuma/memory: 16384 MiB, but the <memory> of <domain> is 32768 MiB',
        ),
        (talk(more='<cpu><numa/></cpu>'), '/domain/cpu/numa: is combined with <vnuma>'),
        (talk(more='<cpu><topology/></cpu>'), '/domain/cpu/topology: is combined with <vnuma>'),
        (talk(more="<cputune><vcpupin vcpu='0' cpuset='1'/></cputune>"), '/domain/cputune/vcpupin: is combined with'),
        (talk(more='<numatune/>'), '/domain/numatune: is combined with <vnuma>'),
    ],
)
def test_what_is_wrong_around_the_element_is_named_with_its_place(text, told):
    with pytest.raises(exception.InvalidDomain, match=re.escape(told)) as caught:
        vnuma.read(text.encode(), place='guest.xml')
    assert str(caught.value).startswith('guest.xml: ')
    assert told in str(caught.value)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
    ('text', 'told'),
    [
        (talk(vcpu='15'), '/domain/vcpu: 15 vCPUs are no whole cores of 2 threads'),
        (talk(memory="<memory unit='MiB'>32767</memory>"), '/domain/memory: memory of 32767 MiB does not divide'),
        (talk("<vnuma mode='host'><partition cells='5'/></vnuma>"), '/domain/vnuma/partition/@cells: cells 5: '),
        (talk("<vnuma mode='host'><partition cells='12'/></vnuma>"), '/domain/vnuma/partition/@cells: 12 guest cells'),
        (talk("<vnuma mode='host'><partition nodeset='7'/></vnuma>"), 'partition/@nodeset: nodeset 7: host cell 7 '),
        (talk("<vnuma mode='node'/>"), "/domain/vnuma/@mode: mode 'node' needs to know in which host cells"),
        (talk("<vnuma mode='host' distribution='siblings'/>", vcpu='24'), "/@distribution: distribution 'siblings': "),
    ],
)
def test_what_does_not_divide_over_the_host_is_named_with_its_place(text, told):
    domain = vnuma.read(text.encode(), place='guest.xml')
    with pytest.raises(exception.InvalidDomain, match=re.escape(told)), domain.locating():
        partition.divide(host(), domain.guest, domain.guest.wish)
