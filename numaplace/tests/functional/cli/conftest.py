# SPDX-License-Identifier: Apache-2.0
"""The installed program, run in a directory of its own."""

import contextlib
import hashlib
import io
import json
import logging
import os
import shutil
import subprocess
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from numaplace.cli.main import main
from numaplace.tests import recordings

Result = subprocess.CompletedProcess


@contextlib.contextmanager
def logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


class Program:
    """The program with an SQLite file and a configuration of its own.

    :param spawning: each command is a process of the console script
    """

    def __init__(self, directory: Path, *, spawning: bool = False) -> None:
        self.directory = directory
        self.spawning = spawning
        self.database = directory / 'test.sqlite'
        self.config = directory / 'test.conf'
        self.script = Path(sysconfig.get_path('scripts'), 'numaplace')
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(('OS_', 'XDG_', 'CLIFF_'))},
            'HOME': str(directory),
        }
        self.configure()

    def configure(self, **options: str) -> None:
        """Write the configuration: options of [numaplace], and whole other groups as text in `more`."""
        more = options.pop('more', '')
        options = {'connection': f'sqlite:///{self.database}', 'strategy': 'linear', **options}
        lines = ['[numaplace]', *(f'{name} = {value}' for name, value in options.items()), more]
        self.config.write_text('\n'.join(lines) + '\n')

    def command(self, *words: str) -> list[str]:
        """Return a command line for a process of its own."""
        return [str(self.script), '--config-file', str(self.config), *words]

    def spawn(self, *words: str, **environment: str) -> Result:
        """Run a command in a process of its own, whatever comes of it."""
        return subprocess.run(
            self.command(*words),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={**self.environment, **environment},
            cwd=self.directory,
        )

    def on_terminal(self, *words: str) -> Result:
        """Run a command in a process of its own whose stderr is a terminal, whatever comes of it."""
        ours, theirs = os.openpty()
        command, environment = self.command(*words), {**self.environment, 'TERM': 'xterm'}
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=theirs, text=True, env=environment, cwd=self.directory
        )
        os.close(theirs)
        told = b''
        with contextlib.suppress(OSError):  # how the end of a terminal is read on Linux
            while chunk := os.read(ours, 65536):
                told += chunk
        os.close(ours)
        out, _ = process.communicate(timeout=60)
        return Result(command, process.returncode, out, told.decode().replace('\r\n', '\n'))

    def run(self, *words: str) -> Result:
        """Run a command in this process, which is ten times faster, whatever comes of it."""
        if self.spawning:
            return self.spawn(*words)
        command = self.command(*words)
        out, told = io.StringIO(), io.StringIO()
        with (
            contextlib.chdir(self.directory),
            logging_as_it_was(),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(told),
        ):
            try:
                status = main(command[1:])
            except SystemExit as end:
                status = end.code or 0
        return Result(command, status, out.getvalue(), told.getvalue())

    def __call__(self, line: str, *more: str) -> str:
        """Run a command that must be done; return what it printed."""
        result = self.run(*line.split(), *more)
        assert (0, '') == (result.returncode, result.stderr)
        return result.stdout

    def json(self, line: str) -> Any:
        return json.loads(self(f'{line} -f json'))

    def copy_to(self, other: 'Program') -> 'Program':
        """Give another program a copy of the database, and return it."""
        shutil.copy(self.database, other.database)
        return other

    def digest(self) -> str:
        """Return a digest of the database file."""
        return hashlib.sha256(self.database.read_bytes()).hexdigest()

    def fixture(self, name: str) -> str:
        """Return the path of a recorded capabilities file."""
        path = self.directory / f'{name}.capabilities.xml'
        path.write_bytes(recordings.capabilities(name))
        return str(path)


@pytest.fixture
def numaplace(tmp_path: Path) -> Program:
    """The program; its database does not exist yet."""
    return Program(tmp_path)


@pytest.fixture(scope='session')
def make_program(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Program]:
    """Return a function that makes a program in a new directory, whose commands are processes of their own."""
    return lambda: Program(tmp_path_factory.mktemp('program'), spawning=True)


@pytest.fixture(scope='session')
def _prepared(make_program: Callable[[], Program]) -> Program:
    program = make_program()
    program.spawning = False
    program(f'host import seed3 --capabilities {program.fixture("seed3")}')
    program('flavor create --ram 512 --disk 1 --vcpus 1 m1.tiny')
    program('flavor create --ram 1024 --disk 1 --vcpus 4 m1.numa')
    return program


@pytest.fixture
def prepared(_prepared: Program, tmp_path: Path) -> Program:
    """The program with the host seed3 and the flavors m1.tiny and m1.numa."""
    return _prepared.copy_to(Program(tmp_path))


@pytest.fixture
def refused(prepared: Program) -> Callable[..., str]:
    """Return a function that runs a command which must fail with one line and change nothing."""

    def run(status: int, *words: str) -> str:
        before = prepared.digest()
        result = prepared.run(*words)
        assert (status, '') == (result.returncode, result.stdout)
        assert before == prepared.digest()
        assert result.stderr.startswith('numaplace: ')
        assert 1 == result.stderr.count('\n')
        return result.stderr

    return run
