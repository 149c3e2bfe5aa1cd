# SPDX-License-Identifier: Apache-2.0
"""What a filter is asked, and what it answers."""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import Literal, TypeAlias

from numaplace import fit
from numaplace.db.records import HostRecord, InstanceRequest
from numaplace.model import Networks, Placement, Refusal

__all__ = ['Answer', 'Filter', 'Request']

Answer: TypeAlias = Literal[True] | Placement | Refusal


@dataclass(frozen=True, slots=True)
class Request:
    """A server that needs a host.

    :param networks: that the guest attaches to, or None
    :param strategy: in which order host cells are tried
    :param bindings: for each guest cell the id of its host cell, or None where host cells are searched
    """

    instance: InstanceRequest
    networks: Networks | None = None
    strategy: fit.Strategy = fit.SPREAD
    bindings: tuple[int, ...] | None = None


class Filter(abc.ABC):
    """One criterion for hosts. A filter keeps nothing: equal questions have equal answers."""

    @abc.abstractmethod
    def admit(self, host: HostRecord, request: Request) -> Answer:
        """Answer whether the host may take the guest; a refusal says why not."""
