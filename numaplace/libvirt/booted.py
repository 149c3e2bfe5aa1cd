# SPDX-License-Identifier: Apache-2.0
"""Read how a kernel was started, and how the boot configuration would start it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

from numaplace.fleet.kernel import Kernel
from numaplace.libvirt import kernel

__all__ = ['read']

#: The largest file of a boot loader that is read, in bytes.
_MAX_OCTETS = 1024**2

#: GRUB puts the values of these variables one after the other.
_VARIABLES = ('GRUB_CMDLINE_LINUX', 'GRUB_CMDLINE_LINUX_DEFAULT')
_ASSIGNED = re.compile(rf'^\s*({"|".join(_VARIABLES)})=(.*)$', re.MULTILINE)
_REFERENCE = re.compile(r'\$(?:\{(\w+)\}|(\w+))')
_OPTIONS = re.compile(r'^options\s+(.*)$', re.MULTILINE)
_LINUX = re.compile(r'^\s*linux(?:16|efi)?\s+\S+\s+(.*)$', re.MULTILINE)
_KERNELOPTS = re.compile(r'^(kernelopts)=(.*)$', re.MULTILINE)
_RESCUE = 'rescue'

_GRUB_CFG = ('boot/grub/grub.cfg', 'boot/grub2/grub.cfg')
_ENVIRONMENTS = ('boot/grub/grubenv', 'boot/grub2/grubenv')
_ENTRIES = ('boot/loader/entries', 'boot/efi/loader/entries')


def read(sys: str | Path = '/sys', proc: str | Path = '/proc', root: str | Path = '/') -> Kernel:
    """Return what the kernel of a machine says; what a copy of its files lacks counts as nothing.

    :param sys: where sysfs is mounted
    :param proc: where procfs is mounted
    :param root: directory with ``etc`` and ``boot``
    :raises: :class:`~numaplace.exception.UnreadableTopology` if a set of CPUs is malformed
    """
    directory = Path(sys, 'devices/system/cpu')
    return Kernel(
        isolated_cpus=_cpus(directory / 'isolated'),
        tickless_cpus=_cpus(directory / 'nohz_full'),
        command_line=_text(Path(proc, 'cmdline')).strip() or None,
        boot=tuple(_boot(Path(root))),
    )


def _cpus(path: Path) -> int:
    """Return the mask in a file; the kernel writes ``(null)`` into an empty one."""
    text = kernel.optional(path)
    return kernel.cpus(path) if text and text != '(null)' else 0


def _boot(root: Path) -> Iterator[tuple[str, str]]:
    """Yield the files that have parameters for the next start, each with these."""
    defaults = root / 'etc/default/grub'
    values: dict[str, str] = {}
    for path in (defaults, *_listed(root / 'etc/default/grub.d', '*.cfg')):
        for name, value in _ASSIGNED.findall(_text(path)):
            values[name] = _expanded(_unquoted(value), values)
    if values:
        yield str(defaults), ' '.join(filter(None, map(values.get, _VARIABLES)))
    for path in [root / name for name in _GRUB_CFG]:
        # The first entry is started unless somebody chooses another one.
        if match := _LINUX.search(_text(path)):
            yield str(path), match[1]
    environment = dict(pair for name in _ENVIRONMENTS for pair in _KERNELOPTS.findall(_text(root / name)))
    for directory in _ENTRIES:
        entries = [path for path in _listed(root / directory, '*.conf') if _RESCUE not in path.name]
        # The newest kernel is started.
        if entries and (match := _OPTIONS.search(_text(entries[-1]))):
            yield str(entries[-1]), _expanded(match[1], environment)


def _listed(directory: Path, pattern: str) -> list[Path]:
    try:
        return sorted(directory.glob(pattern), key=lambda path: _version(path.name))
    except OSError:
        return []


def _version(name: str) -> list[tuple[int, str]]:
    """Return a key that sorts numbers in names by their values."""
    return [(int(part[:15]), '') if part.isdigit() else (-1, part) for part in re.split(r'(\d+)', name)]


def _text(path: Path) -> str:
    """Return the content of a file; nothing if there is none, or if only root may read it."""
    try:
        with path.open('rb') as file:
            return file.read(_MAX_OCTETS).decode('utf-8', 'replace')
    except OSError:
        return ''


def _expanded(text: str, values: Mapping[str, str]) -> str:
    """Return a text with the variables that are known in place of their names."""
    return _REFERENCE.sub(lambda match: values.get(match[1] or match[2], match[0]), text)


def _unquoted(value: str) -> str:
    """Return what a shell makes of a value, without expanding it."""
    try:
        return ' '.join(shlex.split(value, comments=True))
    except ValueError:  # a quote that does not end
        return value
