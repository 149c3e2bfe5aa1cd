# SPDX-License-Identifier: Apache-2.0
"""Why a guest does not go somewhere: the answer of the fit when it cannot be placed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

__all__ = ['Reason', 'Refusal', 'is_permanent']

#: Causes that end when other guests leave the host; those of page sizes are not listed.
_TEMPORARY = frozenset(
    {
        'cells.assignment',
        'claim.lost',
        'cpus.dedicated.free',
        'cpus.host',
        'cpus.shared.limit',
        'encryption.free',
        'memory.free',
        'memory.host',
        'memory.limit',
        'memory.shared',
        'network.joint',
        'network.physnet',
        'network.tunnel',
        'pci.affinity',
        'pci.functions',
        'pci.greedy',
        'pci.joint',
        'pci.required',
        'pci.total',
        'placement.free',
        'pmem.free',
        'threads.isolate',
        'threads.isolate.emulator',
        'threads.require',
    }
)

#: Units of causes that more resources would not solve: pages that do not divide the memory, cores of another kind.
_NO_AMOUNTS = frozenset({'KiB', 'page sizes', 'threads per core'})


def is_permanent(code: str) -> bool:
    """Return whether a cause stays when all other guests leave the host."""
    return code not in _TEMPORARY and not code.removeprefix('pages.').isdigit()


@dataclass(frozen=True, slots=True)
class Reason:
    """One cause of a refusal.

    :param code: stable name of the cause, such as ``cpus.dedicated.free`` or ``pages.2048``
    :param needed: how much was needed, in `unit`; None where the cause is not a number
    :param available: how much there was, in `unit`
    :param unit: ``CPUs``, ``vCPUs``, ``cores``, ``pages``, ``MiB``, ``cells`` or empty
    :param guest_cells: guest cells that it is about; empty for the whole guest
    :param host_cells: host cells that it is about; empty for the whole host
    :param subject: name of the thing where the code does not say it: a network, a property, a filter's value
    :param held: how much of it domains hold that numaplace does not manage, in `unit`
    """

    code: str
    needed: float | None = None
    available: float | None = None
    unit: str = ''
    guest_cells: tuple[int, ...] = ()
    host_cells: tuple[int, ...] = ()
    subject: str = ''
    held: int = 0

    @property
    def missing(self) -> float:
        """Share of what was needed that is missing.

        1.0 where nothing is available or the cause is not a number, and more where others have overcommitted.
        """
        needed, available = self.needed, self.available
        if not needed or available is None or available >= needed or self.unit in _NO_AMOUNTS:
            return 1.0
        return (needed - available) / needed

    @property
    def severity(self) -> tuple[bool, float]:
        """How far the host is from meeting the need: a permanent cause is farther than any share that is missing."""
        return is_permanent(self.code), self.missing

    @property
    def position(self) -> tuple[bool, float]:
        """Sort key among reasons: permanent causes first, then by missing share, the smallest first."""
        return not is_permanent(self.code), self.missing


class Refusal:
    """A falsy answer with reasons, which are computed once, when they are first read."""

    __slots__ = ('_compute', '_reasons')

    def __init__(self, compute: Callable[[], tuple[Reason, ...]]) -> None:
        self._compute = compute
        self._reasons: tuple[Reason, ...] | None = None

    @classmethod
    def of(cls, *reasons: Reason) -> Refusal:
        """Return a refusal for reasons that are known already."""
        return cls(lambda: reasons)

    def __bool__(self) -> Literal[False]:
        return False

    def __repr__(self) -> str:
        return f'Refusal({", ".join(reason.code for reason in self.reasons)})'

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """All causes: what pairs lack, by guest cell, host cell and position, then those of the whole host."""
        if self._reasons is None:
            self._reasons = self._compute()
        return self._reasons

    @property
    def kinds(self) -> frozenset[str]:
        """The first words of the codes of its reasons, such as ``cpus``, ``memory`` or ``pages``."""
        return frozenset(reason.code.partition('.')[0] for reason in self.reasons)
