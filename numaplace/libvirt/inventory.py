# SPDX-License-Identifier: Apache-2.0
"""The domains that a libvirt has, all read by few calls of virsh, each of which takes a while to open a connection."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from numaplace import cpuset, exception
from numaplace.libvirt import connection, document, domain_reading
from numaplace.libvirt.domain_reading import Reading
from numaplace.libvirt.domain_threads import Affinities
from numaplace.model import Host

__all__ = ['SOURCE', 'Domain', 'Inventory', 'documents', 'parse', 'read']

SOURCE = 'the output of `virsh dumpxml`'

_VCPU = re.compile(r'^VCPU:\s+(\d+)$.*?^CPU Affinity:\s+([0-9,-]+)', re.MULTILINE | re.DOTALL)
_EMULATOR = re.compile(r'^(?:\s*\*:\s+)?([0-9,-]+)$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Domain:
    """A domain as its libvirt has it, and what it says.

    :param xml: its live XML if it is running
    """

    uuid: str
    xml: str
    reading: Reading


@dataclass(frozen=True, slots=True)
class Inventory:
    """The domains of a libvirt.

    :param domains: running or not, by name
    :param unread: why a domain cannot be read, by UUID
    """

    domains: tuple[Domain, ...]
    unread: dict[str, str]


def parse(xml: bytes, place: str) -> document.Document:
    """Parse a domain.

    :raises: :class:`~numaplace.exception.InvalidDomain` if it is not one
    """
    return document.parse(xml, place, 'domain', SOURCE, exception.InvalidDomain)


def read(uri: str, host: Host) -> Inventory:
    """Read all domains of a libvirt; one that is gone meanwhile is left out.

    Where numad chose the CPUs of a domain, its threads are asked for.

    :param host: its host, with the dedicated and the shared CPUs; usage does not matter
    :raises: :class:`~numaplace.exception.LibvirtError`
    """
    found = documents(uri)
    affinities = _affinities(uri, [uuid for uuid, xml in found.items() if "placement='auto'" in xml])
    domains, unread = [], {}
    for uuid, xml in found.items():
        try:
            reading = domain_reading.read(parse(xml.encode(), f'domain {uuid}'), host, affinities.get(uuid))
        except exception.InvalidDomain as error:
            unread[uuid] = str(error)
        else:
            domains.append(Domain(uuid, xml, reading))
    return Inventory(tuple(sorted(domains, key=lambda domain: domain.reading.holding.name)), unread)


def documents(uri: str) -> dict[str, str]:
    """Return the XML of all domains of a libvirt by UUID; one that is gone meanwhile is left out.

    :raises: :class:`~numaplace.exception.LibvirtError`
    """
    answers = connection.ask_each(uri, connection.domains(uri), 'dumpxml {name}')
    return {uuid: text for uuid, text in answers if '<domain' in text}


def _affinities(uri: str, uuids: Sequence[str]) -> dict[str, Affinities]:
    """Return where the threads of running domains may run, by UUID."""
    found = {}
    for uuid, text in connection.ask_each(uri, uuids, 'vcpuinfo --pretty {name}; emulatorpin {name}'):
        vcpus = {int(vcpu): cpuset.parse(cpus) for vcpu, cpus in _VCPU.findall(text)}
        emulator = _EMULATOR.search(text)
        if vcpus:
            found[uuid] = Affinities(vcpus, cpuset.parse(emulator[1]) if emulator else 0)
    return found
