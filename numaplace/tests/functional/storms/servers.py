# SPDX-License-Identifier: Apache-2.0
"""Database servers of the tests' own, which may be killed."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import sqlalchemy as sa

from numaplace.tests import real

__all__ = ['Server', 'mariadb', 'postgresql']

#: Seconds until a server that does not come up is a failure.
_PATIENCE_S = 60


class Server:
    """A server on a port of its own.

    :param command: stays in the foreground
    :param user: runs it where the tests run as root, as which neither server starts
    :param url: of a database that is there from the beginning
    :ivar admin: an engine for that
    :ivar url: of a database to be made
    """

    def __init__(self, command: Sequence[str], user: str | None, log: Path, url: str) -> None:
        self.admin = sa.create_engine(url, isolation_level='AUTOCOMMIT', poolclass=sa.NullPool)
        self.url = self.admin.url.set(database='numaplace').render_as_string(hide_password=False)
        self._command, self._user, self._log = command, user, log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, again and again until it answers: what a killed one left may be in the way for a moment."""
        deadline = time.monotonic() + _PATIENCE_S
        while not self._answers():
            assert time.monotonic() < deadline, self._log.read_text()
            if self._process is None or self._process.poll() is not None:
                with self._log.open('ab') as log:
                    self._process = subprocess.Popen(
                        self._command, user=self._user, stdin=subprocess.DEVNULL, stdout=log, stderr=log
                    )
            time.sleep(0.05)

    def kill(self) -> None:
        """End it and all processes that it started by SIGKILL, as a power cut would."""
        if self._process is None:
            return
        for pid in (*_children(self._process.pid), self._process.pid):
            _kill(pid)
        self._process.wait()
        self._process = None

    def _answers(self) -> bool:
        """Return whether a statement gets through: the port is open long before a server has recovered."""
        try:
            with self.admin.connect() as connection:
                connection.execute(sa.text('SELECT 1'))
        except sa.exc.OperationalError:
            return False
        return True


def _children(parent: int) -> list[int]:
    """Return the processes that a process started."""
    found = []
    for status in Path('/proc').glob('[0-9]*/stat'):
        try:
            fields = status.read_text().rpartition(')')[2].split()
        except OSError:  # gone in the meantime
            continue
        if int(fields[1]) == parent:
            found.append(int(status.parent.name))
    return found


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return int(probe.getsockname()[1])


def _user(name: str) -> str | None:
    """Return the user that runs a server: that of its package for root, nobody else for others."""
    if os.getuid() != 0:
        return None
    try:
        return pwd.getpwnam(name).pw_name
    except KeyError:
        real.missing(f'the user {name}')


@contextmanager
def _directory(user: str | None) -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix='numaplace-'))
    try:
        if user is not None:
            shutil.chown(path, user)
        yield path
    finally:
        shutil.rmtree(path)


@contextmanager
def _running(server: Server) -> Iterator[Server]:
    server.start()
    try:
        yield server
    finally:
        server.kill()


def _run(command: Sequence[str], user: str | None) -> None:
    done = subprocess.run(command, user=user, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def mariadb() -> Iterator[Server]:
    """Yield a MariaDB that runs."""
    install, daemon = real.require_program('mariadb-install-db'), real.require_program('mariadbd')
    user, port = _user('mysql'), _free_port()
    with _directory(user) as path:
        # A MariaDB that starts deletes all temporary tables in its tmpdir, those of other servers too.
        common = ['--no-defaults', f'--datadir={path / "data"}', f'--tmpdir={path}']
        _run([install, *common, '--auth-root-authentication-method=normal', '--skip-test-db'], user)
        options = ['--bind-address=127.0.0.1', f'--port={port}', f'--socket={path / "socket"}']
        command = [daemon, *common, *options, '--innodb-buffer-pool-size=32M', '--skip-name-resolve']
        url = f'mysql+pymysql://root@127.0.0.1:{port}/mysql?ssl_disabled=true'
        with _running(Server(command, user, path / 'log', url)) as server:
            yield server


@contextmanager
def postgresql() -> Iterator[Server]:
    """Yield a PostgreSQL that runs."""
    programs = sorted(Path('/usr/lib/postgresql').glob('*/bin'))
    if not programs:
        real.missing('the programs of PostgreSQL in /usr/lib/postgresql')
    user, port = _user('postgres'), _free_port()
    with _directory(user) as path:
        _run([str(programs[-1] / 'initdb'), '-A', 'trust', '-U', 'postgres', '-D', str(path / 'data')], user)
        settings = {'listen_addresses': '127.0.0.1', 'port': port, 'unix_socket_directories': path}
        options = [part for name, value in settings.items() for part in ('-c', f'{name}={value}')]
        command = [str(programs[-1] / 'postgres'), '-D', str(path / 'data'), *options]
        url = f'postgresql+psycopg2://postgres@127.0.0.1:{port}/postgres'
        with _running(Server(command, user, path / 'log', url)) as server:
            yield server
