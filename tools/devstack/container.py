# SPDX-License-Identifier: Apache-2.0
"""A container with systemd as its first process, also on a machine that was not started by systemd."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from devstack.network import Network
from ministack import processes
from ministack.processes import Process, StackError

__all__ = ['Container']

_GROUPS = Path('/sys/fs/cgroup')
#: devstack sets what packets of its network do.
_WRITABLE = {'SYSTEMD_NSPAWN_API_VFS_WRITABLE': 'network'}
#: devstack would write into it, which belongs to the machine and is read-only here.
_HIDE = 'test ! -d /sys/kernel/mm/ksm || mount -t tmpfs none /sys/kernel/mm/ksm'
#: Seconds that systemd has to start, and to stop everything: databases take their time.
_PATIENCE = 120

#: systemd reports one of these when it has started everything; ``degraded`` has a unit that failed.
_STARTED = ('running', 'degraded')


@dataclass(frozen=True, slots=True)
class Container:
    """A container whose files are there.

    :param root: its files
    :param network: a network that is up
    :param log: what systemd writes to the console
    """

    root: Path
    network: Network
    log: Path

    def boot(self) -> Process:
        """Start it; the caller holds signals back until it has noted the process."""
        groups = self._groups()
        for group in groups:
            _make(group)
        # The container sees no control group above its own: it is started in it.
        joins = ''.join(f'echo $$ >{shlex.quote(str(group / "cgroup.procs"))} && ' for group in groups)
        command = ['sh', '-c', f'{joins}exec {shlex.join(self._nspawn())}']
        return processes.start('container', command, self.log, env={**os.environ, **_WRITABLE})

    def wait(self, process: Process) -> None:
        """Wait until systemd has started everything.

        :raises: :class:`StackError` with the console if it ends or takes too long
        """
        processes.wait_for(lambda: self._state(process) in _STARTED, 'systemd has started everything', process)
        self.run(process, 'root', _HIDE)

    def run(self, process: Process, user: str, command: str, output: IO[bytes] | int | None = None) -> int:
        """Run a command of the shell as a user who logs in, and return its status.

        :param output: for all that it prints; None for where this process prints
        """
        login = ['env', '-i', 'TERM=dumb', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'su', '--login', user, '-c', command]
        errors = None if output is None else subprocess.STDOUT
        words = [*_enter(process), *login]
        return subprocess.run(words, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, check=False).returncode

    def stop(self, process: Process) -> None:
        """Let systemd stop everything, and remove the control groups."""
        processes.stop([process], grace=_PATIENCE)
        deadline = time.monotonic() + _PATIENCE
        # A killed systemd-nspawn leaves a container behind, with its systemd.
        for file in [file for group in self._groups() for file in group.rglob('cgroup.procs')]:
            _kill(file)
        for group in self._groups():
            # Those of systemd and of its services are below.
            below = sorted(group.rglob('*/'), key=lambda path: len(path.parts), reverse=True)
            for each in [*below, group]:
                _remove(each, deadline)

    def _nspawn(self) -> list[str]:
        return [
            *('systemd-nspawn', '--quiet', '--boot', f'--directory={self.root}', f'--machine={self.network.name}'),
            # Nobody may be there who knows machines.
            *('--register=no', '--keep-unit'),
            *(f'--network-namespace-path={self.network.namespace}', '--resolv-conf=off', '--timezone=off'),
            # nova-compute and devstack set up networks, here their own one.
            '--capability=CAP_NET_ADMIN',
            '--console=read-only',
        ]

    def _groups(self) -> list[Path]:
        """Return a control group of the container in each hierarchy of this machine."""
        if (_GROUPS / 'cgroup.procs').exists():
            return [_GROUPS / self.network.name]
        return [each / self.network.name for each in sorted(_GROUPS.iterdir()) if (each / 'cgroup.procs').exists()]

    def _state(self, process: Process) -> str:
        with suppress(StackError):
            asked = [*_enter(process), 'systemctl', 'is-system-running']
            told = subprocess.run(asked, capture_output=True, text=True, check=False)
            return told.stdout.strip()
        return ''


def _enter(process: Process) -> list[str]:
    """Return the words before a command that runs it in the container.

    :raises: :class:`StackError` if it does not run
    """
    return ['nsenter', '--target', str(_first(process)), '--all', '--root', '--wd=/']


def _first(process: Process) -> int:
    """Return the id, on this machine, of the first process in the container.

    :raises: :class:`StackError` if there is none
    """
    with suppress(OSError):
        children = Path(f'/proc/{process.pid}/task/{process.pid}/children').read_text('ascii').split()
        for child in children:
            if Path(f'/proc/{child}/comm').read_text('utf-8').strip() == 'systemd':
                return int(child)
    raise StackError('the container does not run')


def _make(group: Path) -> None:
    """Make a control group; an old hierarchy of CPUs takes no process before it knows which."""
    group.mkdir()
    for name in ('cpuset.cpus', 'cpuset.mems'):
        above = group.parent / name
        if above.exists():
            (group / name).write_text(above.read_text('ascii'), 'ascii')


def _kill(file: Path) -> None:
    """Kill the processes of a control group, which may be gone already."""
    with suppress(OSError):
        for pid in file.read_text('ascii').split():
            os.kill(int(pid), signal.SIGKILL)


def _remove(group: Path, deadline: float) -> None:
    """Remove a control group, when the last of its processes is gone."""
    while group.exists():
        try:
            group.rmdir()
        except OSError as error:
            if time.monotonic() > deadline:
                raise StackError(f'{group} cannot be removed: {error.strerror}') from None
            time.sleep(0.1)
