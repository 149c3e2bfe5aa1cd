# SPDX-License-Identifier: Apache-2.0
"""Read where the threads of a domain may run, and which CPUs of its host they hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from numaplace import cpuset
from numaplace.fleet.findings import Finding
from numaplace.libvirt import domain_parts as parts
from numaplace.libvirt.document import Document
from numaplace.libvirt.pinning import configured_shared_cpus
from numaplace.model import Host

__all__ = ['Affinities', 'Threads', 'all_cpus', 'cells_of', 'read']


@dataclass(frozen=True, slots=True)
class Affinities:
    """Where the threads of a running domain may run, as its libvirt reports it; masks of CPUs.

    :param vcpus: by vCPU
    """

    vcpus: Mapping[int, int] = field(default_factory=dict)
    emulator: int = 0


@dataclass(frozen=True, slots=True)
class Threads:
    """Where the threads of a domain run, and what they hold.

    :param pins: the dedicated CPU of each vCPU that is on and has one
    :param floats: masks of the CPUs of the other vCPUs that are on; 0 where nothing was chosen
    :param sets: mask of the dedicated CPUs that vCPUs float over
    :param emulator: mask of the CPUs of emulator and I/O threads; 0 where nothing was chosen
    :param kept: mask of the dedicated CPUs that only emulator and I/O threads hold
    :param is_auto: whether numad chooses the CPUs of threads that are not pinned
    :param chosen: mask of the CPUs that numad chose, or 0 where that is not known
    """

    pins: Mapping[int, int]
    floats: Mapping[int, int]
    sets: int
    emulator: int
    kept: int
    is_auto: bool
    chosen: int
    findings: tuple[Finding, ...]

    @property
    def dedicated(self) -> int:
        """Mask of the dedicated CPUs that the domain holds."""
        return cpuset.mask(self.pins.values()) | self.sets | self.kept


def all_cpus(host: Host) -> dict[int, int]:
    """Return the masks of the CPUs of a host by host cell."""
    shapes = [cell.shape for cell in host.cells]
    return {shape.id: shape.online_cpus | shape.shared_cpus | shape.dedicated_cpus for shape in shapes}


def cells_of(host: Host, cpus: int) -> frozenset[int]:
    """Return the host cells that have some of these CPUs."""
    return frozenset(cell for cell, known in all_cpus(host).items() if known & cpus)


def read(domain: Document, host: Host, affinities: Affinities | None = None) -> Threads:
    """Read the threads of a domain.

    A set that was chosen holds each dedicated CPU in it. Shared CPUs hold nothing, even where they are dedicated too.

    :param host: its host, with the dedicated and the shared CPUs; usage does not matter
    :param affinities: of the running domain, which decide what numad chose
    :raises: :meth:`~numaplace.libvirt.document.Document.fault` for what is no number or no list
    """
    chosen, is_auto = _chosen(domain)
    live = affinities or Affinities()
    pinned, every = parts.pins(domain), cpuset.union(all_cpus(host).values())
    masks = {}
    for vcpu in cpuset.ids(parts.enabled(domain) & (1 << parts.number_of_vcpus(domain)) - 1):
        masks[vcpu] = pinned.get(vcpu) or (_unless_all(live.vcpus.get(vcpu, 0), every) if is_auto else chosen)
    emulator = list(_others(domain, _unless_all(live.emulator, every) if is_auto else chosen))
    findings = list(_check_missing(host, [*masks.values(), *emulator]))
    pins = {
        vcpu: cpus.bit_length() - 1
        for vcpu, cpus in masks.items()
        if vcpu in pinned and cpus.bit_count() == 1 and cpus & host.dedicated_cpus
    }
    floats = {vcpu: cpus for vcpu, cpus in masks.items() if vcpu not in pins}
    singles = [cpus for vcpu, cpus in floats.items() if vcpu in pinned and cpus.bit_count() == 1]
    used = cpuset.mask(pins.values())
    sets = cpuset.union(floats.values()) & host.dedicated_cpus & ~host.shared_cpus
    threads = cpuset.union(emulator)
    # CPUs in both sets hold nothing where vCPUs float over them, or emulators that have no CPUs of their own.
    shared = [*floats.values(), configured_shared_cpus(host)]
    theirs = cpuset.union(cpus for cpus in shared if not cpus & ~threads)
    kept = threads & host.dedicated_cpus & ~(used | sets | theirs)
    findings += _check_pins(host, pins, singles)
    findings += _check_floats(host, floats, is_auto=is_auto)
    if pins and not emulator[0] and not is_auto:
        findings.append(Finding('emulator.unpinned'))
    if is_auto:
        findings.append(Finding('placement.auto'))
    numad = cpuset.union(live.vcpus.values()) | live.emulator if is_auto else 0
    return Threads(pins, floats, sets, threads, kept, is_auto, numad, tuple(findings))


def _chosen(domain: Document) -> tuple[int, bool]:
    """Return the CPUs of all threads that are not pinned, and whether numad chooses them."""
    vcpu = domain.root.find('vcpu')
    if vcpu is None:
        return 0, False
    if vcpu.get('placement') == 'auto':
        return 0, True
    return domain.cpus(vcpu, 'cpuset'), False


def _unless_all(cpus: int, every: int) -> int:
    """Return an affinity, or 0 for one that chooses nothing."""
    return 0 if not every & ~cpus else cpus


def _others(domain: Document, chosen: int) -> Iterator[int]:
    """Yield the masks of the CPUs of the emulator, and of each I/O thread that the domain has."""
    emulator = domain.root.find('cputune/emulatorpin')
    yield (0 if emulator is None else domain.cpus(emulator, 'cpuset')) or chosen
    number = domain.root.find('iothreads')
    known = 0 if number is None else domain.whole(number, None, 'number of I/O threads', parts.MAX_VCPUS)
    named = [domain.whole(one, 'id', 'I/O thread') for one in domain.root.iterfind('iothreadids/iothread')]
    spare = [thread for thread in range(1, known + 1) if thread not in named]  # libvirt numbers the others
    threads = {*named, *spare[: max(known - len(named), 0)]}
    pinned = {
        domain.whole(pin, 'iothread', 'I/O thread'): domain.cpus(pin, 'cpuset')
        for pin in domain.root.iterfind('cputune/iothreadpin')
    }
    for thread in sorted(threads):
        yield pinned.get(thread) or chosen


def _check_missing(host: Host, masks: list[int]) -> Iterator[Finding]:
    if host.online_cpus and (missing := cpuset.union(masks) & ~cpuset.union(all_cpus(host).values())):
        yield Finding('cpus.missing', found=cpuset.text(missing))


def _check_pins(host: Host, pins: Mapping[int, int], singles: Sequence[int]) -> Iterator[Finding]:
    """Check the pins to one CPU.

    :param singles: those to a CPU that is not dedicated
    """
    used = list(pins.values())
    if twice := cpuset.mask(cpu for cpu in used if used.count(cpu) > 1):
        yield Finding('cpus.twice', found=cpuset.text(twice), subject='itself')
    # Where a host cell has one shared CPU, this is how a vCPU floats there.
    alone = [cell.shape.shared_cpus for cell in host.cells]
    outside = cpuset.union(cpus for cpus in singles if cpus not in alone)
    if host.online_cpus:
        outside &= cpuset.union(all_cpus(host).values())
    if outside:
        yield Finding('cpus.outside', found=cpuset.text(outside), expected=cpuset.text(host.dedicated_cpus) or '(none)')


def _check_floats(host: Host, floats: Mapping[int, int], *, is_auto: bool) -> Iterator[Finding]:
    held = cpuset.union(floats.values()) & host.dedicated_cpus & ~host.shared_cpus
    if over := cpuset.mask(vcpu for vcpu, cpus in floats.items() if cpus & held):
        yield Finding('cpus.floating', found=cpuset.text(over), subject=cpuset.text(held))
    loose = cpuset.mask(vcpu for vcpu, cpus in floats.items() if not cpus)
    if loose and not is_auto:
        yield Finding('cpus.unpinned', found=cpuset.text(loose))
