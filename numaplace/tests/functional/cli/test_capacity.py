# SPDX-License-Identifier: Apache-2.0
"""``fleet capacity``: the number that it tells is the number of servers that can be created."""

import json

import pytest

#: Flavors by name: vCPUs, memory and extra specs.
FLAVORS = {
    'one': '--vcpus 1 --ram 256 --property hw:cpu_policy=dedicated',
    'three': '--vcpus 3 --ram 256 --property hw:cpu_policy=dedicated',
    'isolated': '--vcpus 1 --ram 256 --property hw:cpu_policy=dedicated --property hw:cpu_thread_policy=isolate',
    'wide': '--vcpus 4 --ram 512 --property hw:cpu_policy=dedicated --property hw:numa_nodes=2',
    'large': '--vcpus 1 --ram 1024 --property hw:cpu_policy=shared --property hw:numa_nodes=1',
    'floating': '--vcpus 2 --ram 700',
}


@pytest.fixture
def fleet(prepared):
    """The program with two hosts of three cells, one server and the flavors."""
    prepared(f'host import other --capabilities {prepared.fixture("seed3")}')
    for name, words in FLAVORS.items():
        prepared(f'flavor create {words} {name}')
    prepared('server create --flavor three --host seed3 db')
    return prepared


def _capacity(program, words):
    return json.loads(program(f'fleet capacity {words} -f json'))


@pytest.mark.parametrize('flavor', sorted(FLAVORS))
def test_as_many_servers_are_created_and_the_next_one_is_refused(fleet, flavor):
    (told,) = _capacity(fleet, f'--flavor {flavor}')
    assert ('at_least', 'at_most') == tuple(key for key in told if key.startswith('at_'))
    number = told['at_least']
    assert told['at_most'] == number
    assert number > 0
    fleet(f'server create --flavor {flavor} --min {number} --max {number} more')
    (left,) = _capacity(fleet, f'--flavor {flavor}')
    assert (0, 0) == (left['at_least'], left['at_most'])
    refused = fleet.run('server', 'create', '--flavor', flavor, 'next')
    assert 'no valid host' in refused.stderr
    assert told['host'] is None
    assert told['binding']


@pytest.mark.parametrize('mix', [{'three': 1, 'one': 2}, {'wide': 1, 'isolated': 1}, {'floating': 1, 'large': 2}])
def test_as_many_rounds_of_a_mix_are_created_and_the_next_one_is_refused(fleet, mix):
    words = '--mix ' + ','.join(f'{flavor}:{number}' for flavor, number in mix.items())
    (told,) = _capacity(fleet, words)
    assert (words.removeprefix('--mix '), None) == (told['flavor'], told['host'])
    rounds = told['at_least']
    assert told['at_most'] == rounds > 0
    for flavor, number in sorted(mix.items(), key=lambda each: each[0] == 'one'):
        fleet(f'server create --flavor {flavor} --min {rounds * number} --max {rounds * number} {flavor}')
    assert (0, 0) == tuple(_capacity(fleet, words)[0][key] for key in ('at_least', 'at_most'))


@pytest.mark.parametrize('mix', ['one', 'one:0', ':1', 'one:1,one:2', 'one:x', 'one:1,', 'one:99999999999999999999'])
def test_what_is_no_mix_is_refused_in_one_line(fleet, mix):
    done = fleet.run('fleet', 'capacity', '--mix', mix)
    assert (2, 1) == (done.returncode, done.stderr.count('\n'))
    assert 'expected FLAVOR:NUMBER,...' in done.stderr


def test_without_guests_there_is_nothing_to_count(fleet):
    assert 'expected one or more of --flavor and --mix' in fleet.run('fleet', 'capacity').stderr


def test_hosts_add_up_to_the_fleet_and_a_file_gives_the_same_answer(fleet):
    rows = _capacity(fleet, '--flavor three one --hosts')
    assert ['three', 'one'] == list(dict.fromkeys(row['flavor'] for row in rows))
    for flavor in ('three', 'one'):
        whole, *hosts = [row for row in rows if row['flavor'] == flavor]
        assert (None, ['other', 'seed3']) == (whole['host'], [row['host'] for row in hosts])
        assert whole['at_least'] == sum(row['at_least'] for row in hosts)
    fleet('fleet export fleet.json.gz')
    assert rows == _capacity(fleet, '--from fleet.json.gz --flavor three one --hosts')


def test_a_host_that_is_disabled_has_no_room_and_its_filter_binds(fleet):
    before = {row['host']: row['at_most'] for row in _capacity(fleet, '--flavor one --hosts')}
    fleet('host set --disable other')
    after = {row['host']: row for row in _capacity(fleet, '--flavor one --hosts')}
    assert (0, 'host.disabled') == (after['other']['at_most'], after['other']['binding'])
    assert before[None] - before['other'] == after[None]['at_most']


def test_the_text_tells_free_and_usable_cpus(fleet):
    told = fleet('fleet capacity --flavor three --hosts').splitlines()
    assert told[0] == 'three: 1 more on 1 of 2 hosts'
    assert told[1].startswith('  dedicated CPUs free: ')
    assert any(line.startswith('  other: ') for line in told)


def test_properties_of_an_image_are_known_by_their_old_names_too(fleet):
    for name in ('architecture', 'hw_architecture'):
        (told,) = _capacity(fleet, f'--flavor isolated --image-property {name}=aarch64')
        assert 0 == told['at_most']


def test_a_flavor_with_devices_fits_nowhere_where_there_are_none(fleet):
    with fleet.config.open('a') as config:
        config.write('\n[pci]\nalias = {"name": "gpu", "vendor_id": "10de", "product_id": "20b0"}\n')
    fleet('flavor create --vcpus 1 --ram 256 --property pci_passthrough:alias=gpu:1 card')
    told = fleet('fleet capacity --flavor card')
    assert told.startswith('card: 0 more on 0 of 2 hosts')
    assert 'pci.total binds on 2 hosts' in told


def test_a_flavor_with_devices_is_refused_where_only_their_number_is_known(fleet, tmp_path):
    """As in a fleet that was read from a Nova."""
    fleet('flavor create --vcpus 1 --ram 256 --property pci_passthrough:alias=gpu:1 card')
    file = tmp_path / 'fleet.json'
    fleet(f'fleet export {file}')
    exported = json.loads(file.read_text())
    host = exported['numaplace_object.data']['hosts'][0]['numaplace_object.data']
    host['facts'] = json.dumps(json.loads(host['facts']) | {'pci_devices': 1})
    file.write_text(json.dumps(exported))
    refused = fleet.run('fleet', 'capacity', '--from', str(file), '--flavor', 'card')
    assert (1, 1) == (refused.returncode, refused.stderr.count('\n'))
    assert "flavor 'card': pci_passthrough:alias requests devices; of those of a Nova only the number" in refused.stderr
    assert fleet(f'fleet capacity --from {file} --flavor one').startswith('one: ')


@pytest.mark.parametrize('seconds', ['-1', 'x', 'nan', '1e9'])
def test_a_wrong_time_limit_is_told(fleet, seconds):
    told = fleet.run('fleet', 'capacity', '--flavor', 'one', f'--seconds={seconds}')
    assert f"'{seconds}': expected a number of seconds from 0 to 86400" in told.stderr


@pytest.mark.parametrize('flavor', ['isolated', 'wide'])
def test_the_number_is_that_of_the_claims_on_every_database(numaplace, database_url, make_tables, flavor):
    make_tables(database_url)
    numaplace.configure(connection=database_url)
    for name in ('seed3', 'other'):
        numaplace(f'host import {name} --capabilities {numaplace.fixture("seed3")}')
    numaplace(f'flavor create {FLAVORS[flavor]} {flavor}')
    (told,) = _capacity(numaplace, f'--flavor {flavor}')
    number = told['at_least']
    assert (told['at_most'], True) == (number, number > 0)
    numaplace(f'server create --flavor {flavor} --min {number} --max {number} more')
    assert 'no valid host' in numaplace.run('server', 'create', '--flavor', flavor, 'next').stderr
