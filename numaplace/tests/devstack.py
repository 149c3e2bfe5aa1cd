# SPDX-License-Identifier: Apache-2.0
"""A devstack that is only files: its runs source the plugin and leave what they would leave on a machine."""

import os
import subprocess
from importlib import resources
from pathlib import Path

__all__ = ['SOURCE', 'Devstack', 'needs_source']

import pytest

#: The source tree: tox names it where the package is installed.
SOURCE = Path(os.environ.get('NUMAPLACE_SOURCE', Path(__file__).parents[2]))

PLUGIN = SOURCE / 'devstack'

_DATA = resources.files('numaplace.tests.data.devstack')

needs_source = pytest.mark.skipif(not PLUGIN.is_dir(), reason='there is no source tree beside the package')


class Devstack:
    """A machine below a directory.

    ``NUMAPLACE_DEVSTACK`` names a real devstack whose functions for configuration files are used then.

    :param root: an empty directory
    :param services: what local.conf enables
    :param settings: further variables of local.conf
    """

    def __init__(self, root: Path, services: str = 'n-api,n-sch,n-cond,n-cpu', **settings: str) -> None:
        self.root = root
        self.nova_conf = root / 'nova.conf'
        self.units = root / 'systemd'
        self._calls = root / 'calls'
        self.settings = {
            'CALLS': str(self._calls),
            'DEVSTACK_VENV': str(root / 'venv'),
            'ENABLED_SERVICES': services,
            'GLOBAL_VENV': 'True',
            'NOVA_BIN_DIR': str(root / 'venv' / 'bin'),
            'NOVA_CONF': str(self.nova_conf),
            'NOVA_CPU_CONF': str(root / 'nova-cpu.conf'),
            'NOVA_FAKE_CONF': str(root / 'nova-fake.conf'),
            'NOVA_FILTERS': 'ComputeFilter,ImagePropertiesFilter',
            'SYSTEMCTL': 'sudo systemctl',
            'SYSTEMD_DIR': str(self.units),
            'VIRT_DRIVER': 'libvirt',
        } | settings
        self.units.mkdir()
        Path(self.settings['NOVA_BIN_DIR']).mkdir(parents=True)

    def run(self, *runs: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Do some of ``stack``, ``reconfigure``, ``unstack`` and ``clean``, one after the other.

        :param settings: variables of local.conf, for these runs
        """
        passed = {name: os.environ[name] for name in ('PATH', 'NUMAPLACE_DEVSTACK') if name in os.environ}
        with resources.as_file(_DATA) as data:
            return subprocess.run(
                ['bash', data / 'stack.sh', data / 'functions.sh', PLUGIN, *runs],
                env=passed | self.settings | settings,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )

    def stack(self, **settings: str) -> None:
        """Run stack.sh, which has to succeed and to say nothing of trouble."""
        done = self.run('stack', **settings)
        assert (0, '') == (done.returncode, done.stderr)

    @property
    def calls(self) -> list[str]:
        """What was done to the machine, line by line."""
        return self._calls.read_text('utf-8').splitlines() if self._calls.exists() else []

    def files(self) -> dict[str, str]:
        """Return the text of each file that a run wrote, by its name below the root."""
        return {
            str(path.relative_to(self.root)): path.read_text('utf-8')
            for path in self.root.rglob('*')
            if path.is_file() and path != self._calls
        }

    def command(self, service: str) -> str | None:
        """Return the command that systemd starts for a service by its unit and the drop-ins, None if it has none."""
        commands: list[str] = []
        for path in [
            self.units / f'devstack@{service}.service',
            *sorted((self.units / f'devstack@{service}.service.d').glob('*.conf')),
        ]:
            for line in path.read_text('utf-8').splitlines():
                name, _, value = line.partition('=')
                if name.strip() == 'ExecStart':
                    # An empty value takes back what was there.
                    commands = [*commands, value.strip()] if value.strip() else []
        assert len(commands) <= 1
        return commands[0] if commands else None
