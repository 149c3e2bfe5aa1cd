# SPDX-License-Identifier: Apache-2.0
"""The table of keys has every key that Nova has, and accepts the values that Nova's validator accepts."""

import importlib

import pytest

from numaplace.model import Flavor
from numaplace.request import image_names, keys, verdicts

_VALUES = (
    *(
        '',
        '0',
        '1',
        '-1',
        '+3',
        ' 4 ',
        '1_000',
        '15',
        '16',
        '2.0',
        '1.2',
        'true',
        'True',
        'no',
        'OFF',
        'maybe',
        'bogus',
    ),
    *('0-3', '0-3,^2', '^0', '^0-1,5', '0, 1', '1-', ',', 'large', 'any', '2MB', '2M', '1GiB', '2mb', '2 MB', '2048'),
    *('dedicated', 'Shared', 'mixed', 'prefer', 'isolate', 'require', 'share', 'required', 'forbidden', 'socket'),
    *('legacy', 'optional', 'disabled', 'none', 'amd-sev', 'intel-tdx', 'tpm-crb', 'luks', 'luksv2', 'intel', 'auto'),
    *('virtio', 'VIRTIO', 'qemu-xhci', 'ich9', 'poweroff', 'user', 'custom', 'gpu:1', 'gpu:1, nic:2', 'gpu', 'a:b'),
    *('6GB', '6GB,SMALL', '6GB,', 'a b', 'host', 'passthrough', 'emulate', 'uefi', 'usbtablet', 'cdrom', 'Linux'),
    *('mandatory', 'lsilogicsas', 'VirtualE1000', 'ide', 'qxl', 'a=1', 'x' * 300, '9' * 40),
)
#: Traits and resource classes are many, and have the same two forms.
_SOME = ('trait:B', 'trait:CUSTOM_B', 'trait:HW_CPU_HYPERTHREADING', 'resources:VCPU', 'resources:VGPU')
#: Nova's validator does not have these, but its libvirt driver reads them.
_DRIVER_ONLY = {'hw:maxphysaddr_bits', 'hw:maxphysaddr_mode'}
#: Filters and the machine type judge these names: an unknown one matches no host.
_BY_HOSTS = {'hw_architecture', 'hw_emulation_architecture', 'hw_vm_mode', 'img_hv_type'}
#: Lists, UUIDs and signatures that describe an image, or have no bearing.
_OTHERWISE = {
    *('hw_numa_cpus', 'hw_numa_mem', 'traits_required', 'img_block_device_mapping', 'img_mappings'),
    *('hw_ephemeral_encryption_secret_uuid', 'img_hv_requested_version', 'img_signature_hash_method'),
    *('img_signature_certificate_uuid', 'img_signature_key_type'),
}

#: Old names of properties whose values are names too, and those whose values are lists.
_OLD = {'architecture': 'amd64', 'hypervisor_type': 'kvm', 'hypervisor_version_requires': '>=6', 'vm_mode': 'hv'}
_LISTS = ('mappings', 'block_device_mapping')


def _validators():
    return importlib.import_module('nova.api.validation.extra_specs.validators')


def _names():
    """Return a name for each key of Nova's validator."""
    names = []
    for name in _validators().VALIDATORS:
        for placeholder, text in (
            ('{num}', '3'),
            ('{group}', ''),
            ('{resource}', 'A'),
            ('{trait}', 'B'),
            ('{key}', 'k'),
        ):
            name = name.replace(placeholder, text)
        names.append(name.replace('{filter}', ''))
    return names


def _nova_accepts(name, value):
    try:
        _validators().validate(name, value)
    except importlib.import_module('nova.exception').ValidationError:
        return False
    return True


def test_no_key_of_a_flavor_that_nova_has_is_unknown():
    names = _names()
    assert len(names) > 500
    assert [] == [name for name in names if keys.find(name, keys.FLAVOR_KEYS) is None]


def test_every_key_of_the_table_is_one_of_nova():
    names = _names()
    ours = {key.name for key in keys.FLAVOR_KEYS if not any(key.is_for(name) for name in names)}
    assert ours == _DRIVER_ONLY


def test_a_value_has_the_form_that_the_validator_of_nova_accepts():
    differing = [
        (name, value)
        for name in _names()
        if not name.startswith(('trait:', 'resources:')) or name in _SOME
        for value in _VALUES
        if _nova_accepts(name, value) != (not list(verdicts.bad_values(Flavor('f', 1, 64, extra_specs={name: value}))))
    ]
    assert differing == []


def test_no_property_of_an_image_that_nova_has_is_unknown():
    fields = importlib.import_module('nova.objects.image_meta').ImageMetaProps.fields
    listed = {'hw_numa_cpus': 'hw_numa_cpus.0', 'hw_numa_mem': 'hw_numa_mem.0', 'traits_required': 'trait:A'}
    assert [] == [name for name in fields if keys.find(listed.get(name, name), keys.IMAGE_KEYS) is None]


@pytest.mark.parametrize(
    'image',
    [
        *({name: _OLD.get(name, '1')} for name in image_names.RENAMED if name not in _LISTS),
        *({'vmware_adaptertype': model} for model in ('ide', 'lsilogic')),
        {'vm_mode': 'xen', 'hw_vm_mode': 'hvm', 'vmware_adaptertype': 'ide', 'hw_disk_bus': 'virtio'},
    ],
    ids=str,
)
def test_old_names_of_properties_mean_what_they_mean_to_nova(image):
    properties = importlib.import_module('nova.objects.image_meta').ImageMetaProps
    theirs, ours = properties.from_dict(image), properties.from_dict(image_names.current(image))
    assert theirs.obj_to_primitive()['nova_object.data'] == ours.obj_to_primitive()['nova_object.data']
    assert not {*image_names.current(image)} - {*properties.fields}


def test_all_old_names_of_nova_are_known():
    properties = importlib.import_module('nova.objects.image_meta').ImageMetaProps
    assert properties._legacy_property_map == image_names.RENAMED


def test_a_property_has_the_form_that_nova_accepts():
    properties = importlib.import_module('nova.objects.image_meta').ImageMetaProps
    compared = set(properties.fields) - _OTHERWISE - _BY_HOSTS
    differing = []
    for name in sorted(compared):
        for value in _VALUES:
            try:
                properties.from_dict({name: value})
            except ValueError:
                accepted = False
            else:
                accepted = True
            if accepted != (not list(verdicts.bad_values(None, {name: value}))):
                differing.append((name, value))
    assert differing == []


@pytest.mark.parametrize('name', ['hw:boot_menus', 'os:secureboot', 'hw_rng:rate', 'quota:cpu', 'vmware:x', 'accel:p'])
def test_a_key_that_the_validator_refuses_is_told(name):
    assert not _nova_accepts(name, '1')
    assert list(verdicts.unknown(Flavor('f', 1, 64, extra_specs={name: '1'})))
