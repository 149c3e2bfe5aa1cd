# SPDX-License-Identifier: Apache-2.0
"""Nova's own tests, unmodified, pass with engine and filter in place but for those that are listed with a reason."""

import importlib.metadata
import json
import os
import subprocess
import sys
from typing import NamedTuple

import pytest

from numaplace.tests import amount, real
from numaplace.tests.nova import listed

_LIBVIRT = 'nova.tests.functional.libvirt'
_REGRESSIONS = 'nova.tests.functional.regressions'
_UNIT = 'nova.tests.unit'

#: What numaplace can be asked.
_FITS, _USAGES, _FILTERED = 'fits', 'usages', 'hosts filtered'

#: Whether tests of mediated devices run that show nothing else of what numaplace is asked, and take a minute.
_IS_LONG = bool(os.environ.get('NUMAPLACE_NOVA_MEDIATED'))
_MEDIATED = 'test_vgpu' if _IS_LONG else 'test_vgpu.VGPULimitMultipleTypesTests'


class Run(NamedTuple):
    """Tests that belong together.

    :param count: how many there are, so that none gets lost
    :param idle: in how many of them numaplace is not asked: the guest has no topology, or the API refuses it
    :param shares: into how many processes they are divided
    :param short: how many of these run if a run is not long
    :param asked: what numaplace is asked in each share
    """

    package: str
    names: tuple[str, ...]
    count: int
    idle: int
    shares: int = 1
    short: int = 1
    asked: tuple[str, ...] = (_FITS, _USAGES, _FILTERED)


#: With Nova 34: all functional tests that enable the filter, some that do not, and the unit tests of what is replaced.
RUNS = {
    'devices': Run(_LIBVIRT, ('test_pci_sriov_servers',), 116, 2, shares=5),
    'servers': Run(_LIBVIRT, ('test_numa_servers',), 56, 7, shares=2),
    'live migrations': Run(_LIBVIRT, ('test_numa_live_migration',), 13, 0),
    'power and real time': Run(_LIBVIRT, ('test_power_manage', 'test_rt_servers'), 21, 7),
    'memory encryption, persistent memory and mediated devices': Run(
        _LIBVIRT,
        ('test_amd_sev', 'test_vpmem', _MEDIATED),
        25 if _IS_LONG else 8,
        18 if _IS_LONG else 1,
        asked=(_FITS, _USAGES),
    ),
    'regressions': Run(
        _REGRESSIONS,
        (
            'test_bug_1899649',
            'test_bug_1995153',
            'test_bug_2139351',
            'test_bug_2140537',
            'test_bug_2152697',
            'test_bug_2153425',
        ),
        14,
        0,
    ),
    'reshapes': Run(_LIBVIRT, ('test_reshape',), 3, 0, asked=(_FITS,)),
    'filter': Run(_UNIT, ('scheduler.filters.test_numa_topology_filters',), 16, 2, asked=(_FILTERED,)),
    'claims': Run(_UNIT, ('compute.test_claims',), 35, 1, asked=(_FITS,)),
    'hardware': Run(_UNIT, ('virt.test_hardware',), 245, 185, asked=(_FITS, _USAGES)),
}

#: With the series before it: the servers, without the class that repeats another with other quotas.
SERVERS = Run(
    f'{_LIBVIRT}.test_numa_servers',
    ('NUMAServersTest', 'NUMAServersRebuildTests', 'NUMAServersWithNetworksTest', 'ReshapeForPCPUsTest'),
    33,
    4,
    shares=2,
)


def _major():
    """Return the major version of Nova; without Nova, the one whose tests are to say so."""
    try:
        return int(importlib.metadata.version('nova').partition('.')[0])
    except importlib.metadata.PackageNotFoundError:
        return 34


SHARES = [
    pytest.param(run, number, id=f'{name} share{number}', marks=() if number <= run.short else amount.long)
    for name, run in (RUNS if _major() == 34 else {'servers': SERVERS}).items()
    for number in range(1, run.shares + 1)
]


def _run(*arguments):
    for module in ('ddt', 'placement', 'oslotest', 'testtools', 'wsgi_intercept'):
        real.require_module(module)
    run = subprocess.run(
        [sys.executable, '-W', 'ignore', '-m', 'numaplace.tests.nova.own_tests', *arguments],
        env=os.environ | {'OS_TEST_TIMEOUT': '300', 'LC_ALL': 'C.utf8'},
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-20000:] + run.stdout[-5000:]
    return json.loads(run.stdout.splitlines()[-1])


@pytest.mark.parametrize(('run', 'number'), SHARES)
def test_novas_own_tests_pass_but_for_those_that_are_listed(tally, run, number):
    report = _run('--share', f'{number}/{run.shares}', *(f'{run.package}.{name}' for name in run.names))
    assert len(range(number - 1, run.count, run.shares)) == report['run']
    assert report['run'] - report['asked'] <= run.idle
    assert set(run.asked) <= set(report['calls'])
    counts = {name: report[name] for name in ('run', 'passed', 'skipped', 'asked')} | {'listed': len(report['listed'])}
    tally.update({f"Nova {_major()}'s own tests, {name}": count for name, count in counts.items()})


@pytest.mark.parametrize('package', ['nova.tests.functional', 'nova.tests.unit'])
def test_what_is_listed_passes_in_nova_alone_unless_it_is_listed_to_fail_there_too(package):
    names = [name for name in listed.LISTED if name.startswith(package)]
    report = _run('--alone', *names)
    assert len(names) == report['run'] == report['passed'] + len(report['listed'])
