# SPDX-License-Identifier: Apache-2.0
"""Parse untrusted XML without entities, DTD and network, and report where faults are."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lxml import etree

from numaplace import cpuset, exception, units
from numaplace.libvirt.xmltext import Element

__all__ = ['MOST_OCTETS', 'Document', 'parse', 'show']

_WHOLE = re.compile('[0-9]{1,18}')

#: The largest size in bytes.
MOST_OCTETS = units.MOST_MIB * 1024**2

#: libvirt's units of sizes in bytes; it compares them without regard to case.
_OCTETS = {
    'b': 1, 'byte': 1, 'bytes': 1,
    'k': 1024, 'kib': 1024, 'kb': 1000,
    'm': 1024**2, 'mib': 1024**2, 'mb': 1000**2,
    'g': 1024**3, 'gib': 1024**3, 'gb': 1000**3,
    't': 1024**4, 'tib': 1024**4, 'tb': 1000**4,
    'p': 1024**5, 'pib': 1024**5, 'pb': 1000**5,
}  # fmt: skip


def show(text: str) -> str:
    """Format a value of a document for an error: quoted, escaped and truncated."""
    return repr(text if len(text) <= 60 else f'{text[:57]}...')


@dataclass(frozen=True, slots=True)
class Document:
    """An XML document and where it came from.

    :param place: name of the file or of the program that the document came from
    :param kind: exception class of the faults in it
    """

    place: str
    root: Element
    kind: type[exception.Invalid] = exception.InvalidCapabilities

    def fault(self, element: Element, text: str, attribute: str | None = None) -> exception.Invalid:
        """Return the exception for a fault at an element or at one of its attributes."""
        path = element.getroottree().getpath(element)
        if attribute is not None:
            path += f'/@{attribute}'
        line = '' if element.sourceline is None else f'line {element.sourceline}, '  # none if it was not parsed
        return self.kind(f'{self.place}: {line}{path}: {text}')

    def whole(
        self, element: Element, attribute: str | None, what: str, maximum: int | None = None, minimum: int = 0
    ) -> int:
        """Return a whole number from an attribute, or from the text where `attribute` is None.

        :param what: the noun for the error, such as ``CPU number``
        :raises: :meth:`fault` if it is missing, not a number, below `minimum` or above `maximum`
        """
        value = element.text if attribute is None else element.get(attribute)
        expected = f'expected a whole number{"" if maximum is None else f" from {minimum} to {maximum}"}'
        if value is None:
            raise self.fault(element, f'the {what} is missing: {expected}', attribute)
        number = int(value) if _WHOLE.fullmatch(value := value.strip()) else None
        if number is None or number < minimum or (maximum is not None and number > maximum):
            raise self.fault(element, f'{show(value)} is not a {what}: {expected}', attribute)
        return number

    def cpus(self, element: Element, attribute: str | None) -> int:
        """Return the mask of a CPU list such as ``0-3,8`` from an attribute, or from the text where that is None.

        A missing value is an empty list.

        :raises: :meth:`fault` if it is not such a list
        """
        try:
            return cpuset.parse((element.text if attribute is None else element.get(attribute)) or '')
        except exception.Invalid as error:
            raise self.fault(element, str(error), attribute) from error

    def octets(self, element: Element, attribute: str | None, what: str) -> int:
        """Return a size in bytes; the element's ``unit`` is KiB by default.

        :raises: :meth:`fault` if it is not a number, or the unit is unknown
        """
        unit = element.get('unit', 'KiB')
        if unit.lower() not in _OCTETS:
            raise self.fault(
                element,
                f'{show(unit)} is not a unit: expected b, KiB, MiB, GiB, TiB, PiB, KB, MB, GB, TB or PB',
                'unit',
            )
        factor = _OCTETS[unit.lower()]
        return self.whole(element, attribute, what, MOST_OCTETS // factor) * factor


def parse(
    xml: bytes,
    place: str,
    root: str,
    source: str,
    kind: type[exception.Invalid] = exception.InvalidCapabilities,
) -> Document:
    """Parse a document that has no DTD.

    :param root: name that the root element must have
    :param source: what prints such a document, for the errors
    :param kind: exception class of the faults
    :raises: `kind` if it is not well-formed, has a DTD or another root
    """
    parser = etree.XMLParser(resolve_entities=False, load_dtd=False, no_network=True, huge_tree=False)
    try:
        element = etree.fromstring(xml, parser)
    except (etree.XMLSyntaxError, LookupError) as error:
        reason = ' '.join((getattr(error, 'msg', None) or str(error)).split())
        raise kind(f'{place}: no XML: {reason[:200]}; expected {source}') from error
    if element.getroottree().docinfo.internalDTD is not None:
        raise kind(f'{place}: the document has a DTD (<!DOCTYPE>), which is refused; expected {source}')
    if element.tag != root:
        raise kind(
            f'{place}: line {element.sourceline}: the root is {show(str(element.tag))}: expected <{root}>, {source}'
        )
    return Document(place, element, kind)
