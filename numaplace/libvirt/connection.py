# SPDX-License-Identifier: Apache-2.0
"""The libvirt of this machine, by libvirt-python where it is installed, else by virsh; that of another by virsh."""

from __future__ import annotations

import importlib
import logging
import os
import shutil
import subprocess
import threading

from numaplace import exception, explain

__all__ = [
    'capabilities',
    'capabilities_at',
    'change',
    'define',
    'domains',
    'dumpxml',
    'hostname_at',
    'is_persistent',
    'undefine',
]

LOG = logging.getLogger(__name__)

_NOT_KNOWN = 'whether the domain was changed is not known'


def capabilities(uri: str = 'qemu:///system', *, timeout_s: float = 10.0) -> bytes | None:
    """Return the capabilities XML of this machine's libvirt, or None where no libvirt answers.

    :param uri: connection to open, read-only
    :param timeout_s: how long each of the two ways may take, in seconds; a libvirt that has just started needs
        some to find out what its QEMU can do
    """
    return _ask_library(uri, timeout_s) or _ask_virsh(uri, timeout_s)


def _ask_library(uri: str, timeout_s: float) -> bytes | None:
    try:
        libvirt = importlib.import_module('libvirt')
    except ImportError as error:
        LOG.debug('libvirt-python: %s', error)
        return None
    answers: list[str] = []

    def ask() -> None:
        # Without a handler of ours the library prints errors on stderr.
        libvirt.registerErrorHandler(lambda *_: None, None)
        try:
            connection = libvirt.openReadOnly(uri)
            try:
                answers.append(connection.getCapabilities())
            finally:
                connection.close()
        except libvirt.libvirtError as error:
            LOG.debug('libvirt-python, %s: %s', uri, error)

    # A daemon that hangs cannot be interrupted, only left behind.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(timeout_s)
    return answers[0].encode() if answers else None


def _ask_virsh(uri: str, timeout_s: float) -> bytes | None:
    virsh = shutil.which('virsh')
    if virsh is None:
        return None
    try:
        done = subprocess.run(
            [virsh, '--readonly', '--connect', uri, 'capabilities'],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            env={**os.environ, 'LC_ALL': 'C'},
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        LOG.debug('virsh, %s: %s', uri, error)
        return None
    return done.stdout.strip() or None


def capabilities_at(uri: str, *, timeout_s: float = 60.0) -> bytes:
    """Return the capabilities XML of the libvirt at a URI, such as ``qemu+ssh://compute1/system``.

    :raises: :class:`~numaplace.exception.LibvirtError`
    """
    return _virsh(uri, 'capabilities', timeout_s=timeout_s, options=('--readonly',)).encode()


def hostname_at(uri: str, *, timeout_s: float = 60.0) -> str:
    """Return the name that the machine at a URI gives itself.

    :raises: :class:`~numaplace.exception.LibvirtError`
    """
    return _virsh(uri, 'hostname', timeout_s=timeout_s, options=('--readonly',)).strip()


def define(xml: str, uri: str, *, timeout_s: float = 60.0) -> None:
    """Define a domain, checked against libvirt's schema.

    :param uri: connection to open
    :raises: :class:`~numaplace.exception.LibvirtError`
    """
    _virsh(uri, 'define', '--validate', '/dev/stdin', text=xml, timeout_s=timeout_s)


def undefine(uuid: str, uri: str, *, timeout_s: float = 60.0) -> None:
    """Let libvirt forget a domain that is not running.

    :raises: :class:`~numaplace.exception.LibvirtError`
    """
    _virsh(uri, 'undefine', uuid, timeout_s=timeout_s)


def domains(uri: str, *, timeout_s: float = 60.0) -> list[str]:
    """Return the UUIDs of all domains, running or not.

    :raises: :class:`~numaplace.exception.LibvirtError`
    """
    return _virsh(uri, 'list', '--all', '--uuid', timeout_s=timeout_s).split()


def dumpxml(uuid: str, uri: str, *, timeout_s: float = 60.0) -> str:
    """Return the XML of a domain; of one that runs, as it runs now.

    :raises: :class:`~numaplace.exception.LibvirtError`
    """
    return _virsh(uri, 'dumpxml', uuid, timeout_s=timeout_s)


def is_persistent(uuid: str, uri: str, *, timeout_s: float = 60.0) -> bool:
    """Return whether a domain has a definition that it starts from again.

    :raises: :class:`~numaplace.exception.LibvirtError`
    """
    return uuid in _virsh(uri, 'list', '--all', '--persistent', '--uuid', timeout_s=timeout_s).split()


def change(
    command: str, uuid: str, *words: str, uri: str, kept: bool = False, text: str = '', timeout_s: float = 60.0
) -> None:
    """Change a domain while it runs.

    :param command: of virsh, such as ``setvcpu``; `words` are what follows the domain
    :param kept: change what it starts from again too
    :param text: what the command reads
    :raises: :class:`~numaplace.exception.LibvirtError`, :class:`~numaplace.exception.DomainChanged` if it does not
        answer in time, or is interrupted, so that nobody knows
    """
    where = ('--live', '--config') if kept else ('--live',)
    try:
        _virsh(uri, command, uuid, *words, *where, text=text, timeout_s=timeout_s)
    except exception.LibvirtError as error:
        if isinstance(error.__cause__, subprocess.TimeoutExpired):
            raise exception.DomainChanged(f'{error}; {_NOT_KNOWN}') from error
        raise
    except (KeyboardInterrupt, SystemExit) as error:
        # No interrupt any more, after which what was claimed would be given back.
        raise exception.DomainChanged(f'virsh {command} at {uri}: interrupted; {_NOT_KNOWN}') from error


def _virsh(uri: str, *words: str, timeout_s: float, text: str = '', options: tuple[str, ...] = ()) -> str:
    """Run a command of virsh.

    :raises: :class:`~numaplace.exception.LibvirtError` with the first line that virsh prints of an error
    """
    try:
        done = subprocess.run(
            ['virsh', '--quiet', *options, '--connect', uri, *words],
            input=text.encode(),
            capture_output=True,
            timeout=timeout_s,
            env={**os.environ, 'LC_ALL': 'C'},
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise exception.LibvirtError(f'virsh {words[0]} at {uri}: {explain.escape(str(error))}') from error
    if done.returncode:
        told = ' '.join(done.stderr.decode(errors='replace').split())
        told = told[max(told.find('error: '), 0) :]  # an embedded driver says more before
        raise exception.LibvirtError(f'virsh {words[0]} at {uri}: {explain.escape(told) or "failed without a word"}')
    return done.stdout.decode(errors='replace')
