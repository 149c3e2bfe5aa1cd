# SPDX-License-Identifier: Apache-2.0
"""The stack's own parts of shared servers: databases in MariaDB, a virtual host in RabbitMQ."""

from __future__ import annotations

import subprocess

import sqlalchemy

from ministack.processes import StackError, signals_held

__all__ = ['DATABASES', 'create', 'database_url', 'drop', 'transport_url']

DATABASES = ('nova_api', 'nova_cell0', 'nova_cell1', 'placement')

_RABBIT_USER = 'guest'
_RABBIT = f'rabbit://{_RABBIT_USER}:guest@127.0.0.1:5672/'


def database_url(server: str, token: str, name: str) -> str:
    """Return the URL of a database of the stack."""
    url = sqlalchemy.make_url(server).set(database=_database(token, name))
    return url.render_as_string(hide_password=False)


def transport_url(token: str) -> str:
    """Return the URL of the stack's own virtual host: queues have the same names in every Nova."""
    return f'{_RABBIT}{_vhost(token)}'


def create(server: str, token: str) -> None:
    """Create the databases and the virtual host.

    :raises: :class:`StackError` if a server refuses
    """
    _execute(server, [f'CREATE DATABASE {_database(token, name)} CHARACTER SET utf8mb3' for name in DATABASES])
    _rabbitmqctl('add_vhost', _vhost(token))
    _rabbitmqctl('set_permissions', '-p', _vhost(token), _RABBIT_USER, '.*', '.*', '.*')


def drop(server: str, token: str) -> None:
    """Remove all of it, even if it exists only in part.

    :raises: :class:`StackError` if a server refuses
    """
    _execute(server, [f'DROP DATABASE IF EXISTS {_database(token, name)}' for name in DATABASES])
    if _vhost(token) in _rabbitmqctl('list_vhosts').split():
        _rabbitmqctl('delete_vhost', _vhost(token))


def _database(token: str, name: str) -> str:
    return f'ministack_{token}_{name}'


def _vhost(token: str) -> str:
    return f'ministack_{token}'


def _execute(server: str, statements: list[str]) -> None:
    engine = sqlalchemy.create_engine(
        server, isolation_level='AUTOCOMMIT', poolclass=sqlalchemy.NullPool, connect_args={'connect_timeout': 5}
    )
    try:
        with engine.connect() as connection:
            for statement in statements:
                connection.execute(sqlalchemy.text(statement))
    except sqlalchemy.exc.OperationalError as error:
        raise StackError(f'MariaDB at {engine.url!r}: {error.orig}') from None


def _rabbitmqctl(*words: str) -> str:
    try:
        with signals_held():
            done = subprocess.run(['rabbitmqctl', '--quiet', *words], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise StackError('there is no rabbitmqctl: RabbitMQ is not installed') from None
    if done.returncode:
        raise StackError(f'rabbitmqctl {words[0]}: {(done.stderr or done.stdout).strip()}')
    return done.stdout
