# SPDX-License-Identifier: Apache-2.0
"""Guests that a host runs already: they are named, and keep what they have. libvirt's test driver has one."""

import json

import pytest

from numaplace.tests import real

URI = 'test:///default'
#: What the driver's own guest has, on a host that has two nodes.
TOLD = "'test' (2 vCPUs that float; 8192 MiB in one of cells 0-1)"


@pytest.fixture
def libvirt(numaplace):
    """The program, with CPUs to float over and to pin, on a machine with libvirt's test driver."""
    real.require_program('virsh')
    ratios = 'cpu_allocation_ratio = 1.0\nram_allocation_ratio = 4.0\n'
    with numaplace.config.open('a') as config:
        config.write(f'[DEFAULT]\n{ratios}[compute]\ncpu_dedicated_set = 0-3\ncpu_shared_set = 4-7\n')
    return numaplace


def set_policy(numaplace, policy):
    with numaplace.config.open('a') as config:
        config.write(f'[numaplace]\nunknown_guests = {policy}\n')


def discover(numaplace, *words, status=0):
    result = numaplace.run('host', 'discover', '--connect', URI, 'big', *words)
    assert status == result.returncode, result.stderr
    return result.stderr


def test_what_an_unknown_guest_holds_counts_and_is_shown(libvirt):
    told = discover(libvirt)
    assert f"warning: host 'big' has a domain that numaplace does not manage: {TOLD}" in told
    assert 'what it holds counts as used until adopted or gone: `numaplace server adopt --host big --all`' in told
    shown = libvirt.json('host show big')
    (held,) = shown['unmanaged_domains']
    assert ('test', 2, [{'cells': [0, 1], 'mib': 8192}]) == (held['domain'], held['floating'], held['memory'])
    assert (0, URI) == (shown['vcpus_used'], shown['libvirt_uri'])
    assert "'test' (2 vCPUs that float" in libvirt('host show big')
    assert [0] == [row['CPUs Held'] for row in libvirt.json('host list')]
    libvirt('flavor create --ram 64 --vcpus 3 three')
    refused = libvirt.run('server', 'create', '--flavor', 'three', 'one')
    assert 3 == refused.returncode
    assert 'room for 3 vCPUs; the host has room for 2 (1 short), 2 held by domains that numaplace does not manage' in (
        refused.stderr.replace(': the host', '; the host')
    )


def test_it_is_no_usage_and_no_leak(libvirt):
    discover(libvirt)
    assert [] == libvirt.json('host audit')
    assert [] == [row for row in libvirt.json('fleet audit') if row['code'].startswith(('usage', 'cpus', 'memory'))]
    libvirt('host audit --repair')
    assert 1 == len(libvirt.json('host show big')['unmanaged_domains'])


def test_warn_tells_alone(libvirt):
    set_policy(libvirt, 'warn')
    told = discover(libvirt)
    assert f'{TOLD}; servers may get what it holds too ([numaplace] unknown_guests = warn)' in told
    libvirt('flavor create --ram 64 --vcpus 4 four')
    libvirt('server create --flavor four one')


def test_refuse_registers_no_host_and_a_registered_one_holds(libvirt):
    set_policy(libvirt, 'refuse')
    assert f'{TOLD}: [numaplace] unknown_guests = refuse registers no such host' in discover(libvirt, status=1)
    assert [] == libvirt.json('host list')
    set_policy(libvirt, 'hold')
    discover(libvirt)
    set_policy(libvirt, 'refuse')
    assert 'counts as used' in discover(libvirt, '--refresh')
    assert 1 == len(libvirt.json('host show big')['unmanaged_domains'])


@pytest.mark.parametrize('policy', ['hold', 'warn'])
def test_no_server_gets_a_name_that_is_there(libvirt, policy):
    set_policy(libvirt, policy)
    discover(libvirt)
    libvirt('flavor create --ram 64 --vcpus 1 small')
    refused = libvirt.run('server', 'create', '--flavor', 'small', 'test')
    assert (3, '') == (refused.returncode, refused.stdout)
    assert 'a domain named test is on the host, which numaplace does not manage' in refused.stderr
    libvirt('server create --flavor small other')


def test_an_import_keeps_the_libvirt_that_it_is_given_and_a_refresh_looks_again(libvirt):
    capabilities = libvirt.fixture('seed3')
    words = ('host', 'import', 'seed3', '--capabilities', capabilities)
    result = libvirt.run(*words, '--connect', 'test:///{host}')
    assert (1, '') == (result.returncode, result.stdout), 'a libvirt that is named has to answer'
    result = libvirt.run(*words, '--connect', URI)
    assert (0, True) == (result.returncode, "'test' (2 vCPUs" in result.stderr)
    result = libvirt.run(*words, '--refresh')
    assert (0, True) == (result.returncode, "'test' (2 vCPUs" in result.stderr)


def test_many_are_imported_each_with_its_libvirt(libvirt):
    path = libvirt.fixture('seed3')
    result = libvirt.run(
        'host', 'import', f'default={path}', f'other={path}', '--connect', 'test:///{host}', '-f', 'json'
    )
    assert 0 == result.returncode
    first, second = json.loads(result.stdout)
    assert "host 'default' has a domain that numaplace does not manage" in first['warnings'][0]
    assert 'virsh list at test:///other' in second['warnings'][0]
    assert 'what its domains hold is not known, and not counted' in second['warnings'][0]
    assert ['test:///default', 'test:///other'] == [
        libvirt.json(f'host show {name}')['libvirt_uri'] for name in ('default', 'other')
    ]


def test_a_check_needs_no_uri_again_and_stores_what_is_there_now(libvirt):
    capabilities = libvirt.fixture('seed3')
    libvirt(f'host import seed3 --capabilities {capabilities}')
    assert 1 == libvirt.run('server', 'check', '--host', 'seed3', '--connect', URI).returncode
    assert 1 == len(libvirt.json('host show seed3')['unmanaged_domains'])
    result = libvirt.run('server', 'check', '--host', 'seed3', '-f', 'json')
    (row,) = json.loads(result.stdout)
    assert ('', 'test', 'domain') == (row['Server'], row['Domain'], row['What'])


def test_a_check_of_all_hosts_names_one_that_does_not_answer_and_goes_on(libvirt):
    path = libvirt.fixture('seed3')
    libvirt(f'host import file --capabilities {path}')
    libvirt.run('host', 'import', f'a={path}', f'z={path}', '--connect', URI)
    libvirt.run('host', 'import', f'gone={path}', '--connect', 'test:///{host}')
    result = libvirt.run('server', 'check', '--all-hosts', '-f', 'json')
    assert 1 == result.returncode
    assert ['test', 'test'] == [row['Domain'] for row in json.loads(result.stdout)]
    assert "numaplace: host 'gone': virsh list at test:///gone:" in result.stderr
    assert "numaplace: host 'file': its libvirt is not known; `numaplace host discover --refresh" in result.stderr
    result = libvirt.run('server', 'check', '--all-hosts', '--connect', URI)
    assert (2, True) == (result.returncode, '--connect is the libvirt of one host' in result.stderr)


def test_a_host_with_unknown_guests_is_deleted(libvirt):
    discover(libvirt)
    libvirt('host delete big')
    assert [] == libvirt.json('host list')


def test_an_exported_fleet_holds_them_and_anonymised_it_does_not_name_them(libvirt, tmp_path):
    discover(libvirt)
    libvirt('flavor create --ram 64 --vcpus 3 three')
    libvirt(f'fleet export --anonymise {tmp_path / "fleet.json"}')
    text = (tmp_path / 'fleet.json').read_text()
    assert ('"test"' in text, URI in text) == (False, False)
    line = f'fleet explain --from {tmp_path / "fleet.json"} --flavor flavor-1 -f json'
    assert '2 held by domains that numaplace does not manage' in libvirt(line)
