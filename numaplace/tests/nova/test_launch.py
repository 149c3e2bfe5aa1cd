# SPDX-License-Identifier: Apache-2.0
"""numaplace-nova-compute: Nova's own program with the engine in it, its one-line errors, and the trait it reports."""

import configparser
import importlib.metadata
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from numaplace.tests import real

SOURCE = Path(os.environ.get('NUMAPLACE_SOURCE', Path(__file__).parents[3]))

#: As the script that pip writes for the entry point.
LAUNCHER = [sys.executable, '-W', 'ignore', '-c', 'from numaplace.nova.launch import main; main()']


def _run(arguments, launcher=LAUNCHER, **environment):
    return subprocess.run(
        [*launcher, *arguments],
        env={**os.environ, 'PYTHONPATH': os.pathsep.join(filter(None, sys.path)), **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def _conf(tmp_path, text, name='nova.conf'):
    path = tmp_path / name
    path.write_text(text, 'utf-8')
    return str(path)


def test_it_is_a_console_script():
    (entry,) = importlib.metadata.entry_points(group='console_scripts', name='numaplace-nova-compute')
    assert 'numaplace.nova.launch:main' == entry.value


def test_it_has_novas_version_and_help():
    assert f'{importlib.metadata.version("nova")}\n' == _run(['--version']).stdout
    told = _run(['--help'])
    assert (0, '') == (told.returncode, told.stderr)
    assert told.stdout.startswith('usage: nova-compute ')
    assert '--config-file' in told.stdout


@pytest.mark.parametrize(
    ('files', 'arguments', 'environment', 'message'),
    [
        (
            {'nova.conf': '[numaplace]\nmode = watch\n'},
            ['--config-file', '{}/nova.conf'],
            {},
            "{}/nova.conf: [numaplace] mode = 'watch': expected one of enforce, shadow",
        ),
        (
            {'a.conf': '[numaplace]\nmode = shadow\n', 'b.conf': '[numaplace]\nmode = Shadow\n'},
            ['--config-dir', '{}'],
            {},
            "{}/b.conf: [numaplace] mode = 'Shadow': expected one of enforce, shadow",
        ),
        (
            {'nova.conf': ''},
            ['--config-file', '{}/nova.conf'],
            {'OS_NUMAPLACE__MODE': 'no'},
            "environment variable OS_NUMAPLACE__MODE: [numaplace] mode = 'no': expected one of enforce, shadow",
        ),
        (
            {'nova.conf': '[numaplace]\naudit = go on\n'},
            ['--config-file', '{}/nova.conf'],
            {},
            "{}/nova.conf: [numaplace] audit = 'go on': expected one of nova, continue",
        ),
    ],
)
def test_a_value_that_does_not_exist_is_one_line(tmp_path, files, arguments, environment, message):
    for name, text in files.items():
        _conf(tmp_path, text, name)
    ended = _run([argument.replace('{}', str(tmp_path)) for argument in arguments], **environment)
    assert (1, '') == (ended.returncode, ended.stdout)
    assert f'numaplace-nova-compute: {message.replace("{}", str(tmp_path))}\n' == ended.stderr


def test_a_series_that_is_not_known_is_one_line(tmp_path):
    other = 'from nova import version; version.version_string = lambda: "35.0.0"'
    script = f'import nova.cmd.compute; {other}; {LAUNCHER[-1]}'
    ended = _run(['--config-file', _conf(tmp_path, '')], launcher=[*LAUNCHER[:-1], script])
    assert (1, '') == (ended.returncode, ended.stdout)
    assert 'numaplace-nova-compute: Nova 35.0.0 is not known to numaplace; known are 29 to 34\n' == ended.stderr


def test_a_tracker_that_is_not_known_is_one_line(tmp_path):
    other = 'from nova.compute import resource_tracker as r; r.ResourceTracker._get_traits = lambda self: []'
    script = f'import nova.cmd.compute; {other}; {LAUNCHER[-1]}'
    ended = _run(['--config-file', _conf(tmp_path, '')], launcher=[*LAUNCHER[:-1], script])
    assert 1 == ended.returncode
    assert (
        'numaplace-nova-compute: _get_traits of this Nova takes (self); expected (self, context, nodename, '
        'provider_tree)\n'
    ) == ended.stderr


#: The environment of another program, in which nobody finds Nova.
WITHOUT_NOVA = """
import sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == 'nova':
            raise ModuleNotFoundError("No module named 'nova'", name=name)
sys.meta_path.insert(0, Finder())
from numaplace.nova.launch import main
main()
"""


def test_without_nova_it_is_one_line():
    ended = _run([], launcher=[*LAUNCHER[:-1], WITHOUT_NOVA])
    assert 1 == ended.returncode
    assert 'numaplace-nova-compute: Nova is not installed in the environment of this program\n' == ended.stderr


#: What Nova's main finds: files that nobody has read yet, the engine in place, and the arguments as they came.
ARRIVED = """
import sys
from nova.cmd import compute
def arrived():
    compute.config.parse_args(sys.argv, configure_db=False, init_rpc=False)
    from nova.virt import hardware
    print(sys.argv[0], compute.CONF.host, hardware.numa_fit_instance_to_host.__module__)
compute.main = arrived
from numaplace.nova.launch import main
main()
"""


def test_it_hands_over_to_novas_main_with_the_engine_in_place(tmp_path):
    conf = _conf(tmp_path, '[DEFAULT]\nhost = cn-1\n')
    handed = _run(['--config-file', conf, '--debug'], launcher=[*LAUNCHER[:-1], ARRIVED])
    assert (0, '') == (handed.returncode, handed.stderr)
    assert handed.stdout.startswith('nova-compute cn-1 numaplace.nova.')


def test_a_started_compute_node_has_the_trait_in_placement():
    """By Nova's own fixtures: a nova-compute over a fake libvirt, with a real placement."""
    for module in ('placement', 'oslotest', 'testtools', 'wsgi_intercept'):
        real.require_module(module)
    run = _run(
        [], launcher=[sys.executable, '-W', 'ignore', '-m', 'numaplace.tests.nova.trait_tests'], OS_TEST_TIMEOUT='160'
    )
    assert 0 == run.returncode, run.stderr[-20000:]
    assert '\nRan 3 tests' in run.stderr


# --- the unit of systemd ------------------------------------------------------------------

UNITS = SOURCE / 'etc' / 'systemd'
DROP_IN = Path('nova-compute.service.d', 'numaplace.conf')


def test_the_drop_in_takes_the_command_away_and_puts_ours_in_its_place():
    commands = re.findall(r'^ExecStart=(.*)$', (UNITS / DROP_IN).read_text('utf-8'), re.MULTILINE)
    assert '' == commands[0]
    assert ['numaplace-nova-compute'] == [os.path.basename(command.split()[0]) for command in commands[1:]]


#: What the unit of Debian runs, as far as the program is concerned.
SCRIPT = '[ -n "$DAEMON" ] || DAEMON=/usr/bin/nova-compute; echo "$DAEMON"'


def test_the_drop_in_of_debian_leaves_the_command_and_names_the_program_to_its_script():
    text = (UNITS / 'debian' / DROP_IN).read_text('utf-8')
    assert 'ExecStart=' not in text
    (name, value), *others = re.findall(r'^Environment=(\w+)=(.*)$', text, re.MULTILINE)
    told = subprocess.run(['sh', '-c', SCRIPT], env={name: value}, capture_output=True, text=True, check=True)
    assert ('/usr/bin/numaplace-nova-compute\n', []) == (told.stdout, others)


@pytest.mark.parametrize('source', [UNITS, UNITS / 'debian'], ids=lambda source: source.name)
def test_systemd_takes_the_drop_in(tmp_path, source):
    """As its own program reads a unit with it, whose command is one that this machine has."""
    analyze = real.require_program('systemd-analyze')
    unit = tmp_path / 'nova-compute.service'
    unit.write_text('[Unit]\nDescription=Nova\n[Service]\nExecStart=/bin/true\n', 'utf-8')
    drop_in = tmp_path / DROP_IN
    drop_in.parent.mkdir()
    text = (source / DROP_IN).read_text('utf-8')
    drop_in.write_text(re.sub(r'/usr/bin/numaplace-nova-compute', '/bin/false', text), 'utf-8')
    told = subprocess.run([analyze, 'verify', str(unit)], capture_output=True, text=True, check=False, timeout=60)
    assert (0, '') == (told.returncode, told.stderr)
    parser = configparser.ConfigParser(strict=False)
    parser.optionxform = str
    parser.read(drop_in, 'utf-8')
    assert ['Service'] == parser.sections()
