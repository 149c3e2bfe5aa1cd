# SPDX-License-Identifier: Apache-2.0
"""Identify by its contents which program's output a file holds."""

from __future__ import annotations

import enum
import re

from numaplace.libvirt import lscpu_forms, numactl

__all__ = ['SOURCES', 'Kind', 'kinds']

#: What a file may hold, for the errors.
SOURCES = 'the output of `virsh capabilities`, `virsh domcapabilities`, `lstopo --of xml`, `numactl -H` or `lscpu`'

#: The root element. Each part is atomic: a hostile file cannot cause backtracking.
_ROOT = re.compile(rb'(?>\s*(?><\?.*?\?>|<!--.*?-->|<!DOCTYPE[^>]*>))*+\s*<([A-Za-z][\w.:-]*)', re.DOTALL)
_BOM = b'\xef\xbb\xbf'


class Kind(enum.Enum):
    """A program that describes a host, by its command line."""

    CAPABILITIES = 'virsh capabilities'
    DOMCAPABILITIES = 'virsh domcapabilities'
    LSTOPO = 'lstopo --of xml'
    NUMACTL = 'numactl -H'
    LSCPU = 'lscpu'


_ROOTS = {
    b'capabilities': Kind.CAPABILITIES,
    b'domainCapabilities': Kind.DOMCAPABILITIES,
    b'topology': Kind.LSTOPO,
}


def kinds(content: bytes) -> frozenset[Kind]:
    """Return what a file holds: one kind, both ``numactl -H`` and ``lscpu``, or no known kind.

    The time is linear in the length of the content. The readers validate the content.
    """
    if root := _ROOT.match(content.removeprefix(_BOM)):
        kind = _ROOTS.get(root[1])
        return frozenset() if kind is None else frozenset({kind})
    text = content.decode('utf-8', 'replace')
    readers = {Kind.NUMACTL: numactl.is_output, Kind.LSCPU: lscpu_forms.is_output}
    return frozenset(kind for kind, is_output in readers.items() if is_output(text))
