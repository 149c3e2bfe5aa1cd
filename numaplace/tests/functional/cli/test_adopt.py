# SPDX-License-Identifier: Apache-2.0
"""Domains that were there before become servers, from files."""

import json
from importlib import resources

import pytest
from lxml import etree

from numaplace import exception
from numaplace.db import api
from numaplace.libvirt import checking, document, domain_reading
from numaplace.tests import data

FORMS = resources.files(data) / 'domains'
READINGS = json.loads((FORMS / 'readings.json').read_text())
_SETS = '[compute]\ncpu_dedicated_set = 2-7,10-15,18-23,26-31\ncpu_shared_set = 0-1,8-9,16-17,24-25\n'


@pytest.fixture
def plain(numaplace):
    """The program with the host of the forms, and a copy of each form."""
    numaplace.configure(more=_SETS)
    for file in FORMS.iterdir():
        if file.name.endswith('.xml'):
            (numaplace.directory / file.name).write_text(file.read_text())
    numaplace('host import plain --capabilities capabilities.xml')
    return numaplace


def _adopt(program, *words):
    """Run the command, and return its status and its answers."""
    done = program.run('server', 'adopt', '--host', 'plain', *words, '-f', 'json')
    assert done.stderr == ''
    return done.returncode, json.loads(done.stdout)


@pytest.mark.parametrize('form', READINGS)
def test_each_form_reads_as_it_should_and_nothing_is_stored(plain, form):
    before, expected = plain.digest(), READINGS[form]
    status, (found,) = _adopt(plain, '--dry-run', '--xml', f'{form}.xml')
    assert {key: found[key] for key in expected} == expected
    assert set(found) == {*expected, 'domain', 'text'}
    assert status == (expected['status'] == 'refused')
    assert bool(found['text']) == bool(expected['findings'])
    assert plain.digest() == before


def test_those_that_fit_beside_each_other_are_adopted_and_counted(plain):
    forms = ('nova-two-cells', 'shared-cpuset', 'emulator-apart', 'floats-everywhere')
    status, found = _adopt(plain, '--xml', *(f'{form}.xml' for form in forms))
    assert (status, [one['status'] for one in found]) == (0, ['adopted'] * 4)
    server = plain.json('server show vnf-7')
    assert (server['id'], server['instance_name']) == ('6138d733-2af4-55c6-9f85-b164265575ec', 'instance-0000a001')
    assert server['flavor'] == 'nfv.large'
    assert plain.json('host audit') == []
    assert plain.json('fleet audit') == []


def test_one_that_conflicts_is_refused_and_the_rest_goes_on(plain):
    files = ('emulator-apart.xml', 'nova-two-cells.xml', 'some-off.xml', 'nowhere.xml', 'shared-cpuset.xml')
    for words in (('--dry-run',), ()):
        status, found = _adopt(plain, *words, '--xml', *files)
        assert (status, [one['status'] for one in found]) == (
            1,
            ['adopted', 'adopted', 'refused', 'refused', 'adopted'],
        )
        assert found[2]['findings'] == ['cpus.twice', 'emulator.unpinned']
        assert 'CPUs 2 are pinned for this server and for 6138d733-2af4-55c6-9f85-b164265575ec' in found[2]['text']
        assert found[3]['text'].startswith('nowhere.xml: No such file or directory')
    assert len(plain.json('server list')) == 3


def test_a_domain_with_more_pages_than_the_host_cell_has_is_refused(plain):
    text = (plain.directory / 'nova-two-cells.xml').read_text()
    many = text.replace("unit='KiB'>4194304", "unit='KiB'>18874368").replace("memory='2097152'", "memory='9437184'")
    (plain.directory / 'many.xml').write_text(many)
    _, (found,) = _adopt(plain, '--xml', 'many.xml')
    assert (found['status'], found['findings']) == ('refused', ['pages.overdrawn'])
    assert 'servers have 9 pages of 1G of 8 that are not reserved' in found['text']


def test_a_domain_is_one_server(plain):
    _adopt(plain, '--xml', 'shared-cpuset.xml')
    for words in ((), ('--dry-run',)):
        status, (found,) = _adopt(plain, *words, '--xml', 'shared-cpuset.xml')
        assert (status, found['status']) == (1, 'refused')
        assert "a server with the UUID '44042cfc-69bb-5701-bf11-3676670e15bd' exists" in found['text']


def test_what_is_released_can_be_adopted_again(plain):
    _adopt(plain, '--xml', 'nova-two-cells.xml')
    plain('server release vnf-7')
    assert plain.json('server list') == []
    assert plain.json('host show plain')['vcpus_used'] == 0
    assert _adopt(plain, '--xml', 'nova-two-cells.xml')[0] == 0


def test_no_new_server_gets_the_instance_name_of_an_adopted_domain(plain):
    for number, form in ((2, 'shared-cpuset'), (3, 'floats-everywhere')):
        path = plain.directory / f'{form}.xml'
        text = path.read_text()
        name = READINGS[form]['server']
        path.write_text(text.replace(f'<name>{name}</name>', f'<name>instance-{number + 2:08x}</name>'))
    _adopt(plain, '--xml', 'shared-cpuset.xml', 'floats-everywhere.xml')
    plain('flavor create --ram 512 --vcpus 1 tiny')
    for number in range(3):
        plain(f'server create --flavor tiny new{number}')
    called = [server['Instance Name'] for server in plain.json('server list')]
    assert called == [f'instance-{number:08x}' for number in (4, 5, 3, 6, 7)]


@pytest.mark.parametrize(
    ('xml', 'text'),
    [
        ('<domain', 'no XML'),
        ("<domain type='kvm'><name>x</name><uuid>none</uuid><memory>1024</memory></domain>", "uuid 'none': expected"),
        ("<domain type='kvm'><name>x</name><memory unit='ell'>1</memory></domain>", "'ell' is not a unit"),
        ("<domain type='kvm'><name>x</name><vcpu>-1</vcpu></domain>", "'-1' is not a number of vCPUs"),
        ("<domain type='kvm'><name>x</name><vcpu>0</vcpu></domain>", 'refused'),
        (
            "<domain type='kvm'><name>x</name><uuid>44042cfc-69bb-5701-bf11-3676670e15be</uuid></domain>",
            "'memory' is 0",
        ),
        ('<!DOCTYPE domain><domain/>', 'has a DTD'),
        ('', 'no XML'),
    ],
)
def test_a_file_that_is_no_such_domain_is_refused_in_one_line(plain, xml, text):
    (plain.directory / 'bad.xml').write_text(xml)
    status, (found,) = _adopt(plain, '--xml', 'bad.xml')
    assert (status, found['status']) == (1, 'refused')
    assert text in found['text'] or text == found['status']
    assert found['text']
    assert '\n' not in found['text']


def test_people_see_a_line_a_domain_and_why_one_is_refused(plain):
    done = plain.run('server', 'adopt', '--host', 'plain', '--xml', 'shared-cpuset.xml', 'crossed-cells.xml')
    assert done.returncode == 1
    assert '| web-1   | web-1   | adopted | 4 floating |' in done.stdout
    assert done.stderr.startswith("numaplace: warning: domain 'cross-1' is not adopted: CPUs 2 are pinned but belong")


def test_nothing_to_adopt_is_wrong_usage(plain):
    done = plain.run('server', 'adopt', '--host', 'plain')
    assert (done.returncode, done.stdout) == (2, '')
    assert 'expected --all, names of domains, or --xml with files' in done.stderr


def test_an_adopted_server_can_be_resized_moved_and_deleted(plain):
    _adopt(plain, '--xml', 'nova-two-cells.xml', 'some-pinned.xml', 'shared-cpuset.xml')
    plain('host import other --capabilities capabilities.xml')
    plain('flavor create --ram 2048 --vcpus 2 --property hw:cpu_policy=dedicated two')
    plain('server resize --flavor two web-1')
    plain('server resize confirm web-1')
    assert plain.json('server show web-1')['flavor'] == 'two'
    plain('server migrate --live-migration --host other vnf-7')
    plain('server delete vnf-7')
    assert plain.json('host audit') == []


def test_the_flavor_of_an_adopted_server_requests_what_it_has(plain):
    """It may be shelved, and comes back with the same cells."""
    _adopt(plain, '--xml', 'two-page-sizes.xml')
    before = plain.json('server show pages-1')
    plain('server shelve pages-1')
    plain('server unshelve pages-1')
    after = plain.json('server show pages-1')
    assert len(after['cells']) == len(before['cells']) == 2


@pytest.mark.parametrize('form', [form for form, reading in READINGS.items() if reading['status'] == 'adopted'])
def test_a_domain_is_as_its_server_holds(plain, form):
    """So a check of it tells what the findings told and nothing else."""
    _adopt(plain, '--xml', f'{form}.xml')
    with api.connect(f'sqlite:///{plain.database}') as database:
        server, host = database.instance(READINGS[form]['server']), database.host('plain').host
    xml = (plain.directory / f'{form}.xml').read_bytes()
    parsed = document.parse(xml, form, 'domain', 'a domain', exception.InvalidDomain)
    assert checking.compare_placements(server.placement, domain_reading.read(parsed, host).placement) == []


@pytest.mark.parametrize('form', [form for form, reading in READINGS.items() if reading['status'] == 'adopted'])
def test_the_xml_of_an_adopted_server_can_be_written(plain, form):
    _adopt(plain, '--xml', f'{form}.xml')
    done = plain.run('server', 'dumpxml', READINGS[form]['server'])
    assert done.returncode == 0, done.stderr
    assert 'its devices are in its domain alone' in done.stderr
    assert f'<uuid>{plain.json("server list")[0]["ID"]}</uuid>' in done.stdout
    # Into the domain itself: all but the places stays.
    was = etree.parse(plain.directory / f'{form}.xml').getroot()
    moved = etree.fromstring(plain(f'server dumpxml {READINGS[form]["server"]} --into {form}.xml'))
    for root in (was, moved):
        for tag in ('numatune', 'cputune'):
            etree.strip_elements(root, tag, with_tail=False)
        for vcpu in root.iterfind('vcpu'):
            vcpu.attrib.pop('cpuset', None)
        for source in root.iterfind('devices/memory/source'):
            etree.strip_elements(source, 'nodemask', with_tail=False)
    before, after = (etree.canonicalize(etree.tostring(root).decode(), strip_text=True) for root in (was, moved))
    assert before == after
