# SPDX-License-Identifier: Apache-2.0
"""A real bash completes commands, options, and the names of what the database holds."""

import shlex
import socket
import subprocess

import pytest

from numaplace.tests import real

_CALL = """
source {script}
COMP_WORDS=({words})
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_numaplace
((${{#COMPREPLY[@]}})) && printf '%s\\n' "${{COMPREPLY[@]}}"
true
"""


class Shell:
    """A bash that has read the script, in the directory of a program."""

    def __init__(self, program):
        self.program = program
        self.script = program.directory / 'completion.bash'
        self.script.write_text(program('complete'))

    def __call__(self, line, **environment):
        """Return what is offered for the last word of a command line; the program's own name is left out of it."""
        words = [str(self.program.script), '--config-file', str(self.program.config), *line.split(' ')]
        return self.run(words, **environment)

    def run(self, words, **environment):
        call = _CALL.format(script=shlex.quote(str(self.script)), words=shlex.join(words))
        done = subprocess.run(
            [real.require_program('bash'), '--norc', '-c', call],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
            cwd=self.program.directory,
            env={**self.program.environment, **environment},
        )
        assert '' == done.stderr
        return done.stdout.splitlines()


@pytest.fixture(scope='module')
def shell(make_program):
    """A bash, and a database with hosts in two zones, flavors and servers."""
    program = make_program()
    program.spawning = False
    program(f'host import seed3 --capabilities {program.fixture("seed3")}')
    program.configure(more='[DEFAULT]\ndefault_availability_zone = north')
    program(f'host import one2 --capabilities {program.fixture("one2")}')
    program('flavor create --ram 256 m1.tiny')
    program('flavor create --ram 256 m1.numa')
    program('server create --flavor m1.tiny web1')
    program('server create --flavor m1.tiny web1')
    program('server create --flavor m1.tiny db1')
    program('server create --flavor m1.tiny', "it's a $(name)")
    return Shell(program)


NOUNS = ['aggregate', 'complete', 'config', 'db', 'flavor', 'fleet', 'help', 'host', 'hypervisor', 'metrics']
NOUNS += ['quickstart', 'server', 'vnuma']
SERVERS = ['db1', "it\\'s\\ a\\ \\$\\(name\\)", 'web1']

OFFERED = {
    'nouns': ('', NOUNS),
    'the start of a noun': ('h', ['help', 'host', 'hypervisor']),
    'verbs': ('host ', ['audit', 'delete', 'discover', 'import', 'list', 'set', 'show']),
    'the start of a verb': ('server set', ['set-vcpus']),
    'words of a longer name': ('server migration ', ['abort', 'list', 'show']),
    'a longer name beside the servers of the shorter one': ('server resize ', ['confirm', 'revert', *SERVERS]),
    'a word of a longer name': ('server resize con', ['confirm']),
    'servers': ('server show ', SERVERS),
    'servers of a longer name': ('server resize confirm ', SERVERS),
    'a server by its start': ('server delete w', ['web1']),
    'another server': ('server delete web1 d', ['db1']),
    'a server after a switch': ('server delete --force d', ['db1']),
    'a server after an option': ('server resize --flavor m1.numa d', ['db1']),
    'no second server where one is shown': ('server show web1 ', []),
    'no name for what is new': ('server create ', []),
    'no number of a move': ('server migration show web1 ', []),
    'flavors': ('flavor show ', ['m1.numa', 'm1.tiny']),
    'flavors of an option': ('server create --flavor ', ['m1.numa', 'm1.tiny']),
    'a flavor behind an equal sign': ('server create --flavor = m1.t', ['m1.tiny']),
    'flavors behind an equal sign': ('server create --flavor =', ['m1.numa', 'm1.tiny']),
    'hosts': ('host delete ', ['one2', 'seed3']),
    'hosts of an option': ('server migrate --host s', ['seed3']),
    'hosts as hypervisors': ('hypervisor show o', ['one2']),
    'zones': ('server create --availability-zone ', ['north', 'nova']),
    'options': ('server resize --c', ['--column', '--confirm', '--config-file']),
    'options after a name': ('server delete web1 --f', ['--force']),
    'options that are ignored are not offered': ('server create --wai', []),
    'global options': ('--d', ['--database', '--debug']),
    'words that an option takes': ('server list -f ', ['csv', 'json', 'table', 'value', 'yaml']),
    'the start of such a word': ('server dumpxml --profile nova-1', ['nova-12']),
    'nothing for a number': ('flavor create --ram ', []),
    'commands to be explained': ('help server mig', ['migrate', 'migration']),
    'files': ('host import x --capabilities seed', ['seed3.capabilities.xml']),
    'files of many hosts': ('host import x = seed', ['seed3.capabilities.xml']),
    'files of one more host': ('host import x = y z = seed', ['seed3.capabilities.xml']),
    'no name of a host that is new': ('host import seed', []),
    'nothing below what is no command': ('frobnicate ', []),
}


@pytest.mark.parametrize(('line', 'expected'), OFFERED.values(), ids=OFFERED)
def test_what_is_offered(shell, line, expected):
    assert expected == shell(line)


def test_a_name_that_is_quoted_on_the_command_line_is_found(shell):
    words = [str(shell.program.script), '--config-file', str(shell.program.config), 'server', 'show', "it\\'s\\ a"]
    assert ["it\\'s\\ a\\ \\$\\(name\\)"] == shell.run(words)


def test_every_command_can_be_reached(shell):
    names = ['server resize confirm', 'server attach-memory', 'vnuma expand', 'db upgrade', 'quickstart']
    for name in names:
        *words, last = name.split()
        assert last in shell(' '.join([*words, last[:-1]]))


def test_the_database_of_the_command_line_is_asked(shell, numaplace):
    numaplace('flavor create other')
    words = [str(shell.program.script), '--database', f'sqlite:///{numaplace.database}', 'flavor', 'show', '']
    assert ['other'] == shell.run(words)


NOT_THERE = {
    'a file that is not there': 'sqlite:////tmp/absent/numaplace.sqlite',
    'no URL': 'nonsense',
    'a server that does not answer': 'mysql+pymysql://root@127.0.0.1:1/numaplace',
    'a directory': 'sqlite:////tmp',
}


@pytest.mark.parametrize('url', NOT_THERE.values(), ids=NOT_THERE)
def test_names_that_cannot_be_had_are_not_offered_and_nothing_is_said(shell, url):
    assert [] == shell.run([str(shell.program.script), '--database', url, 'server', 'show', ''])


def test_no_database_is_created_for_it(shell, numaplace):
    words = [str(shell.program.script), '--database', f'sqlite:///{numaplace.database}', 'server', 'show', '']
    assert [] == shell.run(words)
    assert not numaplace.database.exists()


@pytest.mark.parametrize('driver', ['mysql+pymysql', 'postgresql+psycopg2'])
def test_a_database_that_never_answers_is_given_up(shell, driver):
    with socket.create_server(('127.0.0.1', 0)) as silent:
        url = f'{driver}://root@127.0.0.1:{silent.getsockname()[1]}/numaplace'
        assert [] == shell.run([str(shell.program.script), '--database', url, 'server', 'show', ''])


def test_a_program_that_starts_slowly_is_waited_for(shell):
    slow = shell.program.directory / 'slow'
    slow.write_text(f'#!/bin/sh\nsleep 5\nexec {shlex.quote(str(shell.program.script))} "$@"\n')
    slow.chmod(0o755)
    words = [str(slow), '--config-file', str(shell.program.config), 'server', 'show', 'w']
    assert ['web1'] == shell.run(words)


def test_bash_uses_it_for_the_program(shell):
    call = f'source {shlex.quote(str(shell.script))}; complete -p numaplace'
    done = subprocess.run(
        [real.require_program('bash'), '--norc', '-c', call], capture_output=True, text=True, check=True, timeout=60
    )
    assert 'complete -F _numaplace numaplace\n' == done.stdout


def test_names_are_those_that_begin_so(prepared):
    prepared('flavor create m1_tiny')
    assert 'm1.numa\nm1.tiny\nm1_tiny\n' == prepared('complete --names flavor')
    assert 'm1_tiny\n' == prepared('complete --names flavor --start m1_')
    assert 'seed3\n' == prepared('complete --names host')
    assert 'nova\n' == prepared('complete --names zone')
    assert '' == prepared('complete --names server')
