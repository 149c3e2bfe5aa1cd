# SPDX-License-Identifier: Apache-2.0
"""A fleet that is read from libvirt: saved files with planted faults, and libvirt's test driver."""

import json
import os
import re
import subprocess
import textwrap
from pathlib import Path

import pytest

from numaplace.tests import planted, real

PAGE = Path(os.environ.get('NUMAPLACE_SOURCE', Path(__file__).parents[4])) / 'doc' / 'source' / 'libvirt-hosts.rst'
FIELDS = ('code', 'host', 'server')


@pytest.fixture
def saved(numaplace):
    """The program; in its directory there are the files of hosts with faults, and its configuration is theirs."""
    numaplace.expected = planted.write(numaplace.directory / 'hosts')
    numaplace.config.write_text((numaplace.directory / 'hosts' / planted.CONFIGURATION).read_text())
    return numaplace


def test_the_audit_finds_every_planted_fault_and_nothing_else(saved):
    result = saved.run('fleet', 'audit', '--from', 'libvirt', '--directory', 'hosts', '-f', 'json')
    assert 1 == result.returncode
    assert saved.expected == {tuple(row[field] for field in FIELDS) for row in json.loads(result.stdout)}
    assert "numaplace: 'hosts/host021' cannot be read: " in result.stderr
    assert 1 == result.stderr.count('\n')
    assert not saved.database.exists(), 'nothing is written'


def test_an_export_of_it_gives_the_same_findings_and_anonymised_as_many(saved):
    line = ('fleet', 'export', '--from', 'libvirt', '--directory', 'hosts')
    assert 0 == saved.run(*line, 'fleet.json.gz').returncode
    rows = saved.run('fleet', 'audit', '--from', 'fleet.json.gz', '-f', 'json').stdout
    assert saved.expected == {tuple(row[field] for field in FIELDS) for row in json.loads(rows)}
    assert 0 == saved.run(*line, '--anonymise', 'other.json').returncode
    rows = saved.run('fleet', 'audit', '--from', 'other.json', '-f', 'json').stdout
    assert len(saved.expected) == len(json.loads(rows))
    assert 'guest00' not in (saved.directory / 'other.json').read_text()


def test_a_domain_is_explained_and_domains_that_are_no_servers_hold_what_they_have(saved):
    pins = ''.join(f"<vcpupin vcpu='{vcpu}' cpuset='{cpu}'/>" for vcpu, cpu in enumerate((10, 26, 11, 27)))
    (saved.directory / 'hosts' / 'host020' / 'domains' / 'big.xml').write_text(
        "<domain type='kvm'><name>big</name><uuid>b2b1bd9a-0f4e-4a3f-8d3f-6a1d0c1f9f10</uuid>"
        f"<memory unit='MiB'>64</memory><vcpu>4</vcpu><cputune>{pins}<emulatorpin cpuset='8'/></cputune>"
        "<numatune><memory nodeset='1'/></numatune><os><type arch='x86_64'>hvm</type></os></domain>"
    )
    result = saved.run('fleet', 'explain', '--from', 'libvirt', '--directory', 'hosts', '--server', 'big', '-f', 'json')
    answers = {row['host']: row for row in json.loads(result.stdout)}
    (reason,) = [one for one in answers['host006']['reasons'] if one['host_cells'] == [0]]
    assert ('cpus.dedicated.free', 4, 0, 2) == tuple(reason[key] for key in ('code', 'needed', 'available', 'held'))


@pytest.mark.parametrize(
    ('status', 'line', 'words'),
    [
        (1, '--from libvirt', 'expected --connect or --uris, or else --directory'),
        (1, '--from libvirt --directory hosts --connect test:///default', 'or else --directory'),
        (1, '--from libvirt --directory nowhere', '--directory nowhere: No such file or directory; expected HOST/'),
        (1, '--from libvirt --directory hosts/host000/domains', 'there are no hosts: expected HOST/capabilities.xml'),
        (1, '--from libvirt --uris nowhere', '--uris nowhere: No such file or directory; expected a URI in each line'),
        (2, '--directory hosts', 'expected --from libvirt with them'),
    ],
)
def test_what_cannot_be_read_is_one_line(saved, status, line, words):
    result = saved.run('fleet', 'audit', *line.split())
    assert (status, '') == (result.returncode, result.stdout)
    assert words in result.stderr
    assert 1 == result.stderr.count('\n')


def test_libvirts_are_asked_and_one_that_does_not_answer_is_named(numaplace):
    real.require_program('virsh')
    (numaplace.directory / 'uris').write_text('# all hosts\ntest:///gone\n')
    line = ('fleet', 'audit', '--from', 'libvirt', '--connect', 'test:///default', '--uris', 'uris', '-f', 'json')
    result = numaplace.run(*line)
    assert 1 == result.returncode
    assert "numaplace: 'test:///gone' cannot be read: virsh capabilities at test:///gone: " in result.stderr
    found = json.loads(result.stdout)
    assert {'libvirt.unreadable', 'domain.type', 'cpus.unpinned'} <= {row['code'] for row in found}
    assert [('libvirt.unreadable', None)] == [(row['code'], row['host']) for row in found if 'gone' in row['text']]
    assert not numaplace.database.exists()


@pytest.mark.skipif(not PAGE.is_file(), reason='there is no source tree beside the package')
def test_every_line_of_the_page_can_be_typed(numaplace, tmp_path):
    """Libvirt's test driver answers for every host."""
    virsh, page = real.require_program('virsh'), PAGE.read_text('utf-8')
    words = 'for word; do shift; case $word in qemu*) word=test:///default ;; esac; set -- "$@" "$word"; done'
    default = 'case "$*" in *--connect*) ;; *) set -- -c test:///default "$@" ;; esac'
    programs = {
        'ssh': '[ "$1" = -n ] && shift\nshift\nexec "$@"',
        'virsh': f'{words}\n{default}\nexec {virsh} "$@"',
        'numaplace': f'exec {numaplace.script} --config-file {numaplace.config} "$@"',
    }
    for name, text in programs.items():
        (tmp_path / name).write_text(f'#!/bin/sh\n{text}\n')
        (tmp_path / name).chmod(0o755)
    (script,) = re.findall(r'code-block:: sh\n\n((?:   .*\n)+)', page)
    assert len(script.splitlines()) <= 10
    (tmp_path / 'save.sh').write_text(textwrap.dedent(script))
    (tmp_path / 'uris.txt').write_text('# all hosts\nqemu+ssh://root@compute1/system\n')
    lines = re.findall(r'^   \$ (.*)$', page, re.MULTILINE)
    assert len(lines) == 7
    for line in lines:
        environment = os.environ | {'PATH': f'{tmp_path}:{os.environ["PATH"]}'}
        done = subprocess.run(
            line, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == (1 if ' audit ' in line else 0), f'{line}: {done.stderr}'
        if line.startswith('sh '):
            for number in '12':
                (saved,) = (tmp_path / 'hosts' / f'compute{number}' / 'domains').iterdir()
                text = saved.read_text().replace("type='test'", "type='kvm'").replace('>test<', f'>web{number}<')
                saved.write_text(text.replace('<uuid>6', f'<uuid>{number}'))
