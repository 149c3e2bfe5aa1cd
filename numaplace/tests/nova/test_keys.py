# SPDX-License-Identifier: Apache-2.0
"""The table of keys has every key that Nova has."""

import importlib

from numaplace.request import keys


def _known(scope):
    module = importlib.import_module(f'nova.api.validation.extra_specs.{scope}')
    return {validator.name.replace('{num}', 'N') for validator in module.register()}


def test_no_key_of_a_flavor_that_nova_has_is_unknown():
    assert set() == _known('hw') - set(keys.FLAVOR)
    assert set() == _known('quota') - set(keys.QUOTA)


def test_no_property_of_an_image_that_nova_has_is_unknown():
    image_meta = importlib.import_module('nova.objects.image_meta')
    found = {name for name in image_meta.ImageMetaProps.fields if name.startswith('hw_')}
    listed = {'hw_numa_cpus', 'hw_numa_mem'}
    assert set() == found - listed - set(keys.IMAGE)
    assert {f'{name}.N' for name in listed} <= set(keys.IMAGE)
