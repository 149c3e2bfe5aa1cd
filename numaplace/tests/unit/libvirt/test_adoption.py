# SPDX-License-Identifier: Apache-2.0
"""Domains described as servers: names, flavors and properties of images."""

import pytest

from numaplace import exception, request
from numaplace.libvirt import adoption, document, domain_reading
from numaplace.tests.unit.libvirt.samples import SAMPLES
from numaplace.tests.unit.libvirt.test_domain_reading import FORMS, a_domain, a_host


def _described(xml, host=None, arch='x86_64'):
    parsed = document.parse(xml.encode(), 'the test', 'domain', 'a domain', exception.InvalidDomain)
    guest = domain_reading.read(parsed, host or a_host()).guest
    return adoption.describe(parsed, guest, arch), guest


def test_the_name_and_the_flavor_are_those_of_nova():
    found, _ = _described((FORMS / 'nova-two-cells.xml').read_text())
    assert (found.name, found.flavor.name) == ('vnf-7', 'nfv.large')
    assert (found.flavor.vcpus, found.flavor.memory_mib, found.flavor.disk_gib) == (4, 4096, 20)


def test_the_extra_specs_of_nova_are_taken_where_they_are_valid():
    text = (FORMS / 'nova-two-cells.xml').read_text()
    specs = '<nova:extraSpecs><nova:extraSpec name="hw:numa_nodes">{}</nova:extraSpec></nova:extraSpecs></nova:flavor>'
    found, _ = _described(text.replace('</nova:flavor>', specs.format(2)))
    assert found.flavor.extra_specs == {'hw:numa_nodes': '2'}
    found, _ = _described(text.replace('</nova:flavor>', specs.format('many')))
    assert found.flavor.extra_specs['hw:cpu_policy'] == 'dedicated'


@pytest.mark.parametrize(
    ('name', 'title', 'expected'),
    [
        ('web', 'A title', 'web'),
        ('instance-0000002a', 'db1', 'db1'),
        ('instance-0000002a', '', 'instance-0000002a'),
    ],
)
def test_the_title_is_the_name_only_where_the_domain_is_named_by_number(name, title, expected):
    xml = a_domain().replace('<name>one</name>', f'<name>{name}</name><title>{title}</title>')
    assert _described(xml)[0].name == expected


def test_another_architecture_than_that_of_the_host_is_kept_with_the_image():
    assert _described(a_domain())[0].image_properties == {'hw_machine_type': 'q35'}
    other = a_domain().replace("arch='x86_64' machine='q35'", "arch='aarch64' machine='virt'")
    expected = {'hw_architecture': 'aarch64', 'hw_machine_type': 'virt'}
    assert _described(other)[0].image_properties == expected


_REQUESTED = (
    'two cells',
    'mixed',
    'dedicated',
    'four cells',
    'half of the vCPUs off',
    'emulator share with a shared set',
    'realtime',
    'huge pages',
    'memory modules',
)


@pytest.mark.parametrize('name', _REQUESTED)
def test_the_flavor_requests_what_the_guest_has(name):
    sample = SAMPLES[name]
    found, guest = _described(sample.xml(), sample.host)
    wanted = request.read(found.flavor, found.image_properties)
    plugged = [
        sum(module.claimed_mib for module in guest.modules if module.cell == cell) for cell in range(len(guest.cells))
    ]
    assert [cell.vcpus for cell in wanted.cells] == list(guest.cell_vcpus)
    assert [cell.memory_mib for cell in wanted.cells] == [
        cell.memory_mib - size for cell, size in zip(guest.cells, plugged, strict=True)
    ]
    assert [cell.pagesize_kib for cell in wanted.cells] == [cell.pagesize_kib for cell in guest.cells]
    assert wanted.emulator_policy == guest.emulator_policy
    assert wanted.realtime_vcpus == guest.realtime_vcpus
