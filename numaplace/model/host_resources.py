# SPDX-License-Identifier: Apache-2.0
"""What a host has by number or by name, beside cells and PCI devices: memory encryption and persistent memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from numaplace import exception
from numaplace.model.refusal import Reason

__all__ = [
    'AMD_SEV',
    'AMD_SEV_ES',
    'AMD_SEV_SNP',
    'ENCRYPTIONS',
    'INTEL_TDX',
    'NO_RESOURCES',
    'PMEM',
    'Encryption',
    'HostResources',
    'Namespace',
    'pmem',
]

#: Models of memory encryption, in Nova's words. Each is also the name of what an encrypted guest takes; no host offers
#: the last two.
AMD_SEV, AMD_SEV_ES, AMD_SEV_SNP, INTEL_TDX = ENCRYPTIONS = 'amd-sev', 'amd-sev-es', 'amd-sev-snp', 'intel-tdx'
#: Before the label that a guest requests, and before the name of the namespace that it takes.
PMEM = 'pmem:'


def pmem(name: str) -> str:
    """Return the name of a resource for a label or a namespace of persistent memory."""
    return f'{PMEM}{name}'


@dataclass(frozen=True, slots=True)
class Encryption:
    """Memory encryption of a host.

    :param model: AMD_SEV or AMD_SEV_ES
    :param most: number of guests that may have it at once; None where no limit is known
    :param cbitpos: bit of a page table entry that says that the page is encrypted; None leaves it to libvirt
    :param reduced_phys_bits: number of bits by which physical addresses of guests are shorter, as for `cbitpos`
    """

    model: str
    most: int | None = None
    cbitpos: int | None = None
    reduced_phys_bits: int | None = None


@dataclass(frozen=True, slots=True)
class Namespace:
    """A namespace of persistent memory.

    :param name: given by the operator, unique on the host
    :param label: under which flavors request it
    :param path: of its device
    :param numa_node: id of the nearest host cell, or None where it is not known
    """

    name: str
    label: str
    path: str
    size_kib: int
    align_kib: int
    numa_node: int | None = None


@dataclass(frozen=True, slots=True)
class HostResources:
    """What a host has, and what of it is used. A resource is named by its model of encryption, or PMEM and a name.

    :param used: names of what servers hold, sorted; a model of encryption once for each guest
    :param held: as `used`, for domains that numaplace does not manage
    """

    encryption: tuple[Encryption, ...] = ()
    namespaces: tuple[Namespace, ...] = ()
    used: tuple[str, ...] = ()
    held: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.encryption or self.namespaces or self.used)

    def names(self, kind: str) -> tuple[str, ...]:
        """Return the names of the resources that suit a request for a model of encryption, or PMEM and a label."""
        if kind in ENCRYPTIONS:
            return tuple([one.model for one in self.encryption if one.model == kind])
        return tuple([pmem(one.name) for one in self.namespaces if pmem(one.label) == kind])

    def total(self, name: str) -> float:
        """Return how often a resource may be taken; 0 if the host does not have it."""
        for one in self.encryption:
            if one.model == name:
                return float('inf') if one.most is None else one.most
        return int(any(pmem(one.name) == name for one in self.namespaces))

    def free(self, name: str) -> float:
        """Return how often a resource may still be taken."""
        return max(0, self.total(name) - self.used.count(name) - self.held.count(name))

    def reasons(self, requests: Sequence[str]) -> Iterator[Reason]:
        """Yield what a guest requests that the host does not have, or has no more.

        :param requests: a model of encryption, or PMEM and a label, as often as it is requested
        """
        for kind, needed in Counter(requests).items():
            names = self.names(kind)
            word, subject = ('pmem', kind.removeprefix(PMEM)) if kind.startswith(PMEM) else ('encryption', kind)
            if (total := sum(map(self.total, names))) < needed:
                yield Reason(f'{word}.total', needed, total, subject=subject)
            elif (free := sum(map(self.free, names))) < needed:
                held = sum(map(self.held.count, names))
                yield Reason(f'{word}.free', needed, free, subject=subject, held=held)

    def room(self, requests: Sequence[str]) -> float:
        """Return how many guests with these requests find what they request."""
        wanted = Counter(requests)
        return min([sum(map(self.free, self.names(kind))) // needed for kind, needed in wanted.items()], default=1e9)

    def grant(self, requests: Sequence[str], host_cells: Collection[int]) -> tuple[str, ...]:
        """Return the names of what a guest gets, whose requests have no :meth:`reasons`; the order is theirs.

        Of several namespaces, those near its host cells come first, and then the first by name.
        """
        nodes = {pmem(one.name): one.numa_node for one in self.namespaces}
        granted: list[str] = []
        for kind in requests:
            free = [name for name in self.names(kind) if self.free(name) > granted.count(name)]
            granted.append(min(free, key=lambda name: (nodes.get(name) not in host_cells, name)))
        return tuple(granted)

    def namespace(self, name: str) -> Namespace | None:
        """Return the namespace of a resource; None for another resource, or if the host does not have it."""
        return next((one for one in self.namespaces if pmem(one.name) == name), None)

    def take(self, names: Sequence[str]) -> HostResources:
        """Return them with more that servers hold; what domains hold is no obstacle, as with CPUs.

        :raises: :class:`~numaplace.exception.UsageInvalid` if the host does not have so many
        """
        used = tuple(sorted([*self.used, *names]))
        for name in sorted(set(names)):
            if used.count(name) > (total := self.total(name)):
                raise exception.UsageInvalid(
                    f'{name}: {used.count(name):g} servers would hold it, of at most {total:g}'
                )
        return replace(self, used=used)

    def give_back(self, names: Sequence[str]) -> HostResources:
        """Return them with fewer that servers hold: the inverse of :meth:`take`.

        :raises: :class:`~numaplace.exception.UsageInvalid` if one was not held
        """
        used = list(self.used)
        for name in names:
            if name not in used:
                raise exception.UsageInvalid(f'{name} to release is not held')
            used.remove(name)
        return replace(self, used=tuple(used))

    def with_held(self, names: Iterable[str]) -> HostResources:
        """Return them with what domains hold that numaplace does not manage, and nothing else of that.

        :param names: of resources, or PMEM and the path of a device; what the host does not have is left out
        """
        paths = {pmem(one.path): pmem(one.name) for one in self.namespaces}
        known = [paths.get(name, name) for name in names]
        held = tuple(sorted([name for name in known if self.total(name)]))
        return self if held == self.held else replace(self, held=held)


NO_RESOURCES = HostResources()
