# SPDX-License-Identifier: Apache-2.0
"""The filter that nova-scheduler loads in the place of Nova's: the exact fit, and one line when no host is left."""

from __future__ import annotations

import functools
from collections.abc import Callable, Container, Iterable, Mapping
from typing import Any, TypeVar

from nova import objects
from nova.scheduler import filters
from oslo_log import log as logging

from numaplace import __version__, conf, exception, explain, fit
from numaplace.model import Host, Limits, Placement, Reason, Refusal
from numaplace.nova import asked, engine, shadow, topologies
from numaplace.nova.devices import PciDevices

__all__ = ['NUMATopologyFilter']

LOG = logging.getLogger(__name__)

_Mapping = frozenset[tuple[str, tuple[str, ...]]]

#: What a question to the fit is answered with.
_Answer = TypeVar('_Answer', bound=Placement | Refusal | None)

# The consumption of the chosen host must decide as the filter did.
_MODE = engine.install()
LOG.info('numaplace %s is in nova-scheduler, mode %s', __version__, _MODE)


class NUMATopologyFilter(filters.BaseHostFilter, filters.CandidateFilterMixin):  # type: ignore[misc]  # Nova's are untyped
    """Keep the hosts, and their allocation candidates, on whose cells the cells of the guest fit together.

    Threads share the object, so nothing is kept on it.
    """

    #: The API refuses a rebuild that would change the NUMA topology.
    RUN_ON_REBUILD = False

    def filter_all(self, filter_obj_list: Iterable[Any], spec_obj: Any) -> list[Any]:
        """Return the hosts that pass; if none does, warn once and say what they lack.

        :param filter_obj_list: objects of Nova's HostState
        :param spec_obj: Nova's RequestSpec
        """
        passed: list[Any] = []
        refusals: dict[str, Refusal] = {}
        with asked.once(spec_obj):
            for host_state in filter_obj_list:
                answer = self._filter_one(host_state, spec_obj)
                if answer:
                    passed.append(host_state)
                elif isinstance(answer, Refusal):
                    refusals[_name(host_state, refusals)] = answer
        if refusals and not passed:
            LOG.warning('NUMA topology fits %s', explain.summary(refusals), instance_uuid=spec_obj.instance_uuid)
        return passed

    def host_passes(self, host_state: Any, filter_properties: Any) -> bool | Refusal:
        """Return True, or a refusal, which is falsy; on success the limits for the claim are set on the host.

        In shadow mode Nova's own filter answers.

        :param host_state: Nova's HostState, whose allocation candidates are narrowed to those that fit
        :param filter_properties: Nova's RequestSpec, which is only read
        """
        if _MODE == conf.SHADOW:
            return shadow.host_passes(_judge, host_state, filter_properties)
        request = asked.of(filter_properties)
        if not request.topology:
            return True
        host = _host(host_state)
        refusal = self._narrow(host, host_state, request) if isinstance(host, Host) else host
        if refusal is not None:
            return _refuse(host_state, filter_properties, refusal)
        host_state.limits['numa_topology'] = _limits(host_state, request)
        return True

    def _narrow(self, host: Host, host_state: Any, request: asked.Asked) -> Refusal | None:
        """Keep the candidates that fit, or return why none does."""
        refusal, accepts = _ask(fit.refusal, host, host_state, request)
        if refusal is None:
            return None  # each candidate has found its host cells
        kept = self.filter_candidates(host_state, accepts)
        return None if kept else refusal


class _Offers:
    """The devices of all allocation candidates of a host, tried together in one search.

    Each set of host cells is tried for the candidates that have found none yet, and the search goes on until all have.

    :param devices: by the mapping of requests to resource providers, of which several candidates may have the same
    """

    #: What a set is told depends on the sets before it.
    monotone = False

    def __init__(self, devices: Mapping[_Mapping, fit.Devices]) -> None:
        self._waiting = dict(devices)
        self._any = next(iter(devices.values()))

    def supports(self, host_cells: frozenset[int]) -> bool:
        """Return whether every candidate has found its host cells by now."""
        self._waiting = {
            mapping: devices for mapping, devices in self._waiting.items() if not devices.supports(host_cells)
        }
        return not self._waiting

    def preference(self, host_cell: int) -> int:
        """Return the place of a host cell in the order, which is the same for all candidates."""
        return self._any.preference(host_cell)

    def accepts(self, candidate: Mapping[str, Any]) -> bool:
        """Return whether a candidate has found its host cells."""
        return _mapping(candidate) not in self._waiting


def _ask(
    question: Callable[..., _Answer], host: Host, host_state: Any, request: asked.Asked
) -> tuple[_Answer | Refusal, Callable[[Any], bool]]:
    """Return the answer for a host, and whether a candidate is accepted; one fit, whatever their number.

    :param question: ``fit.place``, or ``fit.refusal`` for that alone
    """
    if not host_state.allocation_candidates:
        return Refusal.of(Reason('candidates.none')), lambda _candidate: False
    offers = _offers(host_state, request)
    answer = question(
        host,
        request.guest,
        limits=Limits(host_state.cpu_allocation_ratio, host_state.ram_allocation_ratio),
        networks=request.networks,
        devices=offers,
    )
    return answer, offers.accepts if offers else lambda _candidate: not isinstance(answer, Refusal)


def _judge(host_state: Any, spec_obj: Any) -> shadow.Answer:
    """Return what the filter would say of a host, for the shadow mode; nothing is changed."""
    request = asked.of(spec_obj)
    host = _host(host_state)
    if isinstance(host, Refusal):
        return shadow.Answer(Host(), request.guest, host)
    answer, accepts = _ask(fit.place, host, host_state, request)
    kept = [candidate for candidate in host_state.allocation_candidates if accepts(candidate)]
    return shadow.Answer(host, request.guest, None if kept and isinstance(answer, Refusal) else answer, kept)


def _mapping(candidate: Mapping[str, Any]) -> _Mapping:
    return frozenset((group, tuple(providers)) for group, providers in candidate['mappings'].items())


def _offers(host_state: Any, request: asked.Asked) -> _Offers | None:
    """Return the devices of the candidates, None if the guest wants none."""
    if not request.devices or not host_state.pci_stats:
        return None
    cells = request.topology.cells
    return _Offers(
        {
            _mapping(candidate): PciDevices(host_state.pci_stats, request.devices, candidate['mappings'], cells)
            for candidate in host_state.allocation_candidates
        }
    )


def _host(host_state: Any) -> Host | Refusal:
    """Return the cells of a host, or a refusal if it has none or they cannot be read."""
    try:
        # Not asked whether it is true: that would be Nova's to parse where it cannot be read here.
        topology = host_state.numa_topology
        host = Host() if topology is None else topologies.read(topology, lasting=True)
    except exception.InvalidObject as error:
        if _MODE == conf.ENFORCE:
            _warn_once(str(host_state.host), str(host_state.nodename), str(error))
        return Refusal.of(Reason('host.topology.unreadable', subject=str(error)))
    return host if host.cells else Refusal.of(Reason('host.topology'))


def _limits(host_state: Any, request: asked.Asked) -> Any:
    """Return what the claim on the chosen host is held to, in Nova's class."""
    limits = objects.NUMATopologyLimits(
        cpu_allocation_ratio=host_state.cpu_allocation_ratio, ram_allocation_ratio=host_state.ram_allocation_ratio
    )
    if request.network_metadata:
        limits.network_metadata = request.network_metadata
    return limits


@functools.lru_cache(maxsize=1024)  # once for each fault: every request meets it again
def _warn_once(host: str, nodename: str, fault: str) -> None:
    LOG.warning(
        '%s (%s) is refused to all guests with a NUMA topology: its own cannot be read: %s',
        *map(explain.escape, (host, nodename, fault)),
    )


def _name(host_state: Any, taken: Container[str]) -> str:
    """Return the name of a host; cells of Nova may have hosts of the same name."""
    name = str(host_state.host)
    return name if name not in taken else f'{name} ({host_state.nodename})'


def _refuse(host_state: Any, spec_obj: Any, refusal: Refusal) -> Refusal:
    """Log a refusal in full, which costs its reasons, and return it."""
    if LOG.isEnabledFor(logging.DEBUG):
        LOG.debug(
            '%s refuses the NUMA topology: %s',
            explain.escape(str(host_state.host)),
            '; '.join(explain.lines(refusal)),
            instance_uuid=spec_obj.instance_uuid,
        )
    return refusal
