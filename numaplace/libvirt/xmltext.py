# SPDX-License-Identifier: Apache-2.0
"""Write XML as libvirt prints it, with untrusted names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TypeAlias

from lxml import etree

__all__ = ['Element', 'clean', 'element', 'write']

#: The class of the elements of lxml, which has no public name for it.
Element: TypeAlias = etree._Element

_IMPOSSIBLE = re.compile('[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]')

#: Written as references: markup, what XML would normalise away, and what a terminal would interpret or hide
#: (C1 controls, bidirectional and invisible formatting).
_ESCAPED = re.compile(
    "[&<>'\t\n\r\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_NAMED = {'&': '&amp;', '<': '&lt;', '>': '&gt;', "'": '&apos;'}


def clean(text: str) -> str:
    """Return text on one line, with U+FFFD in place of characters that XML 1.0 cannot hold."""
    return _IMPOSSIBLE.sub('\ufffd', text.replace('\n', ' ').replace('\r', ' ').replace('\t', ' '))


def element(
    tag: str, attributes: dict[str, str] | None = None, *children: Element | None, text: str | None = None
) -> Element:
    """Return an element of cleaned text; attributes keep their order, and children that are None are left out."""
    made = etree.Element(tag, {name: clean(value) for name, value in (attributes or {}).items()})
    made.text = None if text is None else clean(text)
    made.extend([child for child in children if child is not None])
    return made


def write(root: Element) -> str:
    """Return the document of an element as ``virsh dumpxml`` prints it: two spaces per level, single quotes.

    Elements hold children or text, not both, as everywhere in libvirt's formats.
    """
    return ''.join(f'{line}\n' for line in _lines(root, ''))


def _lines(node: Element, indent: str) -> Iterator[str]:
    tag = str(node.tag) if node.prefix is None else f'{node.prefix}:{etree.QName(node).localname}'
    parent = node.getparent()
    known = () if parent is None else parent.nsmap
    spaces = [(f'xmlns:{prefix}', space) for prefix, space in node.nsmap.items() if prefix not in known]
    start = tag + ''.join(f" {name!s}='{_escape(str(value))}'" for name, value in [*node.attrib.items(), *spaces])
    if len(node):
        yield f'{indent}<{start}>'
        for child in node:
            yield from _lines(child, indent + '  ')
        yield f'{indent}</{tag}>'
    elif node.text:
        yield f'{indent}<{start}>{_escape(node.text)}</{tag}>'
    else:
        yield f'{indent}<{start}/>'


def _escape(text: str) -> str:
    return _ESCAPED.sub(lambda match: _NAMED.get(match[0], f'&#x{ord(match[0]):x};'), text)
