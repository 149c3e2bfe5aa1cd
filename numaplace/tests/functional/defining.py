# SPDX-License-Identifier: Apache-2.0
"""Many domains in one libvirt by few calls of virsh, each of which takes a while to find its libvirt."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from numaplace.libvirt import checking

__all__ = ['differences', 'printed']

#: What stands between the answers.
_NEXT = '=== next'
#: So many domains fit on a command line.
_AT_ONCE = 400


def differences(virsh: Callable[[str], str], documents: Sequence[tuple[str, str, str]], directory: Path) -> list[str]:
    """Define domains, checked against libvirt's schema, and return what it prints of them otherwise.

    :param virsh: runs commands of virsh, and returns what they print
    :param documents: name, UUID and XML of each domain; none stays defined
    """
    found = []
    for first in range(0, len(documents), _AT_ONCE):
        some = documents[first : first + _AT_ONCE]
        for (name, _, xml), text in zip(some, printed(virsh, some, directory), strict=True):
            if '<domain' not in text:
                found.append(f'{name}: is not defined')
                continue
            found += [f'{name}: {each}' for each in checking.compare(xml, text, place=name)]
    return found


def printed(virsh: Callable[[str], str], documents: Sequence[tuple[str, str, str]], directory: Path) -> Iterator[str]:
    """Define domains, and yield what virsh prints of each; parameters are as for :func:`differences`."""
    lines = []
    for number, (_, uuid, xml) in enumerate(documents):
        path = directory / f'{number}.xml'
        path.write_text(xml, 'utf-8')
        lines.append(f'define {path} --validate; echo {_NEXT}; dumpxml {uuid}; undefine {uuid}; echo {_NEXT}')
    for text in virsh('; '.join(lines)).split(_NEXT)[1::2]:
        yield text.strip()
