# SPDX-License-Identifier: Apache-2.0
"""The request that a filter checks, and its answer."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Literal, Self, TypeAlias

from numaplace import fit
from numaplace import request as requests
from numaplace.db.records import InstanceRequest
from numaplace.model import Networks, Placement, Refusal
from numaplace.model.devices import Devices
from numaplace.model.grouping import ServerGroup
from numaplace.model.records import HostRecord

if TYPE_CHECKING:
    from oslo_config import cfg

    from numaplace.scheduler.index import HostIndex, Mask

__all__ = ['Answer', 'Filter', 'Request']

Answer: TypeAlias = Literal[True] | Placement | Refusal


@dataclass(frozen=True)
class Request:
    """A server that needs a host; what many hosts are asked with is derived from it once.

    :param strategy: the order in which host cells are tried
    :param host_cell_ids: for each guest cell the id of its host cell, or None where host cells are searched
    :param machine_types: ``[libvirt] hw_machine_type``, pairs of architecture and machine type
    :param group: the server's group, as of the moment at which the hosts were read
    """

    instance: InstanceRequest
    strategy: fit.Strategy = fit.SPREAD
    host_cell_ids: tuple[int, ...] | None = None
    machine_types: Sequence[tuple[str, str]] = ()
    group: ServerGroup | None = None

    @cached_property
    def devices(self) -> Devices:
        """The devices of the server and of its flavor."""
        return self.instance.devices + requests.devices(self.instance.flavor)

    @cached_property
    def networks(self) -> Networks | None:
        """The networks of the guest, or None."""
        return self.devices.networks

    @property
    def image(self) -> str | None:
        """The name of the image, or None."""
        return self.instance.image_properties.get('image_name')


class Filter(abc.ABC):
    """One criterion for hosts. A filter has no state: equal requests get equal answers."""

    #: The fields of a host that decide, if they are few and most hosts have the same values; None if others do.
    reads: ClassVar[tuple[str, ...] | None] = None

    @classmethod
    def of(cls, group: cfg.ConfigOpts.GroupAttr) -> Self:  # noqa: ARG003
        """Return the filter of a configuration.

        :param group: the options of ``[filter_scheduler]``
        """
        return cls()

    @abc.abstractmethod
    def admit(self, host: HostRecord, request: Request) -> Answer:
        """Return whether the host may take the guest; a refusal says why not."""

    def needs(self, request: Request) -> Mapping[str, float | str]:
        """Return what each host that may take the guest has, by column: a text, or at least as much as a number.

        The columns are those of :data:`numaplace.db.capacity.ROOMS`, ``status`` and ``state``. :meth:`admit` refuses
        all hosts that lack it, and may refuse others as well: without any, each host is asked.
        """
        return {}

    def may_admit(self, index: HostIndex, request: Request) -> Mask | None:
        """Return the hosts that may take the guest, of all at once; None if the filter cannot tell.

        :meth:`admit` refuses all hosts that are left out, and may refuse others as well.
        """
        if self.reads is None:
            return None
        return index.by(self.reads, lambda host: self.admit(host, request) is True)

    def lacking(self, index: HostIndex, request: Request) -> Mapping[str, Mask]:
        """Return which hosts surely lack something, by the first word of the codes of such reasons: ``memory``.

        A host may lack several things. Hosts that :meth:`may_admit` leaves out may lack none of those that are named.
        """
        reads = self.reads
        if reads is None:
            return {}
        found: set[str] = set()

        def is_refused(host: HostRecord) -> bool:
            found.update(kinds := self._kinds(host, request))
            return bool(kinds)

        def lacks(kind: str) -> Mask:
            return index.by(reads, lambda host: kind in self._kinds(host, request))

        index.by(reads, is_refused)
        return {kind: lacks(kind) for kind in sorted(found)}

    def _kinds(self, host: HostRecord, request: Request) -> frozenset[str]:
        answer = self.admit(host, request)
        return answer.kinds if isinstance(answer, Refusal) else frozenset()
