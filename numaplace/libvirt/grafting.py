# SPDX-License-Identifier: Apache-2.0
"""Put what numaplace decides into a domain that is there, and preserve the rest of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lxml import etree

from numaplace import exception
from numaplace.libvirt import document
from numaplace.libvirt.xmltext import Element, element

__all__ = ['SOURCE', 'graft', 'move']

#: What such a file holds, for the errors.
SOURCE = 'the output of `virsh dumpxml`'

#: What is replaced, each after one of those that libvirt prints before it.
_REPLACED = ('maxMemory', 'memory', 'currentMemory', 'vcpu', 'vcpus', 'numatune')
#: What of an element is replaced; its other children stay.
_CHILDREN = {
    'memoryBacking': ('hugepages', 'nosharepages', 'locked', 'access'),
    'cputune': ('shares', 'period', 'quota', 'vcpupin', 'emulatorpin', 'iothreadpin', 'vcpusched'),
    'cpu': ('topology', 'numa'),
}
_PINS = ('vcpupin', 'emulatorpin', 'iothreadpin')
_ORDER = (
    'name', 'uuid', 'genid', 'title', 'description', 'metadata', 'maxMemory', 'memory', 'currentMemory', 'blkiotune',
    'memtune', 'memoryBacking', 'vcpu', 'vcpus', 'iothreads', 'iothreadids', 'defaultiothread', 'cputune', 'numatune',
    'resource', 'sysinfo', 'bootloader', 'bootloader_args', 'os', 'features', 'cpu',
)  # fmt: skip


def move(found: bytes, written: str, *, place: str) -> str:
    """Return a running domain with the pins and nodes that its server has at another host.

    All that the guest sees stays, for libvirt refuses a migration that changes it: sizes, pages and cells too, of which
    a server may have one where its domain has none.

    :param found: what ``virsh dumpxml --migratable`` prints at the source
    :param written: the XML that numaplace writes for the destination
    :param place: where `found` came from, for the errors
    :raises: :class:`~numaplace.exception.InvalidDomain` if that is not a domain, or that of another server
    """
    root, ours = _roots(found, written, place)
    theirs, uuid = root.findtext('uuid') or '', ours.findtext('uuid')
    if theirs != uuid:
        raise exception.InvalidDomain(f'{place}: UUID {document.show(theirs)}: expected {uuid}, that of the server')
    with_cells = root.find('numatune/memnode') is not None
    _replace(root, ours, 'numatune')
    tune = root.find('numatune')
    if tune is not None and not with_cells:
        _remove(tune, 'memnode')
    _merge(root, ours.find('cputune'), 'cputune', _PINS)
    _pin_iothreads(root)
    for vcpu, ours_too in zip(root.iterfind('vcpu'), ours.iterfind('vcpu'), strict=False):
        vcpu.attrib.pop('cpuset', '')
        if cpus := ours_too.get('cpuset'):
            vcpu.set('cpuset', cpus)
    for source in root.iterfind('devices/memory/source'):
        _remove(source, 'nodemask')  # it follows its cell then
    return _text(root)


def graft(found: bytes, written: str, *, place: str) -> str:
    """Return a domain with the sizes, pins, nodes, pages and cells that its server has.

    :param found: the definition in libvirt, of which devices, metadata and all else are kept
    :param written: the XML that numaplace writes
    :param place: where `found` came from, for the errors
    :raises: :class:`~numaplace.exception.InvalidDomain` if that is not a domain
    """
    root, ours = _roots(found, written, place)
    for tag in _REPLACED:
        _replace(root, ours, tag)
    for tag, children in _CHILDREN.items():
        _merge(root, ours.find(tag), tag, children)
    _pin_iothreads(root)
    _replace_modules(root, ours)
    return _text(root)


def _roots(found: bytes, written: str, place: str) -> Iterator[Element]:
    for xml, where in ((found, place), (written.encode(), 'numaplace')):
        yield document.parse(xml, where, 'domain', SOURCE, exception.InvalidDomain).root


def _text(root: Element) -> str:
    return f'{etree.tostring(root, encoding="unicode")}\n'


def _remove(parent: Element, tag: str) -> None:
    for old in parent.findall(tag):
        parent.remove(old)


def _replace(root: Element, ours: Element, tag: str) -> None:
    _remove(root, tag)
    if (new := ours.find(tag)) is not None:
        _insert(root, new)


def _insert(root: Element, new: Element) -> None:
    """Insert an element where libvirt prints it."""
    before = set(_ORDER[: _ORDER.index(str(new.tag))])
    places = [number for number, child in enumerate(root) if child.tag in before]
    root.insert(places[-1] + 1 if places else 0, new)


def _merge(root: Element, ours: Element | None, tag: str, children: Sequence[str]) -> None:
    whole = root.find(tag)
    if whole is None:
        if ours is None:
            return
        whole = element(tag)
        _insert(root, whole)
    for name in children:
        _remove(whole, name)
    whole.extend([] if ours is None else [child for child in ours if child.tag in children])
    if not len(whole) and not whole.attrib:
        root.remove(whole)


def _threads(root: Element) -> Iterator[str]:
    """Yield the numbers of the I/O threads."""
    number = root.findtext('iothreads')
    named = [one.get('id', '') for one in root.iterfind('iothreadids/iothread')]
    yield from named or map(str, range(1, int(number or 0) + 1))


def _pin_iothreads(root: Element) -> None:
    """Pin each I/O thread that the domain has as ours is, which it need not have."""
    tune = root.find('cputune')
    ours = None if tune is None else tune.find('iothreadpin')
    if tune is None or ours is None:
        return
    for thread in _threads(root):
        ours.addprevious(element('iothreadpin', {'iothread': thread, 'cpuset': ours.get('cpuset', '')}))
    tune.remove(ours)


def _replace_modules(root: Element, ours: Element) -> None:
    devices = root.find('devices')
    if devices is None:
        return
    _remove(devices, 'memory')
    devices.extend(ours.findall('devices/memory'))
