# SPDX-License-Identifier: Apache-2.0
"""Nothing that is requested is ignored silently: it is read, refused, or a warning says that it does nothing."""

import pytest

from numaplace import explain
from numaplace.model import Flavor
from numaplace.request import keys, verdicts


def _flavor(**specs):
    return Flavor('f', 1, 64, extra_specs=specs)


def _unsupported(flavor, image=None):
    return [explain.sentence(reason) for reason in verdicts.unsupported(flavor, image)]


@pytest.mark.parametrize(
    ('key', 'value', 'expected'),
    [
        ('resources:VGPU', '1', 'only placement has it'),
        ('resources1:CUSTOM_FPGA', '2', 'only placement has it'),
        ('resources_a:VCPU', '2', 'only placement has it'),
        ('trait:CUSTOM_SSD', 'required', 'only placement has it'),
        ('trait:CUSTOM_SSD', 'forbidden', 'only placement has it'),
        ('hw:tpm_version', '2.0', 'guests have no TPM'),
        ('hw:ephemeral_encryption', 'on', 'ephemeral disks are not encrypted'),
        ('os:secure_boot', 'required', 'guests have no UEFI firmware'),
        ('accel:device_profile', 'fpga', 'only Cyborg has it'),
    ],
)
def test_what_numaplace_cannot_provide_is_refused_with_the_reason(key, value, expected):
    (reason,) = verdicts.unsupported(_flavor(**{key: value}))
    assert reason.code == 'request.unsupported'
    assert explain.sentence(reason) == (
        f"this is requested, and numaplace alone does not provide it: flavor 'f': {key}='{value}': {expected}"
    )


@pytest.mark.parametrize(
    ('key', 'value'),
    [
        ('resources:VGPU', '0'),
        ('resources:PCPU', '2'),
        ('resources2:VCPU', '2'),
        ('trait:HW_CPU_HYPERTHREADING', 'required'),
        ('hw:mem_encryption', 'true'),
        ('hw:mem_encryption_model', 'amd-sev-es'),
        ('hw:pmem', '6GB'),
        ('hw:ephemeral_encryption', '0'),
        ('os:secure_boot', 'disabled'),
        ('capabilities:hypervisor_type', 'QEMU'),
        ('aggregate_instance_extra_specs:ssd', 'true'),
        ('x:anything', 'true'),
    ],
)
def test_what_is_read_or_requests_nothing_is_not_refused(key, value):
    assert [] == _unsupported(_flavor(**{key: value}))


@pytest.mark.parametrize(
    ('key', 'value', 'count'),
    [
        ('hw_mem_encryption', 'true', 0),
        ('hw_ephemeral_encryption', 'maybe', 0),
        ('hw_tpm_version', '2.0', 1),
        ('os_secure_boot', 'required', 1),
        ('os_secure_boot', 'optional', 0),
        ('trait:CUSTOM_SSD', 'required', 1),
        ('trait:HW_CPU_HYPERTHREADING', 'required', 0),
        ('img_hv_requested_version', '>=6.0', 1),
        ('os_distro', 'debian', 0),
    ],
)
def test_an_image_is_refused_alike(key, value, count):
    assert count == len(_unsupported(None, {key: value}))


@pytest.mark.parametrize(
    ('key', 'value', 'expected'),
    [
        ('hw:pci_numa_affinity_policy', 'bogus', 'required, preferred, legacy or socket'),
        ('hw:boot_menu', 'maybe', 'true or false'),
        ('hw:redirected_usb_ports', '16', 'an integer from 0 to 15'),
        ('quota:disk_read_bytes_sec', '-1', 'an integer of at least 0'),
        ('resources:VGPU', 'one', 'an integer'),
        ('trait:CUSTOM_SSD', 'yes', 'required or forbidden'),
        ('hw:pmem', '6 GB', "labels with commas between, such as '6GB,SMALL'"),
    ],
)
def test_a_bad_value_names_the_place_and_the_accepted_forms(key, value, expected):
    (text,) = verdicts.bad_values(_flavor(**{key: value}))
    assert text.startswith(f"flavor 'f': {key}='{value}': expected ")
    assert sorted(text.rpartition('expected ')[2].replace(' or', ',').split(', ')) == sorted(
        expected.replace(' or', ',').split(', ')
    )


def test_what_has_no_bearing_on_placement_is_one_line_for_the_flavor_and_one_for_the_image():
    flavor = _flavor(**{'hw:boot_menu': 'true', 'hw:numa_nodes': '1', 'quota:vif_inbound_peak': '5'})
    assert list(verdicts.without_effect(flavor, {'hw_disk_bus': 'scsi', 'os_distro': 'debian'})) == [
        "flavor 'f': hw:boot_menu='true', quota:vif_inbound_peak='5': no bearing on placement, and the XML of a guest "
        'is without it',
        "image: hw_disk_bus='scsi': no bearing on placement, and the XML of a guest is without it",
    ]


def test_every_key_has_a_verdict_and_those_that_need_one_a_reason():
    for key in (*keys.FLAVOR_KEYS, *keys.IMAGE_KEYS):
        assert key.verdict in (keys.HONOURED, keys.REFUSED, keys.WITHOUT_EFFECT, keys.DESCRIBES)
        assert key.about or key.verdict in (keys.WITHOUT_EFFECT, keys.DESCRIBES), key.name


def test_a_long_number_is_no_fault_of_ours():
    assert list(verdicts.bad_values(_flavor(**{'hw:serial_port_count': '9' * 10000})))
