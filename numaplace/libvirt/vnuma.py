# SPDX-License-Identifier: Apache-2.0
"""Read domain XML in which one element, ``<vnuma>``, requests to divide the guest over its host.

The element is from the proposal for automatic vNUMA in libvirt; its schema is ``vnuma.rng`` in this directory.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from lxml import etree

from numaplace import architecture, cpuset, exception, units
from numaplace.libvirt import document
from numaplace.libvirt.document import Document, show
from numaplace.libvirt.xmltext import Element
from numaplace.model import Guest, Networks, Wish
from numaplace.model.vnuma import DISTRIBUTIONS, MODES, PIN_TO_CORE, PIN_TO_NODE
from numaplace.request import Machine, machines

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ['TAG', 'Domain', 'read']

TAG = 'vnuma'

_SOURCE = 'libvirt domain XML with a <vnuma> element'
_OCTETS_PER_MIB = 1024**2
#: libvirt supports no more.
_MAX_VCPUS = 65536
_MAX_CELLS = 1024

#: Elements that expansion writes, so they must not exist already.
_WRITTEN = ('vcpus', 'cputune/vcpupin', 'numatune', 'cpu/topology', 'cpu/numa')


@dataclass(frozen=True, slots=True)
class Domain:
    """A domain with ``<vnuma>``.

    :param vnuma: the element
    :param guest: what it requests: vCPUs, memory and the wish
    :param enabled_vcpus: number of vCPUs that are on when the guest starts
    """

    document: Document
    vnuma: Element
    guest: Guest
    enabled_vcpus: int

    @property
    def name(self) -> str:
        """Name of the domain; empty where it has none."""
        return (self.document.root.findtext('name') or '').strip()

    @property
    def uuid(self) -> str | None:
        """UUID of the domain, if it has one.

        :raises: :meth:`~numaplace.libvirt.document.Document.fault` if it is not a UUID
        """
        found = self.document.root.find('uuid')
        if found is None:
            return None
        try:
            return str(UUID((found.text or '').strip()))
        except ValueError:
            raise self.document.fault(found, f'{show(found.text or "")} is not a UUID') from None

    @property
    def networks(self) -> Networks | None:
        """The networks of its interfaces, or None."""
        sources = self.document.root.iterfind('devices/interface/source')
        names = frozenset(str(source.get('network')) for source in sources if source.get('network'))
        return Networks(names) if names else None

    def machine(self, host_arch: str) -> Machine:
        """Return the machine type of the domain, or the usual one of its architecture, where it has none.

        :param host_arch: what libvirt takes for a domain without an architecture; empty where it is not known
        """
        kind = self.document.root.find('os/type')
        arch, name = ('', '') if kind is None else (kind.get('arch', ''), kind.get('machine', ''))
        arch = architecture.canonical(arch or host_arch)
        return Machine(arch, name or machines.DEFAULTS.get(arch, ''))

    @contextmanager
    def locating(self) -> Iterator[None]:
        """Add the location in the document to faults of the partition."""
        try:
            yield
        except exception.InvalidPartition as error:
            element, attribute = self._place(error.part)
            raise self.document.fault(element, str(error), attribute) from None

    def _place(self, part: str) -> tuple[Element, str | None]:
        partition = self.vnuma.find('partition')
        memory = _find_memory(self.document, self.vnuma)
        places: dict[str, tuple[Element | None, str | None]] = {
            'mode': (self.vnuma, 'mode'),
            'distribution': (self.vnuma, 'distribution'),
            'nodes': (partition, 'nodeset'),
            'cells': (partition, 'cells'),
            'tier_mib': (memory, 'tier'),
            'memory_mib': (memory, None),
            'vcpus': (self.document.root.find('vcpu'), None),
        }
        element, attribute = places.get(part, (None, None))
        if element is None or (attribute is not None and element.get(attribute) is None):
            return (self.vnuma if element is None else element), None
        return element, attribute


def read(xml: bytes, *, place: str = 'domain') -> Domain:
    """Read a domain with ``<vnuma>``.

    :param place: where the document came from, for the errors
    :raises: :class:`~numaplace.exception.InvalidDomain` if it is not such a document, or anything in it that expansion
        reads or writes is invalid
    """
    source = document.parse(xml, place, 'domain', _SOURCE, exception.InvalidDomain)
    vnuma = _only(source, source.root, TAG)
    if vnuma is None:
        raise source.fault(source.root, f'there is no <vnuma>: expected {_SOURCE}')
    _check_names(source, vnuma)
    for path in _WRITTEN:
        found = source.root.find(path)
        if found is not None:
            raise source.fault(found, 'is combined with <vnuma>, which stands for it: expected one of the two')
    vcpu = _only(source, source.root, 'vcpu')
    if vcpu is None:
        raise source.fault(source.root, 'there is no <vcpu>: expected the number of vCPUs')
    vcpus = _positive(source, vcpu, None, 'number of vCPUs', _MAX_VCPUS)
    enabled = vcpus
    if vcpu.get('current') is not None:
        enabled = _positive(source, vcpu, 'current', 'number of vCPUs that are on', vcpus)
    memory_mib, tier_mib = _read_memory(source, vnuma)
    return Domain(
        source,
        vnuma,
        Guest(vcpus, memory_mib, locked_memory=True, wish=_read_wish(source, vnuma, tier_mib, _read_pages(source))),
        enabled,
    )


def _only(source: Document, parent: Element, tag: str) -> Element | None:
    found = parent.findall(tag)
    if len(found) > 1:
        raise source.fault(found[1], f'a second <{tag}>: expected one')
    return found[0] if found else None


#: Attributes of the elements of <vnuma>, by element.
_ATTRIBUTES = {
    TAG: ('mode', 'distribution', 'remainder', 'pinning', 'keep'),
    'memory': ('unit', 'tier'),
    'partition': ('nodeset', 'cells'),
}


def _check_names(source: Document, vnuma: Element) -> None:
    for element in vnuma.iter(etree.Element):
        tag = str(element.tag)
        if element is not vnuma and (element.getparent() is not vnuma or tag not in _ATTRIBUTES or tag == TAG):
            raise source.fault(element, f'{show(tag)} is not known here: expected <memory> or <partition>')
        for name in element.attrib:
            if name not in _ATTRIBUTES[tag]:
                raise source.fault(
                    element, f'attribute {show(str(name))} is not known: expected {", ".join(_ATTRIBUTES[tag])}'
                )


def _find_memory(source: Document, vnuma: Element) -> Element | None:
    inside = vnuma.find('memory')
    return source.root.find('memory') if inside is None else inside


def _read_memory(source: Document, vnuma: Element) -> tuple[int, int]:
    """Return the memory of the guest, and how much of it comes from host cells without CPUs, in MiB."""
    outside, inside = _only(source, source.root, 'memory'), _only(source, vnuma, 'memory')
    memory = outside if inside is None else inside
    if memory is None:
        raise source.fault(vnuma, 'there is no <memory>, neither here nor in <domain>: expected one')
    size_mib = _mebibytes(source, memory, None, 'memory size')
    if inside is not None and outside is not None:
        whole_mib = _mebibytes(source, outside, None, 'memory size')
        if whole_mib != size_mib:
            raise source.fault(inside, f'{size_mib} MiB, but the <memory> of <domain> is {whole_mib} MiB')
    tier_mib = 0
    if inside is not None and inside.get('tier') is not None:
        tier_mib = _mebibytes(source, inside, 'tier', 'memory size')
    return size_mib, tier_mib


def _mebibytes(source: Document, element: Element, attribute: str | None, what: str) -> int:
    octets = source.octets(element, attribute, what)
    if not octets or octets % _OCTETS_PER_MIB:
        raise source.fault(element, f'{octets} bytes: expected a positive number of whole MiB', attribute)
    return octets // _OCTETS_PER_MIB


def _positive(source: Document, element: Element, attribute: str | None, what: str, maximum: int) -> int:
    return source.whole(element, attribute, what, maximum, minimum=1)


def _read_pages(source: Document) -> int | None:
    """Return the size in KiB of the pages behind all cells, or None where it is left to libvirt."""
    pages = source.root.findall('memoryBacking/hugepages/page')
    if not pages:
        return None
    page = pages[-1]
    if len(pages) > 1 or page.get('nodeset') is not None:
        raise source.fault(page, 'pages of some cells: expected one <page> without nodeset, for which cells there are')
    octets = source.octets(page, 'size', 'page size')
    if octets % 1024 or not units.is_page_size(octets // 1024):
        raise source.fault(page, f'{octets} bytes: expected a whole number of KiB, {units.PAGE_SIZE}', 'size')
    return octets // 1024


def _read_wish(source: Document, vnuma: Element, tier_mib: int, pagesize_kib: int | None) -> Wish:
    partition = _only(source, vnuma, 'partition')
    values: dict[str, Any] = {
        'mode': _word(source, vnuma, 'mode', MODES, required=True),
        'distribution': _word(source, vnuma, 'distribution', DISTRIBUTIONS),
        'pinning': _word(source, vnuma, 'pinning', (PIN_TO_NODE, PIN_TO_CORE)),
    }
    if vnuma.get('keep') is not None:
        values['keep'] = source.whole(vnuma, 'keep', 'number of cores', _MAX_VCPUS)
    remainder = _word(source, vnuma, 'remainder', ('refuse', 'first'))
    if partition is not None and partition.get('nodeset') is not None:
        values['nodes'] = _nodeset(source, partition)
    if partition is not None and partition.get('cells') is not None:
        values['cells'] = _positive(source, partition, 'cells', 'number of guest cells', _MAX_CELLS)
    given = {name: value for name, value in values.items() if value is not None}
    return Wish(**given, remainder_first=remainder == 'first', tier_mib=tier_mib, pagesize_kib=pagesize_kib)


def _word(
    source: Document, element: Element, attribute: str, words: tuple[str, ...], *, required: bool = False
) -> str | None:
    value = element.get(attribute)
    if value in words or (value is None and not required):
        return value
    expected = f'expected {", ".join(words[:-1])} or {words[-1]}'
    if value is None:
        raise source.fault(element, f'the attribute {attribute} is missing: {expected}')
    raise source.fault(element, f'{show(value)}: {expected}', attribute)


def _nodeset(source: Document, partition: Element) -> int:
    try:
        return cpuset.parse(str(partition.get('nodeset')))
    except exception.Invalid as error:
        raise source.fault(partition, str(error).replace('CPU', 'node'), 'nodeset') from None
