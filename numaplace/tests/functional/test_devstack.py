# SPDX-License-Identifier: Apache-2.0
"""The devstack plugin: what its phases leave in nova.conf and of the services, and what they take back."""

import configparser
import os
import subprocess

import pytest
from oslo_config import cfg

from numaplace.conf import numaplace
from numaplace.tests import devstack, real

pytestmark = devstack.needs_source

ALL = 'nova.scheduler.filters.all_filters'
OURS = 'numaplace.nova.filter.NUMATopologyFilter'


@pytest.fixture
def machine(tmp_path):
    return devstack.Devstack(tmp_path)


def _read(path):
    """Return what Nova's options make of a file: filters to be had, filters enabled, and the mode if it is there."""
    conf = cfg.ConfigOpts()
    conf.register_opts(
        [cfg.MultiStrOpt('available_filters', default=[ALL]), cfg.ListOpt('enabled_filters')], 'filter_scheduler'
    )
    conf.register_opt(numaplace.MODE, numaplace.GROUP)
    conf([], default_config_files=[str(path)], default_config_dirs=[])
    written = conf.get_location('mode', numaplace.GROUP).location is cfg.Locations.user
    mode = conf.numaplace.mode if written else None
    return conf.filter_scheduler.available_filters, conf.filter_scheduler.enabled_filters, mode


def test_the_scheduler_gets_the_filter_behind_novas_own(machine):
    machine.stack()
    assert ([ALL, OURS], ['ComputeFilter', 'ImagePropertiesFilter', 'NUMATopologyFilter'], 'enforce') == _read(
        machine.nova_conf
    )


def test_a_filter_that_is_enabled_stays_where_it_is(machine):
    machine.stack(NOVA_FILTERS='NUMATopologyFilter,ComputeFilter')
    assert ['NUMATopologyFilter', 'ComputeFilter'] == _read(machine.nova_conf)[1]


@pytest.mark.parametrize('mode', numaplace.MODE.type.words)
def test_every_mode_can_be_asked_for_and_both_services_read_it(machine, mode):
    machine.stack(NUMAPLACE_MODE=mode)
    assert [mode] * 2 == [_read(machine.root / name)[2] for name in ('nova.conf', 'nova-cpu.conf')]


def test_numaplace_is_installed_into_the_environment_of_nova(machine):
    machine.stack()
    assert f'setup_develop {devstack.SOURCE.resolve()}' == machine.calls[0]


def test_the_compute_service_starts_with_the_launcher_from_the_first_time(machine):
    machine.stack()
    assert f'{machine.root}/venv/bin/numaplace-nova-compute --config-file {machine.root}/nova-cpu.conf' == (
        machine.command('n-cpu')
    )
    assert ['systemctl daemon-reload', 'systemctl start devstack@n-cpu.service'] == machine.calls[-2:]


def test_the_launcher_is_a_program_of_the_package():
    setup = configparser.ConfigParser()
    setup.read(devstack.SOURCE / 'setup.cfg', 'utf-8')
    assert 'numaplace-nova-compute = ' in setup['options.entry_points']['console_scripts']


def test_every_fake_compute_keeps_its_own_configuration(machine):
    machine.stack(VIRT_DRIVER='fake', NUMBER_FAKE_NOVA_COMPUTE='2')
    assert [
        f'{machine.root}/venv/bin/numaplace-nova-compute --config-file {machine.root}/nova-cpu.conf '
        f'--config-file {machine.root}/nova-fake.conf-{number}'
        for number in (1, 2)
    ] == [machine.command(f'n-cpu-{number}') for number in (1, 2)]


def test_systemd_accepts_the_command(machine):
    analyze = real.require_program('systemd-analyze')
    machine.stack()
    checked = subprocess.run(
        [analyze, 'verify', '--man=no', '--recursive-errors=no', 'devstack@n-cpu.service'],
        env=os.environ | {'SYSTEMD_UNIT_PATH': str(machine.units)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == checked.returncode
    assert 'devstack@n-cpu' not in checked.stdout + checked.stderr


@pytest.mark.parametrize(
    ('disabled', 'filters', 'program'),
    [
        ('NUMAPLACE_ENABLE_SCHEDULER', [ALL], 'numaplace-nova-compute'),
        ('NUMAPLACE_ENABLE_COMPUTE', [ALL, OURS], 'nova-compute'),
    ],
)
def test_either_half_can_be_left_to_nova(machine, disabled, filters, program):
    machine.stack(**{disabled: 'no'})
    assert filters == _read(machine.nova_conf)[0]
    assert f'{machine.root}/venv/bin/{program}' == machine.command('n-cpu').split()[0]


@pytest.mark.parametrize(
    ('services', 'filters', 'has_unit'),
    [('n-api,n-sch,n-cond', [ALL, OURS], False), ('n-cpu,placement-client', [ALL], True)],
    ids=['controller', 'compute node'],
)
def test_a_node_gets_what_its_services_need(tmp_path, services, filters, has_unit):
    machine = devstack.Devstack(tmp_path, services)
    machine.stack()
    assert filters == _read(machine.nova_conf)[0]
    assert 'enforce' == _read(machine.nova_conf)[2]
    assert has_unit == any(machine.units.iterdir())


@pytest.mark.parametrize(
    'settings',
    [
        {'ENABLED_SERVICES': 'n-api,n-cond'},
        {'NUMAPLACE_ENABLE_SCHEDULER': 'False', 'NUMAPLACE_ENABLE_COMPUTE': 'False', 'ENABLED_SERVICES': 'n-sch'},
    ],
    ids=['no service', 'switched off'],
)
def test_where_nothing_is_to_be_done_nothing_is_touched(machine, settings):
    machine.stack(**settings)
    assert ([ALL], ['ComputeFilter', 'ImagePropertiesFilter'], None) == _read(machine.nova_conf)
    assert {'nova.conf'} == machine.files().keys()
    assert not machine.calls


def test_stacking_twice_leaves_what_once_does(machine):
    machine.stack()
    once = machine.files()
    machine.stack()
    assert once == machine.files()


def test_configuring_what_is_configured_changes_nothing(machine):
    machine.stack()
    once = machine.files()
    done = machine.run('reconfigure', 'reconfigure')
    assert (0, '') == (done.returncode, done.stderr)
    assert once == machine.files()


@pytest.mark.parametrize(
    ('there', 'expected'),
    [
        ('', ['ComputeFilter', 'ImagePropertiesFilter', 'NUMATopologyFilter']),
        ('enabled_filters = F, NUMATopologyFilter, G', ['F', 'NUMATopologyFilter', 'G']),
    ],
    ids=['not set', 'with spaces'],
)
def test_filters_that_others_enabled_are_kept(machine, there, expected):
    machine.nova_conf.write_text(f'[filter_scheduler]\n{there}\n', 'utf-8')
    machine.run('reconfigure')
    assert expected == _read(machine.nova_conf)[1]


def test_filters_that_others_brought_are_kept(machine):
    machine.nova_conf.write_text(
        f'[filter_scheduler]\navailable_filters = {OURS}\navailable_filters = {ALL}\navailable_filters = other.F\n'
        'enabled_filters = F, ComputeFilter\n',
        'utf-8',
    )
    machine.run('reconfigure')
    assert ([ALL, 'other.F', OURS], ['F', 'ComputeFilter', 'NUMATopologyFilter'], 'enforce') == _read(machine.nova_conf)
    machine.run('unstack')
    assert ([ALL, 'other.F'], ['F', 'ComputeFilter'], None) == _read(machine.nova_conf)


def test_stacking_with_fewer_computes_leaves_no_old_command(machine):
    machine.stack(VIRT_DRIVER='fake', NUMBER_FAKE_NOVA_COMPUTE='2')
    machine.stack()
    assert ['devstack@n-cpu.service.d'] == [path.name for path in machine.units.glob('*.d')]


@pytest.mark.parametrize('end', ['unstack', 'clean'])
def test_the_end_takes_everything_back(machine, end):
    machine.stack()
    done = machine.run(end)
    assert (0, '') == (done.returncode, done.stderr)
    assert ([ALL], ['ComputeFilter', 'ImagePropertiesFilter'], None) == _read(machine.nova_conf)
    assert f'{machine.root}/venv/bin/nova-compute --config-file {machine.root}/nova-cpu.conf' == (
        machine.command('n-cpu')
    )
    assert not list(machine.units.glob('*.d'))
    assert 'systemctl daemon-reload' in machine.calls[-2:]
    assert (end == 'clean') == (f'pip_uninstall {machine.root}/venv numaplace' == machine.calls[-1])


def test_the_end_keeps_what_others_set(machine):
    machine.stack(NOVA_FILTERS='NUMATopologyFilter,ComputeFilter')
    other = machine.units / 'devstack@n-cpu.service.d' / 'other.conf'
    other.write_text('[Service]\nNice=5\n', 'utf-8')
    done = machine.run('unstack', 'clean', 'clean', NOVA_FILTERS='NUMATopologyFilter,ComputeFilter')
    assert (0, '') == (done.returncode, done.stderr)
    assert ['NUMATopologyFilter', 'ComputeFilter'] == _read(machine.nova_conf)[1]
    assert ['other.conf'] == os.listdir(other.parent)


def test_the_end_without_a_beginning_changes_no_file(machine):
    machine.nova_conf.write_text('[filter_scheduler]\nenabled_filters = NUMATopologyFilter\n', 'utf-8')
    before = machine.files()
    done = machine.run('unstack', 'clean')
    assert (0, '') == (done.returncode, done.stderr)
    assert before == machine.files()
    assert ['pip_uninstall'] == [call.split()[0] for call in machine.calls]


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({'NUMAPLACE_MODE': 'shadwo'}, "NUMAPLACE_MODE must be enforce or shadow, not 'shadwo'"),
        ({'NUMAPLACE_MODE': 'shadow\nenforce'}, r"NUMAPLACE_MODE must be enforce or shadow, not $'shadow\nenforce'"),
        (
            {'NOVA_BIN_DIR': '/nowhere'},
            'numaplace was not installed beside Nova: /nowhere has no numaplace-nova-compute',
        ),
        (
            {'LOCAL_CONF': f'filter_scheduler available_filters {ALL}'},
            f'[filter_scheduler] available_filters of {{nova_conf}} must end with {OURS}',
        ),
        (
            {'LOCAL_CONF': 'filter_scheduler enabled_filters ComputeFilter'},
            '[filter_scheduler] enabled_filters of {nova_conf} must name NUMATopologyFilter',
        ),
        (
            {'COMPUTE_ARGUMENTS': ' --debug'},
            "devstack@n-cpu.service was to run '{bin}/nova-compute --config-file {root}/nova-cpu.conf', "
            "which numaplace replaced, but has '{bin}/nova-compute --config-file {root}/nova-cpu.conf --debug'",
        ),
    ],
    ids=['unknown mode', 'mode of two lines', 'other environment', 'filter lost', 'filter off', 'other command'],
)
def test_what_cannot_work_ends_the_run_with_one_line(machine, settings, message):
    done = machine.run('stack', **settings)
    assert 1 == done.returncode
    (line,) = done.stderr.splitlines()
    assert line.startswith('[ERROR] ')
    assert line.endswith(
        message.format(nova_conf=machine.nova_conf, root=machine.root, bin=machine.root / 'venv' / 'bin')
    )


def test_an_unknown_mode_is_refused_before_anything_is_done(machine):
    machine.run('stack', NUMAPLACE_MODE='on')
    assert {} == machine.files()
    assert not machine.calls
