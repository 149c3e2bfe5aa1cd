# SPDX-License-Identifier: Apache-2.0
"""A nova.conf is checked as a whole."""

import json

import pytest

FAULTY = """
[DEFAULT]
vcpu_pin_set = 0-3
reserved_huge_pages = node:0,size:16384,count:2
my_ipp = 192.0.2.1
state_path = /var/lib/nova
transport_url = rabbit://nova:hunter2@192.0.2.1//

[compute]
cpu_shared_set = 0-3

[filter_schedler]
enabled_filters = x

[filter_scheduler]
enabled_filters = ComputeFilter
max_attempts = 3

[pci]
device_spec = {"vendor_id": "8086", "product_id": "154d"}
alias = {"name": "gpu", "vendor_id": "10de", "product_id": "1db4"}
"""


def check(program, *options):
    """Return the status and the findings, by option, of a check."""
    result = program.run('config', 'check', *options, '-f', 'json')
    return result.returncode, [(found['Kind'], found['Option'], found['Remark']) for found in json.loads(result.stdout)]


def test_contradictions_and_unknown_options_are_listed_first(prepared):
    prepared('flavor create --ram 512 --vcpus 1 --property hw:cpu_policy=dedicated m1.pinned')
    prepared.configure(more=FAULTY)
    status, found = check(prepared)
    assert 1 == status
    assert [
        ('conflict', '[compute] cpu_shared_set', 'it has no effect beside [DEFAULT] vcpu_pin_set'),
        ('conflict', '[pci] alias', "no device_spec has the devices of 'gpu'"),
        (
            'conflict',
            '[filter_scheduler] enabled_filters',
            "NUMATopologyFilter is not enabled, but flavor 'm1.pinned' has hw:cpu_policy",
        ),
        ('conflict', '[DEFAULT] reserved_huge_pages', 'no host has pages of 16M'),
        ('unknown', '[DEFAULT] my_ipp', 'nobody reads it; did you mean my_ip?'),
        (
            'unknown',
            '[filter_schedler] enabled_filters',
            'nobody reads this group; did you mean [filter_scheduler]?',
        ),
        ('unknown', '[filter_scheduler] max_attempts', 'nobody reads it; it is one of [scheduler]'),
    ] == sorted((each for each in found if each[0] in ('conflict', 'unknown')), key=found.index)
    assert {'used'} == {kind for kind, _, _ in found[7:]}
    assert ('nova', '[DEFAULT] state_path', '') in check(prepared, '--all')[1]


def test_values_are_not_shown(prepared):
    prepared.configure(more=FAULTY)
    result = prepared.run('config', 'check', '--all')
    assert 'transport_url' in result.stdout
    assert 'hunter2' not in result.stdout + result.stderr


def test_a_file_that_cannot_be_used_is_a_conflict(prepared):
    prepared.configure(more='[compute]\ncpu_shared_set = 0-3\ncpu_dedicated_set = 2-5\n')
    status, found = check(prepared)
    assert 1 == status
    assert ('conflict', '') == found[0][:2]
    assert 'both name the CPUs 2-3' in found[0][2]


def test_a_good_file_has_no_conflict(prepared):
    status, found = check(prepared)
    assert 0 == status
    assert {'used'} == {kind for kind, _, _ in found}


UNKNOWN_NAMES = """
[filter_scheduler]
enabled_filters = ComputeFilter, NUMATopologyFliter, nova.scheduler.filters.mine.Mine
weight_classes = RAMWieger
"""


@pytest.mark.parametrize(
    'line',
    [
        'host list',
        'host show seed3',
        'host import h2 --capabilities none.xml',
        'aggregate list',
        'flavor list',
        'server list',
        'server create --flavor m1.tiny one',
        'server delete one',
        'server group create --policy affinity g',
        '--database sqlite:///other.sqlite host list',
        'db upgrade',
    ],
)
def test_every_command_reports_unknown_names_alike(prepared, refused, line):
    prepared.configure(more=UNKNOWN_NAMES)
    told = refused(1, *line.split())
    filters, weighers = told.rstrip('\n').split('; /')
    place = f'{prepared.config}: [filter_scheduler]'
    assert filters.startswith(
        f"numaplace: {place} enabled_filters: unknown names 'NUMATopologyFliter' (did you mean 'NUMATopologyFilter'?), "
        "'Mine'; known are AggregateCoreFilter, "
    )
    assert f'/{weighers}'.startswith(
        f"{place} weight_classes: unknown name 'RAMWieger' (did you mean 'RAMWeigher'?); known are BuildFailure"
    )
    assert not (prepared.directory / 'other.sqlite').exists()
