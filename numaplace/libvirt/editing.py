# SPDX-License-Identifier: Apache-2.0
"""Edit a document and preserve the rest of it, including whitespace and comments."""

from __future__ import annotations

from numaplace.libvirt.xmltext import Element

__all__ = ['append', 'insert_after', 'remove']


def _indent_of(child: Element) -> str:
    """Return the line break and the spaces before an element."""
    previous = child.getprevious()
    parent = child.getparent()
    space = (parent.text if parent is not None else None) if previous is None else previous.tail
    return '\n' + (space or '').rpartition('\n')[2] if not (space or '').strip() else '\n'


def _shape(new: Element, indent: str) -> None:
    """Indent a new element for its depth."""
    if len(new):
        new.text = indent + '  '
        for child in new:
            _shape(child, indent + '  ')
            child.tail = indent + '  '
        new[-1].tail = indent


def insert_after(before: Element, new: Element) -> None:
    """Insert a new element after another one, on a line of its own."""
    indent = _indent_of(before)
    _shape(new, indent)
    new.tail, before.tail = before.tail, indent
    before.addnext(new)


def append(parent: Element, new: Element) -> None:
    """Add a new element at the end of another one."""
    if len(parent):
        insert_after(parent[-1], new)
        return
    indent = _indent_of(parent)
    _shape(new, indent + '  ')
    parent.text, new.tail = indent + '  ', indent
    parent.append(new)


def remove(old: Element) -> None:
    """Remove an element together with its line."""
    previous, parent = old.getprevious(), old.getparent()
    assert parent is not None  # noqa: S101 - not the root
    if previous is None:
        parent.text = old.tail
    else:
        previous.tail = old.tail
    parent.remove(old)
