# SPDX-License-Identifier: Apache-2.0
"""Lint of flavors: what is found in each by itself, with the hosts, and among each other."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from numaplace.fleet.lint import CODES, lint
from numaplace.model import Flavor
from numaplace.tests.unit.fleet import fleets

SOURCE = Path(os.environ.get('NUMAPLACE_SOURCE', Path(__file__).parents[4]))
HOSTS = fleets.fleet().hosts
PINNED = {'hw:cpu_policy': 'dedicated'}

#: Extra specs of a flavor of 4 vCPUs and 1024 MiB; then code, key and words of each finding.
CASES = {
    'the key of the seed': (
        {'hw:cpu_maxsockets': '2'},
        [('key.unknown', 'hw:cpu_maxsockets', 'the nearest is hw:cpu_max_sockets')],
    ),
    'a value out of form': (
        PINNED | {'hw:cpu_thread_policy': 'isolated'},
        [('key.value', 'hw:cpu_thread_policy', "='isolated': expected prefer, isolate or require")],
    ),
    'a bad value and a contradiction': (
        {'hw:watchdog_action': 'stop', 'hw:cpu_thread_policy': 'isolate'},
        [
            ('key.value', 'hw:watchdog_action', 'expected none, pause'),
            ('key.unused', 'hw:watchdog_action', 'no bearing on placement'),
        ],
    ),
    'what only Nova provides': (
        {'hw:ephemeral_encryption': 'true', 'hw:tpm_version': ''},
        [
            ('key.unsupported', 'hw:ephemeral_encryption', 'not encrypted'),
            ('key.value', 'hw:tpm_version', 'expected 1.2 or 2.0'),
        ],
    ),
    'what has no bearing': ({'hw:boot_menu': 'true'}, [('key.unused', 'hw:boot_menu', 'no bearing on placement')]),
    'what Nova ignores': (
        {'hw:numa_cpus.0': '0-3'},
        [('key.idle', 'hw:numa_cpus.0', "='0-3': it does nothing: nothing requests guest cells")],
    ),
    'keys of other drivers': ({'vmware:hw_version': '13', 'vmware:nothing': '1', 'powervm:x': '1', 'x': '1'}, []),
    'a thread policy without dedicated CPUs': (
        {'hw:cpu_thread_policy': 'isolate'},
        [('threads.shared', 'hw:cpu_thread_policy', "'isolate' needs dedicated or mixed")],
    ),
    'realtime without dedicated CPUs': (
        {'hw:cpu_realtime': 'yes', 'hw:cpu_realtime_mask': '^0'},
        [('realtime.shared', 'hw:cpu_realtime', 'needs dedicated or mixed')],
    ),
    'realtime without a mask': (
        PINNED | {'hw:cpu_realtime': 'yes'},
        [('realtime.mask', 'hw:cpu_realtime', 'with all vCPUs realtime')],
    ),
    'cells that do not divide': (
        {'hw:numa_nodes': '3'},
        [('flavor.refused', '', 'do not divide evenly into 3 guest cells')],
    ),
    'a key of ours that there is not': (
        {'numaplace:vnum': '3'},
        [('flavor.refused', '', 'expected numaplace:vnuma')],
    ),
    'cores over several cells': (
        {'hw:numa_nodes': '4', 'hw:cpu_threads': '2'},
        [('guest.kernel', '', 'lie in several guest cells'), ('flavor.unplaceable', '', 'it fits no host')],
    ),
    'pages that no host has': (
        {'hw:mem_page_size': '1GB'},
        [('pages.missing', 'hw:mem_page_size', "='1GB': no host has such pages")],
    ),
    'pages that hosts have': ({'hw:mem_page_size': '2MB', 'hw:numa_nodes': '2'}, []),
    'pages of a class': ({'hw:mem_page_size': 'large', 'hw:numa_nodes': '2'}, []),
    'pages of automatic cells': (
        {'numaplace:vnuma': 'host', 'hw:mem_page_size': '1GB'},
        [('pages.missing', 'hw:mem_page_size', 'no host has such pages')],
    ),
    'more cells than any host has': (
        {'hw:numa_nodes': '4'},
        [('flavor.unplaceable', '', 'it fits no host, even without any server: ')],
    ),
    'nothing': (PINNED | {'hw:numa_nodes': '2'}, []),
}


def _found(*flavors, hosts=HOSTS, **keys):
    return [(finding.code, finding.key) for finding in lint(flavors, hosts, **keys)]


@pytest.mark.parametrize(('extra_specs', 'expected'), CASES.values(), ids=CASES)
def test_each_finding(extra_specs, expected):
    found = lint([Flavor('f', 4, 1024, extra_specs=extra_specs)], HOSTS)
    assert sorted((code, key) for code, key, _ in expected) == sorted((each.code, each.key) for each in found)
    texts = {each.code: each.text for each in found}
    for code, _, words in expected:
        assert words in texts[code]
        assert '\n' not in texts[code]
        assert texts[code].count("flavor 'f'") == 1 or code == 'flavor.refused'


def test_every_code_has_a_case_here():
    known = {code for _, expected in CASES.values() for code, _, _ in expected}
    known |= {code for *_, expected in WITH_IMAGE.values() for code, *_ in expected}
    assert set(CODES) == known | {'flavor.twin'}


#: Extra specs of the flavor, properties of the image; then code, flavor, key and words of each finding.
WITH_IMAGE = {
    'nothing': (PINNED, {'hw_numa_nodes': '2', 'os_type': 'linux'}, []),
    'a policy that the flavor forbids': (
        {'hw:cpu_policy': 'shared'},
        {'hw_cpu_policy': 'dedicated'},
        [('image.refused', 'f', '', 'hw_cpu_policy')],
    ),
    'cells that both set': (
        {'hw:numa_nodes': '2'},
        {'hw_numa_nodes': '1'},
        [('image.refused', 'f', '', 'hw_numa_nodes')],
    ),
    'a contradiction of the flavor alone is not of the image': (
        {'hw:cpu_thread_policy': 'isolate'},
        {'hw_numa_nodes': '2'},
        [('threads.shared', 'f', 'hw:cpu_thread_policy', "'isolate' needs dedicated or mixed")],
    ),
    'what the flavor lacks and the image has': (
        PINNED | {'hw:cpu_realtime': 'yes'},
        {'hw_cpu_realtime_mask': '^0'},
        [],
    ),
    'a key that only the image makes useful': (
        {'hw:numa_cpus.0': '0-1', 'hw:numa_mem.0': '512'} | {'hw:numa_cpus.1': '2-3', 'hw:numa_mem.1': '512'},
        {'hw_numa_nodes': '2'},
        [],
    ),
    'a key that this image makes no use of': (
        {'hw:numa_cpus.0': '0-3'},
        {'hw_cpu_sockets': '1'},
        [('key.idle', 'f', 'hw:numa_cpus.0', 'nothing requests guest cells, as hw:numa_nodes would')],
    ),
    'keys of the image by themselves': (
        {},
        {'hw_cpu_maxsockets': '2', 'hw_watchdog_action': 'stop'},
        [
            ('key.unknown', '', 'hw_cpu_maxsockets', 'the nearest is hw_cpu_max_sockets'),
            ('key.unused', '', 'hw_watchdog_action', 'no bearing on placement'),
            ('key.value', '', 'hw_watchdog_action', 'expected none, pause'),
        ],
    ),
    'pages of the image that no host has': (
        {'hw:mem_page_size': 'any'},
        {'hw_mem_page_size': '1GB'},
        [('pages.missing', 'f', 'hw_mem_page_size', "hw_mem_page_size='1GB': no host has such pages")],
    ),
    'cells of the image that no host has': (
        {},
        {'hw_numa_nodes': '4'},
        [('flavor.unplaceable', 'f', '', 'it fits no host, even without any server')],
    ),
}


@pytest.mark.parametrize(('extra_specs', 'image', 'expected'), WITH_IMAGE.values(), ids=WITH_IMAGE)
def test_what_a_flavor_and_an_image_are_together(extra_specs, image, expected):
    found = lint([Flavor('f', 4, 1024, extra_specs=extra_specs)], HOSTS, image)
    assert sorted(one[:3] for one in expected) == sorted((one.code, one.flavor, one.key) for one in found)
    texts = {one.code: one.text for one in found}
    assert all(words in texts[code] for code, *_, words in expected)
    assert all('only an image' not in text for text in texts.values())


@pytest.mark.skipif(not (SOURCE / 'setup.cfg').is_file(), reason='there is no source tree beside the package')
def test_every_code_is_on_its_page_with_its_severity():
    page = ' '.join((SOURCE / 'doc/source/flavors.rst').read_text('utf-8').split())
    assert [] == [code for code, entry in CODES.items() if f'``{code}`` - {entry.severity}' not in page]


def test_errors_come_first_then_flavors_by_name():
    flavors = [
        Flavor('a', 4, 1024, extra_specs={'hw:boot_menu': 'true'}),
        Flavor('c', 4, 1024, extra_specs={'hw:numa_nodes': '3'}),
        Flavor('b', 4, 1024, extra_specs={'hw:cpu_policy': 'x'}),
    ]
    found = lint(flavors)
    assert [('error', 'b'), ('error', 'c'), ('warning', 'a')] == [(each.severity, each.flavor) for each in found]
    assert all(each.cure for each in found)


def test_a_nova_provides_what_numaplace_alone_does_not():
    flavor = Flavor('f', 4, 1024, extra_specs={'hw:tpm_version': '2.0', 'hw:boot_menu': 'true', 'hw:x': '1'})
    assert [('key.unknown', 'hw:x')] == _found(flavor, in_nova=True)


def test_without_hosts_nothing_is_said_of_room():
    flavor = Flavor('f', 4, 1024, extra_specs={'hw:mem_page_size': '1GB', 'hw:numa_nodes': '4'})
    assert [] == _found(flavor, hosts=())


def test_what_servers_hold_is_free_and_what_a_host_lacks_is_told():
    """Twelve dedicated vCPUs fit an empty host of two cells with six in each; fourteen do not."""
    twelve = Flavor('f', 12, 1024, extra_specs=PINNED | {'hw:numa_nodes': '2'})
    assert any(record.host.free_cpus.bit_count() < 12 for record in HOSTS)
    assert [] == _found(twelve)
    (finding,) = lint([replace(twelve, vcpus=14)], HOSTS)
    assert finding.text.startswith("flavor 'f': it fits no host, even without any server: guest cell 0 needs 7")


def test_public_flavors_that_differ_only_in_name_and_id():
    one = Flavor('m1', 4, 1024, 1, PINNED, '1')
    others = [
        replace(one, name='m2', id='2'),
        replace(one, name='m3', id='3', extra_specs={}),
        replace(one, name='m4', id='4', disk_gib=2),
        replace(one, name='m5', id='5', is_public=False),
        replace(one, name='m6', id='6', is_public=False),
        replace(one, name='m7', id='7'),
    ]
    found = lint([*others, one])
    assert ['m2', 'm7'] == [each.flavor for each in found]
    assert {'flavor.twin'} == {each.code for each in found}
    assert "flavor 'm2': it differs from flavor 'm1' only in its name" == found[0].text
