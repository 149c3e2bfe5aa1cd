# SPDX-License-Identifier: Apache-2.0
"""Questions about a fleet from its sources: the database, and files that were exported from it."""

import gzip
import json
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from numaplace.tests.functional.cli.test_audit import change, edit_topology, unpin

#: The flavor of the page "New to NUMA?": more CPUs than the recorded host has.
SEED = ['--property', 'hw:cpu_policy=dedicated', '--property', 'hw:numa_nodes=2']


@pytest.fixture
def fleet(prepared):
    """The program with pinned servers, one of them resized and not confirmed, on a host with another one beside it."""
    prepared(f'host import other --capabilities {prepared.fixture("seed3")}')
    prepared('flavor create --ram 256 --vcpus 1 --property hw:cpu_policy=dedicated m1.pinned')
    prepared('flavor create --ram 256 --vcpus 2 --property hw:cpu_policy=dedicated m2.pinned')
    prepared('server create --flavor m1.pinned --max 3 db')
    prepared('server create --flavor m1.numa --nic bridge=br0 cirros')
    prepared('server resize --flavor m2.pinned db-1')
    return prepared


def _edited(program, edit):
    """Return the name of an exported file after a change of its data."""
    exported = json.loads(program('fleet export -'))
    edit(exported['numaplace_object.data'])
    (program.directory / 'edited.json').write_text(json.dumps(exported))
    return 'edited.json'


def _findings(program, *words):
    done = program.run('fleet', 'audit', '-f', 'json', *words)
    assert '' == done.stderr
    return done.returncode, json.loads(done.stdout)


def test_a_healthy_fleet_has_no_finding_of_an_error(fleet):
    status, found = _findings(fleet)
    assert (0, {'cpus.floating'}) == (status, {finding['code'] for finding in found})


def test_findings_are_objects_with_stable_keys(fleet):
    edit_topology(fleet, 'compute_nodes', "host = 'seed3'", unpin)
    status, found = _findings(fleet)
    (finding,) = [finding for finding in found if finding['severity'] == 'error']
    assert 1 == status
    assert 'the next server may get them too: run `numaplace host audit --repair`' in finding.pop('text')
    assert {
        'code': 'cpus.uncounted',
        'severity': 'error',
        'host': 'seed3',
        'server': None,
        'cell': 0,
        'found': '0-2',
        'expected': '',
    } == finding


def test_a_row_that_cannot_be_read_is_a_finding_and_the_other_hosts_are_audited(fleet):
    """What it holds is still counted on both hosts of its move, of which nothing else is known."""
    fleet(f'host import third --capabilities {fleet.fixture("seed3")}')
    change(fleet, "UPDATE compute_nodes SET vcpus_used = 7 WHERE host = 'third'")
    change(fleet, "UPDATE instance_extra SET numa_topology = '{' WHERE id = 1")
    change(fleet, "UPDATE compute_nodes SET vcpus_used = 7 WHERE host = 'seed3'")
    status, found = _findings(fleet)
    errors = [(finding['code'], finding['host']) for finding in found if finding['severity'] == 'error']
    assert (1, [('row.unreadable', 'other'), ('row.unreadable', 'seed3'), ('usage.host', 'third')]) == (status, errors)
    assert all('instances ' in finding['text'] for finding in found if finding['code'] == 'row.unreadable')


@pytest.mark.parametrize('name', ['fleet.json', 'fleet.json.gz'])
def test_a_file_gives_the_same_answers_as_the_database(fleet, name):
    edit_topology(fleet, 'compute_nodes', "host = 'seed3'", unpin)
    fleet(f'fleet export {name}')
    again = fleet.directory / f'again-{name}'
    fleet(f'fleet export --from {name} {again}')
    assert (fleet.directory / name).read_bytes() == again.read_bytes()
    for question in ('audit', 'explain --flavor m1.numa', 'explain --server db-1', 'explain --flavor m2.pinned'):
        words = question.split()
        answers = [
            fleet.run('fleet', *words, '-f', 'json', *source)
            for source in ([], ['--from', name], ['--from', str(again)])
        ]
        assert answers[0].stdout
        assert [(answers[0].returncode, answers[0].stdout)] * 3 == [(one.returncode, one.stdout) for one in answers]


def test_an_anonymised_file_has_none_of_the_names_and_the_same_findings(fleet):
    edit_topology(fleet, 'compute_nodes', "host = 'seed3'", unpin)
    fleet('fleet export --anonymise hidden.json')
    text = (fleet.directory / 'hidden.json').read_text()
    names = ['seed3', 'other', 'db-1', 'cirros', 'm1.pinned', 'br0', *(row['ID'] for row in fleet.json('server list'))]
    assert [] == [name for name in names if name in text]
    plain, hidden = _findings(fleet), _findings(fleet, '--from', 'hidden.json')
    assert plain[0] == hidden[0] == 1
    kept = ('code', 'severity', 'cell', 'found', 'expected')
    assert sorted([str(one[key]) for key in kept] for one in plain[1]) == sorted(
        [str(one[key]) for key in kept] for one in hidden[1]
    )


@pytest.mark.parametrize(
    ('name', 'content', 'message'),
    [
        (
            'none.json',
            None,
            "--from 'none.json': No such file or directory; expected own, nova, libvirt, or a file of ",
        ),
        ('a.json', b'{', "--from 'a.json': not JSON: "),
        ('a.json', b'\xff', "--from 'a.json': 'utf-8' codec can't decode byte 0xff"),
        ('a.json', b'{}', "--from 'a.json': expected a Fleet with 'numaplace_object.name', found keys []"),
        ('a.json.gz', b'{}', "--from 'a.json.gz': Not a gzipped file"),
        ('a.json.gz', gzip.compress(b'{}', mtime=0)[:-9], "--from 'a.json.gz': Compressed file ended before"),
        ('a.json', b'[' * 100_000, "--from 'a.json': not JSON: maximum recursion depth exceeded"),
    ],
)
def test_a_file_that_is_no_fleet_is_named(numaplace, name, content, message):
    if content is not None:
        (numaplace.directory / name).write_bytes(content)
    done = numaplace.run('fleet', 'audit', '--from', name)
    assert (1, '') == (done.returncode, done.stdout)
    assert done.stderr.startswith(f'numaplace: {message}')
    assert 1 == done.stderr.count('\n')


def test_a_file_of_a_newer_release_is_refused_by_its_version(fleet):
    fleet('fleet export new.json')
    file = fleet.directory / 'new.json'
    fields = json.loads(file.read_text())
    file.write_text(json.dumps(fields | {'numaplace_object.version': '1.7'}))
    done = fleet.run('fleet', 'audit', '--from', 'new.json')
    assert 'Fleet version 1.7 was written by a newer release: expected 1.0 to 1.1' in done.stderr


def test_a_file_for_an_older_release_has_the_versions_that_it_knows_and_the_same_findings(fleet):
    """Objects of both namespaces; fields that came later are left out, and have their defaults when it is read."""
    edit_topology(fleet, 'compute_nodes', "host = 'seed3'", unpin)
    fleet('fleet export --object-version FleetHost=1.0 --object-version NUMACell=1.4 old.json')
    (cell, *_), (host, *_) = (_objects(json.loads((fleet.directory / 'old.json').read_text()), name) for name in OLDER)
    assert ('1.4', '1.0') == (cell['nova_object.version'], host['numaplace_object.version'])
    assert 'socket' not in cell['nova_object.data']
    assert 'old_format' not in host['numaplace_object.data']
    status, found = _findings(fleet)
    assert (status, [one for one in found if one['code'] != 'row.old']) == _findings(fleet, '--from', 'old.json')


OLDER = ('NUMACell', 'FleetHost')


def _objects(value, name):
    """Yield the objects with a name in JSON."""
    if isinstance(value, dict):
        if name in (value.get('nova_object.name'), value.get('numaplace_object.name')):
            yield value
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _objects(each, name)


@pytest.mark.parametrize(
    ('wanted', 'message'),
    [
        ('FleetHost', "--object-version 'FleetHost': expected KEY=VALUE"),
        ('Host=1.0', "--object-version 'Host': there is no such object; expected one of AccessDetails, "),
        ('FleetHost=2.0', "FleetHost cannot be written in version '2.0': expected 1.0 to 1.4"),
        ('FleetHost=x', "FleetHost cannot be written in version 'x': expected 1.0 to 1.4"),
    ],
)
def test_a_version_that_cannot_be_written_is_named_and_no_file_is_left(fleet, wanted, message):
    done = fleet.run('fleet', 'export', '--object-version', wanted, 'old.json')
    assert (1, '') == (done.returncode, done.stdout)
    assert done.stderr.startswith(f'numaplace: {message}')
    assert 1 == done.stderr.count('\n')
    assert not (fleet.directory / 'old.json').exists()


def test_a_nova_that_the_configuration_does_not_name_is_refused(numaplace):
    done = numaplace.run('fleet', 'audit', '--from', 'nova')
    assert (
        'numaplace: --from nova: [api_database] connection is not set: expected a nova.conf with it as ' in done.stderr
    )


@pytest.mark.parametrize('hours', ['nan', 'inf', '-1', '1e30', 'x'])
def test_a_number_of_hours_that_is_none_is_refused(fleet, hours):
    done = fleet.run('fleet', 'audit', f'--move-hours={hours}')
    assert (2, '') == (done.returncode, done.stdout)
    assert f"argument --move-hours: '{hours}': expected a number of hours from 0 to 1000000" in done.stderr
    assert 1 == done.stderr.count('\n')


def test_hosts_are_compared_with_what_the_configuration_sets(fleet):
    fleet.configure(more='[DEFAULT]\ncpu_allocation_ratio = 3\n[compute]\ncpu_dedicated_set = 2-3')
    _, found = _findings(fleet)
    assert ['host.ratio', 'host.ratio', 'host.sets', 'host.sets'] == sorted(
        finding['code'] for finding in found if finding['code'].startswith('host.')
    )
    assert {'2-3'} == {finding['expected'] for finding in found if finding['code'] == 'host.sets'}


def test_an_export_replaces_no_link_and_no_device(fleet):
    target, link, pipe = (fleet.directory / name for name in ('target.json', 'link.json', 'pipe'))
    target.write_text('old')
    link.symlink_to(target)
    fleet(f'fleet export {link}')
    assert (True, True) == (link.is_symlink(), target.read_text().startswith('{"numaplace_object.name": "Fleet"'))
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(pipe.read_text)
        fleet(f'fleet export {pipe}')
        assert target.read_text() == read.result(30)
    assert pipe.is_fifo()


def test_explain_says_who_takes_a_guest(fleet):
    assert '2 of 2 hosts take it: other, seed3\n' == fleet('fleet explain --flavor m1.tiny')


@pytest.mark.parametrize(
    ('policy', 'second', 'name'),
    [
        ('anti-affinity', 'other', 'ServerGroupAntiAffinityFilter'),
        ('affinity', 'seed3', 'ServerGroupAffinityFilter'),
    ],
)
def test_a_server_is_explained_with_its_group(prepared, policy, second, name):
    prepared(f'host import other --capabilities {prepared.fixture("seed3")}')
    prepared.configure(more=f'[filter_scheduler]\nenabled_filters = {name}\n')
    prepared(f'server group create --policy {policy} web')
    prepared('server create --flavor m1.numa --hint group=web --host seed3 web1')
    prepared(f'server create --flavor m1.numa --hint group=web --host {second} web2')
    rows = {row['host']: row for row in prepared.json('fleet explain --server web1')}
    assert rows['seed3']['takes']
    assert (name, [f'group.{policy}']) == (rows['other']['filter'], [each['code'] for each in rows['other']['reasons']])


def test_a_server_is_explained_with_its_hints(prepared):
    prepared(f'host import other --capabilities {prepared.fixture("seed3")}')
    prepared.configure(more='[filter_scheduler]\nenabled_filters = DifferentHostFilter\n')
    prepared('server create --flavor m1.numa --host seed3 first')
    prepared('server create --flavor m1.numa --hint different_host=first second')
    rows = {row['host']: row for row in prepared.json('fleet explain --server second')}
    assert (False, 'DifferentHostFilter') == (rows['seed3']['takes'], rows['seed3']['filter'])


def _object(name, **data):
    return {
        'numaplace_object.name': name,
        'numaplace_object.namespace': 'numaplace',
        'numaplace_object.version': '1.0',
        'numaplace_object.data': data,
    }


def test_a_server_is_explained_as_it_was_requested(fleet):
    def request(data):
        server = data['servers'][-1]['numaplace_object.data']
        flavor = json.loads(json.dumps(server['flavor']))
        flavor['numaplace_object.data']['extra_specs'] = {'hw:cpu_policy': 'dedicated', 'hw:numa_nodes': '4'}
        server['request_spec'] = _object(
            'FleetRequestSpec', flavor=flavor, availability_zone=None, hosts=['other'], boots_from_volume=False
        )

    assert fleet('fleet explain --server cirros').startswith('2 of 2 hosts take it')
    told = fleet(f'fleet explain --from {_edited(fleet, request)} --server cirros').splitlines()
    assert [
        '0 of 2 hosts take it',
        'other (NUMATopologyFilter):',
        '  the guest needs 4 host cells: the host has 3 (1 short)',
        'seed3 (request):',
        '  the request names another host: other',
    ] == told[:5]


def test_hosts_that_placement_would_not_offer_are_counted(fleet):
    def allocate(data):
        inventory = _object('FleetInventory', resource_class='PCPU', total=8, reserved=0, allocation_ratio=1.0)
        memory = _object('FleetInventory', resource_class='MEMORY_MB', total=8192, reserved=0, allocation_ratio=1.0)
        used = _object('FleetAllocation', consumer='nobody', resources={'PCPU': 7})
        data['providers'] = [
            _object(
                'FleetProvider',
                host=name,
                uuid=name,
                inventories=[inventory, memory],
                allocations=[used] if name == 'seed3' else [],
                traits=[],
            )
            for name in ('other', 'seed3')
        ]

    told = fleet(f'fleet explain --from {_edited(fleet, allocate)} --flavor m2.pinned').splitlines()
    assert [
        '1 of 2 hosts take it: other',
        'placement offers 1 of 2 hosts',
        'seed3 (placement):',
        '  the guest needs 2 of the resource class PCPU: placement has 1 (1 short)',
    ] == told[:4]


def test_an_unknown_flavor_is_told_like_that_of_a_new_server(fleet):
    errors = [fleet.run(*words, '--flavor', 'm9').stderr for words in (('fleet', 'explain'), ('server', 'create', 'x'))]
    assert errors[0] == errors[1]
    assert "numaplace: --flavor 'm9': there is no such flavor; known flavors: m1.numa, m1.pinned, " in errors[0]


def test_a_flavor_that_cannot_be_read_is_a_finding_and_stops_nothing(fleet):
    change(fleet, "UPDATE flavors SET vcpus = -1 WHERE name = 'm1.tiny'")
    status, found = _findings(fleet)
    assert (1, ['row.unreadable']) == (status, [one['code'] for one in found if one['severity'] == 'error'])


# --- the three failures to boot of the page "New to NUMA?"


def test_a_flavor_that_does_not_match_the_hardware_is_explained(fleet):
    fleet('flavor create --ram 4096 --disk 10 --vcpus 24 m1.numatest', *SEED)
    told = fleet('fleet explain --flavor m1.numatest').splitlines()
    assert ['0 of 2 hosts take it', '2 hosts: other, seed3 (NUMATopologyFilter):'] == told[:2]
    assert 'guest cells 0, 1 each need 12 dedicated CPUs: ' in ' '.join(told)
    assert 'warning: flavor m1.numatest fits no host, even without any server: ' in told[-1]


def test_extra_specs_that_are_in_the_metadata_of_a_server_are_explained(fleet):
    def misplace(data):
        server = data['servers'][-1]['numaplace_object.data']
        server['metadata'] = {'hw:numa_nodes': '2', 'hw:cpu_policy': 'dedicated'}

    told = fleet(f'fleet explain --from {_edited(fleet, misplace)} --server cirros')
    assert (
        'the metadata of the server has hw:cpu_policy=dedicated, hw:numa_nodes=2; keys of that kind do nothing' in told
    )
    assert 'set them as properties of a flavor' in told


def test_a_host_that_was_not_rebooted_is_explained(fleet):
    def forget(data):
        for host in data['hosts']:
            host['numaplace_object.data']['facts'] = json.dumps({'cpus': 96})

    fleet('flavor create --ram 4096 --vcpus 12 m1.more', *SEED)
    told = fleet(f'fleet explain --from {_edited(fleet, forget)} --flavor m1.more')
    assert 'warning: seed3: the cells have CPUs 8 (0-7) of 96; the other CPUs take no guests: ' in told
    assert 'reboot the host if the boot configuration was changed after its last boot' in told
