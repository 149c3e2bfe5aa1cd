# SPDX-License-Identifier: Apache-2.0
"""Formats of plain text: values that a shell or a program reads without knowing Python."""

import csv
import io
import json
import subprocess

import pytest


@pytest.fixture(scope='module')
def program(make_program):
    """The program with a host and a server, in whose values there is everything that a shell could misread."""
    program = make_program()
    program.spawning = False
    program(f'host import seed3 --capabilities {program.fixture("seed3")}')
    program('flavor create --ram 1024 --vcpus 4 --property hw:numa_nodes=2 --property hw:cpu_policy=dedicated m1')
    program('server create --flavor m1 --nic network=default', r"""a $(touch /x) `b` "c" \d 'e' é""")
    program('server create --flavor m1 two')
    return program


SHOWN = {
    'flavor show m1': [],
    'host show seed3': [],
    'hypervisor show seed3': [],
    'server show': [r"""a $(touch /x) `b` "c" \d 'e' é"""],
}


def _expected(value):
    """Return a value of JSON as plain text."""
    if value is None:
        return ''
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@pytest.mark.parametrize(('line', 'more'), SHOWN.items(), ids=SHOWN)
def test_a_shell_reads_the_values_of_json(program, line, more):
    values = json.loads(program(f'{line} -f json', *more))
    text = program(f'{line} -f shell --prefix numaplace_', *more)
    script = text + ''.join(f'printf "%s\\0" "$numaplace_{name}"\n' for name in values)
    read = subprocess.run(['sh', '-c', script], capture_output=True, text=True, check=True, timeout=30).stdout
    assert [_expected(value) for value in values.values()] == read.split('\0')[:-1]


@pytest.mark.parametrize(('line', 'more'), SHOWN.items(), ids=SHOWN)
def test_plain_values_are_those_of_json(program, line, more):
    values = json.loads(program(f'{line} -f json', *more))
    assert [_expected(value) for value in values.values()] == program(f'{line} -f value', *more).splitlines()


LISTS = ['flavor list', 'host list', 'hypervisor list --long', 'server list --long', 'fleet explain --flavor m1']


@pytest.mark.parametrize('line', LISTS)
def test_rows_of_plain_values_are_those_of_json(program, line):
    rows = program.json(line)
    assert rows
    expected = [[_expected(value) for value in row.values()] for row in rows]
    assert [' '.join(row) for row in expected] == program(f'{line} -f value').splitlines()
    assert [list(rows[0]), *expected] == list(csv.reader(io.StringIO(program(f'{line} -f csv')), escapechar='\\'))
