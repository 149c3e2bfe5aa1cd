# SPDX-License-Identifier: Apache-2.0
"""No server is created with a request that numaplace does not meet; what does nothing is told."""

import json

import pytest

_REFUSED = {
    'resources:VGPU=1': 'only placement has it',
    'hw:tpm_version=2.0': 'guests have no TPM',
    'hw:pci_numa_affinity_policy=bogus': 'expected one of required, legacy, preferred, socket',
    'hw:boot_menu=maybe': 'expected true or false',
}


@pytest.mark.parametrize(('pair', 'expected'), _REFUSED.items(), ids=_REFUSED)
def test_a_flavor_warns_and_a_server_is_refused(prepared, pair, expected):
    created = prepared.run('flavor', 'create', '--ram', '64', '--vcpus', '1', '--property', pair, 'asks')
    assert created.returncode == 0
    assert expected in created.stderr
    refused = prepared.run('server', 'create', '--flavor', 'asks', 'web')
    assert refused.returncode == 1
    assert pair.partition('=')[0] in refused.stderr
    assert expected in refused.stderr
    assert prepared.run('server', 'list', '-f', 'value').stdout == ''


def test_an_image_is_refused_alike_and_a_resize_too(prepared):
    refused = prepared.run('server', 'create', '--flavor', 'm1.numa', '--image-property', 'hw_tpm_version=2.0', 'web')
    assert refused.returncode == 1
    assert "image: hw_tpm_version='2.0': guests have no TPM" in refused.stderr
    assert prepared.run('server', 'create', '--flavor', 'm1.numa', 'web').returncode == 0
    prepared.run('flavor', 'create', '--ram', '64', '--vcpus', '1', '--property', 'resources:VGPU=1', 'asks')
    resized = prepared.run('server', 'resize', '--flavor', 'asks', 'web')
    assert resized.returncode == 1
    assert 'only placement has it' in resized.stderr
    rebuilt = prepared.run('server', 'rebuild', '--image-property', 'hw_tpm_version=2.0', 'web')
    assert rebuilt.returncode == 1
    assert 'guests have no TPM' in rebuilt.stderr


def test_what_has_no_bearing_on_placement_is_a_warning(prepared):
    line = ': no bearing on placement, and the XML of a guest is without it\n'
    done = prepared.run('flavor', 'set', '--property', 'hw:watchdog_action=reset', 'm1.numa')
    assert (0, f"numaplace: warning: flavor 'm1.numa': hw:watchdog_action='reset'{line}") == (
        done.returncode,
        done.stderr,
    )
    done = prepared.run('server', 'create', '--flavor', 'm1.numa', '--image-property', 'hw_disk_bus=scsi', 'web')
    assert (0, f"numaplace: warning: image: hw_disk_bus='scsi'{line}") == (done.returncode, done.stderr)


@pytest.mark.parametrize(
    ('pair', 'told'),
    [
        ('architecture=s390x', 'image.hw_architecture'),
        ('vm_mode=xen', 'image.hw_vm_mode'),
        ('hypervisor_type=xen', 'image.img_hv_type'),
    ],
)
def test_a_property_of_an_image_counts_by_its_old_name(prepared, pair, told):
    words = ('server', 'create', '--flavor', 'm1.tiny', '--image-property', pair, 'old', '-f', 'json')
    refused = prepared.run(*words)
    assert 3 == refused.returncode
    (host,) = json.loads(refused.stdout)['refusals']
    assert [told] == [reason['code'] for reason in host['reasons']]


def test_a_server_has_the_property_by_its_name_of_today(prepared):
    options = '--image-property vm_mode=xen --image-property hw_vm_mode=hvm --image-property architecture=x86_64'
    prepared(f'server create --flavor m1.tiny {options} old')
    assert {'hw_vm_mode': 'hvm', 'hw_architecture': 'x86_64'} == prepared.json('server show old')['image_properties']


def test_what_cannot_be_provided_is_refused_by_its_old_name(prepared):
    words = ('server', 'create', '--flavor', 'm1.tiny', '--image-property', 'hypervisor_version_requires=>=6', 'old')
    refused = prepared.run(*words)
    assert (1, '') == (refused.returncode, refused.stdout)
    assert "image: img_hv_requested_version='>=6': the version of a hypervisor is not compared" in refused.stderr
