# SPDX-License-Identifier: Apache-2.0
"""``flavor lint`` and the warnings of ``flavor create`` and ``flavor set`` say the same of a flavor."""

import json

import pytest


def _lint(program, *words):
    done = program.run('flavor', 'lint', *words, '-f', 'json')
    assert '' == done.stderr
    return done.returncode, [(each['code'], each['flavor'], each['key']) for each in json.loads(done.stdout)]


def test_flavors_without_a_fault_have_no_findings(prepared):
    before = prepared.digest()
    assert (0, []) == _lint(prepared)
    assert before == prepared.digest()


def test_a_key_that_does_nothing_is_told_when_it_is_set_and_by_lint(prepared):
    pairs = '--property', 'hw:cpu_maxsockets=2', '--property', 'hw:numa_cpus.0=0'
    done = prepared.run('flavor', 'set', *pairs, 'm1.tiny')
    assert 0 == done.returncode
    warned = [line.removeprefix('numaplace: warning: ') for line in done.stderr.splitlines()]
    assert 2 == len(warned)
    assert 'the nearest is hw:cpu_max_sockets' in warned[0]
    assert "hw:numa_cpus.0='0': it does nothing: nothing requests guest cells" in warned[1]
    assert sorted(warned) == sorted(each['text'] for each in prepared.json('flavor lint'))
    assert (0, [('key.idle', 'm1.tiny', 'hw:numa_cpus.0'), ('key.unknown', 'm1.tiny', 'hw:cpu_maxsockets')]) == _lint(
        prepared
    )


def test_a_new_flavor_with_an_idle_key_is_created_with_a_warning(prepared):
    done = prepared.run('flavor', 'create', '--vcpus', '4', '--property', 'hw:cpu_realtime_mask=^0', 'm1.real')
    assert (0, 1) == (done.returncode, done.stderr.count('\n'))
    assert "hw:cpu_realtime_mask='^0': it does nothing: hw:cpu_realtime is not true" in done.stderr
    assert 'm1.real' in done.stdout


@pytest.fixture
def faulty(prepared):
    """The program with a flavor that contradicts itself, one too large, one alike, and one that only Nova provides."""
    words = ('flavor', 'create', '--ram', '512')
    for more in (
        ('--property', 'hw:cpu_thread_policy=isolate', 'm1.isolated'),
        ('--property', 'hw:numa_nodes=8', '--vcpus', '8', 'm1.wide'),
        ('--property', 'hw:mem_page_size=16GB', '--property', 'hw:tpm_version=2.0', 'm1.secret'),
        ('--disk', '1', 'm1.too'),
    ):
        assert 0 == prepared.run(*words, *more).returncode
    return prepared


FOUND = [
    ('threads.shared', 'm1.isolated', 'hw:cpu_thread_policy'),
    ('key.unsupported', 'm1.secret', 'hw:tpm_version'),
    ('pages.missing', 'm1.secret', 'hw:mem_page_size'),
    ('flavor.twin', 'm1.too', ''),
    ('flavor.unplaceable', 'm1.wide', ''),
]


def test_an_error_makes_the_exit_status_1_and_a_file_gives_the_same_answer(faulty):
    assert (1, FOUND) == _lint(faulty)
    faulty('fleet export fleet.json.gz')
    assert (1, FOUND) == _lint(faulty, '--from', 'fleet.json.gz')


def test_people_see_a_table_with_sentence_and_cure(faulty):
    done = faulty.run('flavor', 'lint')
    assert 1 == done.returncode
    assert '| code ' in done.stdout
    assert 'set hw:cpu_policy to dedicated or mixed, or remove the CPU thread policy' in done.stdout


def test_names_of_strangers_are_escaped_for_people_and_whole_for_machines(prepared):
    assert 0 == prepared.run('flavor', 'set', '--property', 'hw:x=1', 'm1.tiny').returncode
    prepared('fleet export fleet.json')
    path = prepared.directory / 'fleet.json'
    path.write_text(path.read_text().replace('m1.tiny', r'm1\u001b[31m').replace('hw:x', r'hw:x\u001b'))
    assert r'm1\x1b[31m' in prepared('flavor lint --from fleet.json')
    (found,) = prepared.json('flavor lint --from fleet.json')
    assert ('m1\x1b[31m', 'hw:x\x1b') == (found['flavor'], found['key'])


def test_an_image_that_contradicts_a_flavor_is_an_error(prepared):
    assert 0 == prepared.run('flavor', 'set', '--property', 'hw:cpu_policy=shared', 'm1.tiny').returncode
    assert (0, []) == _lint(prepared)
    image = '--image-property', 'hw_cpu_policy=dedicated', '--image-property', 'hw_numa_nodes=1'
    assert (1, [('image.refused', 'm1.tiny', '')]) == _lint(prepared, *image)
    prepared('fleet export fleet.json')
    assert (1, [('image.refused', 'm1.tiny', '')]) == _lint(prepared, *image, '--from', 'fleet.json')
    refused = prepared.run('server', 'create', '--flavor', 'm1.tiny', *image, 'x')
    (found,) = json.loads(prepared.run('flavor', 'lint', *image, '-f', 'json').stdout)
    assert f'numaplace: {found["text"]}\n' == refused.stderr


WRONG = {
    '--image-property hw_numa_nodes': (1, "--image-property 'hw_numa_nodes'"),
    '--from libvirt': (2, 'libvirt has no flavors: expected own, nova or a file'),
    '--from nova': (1, '[api_database] connection is not set'),
    '--from nowhere.json': (1, "--from 'nowhere.json': No such file"),
}


@pytest.mark.parametrize(('words', 'expected'), WRONG.items(), ids=WRONG)
def test_a_wrong_source_is_one_line(refused, words, expected):
    status, text = expected
    assert text in refused(status, 'flavor', 'lint', *words.split())
