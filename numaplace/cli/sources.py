# SPDX-License-Identifier: Apache-2.0
"""The places that a host can be read from, each with what is to be said of it beside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from numaplace import cpuset

if TYPE_CHECKING:
    from pathlib import Path

    from numaplace.libvirt.topology import HostFacts, Options
    from numaplace.model import Host

__all__ = [
    'Found',
    'capabilities_file',
    'lstopo_file',
    'numactl_files',
    'other_libvirt',
    'recorded_tree',
    'this_machine',
]


@dataclass(frozen=True, slots=True)
class Found:
    """A host as a source tells it.

    :param warnings: what the operator should know
    """

    host: Host
    facts: HostFacts
    warnings: tuple[str, ...] = ()


def this_machine(options: Options) -> Found:
    """Read this machine: from its libvirt if that answers, else from /sys."""
    from numaplace.libvirt import connection, sysfs

    xml = connection.capabilities()
    if xml is None:
        host, facts = sysfs.read(**options), sysfs.facts()
        return Found(host, facts, _limits(host, '/sys'))
    found = _capabilities(xml, "this machine's libvirt", options)
    return Found(found.host, found.facts, _limits(found.host, '/sys'))


def recorded_tree(directory: str, options: Options) -> Found:
    """Read the kernel's files of another machine."""
    from numaplace.libvirt import recorded

    host, facts = recorded.read(directory, **options), recorded.facts(directory)
    warnings = _limits(host, recorded.places(directory)[0])
    if not facts.arch:
        warnings += (f"{directory} does not tell the architecture: its pages are taken to be of this machine's size",)
    return Found(host, facts, warnings)


def other_libvirt(uri: str, options: Options) -> Found:
    """Read what a libvirt says of its machine."""
    from numaplace.libvirt import connection

    return _capabilities(connection.capabilities_at(uri), uri, options)


def capabilities_file(path: str, options: Options) -> Found:
    """Read the output of ``virsh capabilities``."""
    from numaplace.libvirt import capabilities

    return _capabilities(capabilities.load(path), path, options)


def lstopo_file(path: str, options: Options) -> Found:
    """Read the output of ``lstopo --of xml``."""
    from numaplace.libvirt import lstopo

    machine = lstopo.read(lstopo.load(path), place=path, **options)
    if not machine.hidden_cpus:
        return Found(machine.host, machine.facts)
    hidden = cpuset.text(machine.hidden_cpus)
    return Found(
        machine.host,
        machine.facts,
        (
            f'{path}: CPUs {hidden} are left out: offline, or kept from lstopo by a control group, in which case '
            '`lstopo --disallowed --of xml` shows them',
        ),
    )


def numactl_files(numactl_path: str, lscpu_path: str, options: Options) -> Found:
    """Read the outputs of ``numactl -H`` and ``lscpu``."""
    from numaplace.libvirt import files, lscpu, numactl

    cpus = lscpu.read(files.load(lscpu_path, lscpu.SOURCE), lscpu_path)
    content = files.load(numactl_path, numactl.SOURCE)
    return Found(numactl.read(content, cpus, place=numactl_path, beside=lscpu_path, **options), cpus.facts)


def _capabilities(xml: bytes, place: str, options: Options) -> Found:
    from numaplace.libvirt import capabilities

    return Found(capabilities.read(xml, place=place, **options), capabilities.facts(xml, place=place))


def _limits(host: Host, root: str | Path) -> tuple[str, ...]:
    from numaplace.libvirt import cgroups

    return tuple(map(str, cgroups.limits(host, root)))
