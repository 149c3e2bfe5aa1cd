# SPDX-License-Identifier: Apache-2.0
"""Make a devstack, let it stack, test it, let it unstack and clean, and remove it."""

from __future__ import annotations

import json
import os
import secrets
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from devstack import localconf, log, mirrors, root
from devstack.container import Container
from devstack.localconf import DEST, Settings
from devstack.network import Network
from ministack import processes
from ministack.processes import Process, StackError

__all__ = ['DRIVER', 'MODES', 'SOURCE', 'Devstack', 'Plan']

#: The source tree, whose plugin devstack enables.
SOURCE = Path(__file__).resolve().parents[2]

_STATE = 'devstack.json'
_MIRRORS = Path('/opt/mirrors')
_USER = 'stack'
#: What decides: numaplace, or Nova while numaplace tells where it would not have.
MODES = ('enforce', 'shadow')
_PIP = Path('/etc/pip.conf')
#: A guest's disk is made of it; more is not read.
_IMAGE_BYTES = 2**20

#: The driver of the fake hosts, which Nova takes from its own package alone.
DRIVER = 'tools/ministack/drivers/numa_fake.py'

#: What could be left of numaplace: files of systemd and of services, and the environment of Nova.
_OURS = f'/etc {DEST}/data/venv/bin {DEST}/data/venv/lib/python3*/site-packages'


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be made.

    :param mirrors: folder of git mirrors, None for the network
    :param branch: of OpenStack's repositories
    :param cells: NUMA cells of the largest host
    :param mode: ``[numaplace] mode``
    :param apt: sources of apt, None for those of this machine
    :param pip: pip.conf, None for none
    """

    mirrors: Path | None = None
    branch: str = 'stable/2026.1'
    cells: int = 3
    mode: str = MODES[0]
    apt: Path | None = None
    pip: Path | None = _PIP if _PIP.exists() else None


@dataclass(slots=True)
class Devstack:
    """All that is needed to find a devstack again; kept as JSON in the state directory."""

    state: Path
    cells: int
    git_base: str
    branch: str
    name: str
    forwards: bool
    mode: str
    process: Process | None = None

    @classmethod
    def make(cls, state: Path, plan: Plan) -> Devstack:
        """Make the container with everything that stack.sh needs, and start it.

        :param state: an empty directory, or one that does not exist yet
        :raises: :class:`StackError`; nothing but the state directory is left then
        """
        sources = root.apt_sources(plan.apt)
        found = mirrors.find(plan.mirrors, plan.branch) if plan.mirrors else {}
        base = str(_MIRRORS) if plan.mirrors else mirrors.NETWORK
        name = f'ds{secrets.token_hex(4)}'
        forwards = Network.plan(name).forwards
        made = cls(state.resolve(), plan.cells, base, mirrors.branch_of(SOURCE), name, forwards, plan.mode)
        made._make_directory()
        try:
            root.build(made._root, sources, plan.pip, name)
            made._copy(found)
            made._network.up()
            with processes.signals_held():
                made.process = made._container.boot()
                made._save()
            made._container.wait(made.process)
            made._settle(plan.branch)
        except BaseException:
            made._stop()
            raise
        return made

    @classmethod
    def load(cls, state: Path) -> Devstack:
        """Find a devstack again by its state directory.

        :raises: :class:`StackError` if there is none
        """
        try:
            content = json.loads((state / _STATE).read_text('utf-8'))
        except FileNotFoundError:
            raise StackError(f'there is no devstack in {state}') from None
        process = content.pop('process')
        found = cls(Path(content.pop('state')), **content)
        found.process = Process(**process | {'log': Path(process['log'])})
        return found

    def stack(self, mode: str | None = None) -> log.Timing:
        """Run stack.sh and return the seconds of its parts.

        :param mode: one of :data:`MODES`; None for that of the last time
        :raises: :class:`StackError` with the end of its log
        """
        if mode is not None:
            self._configure(mode)
        self._script('stack.sh')
        seconds = log.timing(self.log('stack.sh').read_text('utf-8', 'replace'))
        if seconds is None:
            raise StackError(f'stack.sh says nothing of its times; its log is {self.log("stack.sh")}')
        return seconds

    def unstack(self) -> None:
        """Run unstack.sh.

        :raises: :class:`StackError` with the end of its log
        """
        self._script('unstack.sh')

    def clean(self) -> None:
        """Run clean.sh.

        :raises: :class:`StackError` with the end of its log
        """
        self._script('clean.sh')

    def test(self, words: Sequence[str] = ()) -> int:
        """Run ``tox -e devstack`` in the container, and return its status.

        :param words: for pytest, in place of the tests that are usual
        """
        tox = f'{DEST}/tox/bin/tox'
        self.run(f'test -x {tox} || {{ python3 -m venv {DEST}/tox && {DEST}/tox/bin/pip install --quiet tox; }}')
        variables = {
            'NUMAPLACE_DEVSTACK': f'{DEST}/devstack',
            'NUMAPLACE_REQUIRE_REAL': '1',
            'NUMAPLACE_TEST_CLOUD': 'devstack-admin',
            'NUMAPLACE_TEST_HOST_CELLS': self.cells,
            'NUMAPLACE_TEST_MODE': self.mode,
        } | localconf.TESTS[self.cells]
        set_them = ' '.join(f'{name}={value}' for name, value in variables.items())
        tests = f' -- {shlex.join(words)}' if words else ''
        return self.run(f'cd {DEST}/numaplace && {set_them} {tox} -e devstack{tests}')

    def run(self, command: str, user: str = _USER) -> int:
        """Run a command of the shell in the container, and return its status."""
        return self._container.run(self._running, user, command)

    def left(self) -> list[str]:
        """Return the files that name numaplace where nothing of it should be after clean.sh."""
        found = self.log('left')
        with found.open('wb') as output:
            named = f'find {_OURS} -name "*numaplace*"; grep --recursive --files-with-matches numaplace {_OURS}'
            self._container.run(self._running, 'root', f'{{ {named}; }} 2>/dev/null', output)
        return sorted(set(found.read_text('utf-8').split()))

    def down(self) -> None:
        """Stop the container and remove everything."""
        self._stop()
        shutil.rmtree(self.state)

    def log(self, name: str) -> Path:
        """Return the log of a program, which the next run of it replaces."""
        return self.state / 'log' / f'{name}.log'

    @property
    def _root(self) -> Path:
        return self.state / 'root'

    @property
    def _network(self) -> Network:
        return Network(self.name, self.forwards)

    @property
    def _container(self) -> Container:
        return Container(self._root, self._network, self.log('console'))

    @property
    def _running(self) -> Process:
        if self.process is None or not processes.alive(self.process):
            raise StackError(f'the container of {self.state} does not run')
        return self.process

    def _make_directory(self) -> None:
        if os.geteuid():
            raise StackError('only root can make a container')
        self.state.mkdir(parents=True, exist_ok=True)
        if any(self.state.iterdir()):
            raise StackError(f'{self.state} is not empty')
        (self.state / 'log').mkdir()

    def _copy(self, found: dict[str, Path]) -> None:
        """Bring our repository, the mirrors and an image into the container."""
        place = self._root / _MIRRORS.relative_to('/')
        mirrors.copy(SOURCE, place / 'numaplace.git')
        for name, repository in found.items():
            mirrors.copy(repository, place / 'openstack' / f'{name}.git')
        (place / Path(localconf.IMAGE).name).write_bytes(bytes(_IMAGE_BYTES))

    def _settle(self, branch: str) -> None:
        """Clone what has to be there before stack.sh, and write local.conf."""
        for name in ('devstack', 'nova'):
            self._must(f'git clone --quiet --branch {branch} {self.git_base}/openstack/{name}.git {DEST}/{name}')
        self._must(f'ln --symbolic {DEST}/numaplace/{DRIVER} {DEST}/nova/nova/virt/')
        self._configure(self.mode)

    def _configure(self, mode: str) -> None:
        """Write local.conf."""
        self.mode = mode
        self._save()
        settings = Settings(
            cells=self.cells,
            address=self._network.addresses[1],
            git_base=self.git_base,
            plugin=str(_MIRRORS / 'numaplace.git'),
            branch=self.branch,
            mode=mode,
        )
        root.write(self._root / DEST.lstrip('/') / 'devstack/local.conf', localconf.text(settings))

    def _must(self, command: str) -> None:
        said = self.log('settle')
        with said.open('wb') as output:
            status = self._container.run(self._running, _USER, command, output)
        if status:
            raise StackError(f'in the container, {command}: {processes.tail(said)}')

    def _script(self, name: str) -> None:
        """Run a script of devstack; what it prints goes to its log."""
        said = self.log(name)
        with said.open('wb') as output:
            status = self._container.run(self._running, _USER, f'cd {DEST}/devstack && ./{name}', output)
        if status:
            ended = log.end(said.read_text('utf-8', 'replace'))
            raise StackError(f'{name} failed with status {status}; its log is {said}:\n{ended}')

    def _stop(self) -> None:
        if self.process is not None:
            self._container.stop(self.process)
        self._network.down()

    def _save(self) -> None:
        content: dict[str, Any] = asdict(self)
        (self.state / _STATE).write_text(json.dumps(content, default=str), 'utf-8')
