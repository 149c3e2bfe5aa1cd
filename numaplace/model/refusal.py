# SPDX-License-Identifier: Apache-2.0
"""Why a guest does not go somewhere: the answer of the fit when it cannot be placed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

__all__ = ['Reason', 'Refusal']


@dataclass(frozen=True, slots=True)
class Reason:
    """One cause of a refusal.

    :param code: stable name of the cause, such as ``cpus.dedicated.free`` or ``pages.2048``
    :param needed: how much was needed, in `unit`; None where the cause is no number
    :param available: how much there was, in `unit`
    :param unit: ``CPUs``, ``vCPUs``, ``cores``, ``pages``, ``MiB``, ``cells`` or empty
    :param guest_cells: guest cells that it is about; empty for the whole guest
    :param host_cells: host cells that it is about; empty for the whole host
    :param subject: name of the thing where the code does not say it: a network, a property, a filter's value
    """

    code: str
    needed: float | None = None
    available: float | None = None
    unit: str = ''
    guest_cells: tuple[int, ...] = ()
    host_cells: tuple[int, ...] = ()
    subject: str = ''


class Refusal:
    """A falsy answer that knows why; the reasons are computed when they are asked for, once."""

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
        """One reason for each pair of cells that fails and for each cause of the whole host."""
        if self._reasons is None:
            self._reasons = self._compute()
        return self._reasons
