# SPDX-License-Identifier: Apache-2.0
"""Each filter admits what it should, and refuses with the reason."""

from dataclasses import replace

import pytest

from numaplace import plugins
from numaplace.model import Guest, Placement, Wish
from numaplace.model.records import DISABLED, DOWN, GONE
from numaplace.model.vnuma import AUTO_MODE, INTERLEAVE, PIN_TO_CORE
from numaplace.request import own_devices
from numaplace.scheduler.default_numa import single
from numaplace.scheduler.filters import Request
from numaplace.tests import samples

FACTS = {
    'architecture': 'x86_64',
    'cpu_model': 'Nehalem',
    'cpu_vendor': 'Intel',
    'domains': [['i686', 'qemu', 'hvm'], ['x86_64', 'qemu', 'hvm'], ['x86_64', 'kvm', 'hvm']],
}


def ask(name, *, host=None, specs=None, image=None, guest=None, **keys):
    """Return the answer of a filter, by name, to a sample."""
    (kind,) = plugins.load(plugins.FILTERS, [name], 'test')
    host = replace(samples.host_record(), **{'facts': FACTS, **(host or {})})
    instance = samples.instance_request(guest or samples.guest())
    flavor = replace(instance.flavor, extra_specs=specs or {})
    return kind().admit(host, Request(replace(instance, flavor=flavor, image_properties=image or {}, **keys)))


ADMITTED = {
    'an enabled host': ('ComputeFilter', {}),
    'any zone': ('AvailabilityZoneFilter', {}),
    'the zone': ('AvailabilityZoneFilter', {'availability_zone': 'nova'}),
    'no capability': ('ComputeCapabilitiesFilter', {'specs': {'hw:numa_nodes': '2', 'colour': 'red'}}),
    'an architecture': ('ComputeCapabilitiesFilter', {'specs': {'capabilities:cpu_info:arch': 's== x86_64'}}),
    'some CPUs': ('ComputeCapabilitiesFilter', {'specs': {'capabilities:vcpus_total': '>= 16'}}),
    'a hypervisor': ('ComputeCapabilitiesFilter', {'specs': {'hypervisor_type': '<or> XEN <or> QEMU'}}),
    'no image property': ('ImagePropertiesFilter', {'image': {'hw_numa_nodes': '2'}}),
    'an image by another spelling': ('ImagePropertiesFilter', {'image': {'hw_architecture': 'AMD64'}}),
    'all of an image': (
        'ImagePropertiesFilter',
        {'image': {'hw_architecture': 'x86_64', 'img_hv_type': 'kvm', 'hw_vm_mode': 'hvm'}},
    ),
    'no device': ('PciPassthroughFilter', {'specs': {'pci_passthrough:alias': ''}}),
    'as many devices as a Nova has free': (
        'PciPassthroughFilter',
        {'specs': {'pci_passthrough:alias': 'gpu:2, nic'}, 'host': {'facts': {'pci_devices': 3}}},
    ),
    'memory to the last MiB': ('RamFilter', {'guest': Guest(1, 8192)}),
    'overcommitted memory': ('RamFilter', {'guest': Guest(1, 12288), 'host': {'ram_allocation_ratio': 1.5}}),
}


@pytest.mark.parametrize(('name', 'keys'), ADMITTED.values(), ids=ADMITTED)
def test_admitted(name, keys):
    assert ask(name, **keys) is True


REFUSED = {
    'a disabled host': ('ComputeFilter', {'host': {'status': DISABLED}}, ['host.disabled']),
    'a host that is down': ('ComputeFilter', {'host': {'state': DOWN}}, ['host.down']),
    'another zone': ('AvailabilityZoneFilter', {'availability_zone': 'az2'}, ['zone']),
    'another architecture': (
        'ComputeCapabilitiesFilter',
        {'specs': {'capabilities:cpu_info:arch': 's== aarch64'}},
        ['capability'],
    ),
    'what is not known': ('ComputeCapabilitiesFilter', {'specs': {'capabilities:gpu': 'yes'}}, ['capability']),
    'a group of capabilities': ('ComputeCapabilitiesFilter', {'specs': {'capabilities:cpu_info': 'x'}}, ['capability']),
    'two capabilities': (
        'ComputeCapabilitiesFilter',
        {'specs': {'capabilities:gpu': 'yes', 'capabilities:vcpus_total': '>= 999'}},
        ['capability', 'capability'],
    ),
    'an image of another architecture': (
        'ImagePropertiesFilter',
        {'image': {'hw_architecture': 'aarch64'}},
        ['image.hw_architecture'],
    ),
    'an image for another hypervisor': (
        'ImagePropertiesFilter',
        {'image': {'img_hv_type': 'xen'}},
        ['image.img_hv_type'],
    ),
    'an image that no one domain is': (
        'ImagePropertiesFilter',
        {'image': {'hw_architecture': 'i686', 'img_hv_type': 'kvm'}},
        ['image.hw_architecture', 'image.img_hv_type'],
    ),
    'an image on a host without facts': (
        'ImagePropertiesFilter',
        {'image': {'hw_vm_mode': 'hvm'}, 'host': {'facts': {}}},
        ['image.hw_vm_mode'],
    ),
    'a device': ('PciPassthroughFilter', {'specs': {'pci_passthrough:alias': 'gpu:1'}}, ['pci.total']),
    'more devices than a Nova has free': (
        'PciPassthroughFilter',
        {'specs': {'pci_passthrough:alias': 'gpu:2,nic:1'}, 'host': {'facts': {'pci_devices': 2}}},
        ['pci.total'],
    ),
    'a host whose compute service is deleted': ('ComputeFilter', {'host': {'state': GONE}}, ['host.down']),
    'too much memory': ('RamFilter', {'guest': Guest(1, 8193)}, ['memory.host.total']),
    'too many cells': ('NUMATopologyFilter', {'guest': samples.guest(cells=3)}, ['cells.count']),
}


@pytest.mark.parametrize(('name', 'keys', 'codes'), REFUSED.values(), ids=REFUSED)
def test_refused(name, keys, codes):
    answer = ask(name, **keys)
    assert not answer
    assert codes == [reason.code for reason in answer.reasons]


IMAGES = {
    'another architecture': (
        {'hw_architecture': 'sparc'},
        ['hw_architecture=sparc, the host has i686, x86_64'],
    ),
    'its own spelling': ({'hw_architecture': 'ARM64'}, ['hw_architecture=ARM64, the host has i686, x86_64']),
    'no one domain': (
        {'hw_architecture': 'i686', 'img_hv_type': 'kvm'},
        [
            'hw_architecture=i686, not together with img_hv_type=kvm',
            'img_hv_type=kvm, not together with hw_architecture=i686',
        ],
    ),
}


@pytest.mark.parametrize(('image', 'subjects'), IMAGES.values(), ids=IMAGES)
def test_the_property_of_the_image_is_named_with_its_value(image, subjects):
    assert subjects == [reason.subject for reason in ask('ImagePropertiesFilter', image=image).reasons]


def test_a_host_without_facts_is_said_to_have_none():
    (reason,) = ask('ImagePropertiesFilter', image={'hw_vm_mode': 'hvm'}, host={'facts': {}}).reasons
    assert 'hw_vm_mode=hvm, the host says nothing of it' == reason.subject


def test_the_missing_memory_is_reported_in_mib():
    (reason,) = ask('RamFilter', guest=Guest(1, 9000)).reasons
    assert (9000, 8192.0, 'MiB') == (reason.needed, reason.available, reason.unit)


def test_the_numa_filter_answers_with_the_placement():
    answer = ask('NUMATopologyFilter', guest=samples.guest(cells=2))
    assert isinstance(answer, Placement)
    assert {0, 1} == {placed.host_cell for placed in answer.cells}


_DIVIDED = Guest(2, 512, wish=Wish(AUTO_MODE, pinning=PIN_TO_CORE, keep=0))


@pytest.mark.parametrize('guest', [samples.guest(), _DIVIDED], ids=['cells', 'divided'])
@pytest.mark.parametrize('node', [0, 1])
def test_a_guest_goes_near_the_physical_network_of_its_nic(guest, node):
    devices = own_devices([f'network=physnet{node}'], [])
    answer = ask('NUMATopologyFilter', guest=guest, devices=devices)
    assert [node] == [placed.host_cell for placed in answer.cells]


def test_the_numa_filter_refuses_a_division_that_the_machine_type_lacks():
    """How many cells and how much memory in each there will be is known when the guest is divided."""
    guest = Guest(4, 768, wish=Wish(distribution=INTERLEAVE))
    facts = {'facts': {'architecture': 's390x'}}
    assert ['machine.cells'] == [reason.code for reason in ask('NUMATopologyFilter', guest=guest, host=facts).reasons]
    facts = {'facts': {'architecture': 'ppc64le'}}
    (reason,) = ask('NUMATopologyFilter', guest=guest, host=facts).reasons
    assert ('machine.memory', 384, 256) == (reason.code, reason.needed, reason.available)
    assert isinstance(ask('NUMATopologyFilter', guest=guest), Placement)


def test_the_numa_filter_keeps_to_the_ratios_of_the_host():
    floating = samples.guest(vcpus=8, policy=None)
    host = samples.host(cells=1)
    for _ in range(2):
        answer = ask('NUMATopologyFilter', guest=floating, host={'host': host, 'cpu_allocation_ratio': 2.0})
        host = host.consume(answer)
    answer = ask('NUMATopologyFilter', guest=floating, host={'host': host, 'cpu_allocation_ratio': 2.0})
    assert ['cpus.shared.limit'] == [reason.code for reason in answer.reasons]


def test_every_filter_that_is_installed_loads():
    names = plugins.known(plugins.FILTERS)
    assert 24 == len(plugins.load(plugins.FILTERS, names, 'test'))


def test_a_guest_without_cells_can_be_given_one():
    (cell,) = single(Guest(4, 1024)).cells
    assert (0b1111, 0, 1024) == (cell.shared_vcpus, cell.dedicated_vcpus, cell.memory_mib)
    guest = samples.guest(cells=2)
    assert guest is single(guest)
