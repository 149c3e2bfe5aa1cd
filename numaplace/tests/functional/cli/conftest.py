# SPDX-License-Identifier: Apache-2.0
"""The installed program, run in a directory of its own."""

import hashlib
import json
import os
import shutil
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from numaplace.tests import recordings

Result = subprocess.CompletedProcess


class Program:
    """The console script with an SQLite file and a configuration of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
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
        return [str(self.script), '--config-file', str(self.config), *words]

    def run(self, *words: str, **environment: str) -> Result:
        """Run a command, whatever comes of it."""
        return subprocess.run(
            self.command(*words),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={**self.environment, **environment},
            cwd=self.directory,
        )

    def __call__(self, line: str, *more: str) -> str:
        """Run a command that must be done; return what it printed."""
        result = self.run(*line.split(), *more)
        assert (0, '') == (result.returncode, result.stderr)
        return result.stdout

    def json(self, line: str) -> Any:
        return json.loads(self(f'{line} -f json'))

    def copy(self, directory: Path) -> 'Program':
        """Return a program with a copy of the database."""
        copy = Program(directory)
        shutil.copy(self.database, copy.database)
        return copy

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
def _prepared(tmp_path_factory: pytest.TempPathFactory) -> Program:
    program = Program(tmp_path_factory.mktemp('prepared'))
    program(f'host import seed3 --capabilities {program.fixture("seed3")}')
    program('flavor create --ram 512 --disk 1 --vcpus 1 m1.tiny')
    program('flavor create --ram 1024 --disk 1 --vcpus 4 m1.numa')
    return program


@pytest.fixture
def prepared(_prepared: Program, tmp_path: Path) -> Program:
    """The program with the host seed3 and the flavors m1.tiny and m1.numa."""
    return _prepared.copy(tmp_path)


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
