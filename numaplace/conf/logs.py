# SPDX-License-Identifier: Apache-2.0
"""Group ``[DEFAULT]``: where the command logs to; oslo.log writes the log, and reads its other options itself."""

import importlib
import logging
import sys

from oslo_config import cfg

import numaplace
from numaplace import exception
from numaplace.conf import types

__all__ = ['OPTIONS', 'is_wanted', 'set_up']

_NO_JOURNAL = (
    '[DEFAULT] use_journal has no effect: the Python package systemd-python is not installed; '
    'warnings and errors go to stderr as always'
)
_IGNORED = 'Ignored where ``log_config_append`` is set.'

OPTIONS: list[cfg.Opt] = [
    cfg.Opt(
        'debug',
        type=types.Switch(),
        default=False,
        help='Whether the command logs everything and shows tracebacks, as ``--debug`` does. Form: true or false.',
    ),
    cfg.StrOpt(
        'log_config_append',
        deprecated_name='log_config',
        help="File of the form of Python's ``logging.config`` that says all about the log. Form: a path.",
    ),
    cfg.StrOpt(
        'log_file',
        deprecated_name='logfile',
        help=f"""
File that the command logs into, beside its messages on stderr; ``--log-file`` wins. {_IGNORED}

Form: a path, from ``log_dir`` on where that is set.
""",
    ),
    cfg.StrOpt(
        'log_dir',
        deprecated_name='logdir',
        help=f"""
Directory of the log; without ``log_file``, its name there is ``numaplace.log``. {_IGNORED}

Form: a path.
""",
    ),
    *(
        cfg.Opt(name, type=types.Switch(), default=False, help=f'{text} {_IGNORED} Form: true or false.')
        for name, text in (
            ('use_syslog', 'Whether the command logs to syslog.'),
            (
                'use_journal',
                'Whether the command logs to the journal of systemd, which needs the Python package systemd-python; '
                'without it, a warning says so.',
            ),
        )
    ),
]


def is_wanted(conf: cfg.ConfigOpts) -> bool:
    """Return whether a configuration sets where to log to."""
    names = ('log_config_append', 'log_file', 'log_dir', 'use_syslog', 'use_journal')
    return any(conf[name] for name in names)


def set_up(conf: cfg.ConfigOpts, log_file: str | None = None, *, debug: bool = False) -> str | None:
    """Set up the log as configured; all handlers of the root logger are replaced.

    :param log_file: log file that overrides the configured one
    :param debug: log everything
    :returns: a warning of what is configured and left out, or None
    :raises: :class:`~numaplace.exception.InvalidConfiguration` if that is not possible
    """
    # The import takes a large part of the run time of a short command.
    from oslo_log import log  # noqa: PLC0415

    options = cfg.ConfigOpts()
    log.register_options(options)
    files = [word for path in conf.config_file or () for word in ('--config-file', path)]
    named = [] if log_file is None else [f'--log-file={log_file}']
    warning = None
    try:
        options([*files, *named, *(['--debug'] if debug else [])], 'numaplace', 'numaplace')
        if options.use_journal and not options.log_config_append and not _has_journal():
            options.set_override('use_journal', False)
            warning = _NO_JOURNAL
        log.setup(options, 'numaplace', numaplace.__version__)
        _keep_off_stdout()
    except OSError as error:
        place = '[DEFAULT] log_file and log_dir' if log_file is None else '--log-file'
        raise exception.InvalidConfiguration(
            f'{place}: the log {error.filename!r} cannot be written: {error.strerror}; expected a file that can, '
            'which --log-file may name'
        ) from error
    except (cfg.Error, log.LogConfigError, ValueError, TypeError, RuntimeError, ImportError) as error:
        text = ' '.join(str(error).split())
        raise exception.InvalidConfiguration(f'[DEFAULT]: the log cannot be set up: {text}') from error
    return warning


def _has_journal() -> bool:
    """Return whether the library that writes to the journal is installed."""
    try:
        importlib.import_module('systemd.journal')
    except ImportError:
        return False
    return True


def _keep_off_stdout() -> None:
    """Remove the handler that oslo.log adds where neither a file nor the journal is named: stdout is for results."""
    root = logging.getLogger()
    for handler in list(root.handlers):
        if isinstance(handler, logging.StreamHandler) and handler.stream is sys.stdout:
            root.removeHandler(handler)
