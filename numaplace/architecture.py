# SPDX-License-Identifier: Apache-2.0
"""CPU architectures: libvirt's names, other names for them, and which can run the code of which."""

from __future__ import annotations

from numaplace import exception

__all__ = ['KNOWN', 'canonical', 'check', 'is_native', 'is_ppc64', 'is_x86']

#: Architectures that domains can be written for, by libvirt's names.
KNOWN = ('aarch64', 'armv7l', 'i686', 'ppc64', 'ppc64le', 'riscv64', 's390x', 'x86_64')

#: Names that images, kernels, distributions and hwloc use for them.
_ALIASES = {
    'amd64': 'x86_64',
    'arm64': 'aarch64',
    'armhf': 'armv7l',
    'armv8l': 'armv7l',
    'i386': 'i686',
    'i486': 'i686',
    'i586': 'i686',
    'ppc64el': 'ppc64le',
    'x64': 'x86_64',
    'x86-64': 'x86_64',
    'x86_32': 'i686',
}

#: What the CPUs of an architecture run besides its own code (libvirt, `virQEMUCapsGuestIsNative`).
_ALSO_RUNS = {
    'aarch64': ('armv7l',),
    'ppc64': ('ppc64le',),
    'ppc64le': ('ppc64',),
    'x86_64': ('i686',),
}


def canonical(name: str) -> str:
    """Return libvirt's name of an architecture; a name that is not known is returned in lower case."""
    name = name.strip().lower()
    return _ALIASES.get(name, name)


def check(name: str, place: str) -> str:
    """Return libvirt's name of an architecture that domains can be written for.

    :param place: what names it, for the error
    :raises: :class:`~numaplace.exception.Invalid` for any other
    """
    found = canonical(name)
    if found not in KNOWN:
        raise exception.Invalid(f'{place} {name!r}: expected an architecture, one of {", ".join(KNOWN)}')
    return found


def is_native(host: str, guest: str) -> bool:
    """Return whether the CPUs of a host run the code of a guest, so that QEMU need not emulate them.

    :param host: libvirt's name; `guest` likewise
    """
    return guest == host or guest in _ALSO_RUNS.get(host, ())


def is_x86(name: str) -> bool:
    """Return whether an architecture is 32-bit or 64-bit x86."""
    return name in ('i686', 'x86_64')


def is_ppc64(name: str) -> bool:
    """Return whether an architecture is 64-bit POWER, in either byte order."""
    return name in ('ppc64', 'ppc64le')
