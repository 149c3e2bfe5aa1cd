# SPDX-License-Identifier: Apache-2.0
"""A RabbitMQ of its own, which may be killed and started again."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from numaplace.tests import real

__all__ = ['Bus', 'rabbitmq']

#: Seconds until a server that does not come up is a failure.
_PATIENCE_S = 120


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return int(probe.getsockname()[1])


class Bus:
    """A RabbitMQ on a port of its own.

    :ivar url: as oslo.messaging takes it
    """

    def __init__(self, program: str, directory: Path) -> None:
        self.port, distribution = _free_port(), _free_port()
        self.url = f'rabbit://guest:guest@127.0.0.1:{self.port}/'
        (directory / 'plugins').write_text('[].')
        self._log = directory / 'stdout'
        self._command = [program]
        self._environment = os.environ | {
            'HOME': str(directory),
            'RABBITMQ_NODENAME': f'n{uuid.uuid4().hex[:8]}@localhost',
            'RABBITMQ_NODE_IP_ADDRESS': '127.0.0.1',
            'RABBITMQ_NODE_PORT': str(self.port),
            'RABBITMQ_DIST_PORT': str(distribution),
            'RABBITMQ_MNESIA_BASE': str(directory / 'mnesia'),
            'RABBITMQ_LOG_BASE': str(directory / 'log'),
            'RABBITMQ_ENABLED_PLUGINS_FILE': str(directory / 'plugins'),
            'RABBITMQ_CONFIG_FILE': str(directory / 'none'),
            'RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS': '+S 1:1 -setcookie numaplace',
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with self._log.open('ab') as log:
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + _PATIENCE_S
        while not self._answers():
            assert time.monotonic() < deadline, self._log.read_text()
            assert self._process.poll() is None, self._log.read_text()
            time.sleep(0.2)

    def kill(self) -> None:
        """End it and all that it started by SIGKILL, as a power cut would."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        try:
            with socket.create_connection(('127.0.0.1', self.port), timeout=2) as peer:
                peer.sendall(b'AMQP\x00\x00\x09\x01')
                return bool(peer.recv(1))
        except OSError:
            return False


@contextmanager
def rabbitmq() -> Iterator[Bus]:
    """Yield a RabbitMQ that runs."""
    # The program of Debian changes to the user of the package: this one is inside.
    programs = [*sorted(Path('/usr/lib/rabbitmq').glob('lib/*/sbin/rabbitmq-server')), shutil.which('rabbitmq-server')]
    if programs == [None]:
        real.missing('the program rabbitmq-server')
    directory = Path(tempfile.mkdtemp(prefix='numaplace-bus-'))
    bus = Bus(str(programs[0]), directory)
    try:
        bus.start()
        yield bus
    finally:
        bus.kill()
        shutil.rmtree(directory, ignore_errors=True)
