# SPDX-License-Identifier: Apache-2.0
"""The packages of Debian agree with the Python package: version, dependencies, programs, units."""

import configparser
import os
import re
from pathlib import Path

import pytest

import numaplace

#: The source tree: tox names it where the package is installed.
SOURCE = Path(os.environ.get('NUMAPLACE_SOURCE', Path(__file__).parents[3]))
DEBIAN = SOURCE / 'debian'

pytestmark = pytest.mark.skipif(not DEBIAN.is_dir(), reason='there is no source tree around the package')

#: What Debian puts before a version, so that the version after a mistake sorts behind it.
EPOCHS = {'python3-numpy': '1:', 'python3-oslo.config': '1:'}
#: Names of Debian that are not python3- and the name of the project.
NAMES = {'libvirt-python': 'python3-libvirt', 'psycopg2-binary': 'python3-psycopg2'}


def _options():
    ini = configparser.ConfigParser(interpolation=None)
    ini.read(SOURCE / 'setup.cfg', 'utf-8')
    return ini


def _packages():
    """Return the fields of each binary package, by its name."""
    _, *paragraphs = (DEBIAN / 'control').read_text('utf-8').split('\n\n')
    found = {}
    for paragraph in paragraphs:
        fields = dict(re.findall(r'^([\w-]+): *((?:.*\n?)(?:[ ].*\n?)*)', paragraph, re.MULTILINE))
        found[fields['Package'].strip()] = fields
    return found


def _debians(requirement):
    """Return a requirement of Python as one of Debian."""
    project, version = requirement.split('>=')
    name = NAMES.get(project, f'python3-{project.lower().replace("_", "-")}')
    return f'{name} (>= {EPOCHS.get(name, "")}{version})'


def _requirements(text):
    return {_debians(line) for line in text.split('\n') if line}


def _related(fields, *names):
    return {item.strip() for name in names for part in fields.get(name, '').split(',') for item in part.split('|')}


def test_the_version_is_that_of_the_release():
    (version, *_) = re.findall(r'^numaplace \((\S+)\) ', (DEBIAN / 'changelog').read_text('utf-8'), re.MULTILINE)
    assert numaplace.__version__ == version


@pytest.mark.parametrize(
    ('package', 'relations', 'extras'),
    [
        ('python3-numaplace', ['Depends'], []),
        ('numaplace', ['Depends'], ['standalone']),
        ('numaplace', ['Recommends', 'Suggests'], ['mysql', 'postgresql']),
        ('numaplace-compute', ['Depends'], ['services', 'libvirt']),
        ('numaplace-scheduler', ['Depends'], ['services']),
    ],
)
def test_a_package_depends_on_what_the_extras_require(package, relations, extras):
    """And on no other module of Python with a version."""
    ini = _options()
    texts = [ini['options.extras_require'][extra] for extra in extras] or [ini['options']['install_requires']]
    related = _related(_packages()[package], *relations)
    python = {item for item in related if re.fullmatch(r'python3-.* \(>= .*\)', item)}
    assert python == set().union(*map(_requirements, texts))


def test_the_oldest_python_is_required():
    (oldest,) = re.findall(r'^python_requires = >=(.*)$', (SOURCE / 'setup.cfg').read_text('utf-8'), re.MULTILINE)
    assert f'python3 (>= {oldest})' in _related(_packages()['python3-numaplace'], 'Depends')


def test_every_program_is_in_one_package_and_has_a_man_page():
    scripts = re.findall(r'^([\w-]+) = ', _options()['options.entry_points']['console_scripts'], re.MULTILINE)
    lines = [line for file in DEBIAN.glob('*.install') for line in file.read_text('utf-8').splitlines()]
    assert sorted(f'usr/bin/{script}' for script in scripts) == sorted(line for line in lines if 'usr/bin' in line)
    pages = {file.stem for directory in (DEBIAN / 'man', SOURCE / 'doc' / 'man') for file in directory.glob('*.1')}
    assert pages == set(scripts)


def test_every_unit_is_packaged_and_its_user_is_made():
    rules = (DEBIAN / 'rules').read_text('utf-8')
    for unit in (SOURCE / 'etc' / 'systemd').glob('*.service'):
        assert f'cp etc/systemd/{unit.name} debian/{unit.name}' in rules
        (user,) = re.findall(r'^User=(.*)$', unit.read_text('utf-8'), re.MULTILINE)
        assert (DEBIAN / f'{unit.stem}.sysusers').read_text('utf-8').startswith(f'u {user} ')
