# SPDX-License-Identifier: Apache-2.0
"""Access to the local libvirt, by libvirt-python if installed, else by virsh, and to a remote one by virsh."""

from __future__ import annotations

import importlib
import logging
import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial

from numaplace import cpuset, exception, explain
from numaplace.libvirt import domcapabilities
from numaplace.libvirt.domcapabilities import DomainCapabilities

__all__ = [
    'LOCAL',
    'Libvirt',
    'Releases',
    'affinities',
    'ask',
    'ask_each',
    'capabilities',
    'capabilities_at',
    'change',
    'define',
    'domain_capabilities',
    'domains',
    'dumpxml',
    'hostname_at',
    'is_persistent',
    'knows_cpus',
    'releases',
    'undefine',
]

LOG = logging.getLogger(__name__)

#: The libvirt of this machine.
LOCAL = 'qemu:///system'

#: What virsh prints first if a libvirt does not support such domains, and the call that some drivers lack.
_NO_SUCH_DOMAINS = 'failed to get emulator capabilities'
_NOT_TOLD = 'connection driver: virConnectGetDomainCapabilities'

_WITHOUT_CPU_DRIVER = 'architecture is not supported by CPU driver'
#: A line of virsh that says where threads may run, such as ` 0      0-3,8`.
_AFFINITY = r'^\s*{}\s+([\d,-]+)\s*$'
_RELEASE = r'^{} (\d+(?:\.\d+)+)$'

#: What stands between the answers about several objects, of which so many fit on a command line.
_NEXT = '=== next'
_AT_ONCE = 400

_NOT_KNOWN = 'whether the domain was changed is not known'


@dataclass(frozen=True, slots=True)
class Releases:
    """The releases of a libvirt and of its QEMU, such as (9, 0, 0); empty where one is not known."""

    libvirt: tuple[int, ...] = ()
    qemu: tuple[int, ...] = ()


class Libvirt:
    """The libvirt at a URI, which is asked each question once."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.domain_capabilities = cache(partial(domain_capabilities, uri))
        self.releases = cache(partial(releases, uri))


def capabilities(uri: str = LOCAL, *, timeout_s: float = 10.0) -> bytes | None:
    """Return the capabilities XML of this machine's libvirt, or None where no libvirt answers.

    :param uri: connection to open, read-only
    :param timeout_s: time limit for each of the two ways, in seconds; a libvirt that has just started needs
        time to probe its QEMU
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
        # Without our own handler the library prints errors on stderr.
        libvirt.registerErrorHandler(lambda *_: None, None)
        try:
            connection = libvirt.openReadOnly(uri)
            try:
                answers.append(connection.getCapabilities())
            finally:
                connection.close()
        except libvirt.libvirtError as error:
            LOG.debug('libvirt-python, %s: %s', uri, error)

    # A call to a daemon that hangs cannot be interrupted, only abandoned.
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


def domain_capabilities(
    uri: str, arch: str, domain_type: str, machine: str, *, timeout_s: float = 60.0
) -> DomainCapabilities | None:
    """Return what a libvirt supports for domains of one kind, or None if its driver does not report it.

    :param arch: libvirt's name
    :raises: :class:`~numaplace.exception.LibvirtError` if it does not support such domains, or does not answer;
        :class:`~numaplace.exception.InvalidCapabilities`
    """
    words = ('--virttype', domain_type, '--arch', arch, '--machine', machine)
    try:
        # Not read-only: libvirt starts QEMU to find that out.
        xml = _virsh(uri, 'domcapabilities', *words, timeout_s=timeout_s)
    except exception.LibvirtError as error:
        if _NOT_TOLD in str(error):
            LOG.debug('%s', error)
            return None
        if _NO_SUCH_DOMAINS not in str(error):
            raise
        raise exception.LibvirtError(
            f'{error}; asked for domains of type {domain_type} ([libvirt] virt_type), architecture {arch} and machine '
            f'type {machine} (hw_machine_type of the image, or in [libvirt])'
        ) from error
    found = domcapabilities.read(xml.encode(), uri)
    return found if found.modes else replace(found, knows_cpus=knows_cpus(uri, arch, timeout_s=timeout_s))


def knows_cpus(uri: str, arch: str, *, timeout_s: float = 60.0) -> bool:
    """Return whether a libvirt has a CPU driver for guests of an architecture.

    :raises: :class:`~numaplace.exception.LibvirtError`
    """
    try:
        _virsh(uri, 'cpu-models', arch, timeout_s=timeout_s)
    except exception.LibvirtError as error:
        if _WITHOUT_CPU_DRIVER not in str(error):
            raise
        return False
    return True


def releases(uri: str, *, timeout_s: float = 60.0) -> Releases:
    """Return the releases of a libvirt, which may be remote, and of its default emulator.

    :raises: :class:`~numaplace.exception.LibvirtError`
    """
    printed = _virsh(uri, 'version', '--daemon', timeout_s=timeout_s)
    names = ('Running against daemon:', 'Running hypervisor: QEMU')
    found = (re.search(_RELEASE.format(name), printed, re.MULTILINE) for name in names)
    return Releases(*(tuple(map(int, match[1].split('.'))) if match else () for match in found))


def hostname_at(uri: str, *, timeout_s: float = 60.0) -> str:
    """Return the hostname that the machine at a URI reports.

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
    """Undefine a domain that is not running.

    :raises: :class:`~numaplace.exception.LibvirtError`
    """
    _virsh(uri, 'undefine', uuid, timeout_s=timeout_s)


def domains(uri: str, *, timeout_s: float = 60.0) -> list[str]:
    """Return the UUIDs of all domains, running or not.

    :raises: :class:`~numaplace.exception.LibvirtError`
    """
    return _virsh(uri, 'list', '--all', '--uuid', timeout_s=timeout_s).split()


def ask(commands: str, uri: str, *, timeout_s: float = 60.0) -> str:
    """Return what several commands of virsh print that change nothing; one that fails does not stop the others.

    :param commands: separated by semicolons; the last one decides whether all of them failed
    :raises: :class:`~numaplace.exception.LibvirtError`
    """
    return _virsh(uri, commands, timeout_s=timeout_s, options=('--readonly',))


def ask_each(uri: str, names: Sequence[str], commands: str) -> Iterator[tuple[str, str]]:
    """Yield what commands print of each object; nothing for one that they fail for.

    :param commands: as for :func:`ask`, with ``{name}`` for the name or UUID
    :raises: :class:`~numaplace.exception.LibvirtError`
    """
    for first in range(0, len(names), _AT_ONCE):
        some = names[first : first + _AT_ONCE]
        lines = [f'{commands.format(name=name)}; echo {_NEXT}' for name in some]
        yield from zip(some, ask('; '.join(lines), uri).split(_NEXT), strict=False)


def dumpxml(domain: str, uri: str, *, kept: bool = False, timeout_s: float = 60.0) -> str:
    """Return the XML of a domain; its live XML if it is running.

    :param domain: name or UUID
    :param kept: return its persistent definition instead, with what libvirt prints to those who may change it
    :raises: :class:`~numaplace.exception.LibvirtError`
    """
    options = ('--inactive', '--security-info') if kept else ()
    return _virsh(uri, 'dumpxml', domain, *options, timeout_s=timeout_s)


def affinities(uuid: str, uri: str, *, timeout_s: float = 60.0) -> tuple[dict[int, int], int]:
    """Return where the threads of a running domain may run.

    :returns: the masks of the CPUs of each vCPU, and of the emulator
    :raises: :class:`~numaplace.exception.LibvirtError`
    """
    printed = _virsh(uri, 'vcpupin', uuid, '--live', timeout_s=timeout_s)
    vcpus = {
        int(vcpu): cpuset.parse(cpus) for vcpu, cpus in re.findall(_AFFINITY.format(r'(\d+)'), printed, re.MULTILINE)
    }
    printed = _virsh(uri, 'emulatorpin', uuid, '--live', timeout_s=timeout_s)
    return vcpus, cpuset.union(map(cpuset.parse, re.findall(_AFFINITY.format(r'\*:'), printed, re.MULTILINE)))


def is_persistent(uuid: str, uri: str, *, timeout_s: float = 60.0) -> bool:
    """Return whether a domain has a persistent definition.

    :raises: :class:`~numaplace.exception.LibvirtError`
    """
    return uuid in _virsh(uri, 'list', '--all', '--persistent', '--uuid', timeout_s=timeout_s).split()


def change(
    command: str, uuid: str, *words: str, uri: str, persistent: bool = False, text: str = '', timeout_s: float = 60.0
) -> None:
    """Change a domain while it runs.

    :param command: virsh command, such as ``setvcpu``; `words` are its arguments after the domain
    :param persistent: change the persistent definition too
    :param text: standard input of the command
    :raises: :class:`~numaplace.exception.LibvirtError`, :class:`~numaplace.exception.DomainChanged` if it does not
        answer in time or is interrupted, so that the result is not known
    """
    where = ('--live', '--config') if persistent else ('--live',)
    try:
        _virsh(uri, command, uuid, *words, *where, text=text, timeout_s=timeout_s)
    except exception.LibvirtError as error:
        if isinstance(error.__cause__, subprocess.TimeoutExpired):
            raise exception.DomainChanged(f'{error}; {_NOT_KNOWN}') from error
        raise
    except (KeyboardInterrupt, SystemExit) as error:
        # Not passed on as an interrupt, which would release the claim.
        raise exception.DomainChanged(f'virsh {command} at {uri}: interrupted; {_NOT_KNOWN}') from error


def _virsh(uri: str, *words: str, timeout_s: float, text: str = '', options: tuple[str, ...] = ()) -> str:
    """Run a command of virsh.

    :raises: :class:`~numaplace.exception.LibvirtError` with the error that virsh prints
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
    except subprocess.TimeoutExpired as error:
        raise exception.LibvirtError(f'virsh {words[0]} at {uri}: no answer within {timeout_s:g} s') from error
    except FileNotFoundError as error:
        raise exception.LibvirtError(
            f'virsh {words[0]} at {uri}: the program virsh is not installed (in Debian, libvirt-clients has it)'
        ) from error
    except (OSError, subprocess.SubprocessError) as error:
        raise exception.LibvirtError(f'virsh {words[0]} at {uri}: {explain.escape(str(error))}') from error
    if done.returncode:
        message = ' '.join(done.stderr.decode(errors='replace').split())
        message = message[max(message.find('error: '), 0) :]  # an embedded driver prints other lines first
        if done.returncode < 0:
            message = f'virsh was ended by {signal.Signals(-done.returncode).name}: {message}'
        raise exception.LibvirtError(
            f'virsh {words[0]} at {uri}: {explain.escape(message) or "failed without a message"}'
        )
    return done.stdout.decode(errors='replace')
