# SPDX-License-Identifier: Apache-2.0
"""A domain with ``<vnuma>`` to the full domain: everything else in it stays as it was, comments included."""

from __future__ import annotations

from collections.abc import Sequence

from lxml import etree

from numaplace.libvirt import cputune, editing, expander, hotplug, numa, soundness
from numaplace.libvirt.vnuma import Domain
from numaplace.libvirt.xmltext import element
from numaplace.model import CpuTopology, Host, Placement
from numaplace.partition import enabled
from numaplace.units import KIB_PER_MIB

__all__ = ['expand']


def expand(domain: Domain, placement: Placement, host: Host, *, uuid: str | None = None) -> str:
    """Write what ``<vnuma>`` stands for in its place.

    :param domain: it is changed, and of no use afterwards
    :param placement: the guest of `domain` on `host`
    :param uuid: what the domain is to be called by where it has no UUID, or None to leave that to libvirt
    :returns: the document as text
    :raises: :class:`~numaplace.exception.InvalidDomain` for a device that cannot be put on its guest cell, and for what
        the domain asks of the host and that does not have
    """
    root = domain.document.root
    if uuid is not None and root.find('uuid') is None:
        editing.insert_after(root[0], element('uuid', text=uuid))
    if root.find('memory') is None:
        memory = element('memory', {'unit': 'KiB'}, text=str(placement.guest.memory_mib * KIB_PER_MIB))
        editing.insert_after(domain.vnuma, memory)
    _lock_memory(root)
    vcpu = root.find('vcpu')
    assert vcpu is not None  # noqa: S101 - the reader has seen it
    editing.insert_after(vcpu, _vcpus(placement, domain.enabled_vcpus))
    tuned = _merge(root, _find(root, 'vcpus'), 'cputune', cputune.vcpupins(placement, host))
    editing.insert_after(tuned, element('numatune', None, *numa.memnodes(placement)))
    if root.find('cpu') is None:
        mode = {'mode': 'host-passthrough'} if root.get('type') == 'kvm' else None
        editing.insert_after(_find(root, 'numatune'), element('cpu', mode))
    for child in (_topology(placement), numa.cells(placement, host)):
        editing.append(_find(root, 'cpu'), child)
    expander.connect(domain.document, placement)
    editing.remove(domain.vnuma)
    soundness.check(domain.document, host)
    return ''.join(f'{etree.tostring(node, encoding="unicode", with_tail=False)}\n' for node in _with_siblings(root))


def _with_siblings(root: etree._Element) -> list[etree._Element]:
    """Return the root with the comments before and after it."""
    return [*reversed(list(root.itersiblings(preceding=True))), root, *root.itersiblings()]


def _find(root: etree._Element, tag: str) -> etree._Element:
    found = root.find(tag)
    assert found is not None  # noqa: S101 - written before
    return found


def _lock_memory(root: etree._Element) -> None:
    backing = _merge(root, _find(root, 'memory'), 'memoryBacking', [])
    if backing.find('locked') is None:
        editing.append(backing, element('locked'))


def _vcpus(placement: Placement, number: int) -> etree._Element:
    """Return which vCPUs are on."""
    on = enabled([cell.guest_cell.vcpus for cell in placement.cells if cell.guest_cell.vcpus], number)
    return hotplug.vcpus(placement.guest.vcpus, ~on)


def _topology(placement: Placement) -> etree._Element:
    return numa.topology(placement.guest.cpu_topology or CpuTopology(sockets=placement.guest.vcpus))


def _merge(
    root: etree._Element, before: etree._Element, tag: str, children: Sequence[etree._Element]
) -> etree._Element:
    """Add children to the element of that tag, which is made after `before` if it is missing."""
    found = root.find(tag)
    if found is None:
        found = element(tag, None, *children)
        editing.insert_after(before, found)
    else:
        for child in children:
            editing.append(found, child)
    return found
