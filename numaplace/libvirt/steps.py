# SPDX-License-Identifier: Apache-2.0
"""How a running domain becomes another form of itself: which vCPUs go off or on, and where its threads run then."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

from numaplace import cpuset, exception
from numaplace.libvirt import checking, document

__all__ = ['Step', 'steps']

#: A command of virsh, and what follows the domain.
Words: TypeAlias = tuple[str, ...]


class Step(NamedTuple):
    """One change of a domain, and what takes it back; that is empty where it does no harm."""

    do: Words
    undo: Words = ()


def steps(before: str, after: str) -> list[Step]:
    """Return what makes one form of a domain of another, in the order in which no thread runs where it may not.

    :param before: XML as numaplace writes it
    :param after: likewise
    """
    old, new = (
        document.parse(xml.encode(), 'numaplace', 'domain', '', exception.InvalidDomain) for xml in (before, after)
    )
    was_on, is_on = checking.enabled(old), checking.enabled(new)
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
    """Yield what moves the threads that go where the vCPUs are."""
    for command, more in (('emulatorpin', ()), ('iothreadpin', ('1',))):
        before, after = (one.root.find(f'cputune/{command}') for one in (old, new))
        if before is not None and after is not None and before.get('cpuset') != after.get('cpuset'):
            yield Step((command, *more, after.get('cpuset') or ''), (command, *more, before.get('cpuset') or ''))
