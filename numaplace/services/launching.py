# SPDX-License-Identifier: Apache-2.0
"""Start a service: its command line, its log, and its processes on oslo.service's threading backend."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from oslo_config import cfg

import numaplace
from numaplace import conf as configuration
from numaplace import exception
from numaplace.conf import logs
from numaplace.scheduler import names
from numaplace.services.threading_backend import service

__all__ = ['Given', 'ServiceBase', 'load', 'run']

ServiceBase: Any = service.ServiceBase

_FORMAT = '%(asctime)s %(process)d %(levelname)s %(name)s %(message)s'


@dataclass(frozen=True, slots=True)
class Given:
    """What the command line of a service says.

    :param files: its configuration files
    """

    files: tuple[str, ...]

    @property
    def arguments(self) -> list[str]:
        """The configuration files as options, for the libraries that read them too."""
        return [word for path in self.files for word in ('--config-file', path)]


def load(given: Given) -> cfg.ConfigOpts:
    """Read and check the configuration.

    :raises: :class:`~numaplace.exception.InvalidConfiguration`
    """
    loaded = configuration.load(given.files)
    names.check(loaded)
    return loaded


def run(
    program: str,
    description: str,
    make: Callable[[Given, cfg.ConfigOpts], Sequence[Any]],
    argv: Sequence[str] | None = None,
) -> int:
    """Run the processes of a service until it is ended.

    :param make: returns the services, each of which is a process; they read the configuration again where they start
    :returns: the exit status
    """
    parser = argparse.ArgumentParser(prog=program, description=description, allow_abbrev=False)
    parser.add_argument('--version', action='version', version=f'{program} {numaplace.__version__}')
    parser.add_argument(
        '--config-file',
        action='append',
        default=[],
        metavar='FILE',
        help=f'Configuration file; may be repeated, the last wins (default: {configuration.SYSTEM_FILE} if it exists).',
    )
    parser.add_argument('--debug', action='store_true', help='Log what happens inside too, as [DEFAULT] debug does.')
    parsed = parser.parse_args(argv)
    given = Given(tuple(parsed.config_file))
    try:
        conf = load(given)
        _set_up_log(conf, debug=parsed.debug or conf.debug)
        services = make(given, conf)
    except exception.NumaplaceException as error:
        sys.stderr.write(f'{program}: {error}\n')
        return 1
    # The launcher reads two options of its own, and reads the files again when it gets SIGHUP.
    options = cfg.ConfigOpts()
    options(given.arguments, 'numaplace', program)
    launcher = service.ServiceLauncher(options)
    for each in services:
        launcher.launch_service(each)
    return int(launcher.wait() or 0)


def _set_up_log(conf: cfg.ConfigOpts, *, debug: bool) -> None:
    """Log to stderr, and to where the configuration says."""
    warning = logs.set_up(conf, debug=debug) if logs.is_wanted(conf) else None
    root = logging.getLogger()
    if not root.handlers:
        stderr = logging.StreamHandler()
        stderr.setFormatter(logging.Formatter(_FORMAT))
        root.addHandler(stderr)
    for handler in root.handlers:
        handler.addFilter(_one_line)
    root.setLevel(logging.DEBUG if debug else logging.INFO)
    for noisy in ('alembic', 'amqp', 'oslo', 'oslo_messaging', 'oslo_service', 'cotyledon', 'stevedore'):
        logging.getLogger(noisy).setLevel(logging.DEBUG if debug else logging.WARNING)
    if warning is not None:
        logging.getLogger(__name__).warning('%s', warning)


def _one_line(record: logging.LogRecord) -> bool:
    """Replace the traceback of a message that the bus cannot read by its last line: strangers may send many."""
    if record.name.startswith(('oslo.messaging', 'oslo_messaging')) and record.exc_info and record.exc_info[1]:
        error = record.exc_info[1]
        record.msg, record.args = 'a message is refused: %s: %.300r', (type(error).__name__, str(error))
        record.exc_info = None
    return True
