# SPDX-License-Identifier: Apache-2.0
"""Standard input in place of a file, of which there is one."""

import json
import subprocess

import pytest

from numaplace.tests import recordings


def _fed(program, content, *words):
    return subprocess.run(
        program.command(*words),
        input=content,
        capture_output=True,
        check=False,
        timeout=60,
        env=program.environment,
        cwd=program.directory,
    )


FILES = {
    'capabilities': ('seed3.capabilities.xml', 'seed3 --capabilities -'),
    'lstopo': ('seed3.lstopo.xml', 'seed3 --lstopo -'),
    'lscpu': ('seed3.lscpu-p.txt', 'seed3 --numactl other.txt --lscpu - --architecture x86_64'),
    'numactl': ('seed3.numactl.txt', 'seed3 --numactl - --lscpu other.txt --architecture x86_64'),
    'a pair': ('seed3.capabilities.xml', 'seed3=-'),
}


@pytest.mark.parametrize(('name', 'line'), FILES.values(), ids=FILES)
def test_a_host_is_read_from_standard_input(numaplace, name, line):
    other = 'seed3.numactl.txt' if 'lscpu -' in line else 'seed3.lscpu-p.txt'
    (numaplace.directory / 'other.txt').write_bytes(recordings.text(other))
    result = _fed(numaplace, recordings.text(name), 'host', 'import', *line.split())
    assert (0, b'') == (result.returncode, result.stderr)
    assert 3 == len(numaplace.json('host show seed3')['cells'])


GUEST = b"""<domain type='kvm'><name>g</name><vcpu>6</vcpu><memory unit='MiB'>96</memory>
<os><type arch='x86_64' machine='q35'>hvm</type></os><vnuma mode='host'/></domain>"""


def test_a_guest_or_its_host_is_read_from_standard_input(prepared):
    result = _fed(prepared, GUEST, 'vnuma', 'plan', '-', '--host', 'seed3', '-f', 'json')
    assert (0, b'') == (result.returncode, result.stderr)
    plan = json.loads(result.stdout)
    (prepared.directory / 'guest.xml').write_bytes(GUEST)
    result = _fed(prepared, recordings.capabilities('seed3'), 'vnuma', 'expand', 'guest.xml', '--capabilities', '-')
    assert (0, b'') == (result.returncode, result.stderr)
    assert len(plan) == result.stdout.count(b'<memnode ')


TWICE = {
    'host import a --numactl - --lscpu -',
    'host import a=- b=-',
    'vnuma plan - --capabilities -',
    'vnuma expand - --capabilities -',
}


@pytest.mark.parametrize('line', sorted(TWICE))
def test_standard_input_is_one_file(refused, line):
    assert '- stands for standard input, which is one file: expected it once; see' in refused(2, *line.split())


def test_an_error_calls_it_standard_input(prepared):
    result = _fed(prepared, b'nothing', 'host', 'import', 'a', '--capabilities', '-')
    assert 1 == result.returncode
    assert result.stderr.startswith(b'numaplace: standard input: ')
    result = _fed(prepared, b'nothing', 'host', 'import', 'a=-')
    assert result.stderr.startswith(b"numaplace: host 'a': standard input: not recognized: ")
