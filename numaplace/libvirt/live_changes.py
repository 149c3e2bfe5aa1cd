# SPDX-License-Identifier: Apache-2.0
"""The changes that bring a running domain to its new form: vCPUs switched off or on, and threads pinned."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

from numaplace import cpuset, exception
from numaplace.libvirt import document, domain_parts

__all__ = ['Step', 'steps']

#: A virsh command, and its arguments after the domain.
Words: TypeAlias = tuple[str, ...]


class Step(NamedTuple):
    """A change of a domain, and what undoes it; that is empty if the change is harmless."""

    do: Words
    undo: Words = ()


def steps(before: str, after: str) -> list[Step]:
    """Return the steps from one form of a domain to another, ordered so that no thread runs where it must not.

    :param before: XML as numaplace writes it
    :param after: likewise
    """
    old, new = (
        document.parse(xml.encode(), 'numaplace', 'domain', '', exception.InvalidDomain) for xml in (before, after)
    )
    was_on, is_on = domain_parts.enabled(old), domain_parts.enabled(new)
    pins = {pin.get('vcpu'): pin.get('cpuset') or '' for pin in new.root.iterfind('cputune/vcpupin')}
    found = []
    for vcpu in map(str, reversed(list(cpuset.ids(was_on & ~is_on)))):
        found.append(Step(('setvcpu', vcpu, '--disable'), ('setvcpu', vcpu, '--enable')))
    for vcpu in map(str, cpuset.ids(is_on & ~was_on)):
        if vcpu in pins:  # while it is off, so that it never runs elsewhere
            found.append(Step(('vcpupin', vcpu, pins[vcpu])))
        found.append(Step(('setvcpu', vcpu, '--enable'), ('setvcpu', vcpu, '--disable')))
    return [*found, *_threads(old, new)]


def _threads(old: document.Document, new: document.Document) -> Iterator[Step]:
    """Yield the steps that move the emulator and the I/O thread with the vCPUs."""
    for command, more in (('emulatorpin', ()), ('iothreadpin', ('1',))):
        before, after = (one.root.find(f'cputune/{command}') for one in (old, new))
        if before is not None and after is not None and before.get('cpuset') != after.get('cpuset'):
            yield Step((command, *more, after.get('cpuset') or ''), (command, *more, before.get('cpuset') or ''))
