# SPDX-License-Identifier: Apache-2.0
"""Start the stack, restart one of its services, and remove it with everything that it has made."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ministack import files, hosts, processes, stores
from ministack.hosts import ComputeHost
from ministack.processes import Process, StackError

__all__ = ['CLOUD', 'Stack']

#: The name of the stack in its clouds.yaml.
CLOUD = 'ministack'

_WEB = {'neighbours': 'ministack.neighbours', 'placement': 'placement.wsgi.api', 'api': 'nova.wsgi.osapi_compute'}
_QUEUED = ('nova-conductor', 'nova-scheduler')
_STATE = 'stack.json'
#: Nova's services log this when their queues exist.
_READY = b'Join ServiceGroup membership for this service'


@dataclass(slots=True)
class Stack:
    """All that is needed to find a stack again; kept as JSON in the state directory.

    :param token: part of all names on shared servers
    :param server: URL of the MariaDB server
    """

    state: Path
    token: str
    server: str
    hosts: list[str]
    ports: dict[str, int] = field(default_factory=dict)
    services: dict[str, Process] = field(default_factory=dict)

    @classmethod
    def up(cls, state: Path, server: str, host_files: Sequence[Path]) -> Stack:
        """Start a whole stack and wait until it accepts requests; after a failure only the logs are left.

        :param state: an empty directory, or one that does not exist yet
        :raises: :class:`StackError`
        """
        computes = [hosts.read(file) for file in host_files]
        stack = cls(state.resolve(), secrets.token_hex(4), server, _names(computes))
        stack._make_directories()
        stack._save()
        try:
            stores.create(server, stack.token)
            stack._start_all(computes)
        except BaseException:
            stack._stop_all()
            raise
        return stack

    @classmethod
    def load(cls, state: Path) -> Stack:
        """Find a stack again by its state directory.

        :raises: :class:`StackError` if there is none
        """
        try:
            content = json.loads((state / _STATE).read_text('utf-8'))
        except FileNotFoundError:
            raise StackError(f'there is no stack in {state}') from None
        content['state'] = Path(content['state'])
        content['services'] = {
            name: Process(**{**service, 'log': Path(service['log'])}) for name, service in content['services'].items()
        }
        return cls(**content)

    def down(self) -> None:
        """Stop everything, drop the databases and the virtual host, and remove the state directory."""
        self._stop_all()
        shutil.rmtree(self.state)

    def restart(self, *names: str, config: Sequence[Path] = (), plain: bool = False) -> None:
        """Stop services of Nova, start them again and wait for them.

        :param names: ``nova-scheduler``, ``nova-conductor`` and hosts
        :param config: additional configuration files, which override the others
        :param plain: start them without numaplace
        :raises: :class:`StackError`
        """
        self.stop(*names)
        self._start_queued(*names, config=config, plain=plain)

    def stop(self, *names: str) -> None:
        """Stop services of Nova, which :meth:`restart` starts again.

        :param names: ``nova-scheduler``, ``nova-conductor`` and hosts
        :raises: :class:`StackError`
        """
        for name in names:
            if name not in (*self.hosts, *_QUEUED):
                raise StackError(f'{name!r} cannot be restarted: it is no host and no service of Nova with a queue')
        processes.stop([self.services[name] for name in names])

    def log(self, name: str) -> Path:
        """Return the log of a service, which continues after restarts."""
        return self.state / 'log' / f'{name}.log'

    def database(self, name: str) -> str:
        """Return the URL of one of the databases."""
        return stores.database_url(self.server, self.token, name)

    @property
    def clouds(self) -> Path:
        """The clouds.yaml for clients."""
        return self._etc / 'clouds.yaml'

    @property
    def _etc(self) -> Path:
        return self.state / 'etc'

    def _make_directories(self) -> None:
        if self.state.exists() and any(self.state.iterdir()):
            raise StackError(f'{self.state} is not empty')
        for name in ('etc', 'log', 'nova', 'instances', *self.hosts):
            (self.state / name).mkdir(parents=True)

    def _save(self) -> None:
        text = json.dumps(asdict(self), default=str, indent=1)
        (self.state / _STATE).write_text(text + '\n', 'utf-8')

    def _start_all(self, computes: Sequence[ComputeHost]) -> None:
        with ExitStack() as closing:
            listeners = {name: closing.enter_context(_listen()) for name in _WEB}
            self.ports = {name: listener.getsockname()[1] for name, listener in listeners.items()}
            files.write(self._etc, self._values(), computes)
            self._make_schemas()
            for name, listener in listeners.items():
                self._start_web(name, listener.fileno())
        # A nova-compute that does not reach the conductor at first waits for ten seconds.
        self._start_queued(*_QUEUED)
        self._start_queued(*self.hosts)
        for name in _WEB:
            self._wait_for_web(name)
        self._manage('cell_v2', 'discover_hosts')

    def _values(self) -> dict[str, str]:
        """Return the values of the names in the templates of the configuration files."""
        return {
            'state': str(self.state),
            'transport': stores.transport_url(self.token),
            'nova_api': self.database('nova_api'),
            'nova_cell1': self.database('nova_cell1'),
            'placement_database': self.database('placement'),
            **{name: str(port) for name, port in self.ports.items()},
        }

    def _make_schemas(self) -> None:
        placement = _program('placement-manage', '--config-file', str(self._etc / 'placement.conf'), 'db', 'sync')
        log = self.log('placement-manage')
        with processes.running(placement, log, self._environment()) as sync:
            self._manage('api_db', 'sync')
            self._manage('cell_v2', 'map_cell0', '--database_connection', self.database('nova_cell0'))
            self._manage('cell_v2', 'create_cell', '--name', 'cell1')
            self._manage('db', 'sync')
        if sync.returncode:
            raise StackError(f'placement-manage db sync failed:\n{processes.tail(log)}')

    def _manage(self, *words: str) -> None:
        """Run a command of nova-manage to its end."""
        command = _program('nova-manage', *self._config_files('nova', 'control'), *words)
        with processes.running(command, self.log('nova-manage'), self._environment()) as child:
            pass
        if child.returncode:
            raise StackError(f'nova-manage {" ".join(words)} failed:\n{processes.tail(self.log("nova-manage"))}')

    def _start_queued(self, *names: str, config: Sequence[Path] = (), plain: bool = False) -> None:
        """Start services and wait until their queues exist."""
        more = [word for file in config for word in ('--config-file', str(file))]
        sizes = {name: self.log(name).stat().st_size if self.log(name).exists() else 0 for name in names}
        for name in names:
            self._start(name, [*self._command(name, plain), *more])
        for name, size in sizes.items():
            self._wait_for_queue(name, size)

    def _command(self, name: str, plain: bool) -> list[str]:
        """Return the command line of a service of Nova that has a queue."""
        if name in self.hosts:
            program = 'nova-compute' if plain else 'numaplace-nova-compute'
            return [sys.executable, '-m', 'ministack.compute', program, *self._config_files('nova', f'{name}.compute')]
        if name == 'nova-scheduler' and not plain:
            return _program(name, *self._config_files('nova', 'control', 'numaplace'))
        return _program(name, *self._config_files('nova', 'control'))

    def _start_web(self, name: str, descriptor: int) -> None:
        command = [sys.executable, '-m', 'ministack.serve', _WEB[name], str(descriptor)]
        self._start(name, command, pass_fds=[descriptor])

    def _start(self, name: str, command: Sequence[str], pass_fds: Sequence[int] = ()) -> None:
        log, env = self.log(name), self._environment()
        with processes.signals_held():
            self.services[name] = processes.start(name, command, log, env=env, pass_fds=pass_fds)
            self._save()

    def _wait_for_queue(self, name: str, position: int) -> None:
        def ready() -> bool:
            with self.log(name).open('rb') as log:
                log.seek(position)
                return _READY in log.read()

        processes.wait_for(ready, 'its queue', self.services[name])

    def _wait_for_web(self, name: str) -> None:
        processes.wait_for(lambda: _answers(self.ports[name]), 'an answer', self.services[name])

    def _stop_all(self) -> None:
        processes.stop(self.services.values())
        stores.drop(self.server, self.token)

    def _config_files(self, *names: str) -> list[str]:
        return [word for name in names for word in ('--config-file', str(self._etc / f'{name}.conf'))]

    def _environment(self) -> dict[str, str]:
        paths = [str(Path(__file__).parents[1]), os.environ.get('PYTHONPATH', '')]
        return os.environ | {
            'PYTHONPATH': os.pathsep.join(path for path in paths if path),
            'PYTHONWARNINGS': 'ignore',
            'OS_NOVA_CONFIG_DIR': str(self._etc),
            # Nova reads the Paste pipelines from the first one.
            'OS_NOVA_CONFIG_FILES': 'api-paste.ini;nova.conf;control.conf',
            'OS_PLACEMENT_CONFIG_DIR': str(self._etc),
        }


def _names(computes: Sequence[ComputeHost]) -> list[str]:
    """Return the names of the hosts, which are those of their directories, logs and processes."""
    names: list[str] = []
    for host in computes:
        if host.name in (*_WEB, *_QUEUED, 'etc', 'log', 'nova', 'instances', *names):
            raise StackError(f'host file {host.file}: there is something else by the name {host.name!r}')
        names.append(host.name)
    return names


def _listen() -> socket.socket:
    """Return a socket that listens on a free port."""
    listener = socket.create_server(('127.0.0.1', 0), backlog=128)
    listener.set_inheritable(True)
    return listener


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f'http://127.0.0.1:{port}/', timeout=5):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def _program(name: str, *words: str) -> list[str]:
    """Return the command line of a program in the environment that this runs in."""
    return [str(Path(sys.executable).with_name(name)), *words]
