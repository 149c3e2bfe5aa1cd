# SPDX-License-Identifier: Apache-2.0
"""Changes of a document that keep the rest of it as it was, spaces and comments included."""

from __future__ import annotations

from lxml import etree

__all__ = ['append', 'insert_after', 'remove']


def _indent_of(child: etree._Element) -> str:
    """Return the line break and the spaces before an element."""
    previous = child.getprevious()
    parent = child.getparent()
    space = (parent.text if parent is not None else None) if previous is None else previous.tail
    return '\n' + (space or '').rpartition('\n')[2] if not (space or '').strip() else '\n'


def _shape(new: etree._Element, indent: str) -> None:
    """Give a new element the spaces of its depth."""
    if len(new):
        new.text = indent + '  '
        for child in new:
            _shape(child, indent + '  ')
            child.tail = indent + '  '
        new[-1].tail = indent


def insert_after(before: etree._Element, new: etree._Element) -> None:
    """Insert a new element after another one, on a line of its own."""
    indent = _indent_of(before)
    _shape(new, indent)
    new.tail, before.tail = before.tail, indent
    before.addnext(new)


def append(parent: etree._Element, new: etree._Element) -> None:
    """Add a new element at the end of another one."""
    if len(parent):
        insert_after(parent[-1], new)
        return
    indent = _indent_of(parent)
    _shape(new, indent + '  ')
    parent.text, new.tail = indent + '  ', indent
    parent.append(new)


def remove(old: etree._Element) -> None:
    """Take an element out, with its line."""
    previous, parent = old.getprevious(), old.getparent()
    assert parent is not None  # noqa: S101 - it is no root
    if previous is None:
        parent.text = old.tail
    else:
        previous.tail = old.tail
    parent.remove(old)
