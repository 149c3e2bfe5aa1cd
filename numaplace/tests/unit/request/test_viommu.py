# SPDX-License-Identifier: Apache-2.0
"""The virtual IOMMU: what flavor and image request, and the model that a guest gets."""

import re

import pytest

from numaplace import exception, request
from numaplace.model import CpuTopology, Flavor, Guest
from numaplace.request import Machine, Viommu
from numaplace.request.viommu import resolve

_Q35, _VIRT = Machine('x86_64', 'pc-q35-7.2'), Machine('aarch64', 'virt')
_SMALL, _LARGE = Guest(2, 64), Guest(256, 64)
_UNEVEN = Guest(195, 64, cpu_topology=CpuTopology(3, 65, 1))


def _flavor(value):
    return Flavor('f', 2, 64, extra_specs={} if value is None else {'hw:viommu_model': value})


@pytest.mark.parametrize(
    ('of_flavor', 'of_image', 'expected'),
    [
        (None, None, None),
        ('', None, None),
        ('intel', None, 'intel'),
        (None, 'smmuv3', 'smmuv3'),
        ('virtio', 'intel', 'virtio'),
        ('auto', 'auto', 'auto'),
    ],
)
def test_the_flavor_comes_before_the_image_as_in_nova(of_flavor, of_image, expected):
    found = request.viommu(_flavor(of_flavor), {'hw_viommu_model': of_image} if of_image else None)
    assert expected == (found and found.model)


@pytest.mark.parametrize(
    ('of_flavor', 'of_image', 'text'),
    [
        ('amd', None, "flavor 'f': hw:viommu_model='amd': expected intel, smmuv3, virtio or auto"),
        ('intel', 'Intel', "image: hw_viommu_model='Intel': expected intel, smmuv3, virtio or auto"),
    ],
)
def test_a_model_that_is_not_known_is_refused_wherever_it_stands(of_flavor, of_image, text):
    with pytest.raises(exception.InvalidRequest, match=f'^{re.escape(text)}$'):
        request.read(_flavor(of_flavor), {'hw_viommu_model': of_image} if of_image else None)


_MODELS = {
    'not requested': (None, _SMALL, _Q35, None),
    'many vCPUs ask': (None, _LARGE, _Q35, 'intel'),
    'a large APIC ID asks': (None, _UNEVEN, _Q35, 'intel'),
    'pc has none': (None, _LARGE, Machine('x86_64', 'pc'), None),
    'many vCPUs on Arm': (None, _LARGE, _VIRT, None),
    'the choice is that of Nova': ('auto', _SMALL, _Q35, 'virtio'),
    'the choice reaches all vCPUs': ('auto', _LARGE, _Q35, 'intel'),
    'the choice needs no firmware': ('auto', _SMALL, _VIRT, 'smmuv3'),
    'intel': ('intel', _LARGE, _Q35, 'intel'),
    'virtio': ('virtio', _SMALL, _Q35, 'virtio'),
    'smmuv3': ('smmuv3', _LARGE, _VIRT, 'smmuv3'),
}


@pytest.mark.parametrize('name', _MODELS)
def test_a_guest_gets_the_model_that_its_machine_has(name):
    asked, guest, machine, expected = _MODELS[name]
    assert expected == resolve(None if asked is None else Viommu(asked), guest, machine)


def test_a_libvirt_before_8_3_has_no_virtio():
    assert 'intel' == resolve(Viommu('auto'), _SMALL, _Q35, virtio=False)
    with pytest.raises(exception.InvalidRequest, match=r'x: .* expected intel or auto'):
        resolve(Viommu('virtio', 'x'), _SMALL, _Q35, virtio=False)


_FAULTS = {
    'another architecture': (
        'auto',
        _SMALL,
        Machine('ppc64le', 'pseries'),
        exception.InvalidVIOMMUArchitecture,
        "here: architecture 'ppc64le': expected i686, x86_64 or aarch64",
    ),
    'another machine type of x86': (
        'intel',
        _SMALL,
        Machine('x86_64', 'pc'),
        exception.InvalidVIOMMUMachineType,
        "here: machine type 'pc' of x86_64: expected q35",
    ),
    'another machine type of Arm': (
        'auto',
        _SMALL,
        Machine('aarch64', 'sbsa-ref'),
        exception.InvalidVIOMMUMachineType,
        "here: machine type 'sbsa-ref' of aarch64: expected virt",
    ),
    'a model of another architecture': (
        'smmuv3',
        _SMALL,
        _Q35,
        exception.InvalidRequest,
        'here: machine type pc-q35-7.2 of x86_64: expected virtio, intel or auto',
    ),
    'virtio on Arm needs firmware': (
        'virtio',
        _SMALL,
        _VIRT,
        exception.InvalidRequest,
        'here: machine type virt of aarch64: expected smmuv3 or auto',
    ),
    'virtio does not remap interrupts': (
        'virtio',
        _LARGE,
        _Q35,
        exception.InvalidRequest,
        'here: machine type pc-q35-7.2 of x86_64 with 256 vCPUs, some beyond APIC ID 254: expected intel or auto',
    ),
}


@pytest.mark.parametrize('name', _FAULTS)
def test_a_model_that_the_machine_does_not_have_is_refused_with_novas_class(name):
    asked, guest, machine, kind, text = _FAULTS[name]
    with pytest.raises(exception.Invalid, match=f'^{re.escape(text)}$') as caught:
        resolve(Viommu(asked, 'here'), guest, machine)
    assert (kind, text) == (type(caught.value), str(caught.value))
