# SPDX-License-Identifier: Apache-2.0
"""Memory encryption and persistent memory from the command line: what a host has, who has it, and what it lacks."""

import json

import pytest
from lxml import etree

from numaplace.tests import recordings
from numaplace.tests.unit.libvirt.test_ndctl import listed

_SEV = '<cbitpos>47</cbitpos><reducedPhysBits>1</reducedPhysBits><maxGuests>2</maxGuests><maxESGuests>1</maxESGuests>'
_DOMAINS = f"<domainCapabilities><cpu/><features><sev supported='yes'>{_SEV}</sev></features></domainCapabilities>"
_LABELS = '[libvirt]\npmem_namespaces = 6GB:ns0|ns1,LARGE:gone\nvirt_type = kvm'
_ENCRYPTED = '--image-property hw_firmware_type=uefi'


@pytest.fixture
def able(numaplace):
    """The program with a host that has both, and flavors that request them."""
    (numaplace.directory / 'host.xml').write_bytes(recordings.capabilities('seed3'))
    (numaplace.directory / 'domains.xml').write_text(_DOMAINS)
    spaces = [listed('ns0', 'dax0.0', node=0), listed('ns1', 'dax1.0', node=1), listed('other', 'dax2.0')]
    (numaplace.directory / 'ndctl.json').write_text(json.dumps(spaces))
    numaplace('db upgrade')
    numaplace.configure(more=_LABELS)
    done = numaplace.run(*f'host import h1 {_FILES}'.split())
    assert (done.returncode, done.stderr.strip()) == (
        0,
        'numaplace: warning: [libvirt] pmem_namespaces: the host has no namespace gone',
    )
    numaplace('flavor create --ram 512 --disk 1 --vcpus 1 --property hw:mem_encryption=true m1.secret')
    numaplace('flavor create --ram 512 --disk 1 --vcpus 1 --property hw:pmem=6GB m1.pmem')
    return numaplace


_FILES = '--capabilities host.xml --domcapabilities domains.xml --ndctl ndctl.json'


def test_encrypted_guests_are_created_up_to_the_limit(able):
    able(f'server create --flavor m1.secret {_ENCRYPTED} one')
    able(f'server create --flavor m1.secret {_ENCRYPTED} two')
    first = able.json('host show h1')['memory_encryption'][0]
    assert first == {
        'model': 'amd-sev',
        'most': 2,
        'cbitpos': 47,
        'reduced_phys_bits': 1,
        'used': 2,
        'held': 0,
    }
    assert 'amd-sev: 2 of 2 guests' in able('host show h1')
    refused = able.run(*f'server create --flavor m1.secret {_ENCRYPTED} three'.split())
    assert refused.returncode == 3
    assert 'the guest needs memory encryption (amd-sev): the host has room for 0 more guests with it' in refused.stderr
    able('server delete one')
    able(f'server create --flavor m1.secret {_ENCRYPTED} three')
    assert able.json('server show three')['devices']['memory'] == ['amd-sev']
    assert able.json('host audit h1') == []
    root = etree.fromstring(able('server dumpxml three'))
    assert (root.find('os').get('firmware'), root.findtext('launchSecurity/policy')) == ('efi', '0x0033')


def test_no_warning_says_that_the_firmware_has_no_bearing(able):
    done = able.run(*f'server create --flavor m1.secret {_ENCRYPTED} one'.split())
    assert (done.returncode, done.stderr) == (0, '')


@pytest.mark.parametrize(
    ('more', 'told'),
    [
        ('', 'the image needs hw_firmware_type=uefi with it'),
        (f'{_ENCRYPTED} --image-property hw_machine_type=pc', "the image has hw_machine_type='pc'; q35 is needed"),
    ],
)
def test_an_image_that_does_not_suit_is_an_error(able, more, told):
    refused = able.run(*f'server create --flavor m1.secret {more} one'.split())
    assert refused.returncode == 1
    assert told in refused.stderr


def test_a_configured_machine_type_that_does_not_suit_is_an_error(able):
    able.configure(more=f'{_LABELS}\nhw_machine_type = x86_64=pc')
    refused = able.run(*f'server create --flavor m1.secret {_ENCRYPTED} one'.split())
    assert refused.returncode != 0
    assert 'memory encryption needs a machine type of the kind q35: machine type pc of x86_64' in refused.stderr


def test_a_host_without_it_refuses_and_fleet_explain_says_the_same(able):
    done = able.run(
        *['host', 'import', '--refresh', 'h1', '--capabilities', 'host.xml']
    )  # says nothing of either: they stay
    assert 'host.xml lists no persistent memory: the namespaces of [libvirt] pmem_namespaces are not' in done.stderr
    assert len(able.json('host show h1')['persistent_memory']) == 2
    assert len(able.json('host show h1')['memory_encryption']) == 2
    (able.directory / 'domains.xml').write_text('<domainCapabilities><cpu/></domainCapabilities>')
    assert able.run(*f'host import --refresh h1 {_FILES}'.split()).returncode == 0
    assert able.json('host show h1')['memory_encryption'] == []
    refused = able.run(*f'server create --flavor m1.secret {_ENCRYPTED} one'.split())
    text = 'the guest needs memory encryption (amd-sev): the host has it for 0 guests'
    assert (refused.returncode, text in refused.stderr) == (3, True)
    assert text in able(f'fleet explain --flavor m1.secret {_ENCRYPTED}')


def test_the_option_limits_it_further(able):
    able.configure(more=f'{_LABELS}\nnum_memory_encrypted_guests = 1')
    assert able.run(*f'host import --refresh h1 {_FILES}'.split()).returncode == 0
    assert [one['most'] for one in able.json('host show h1')['memory_encryption']] == [1, 1]


def test_a_label_gets_a_namespace_which_is_in_the_xml(able):
    for name in ('one', 'two'):
        able(f'server create --flavor m1.pmem {name}')
    shown = able.json('host show h1')['persistent_memory']
    assert [(one['name'], one['label'], one['state']) for one in shown] == [
        ('ns0', '6GB', 'used'),
        ('ns1', '6GB', 'used'),
    ]
    assert 'cell 0: ns0 (6GB), 6142M at /dev/dax0.0, used' in able('host show h1')
    paths = [
        etree.fromstring(able(f'server dumpxml {name}')).findtext('devices/memory/source/path')
        for name in ('one', 'two')
    ]
    assert sorted(paths) == ['/dev/dax0.0', '/dev/dax1.0']
    refused = able.run(*['server', 'create', '--flavor', 'm1.pmem', 'three'])
    assert 'the guest needs 1 namespace of persistent memory with the label 6GB: the host has 0 free' in refused.stderr
    able('flavor set --property hw:pmem=6GB,LARGE m1.pmem')
    refused = able.run(*['server', 'create', '--flavor', 'm1.pmem', 'three'])
    assert 'with the label LARGE: the host has 0' in refused.stderr
    able('server delete one two')
    assert {one['state'] for one in able.json('host show h1')['persistent_memory']} == {'free'}


def test_a_fleet_is_exported_with_both_and_how_many_fit_is_told(able):
    able('server create --flavor m1.pmem one')
    able('fleet export fleet.json')
    host = json.loads((able.directory / 'fleet.json').read_text())['numaplace_object.data']['hosts'][0]
    assert host['numaplace_object.data']['resources']['numaplace_object.data']['used'] == ['pmem:ns0']
    (row,) = able.json('fleet capacity --from fleet.json --flavor m1.pmem')
    assert (row['at_least'], row['at_most'], row['binding']) == (1, 1, 'pmem.free')
    assert able.json('fleet audit --from fleet.json') == []


@pytest.mark.parametrize(
    ('value', 'told'),
    [
        ('6GB', "expected labels with namespaces, such as '6GB:ns0|ns1,LARGE:ns3'"),
        ('6 GB:ns0', 'expected labels with namespaces'),
        ('6GB:ns0,LARGE:ns0', 'namespace ns0 is there twice'),
    ],
)
def test_a_bad_list_of_namespaces_names_the_option(able, value, told):
    able.configure(more=f'[libvirt]\npmem_namespaces = {value}')
    done = able.run('host', 'list')
    assert done.returncode != 0
    assert 'pmem_namespaces' in done.stderr
    assert told in done.stderr


def test_domain_capabilities_are_recognized_beside_the_file_of_a_host(able):
    done = able.run(*['host', 'import', 'h2=host.xml', 'h2=domains.xml', 'h3=domains.xml'])
    assert 'h3' in done.stderr
    assert 'holds the output of `virsh domcapabilities`' in done.stderr
    assert [one['most'] for one in able.json('host show h2')['memory_encryption']] == [2, 1]


def test_files_of_one_host_are_not_for_many(able):
    done = able.run(*['host', 'import', '--directory', '.', '--ndctl', 'ndctl.json'])
    assert (done.returncode, '--domcapabilities and --ndctl are for one host' in done.stderr) == (2, True)


def test_explain_refuses_what_server_create_refuses(able):
    able('flavor create --ram 512 --disk 1 --vcpus 1 m1.tpm')
    able.run(*['flavor', 'set', '--property', 'hw:tpm_version=2.0', 'm1.tpm'])
    created = able.run(*['server', 'create', '--flavor', 'm1.tpm', 'one'])
    explained = able.run(*['fleet', 'explain', '--flavor', 'm1.tpm'])
    assert (created.returncode, created.stderr) == (explained.returncode, explained.stderr)
    assert 'guests have no TPM' in explained.stderr
    able.run(*['flavor', 'set', '--property', 'hw:tpm_version=3', 'm1.tpm'])
    explained = able.run(*['fleet', 'explain', '--flavor', 'm1.tpm'])
    assert (explained.returncode, "hw:tpm_version='3': expected" in explained.stderr) == (1, True)
