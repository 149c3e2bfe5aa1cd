# SPDX-License-Identifier: Apache-2.0
"""Whether the kernel of a host keeps for guests what the configuration promises them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from numaplace import cpuset, exception, units
from numaplace.fleet.findings import Finding
from numaplace.model import Host

__all__ = ['Kernel', 'check']

#: Parameters that decide which CPUs the kernel leaves alone, and those that reserve huge pages; the order of the latter
#: matters: a size applies to the numbers after it.
_ISOLATION = ('isolcpus', 'nohz_full')
_PAGES = ('default_hugepagesz', 'hugepagesz', 'hugepages')


@dataclass(frozen=True, slots=True)
class Kernel:
    """What a running kernel says, and how it is to be started.

    :param isolated_cpus: mask of the CPUs that its scheduler does not balance
    :param tickless_cpus: mask of the CPUs without a timer tick (``nohz_full``)
    :param command_line: the parameters that it was started with; None where they are not known
    :param boot: files of the boot configuration, each with the parameters that it has
    """

    isolated_cpus: int = 0
    tickless_cpus: int = 0
    command_line: str | None = None
    boot: tuple[tuple[str, str], ...] = ()


def check(name: str, host: Host, kernel: Kernel) -> Iterator[Finding]:
    """Compare a host, as the configuration divides it, with its kernel.

    :param name: of the host
    """
    yield from _check_isolation(name, host, kernel)
    yield from _check_boot(name, kernel)
    yield from _check_pages(name, host, kernel)
    yield from _check_emulator(name, host)


def _check_isolation(name: str, host: Host, kernel: Kernel) -> Iterator[Finding]:
    # Without sets every CPU is both, and isolation promises nothing.
    dedicated = host.dedicated_cpus & ~host.shared_cpus
    for subject, cpus in (('isolated', kernel.isolated_cpus), ('nohz_full', kernel.tickless_cpus)):
        if dedicated & cpus and (left := dedicated & ~cpus):
            yield Finding(
                'kernel.unisolated', name, None, None, cpuset.text(left), cpuset.text(dedicated & cpus), subject
            )
    unused = kernel.isolated_cpus & host.online_cpus & ~(host.shared_cpus | host.dedicated_cpus)
    if unused:
        yield Finding('kernel.unused', name, found=cpuset.text(unused))


def _check_boot(name: str, kernel: Kernel) -> Iterator[Finding]:
    """Find each parameter of the boot configuration that the running kernel was started without."""
    if kernel.command_line is None:
        return
    running = _words(kernel.command_line)
    told: set[str] = set()
    for path, line in kernel.boot:
        wanted = _words(line)
        for keys in (*((key,) for key in _ISOLATION), _PAGES):
            missing = _of(wanted, keys)
            if missing and _meaning(missing) != _meaning(_of(running, keys)) and keys[-1] not in told:
                told.add(keys[-1])
                found = ' '.join(_of(running, keys)) or f'no {keys[-1]}'
                yield Finding('kernel.boot', name, None, None, found, ' '.join(missing), path)


def _check_pages(name: str, host: Host, kernel: Kernel) -> Iterator[Finding]:
    """Find sizes of which all pages came to one cell, since no number was given for each."""
    cells = [cell for cell in host.cells if cell.shape.is_general and cell.shape.memory_mib]
    for size_kib in _sizes_of_no_node(kernel.command_line or '', min(host.free_huge_pages, default=None)):
        having = [
            (cell.id, pages.total)
            for cell in cells
            for pages in cell.pages
            if pages.size_kib == size_kib and pages.total
        ]
        if len(having) == 1 and len(cells) > 1:
            cell, total = having[0]
            yield Finding('kernel.pages', name, None, cell, str(total), '', units.size(size_kib))


def _check_emulator(name: str, host: Host) -> Iterator[Finding]:
    """Find cells with dedicated CPUs whose guests would run their emulator threads elsewhere."""
    if host.shared_cpus:
        for cell in host.cells:
            if cell.shape.dedicated_cpus and not cell.shape.shared_cpus:
                dedicated = cpuset.text(cell.shape.dedicated_cpus)
                yield Finding('host.emulator', name, None, cell.id, dedicated, cpuset.text(host.shared_cpus))


def _words(line: str) -> list[str]:
    return line.replace('"', '').split()


def _of(words: list[str], keys: tuple[str, ...]) -> list[str]:
    """Return the parameters with some keys; of a key alone, the last, which is the one that counts."""
    found = [word for word in words if word.partition('=')[0] in keys]
    return found[-1:] if len(keys) == 1 else found


def _meaning(parameters: list[str]) -> tuple[object, ...]:
    """Return what is compared: CPUs may be written in several ways."""
    return tuple([(key, _cpus(value)) for key, _, value in (word.partition('=') for word in parameters)])


def _cpus(value: str) -> object:
    """Return the flags and the mask of a list of CPUs, or the text of anything else."""
    parts = value.split(',')
    flags = frozenset(part for part in parts if part[:1].isalpha())
    try:
        return flags, cpuset.parse(','.join(part for part in parts if part not in flags))
    except exception.Invalid:
        return value


def _sizes_of_no_node(line: str, default_kib: int | None) -> Iterator[int]:
    """Yield the sizes in KiB of huge pages whose number is not given by node."""
    words = [word.partition('=')[::2] for word in _of(_words(line), _PAGES)]
    default_kib = next((_size(value) for key, value in words if key == 'default_hugepagesz'), default_kib)
    size_kib = default_kib
    for key, value in words:
        if key == 'hugepagesz':
            size_kib = _size(value)
        elif key == 'hugepages' and ':' not in value and size_kib is not None:
            yield size_kib


def _size(text: str) -> int | None:
    """Return a size such as 2M or 1G in KiB."""
    try:
        return units.parse_kib(f'{text}B')
    except exception.Invalid:
        return None
