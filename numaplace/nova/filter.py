# SPDX-License-Identifier: Apache-2.0
"""The filter that nova-scheduler loads instead of Nova's: the exact fit, and one line when no host is left."""

from __future__ import annotations

import functools
from collections.abc import Callable, Container, Hashable, Iterable, Mapping
from typing import Any, TypeVar

from nova import exception as nova_exception
from nova import objects
from nova.scheduler import filters
from oslo_log import log as logging

from numaplace import __version__, conf, exception, explain, fit
from numaplace.model import Host, Limits, Placement, Reason, Refusal
from numaplace.nova import engine, faults, scheduler_request, shadow, topologies
from numaplace.nova.devices import HostDevices, PciDevices

__all__ = ['NUMATopologyFilter']

LOG = logging.getLogger(__name__)

_Mapping = frozenset[tuple[str, tuple[str, ...]]]

#: The answer of the fit to a question.
_Answer = TypeVar('_Answer', bound=Placement | Refusal | None)

# When the scheduler consumes from the chosen host, the decision must be that of the filter.
_MODE = engine.install()
LOG.info('numaplace %s is in nova-scheduler, mode %s', __version__, _MODE)


class NUMATopologyFilter(filters.BaseHostFilter, filters.CandidateFilterMixin):  # type: ignore[misc]  # Nova's are untyped
    """Keep the hosts, and their allocation candidates, whose cells fit all cells of the guest together.

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
        with scheduler_request.once(spec_obj):
            for host_state in filter_obj_list:
                answer = self._filter_one(host_state, spec_obj)
                if answer:
                    passed.append(host_state)
                elif isinstance(answer, Refusal):
                    refusals[_name(host_state, refusals)] = answer
        if refusals and not passed:
            LOG.warning('NUMA topology fits %s', _summary(refusals), instance_uuid=spec_obj.instance_uuid)
        return passed

    def host_passes(self, host_state: Any, filter_properties: Any) -> bool | Refusal:
        """Return True, or a refusal, which is falsy; on success the limits for the claim are set on the host.

        In shadow mode Nova's own filter answers.

        :param host_state: Nova's HostState, whose allocation candidates are narrowed to those that fit
        :param filter_properties: Nova's RequestSpec, which is only read
        """
        if _MODE == conf.SHADOW:
            return shadow.host_passes(_judge, host_state, filter_properties)
        request = scheduler_request.of(filter_properties)
        if not request.topology:
            return True
        try:
            return self._passes(host_state, request)
        except nova_exception.NovaException:
            raise
        except Exception as error:  # noqa: BLE001 - this is the boundary
            fault = faults.tell('judge a host', error, 'it is refused')
            return Refusal.of(Reason('fault', subject=fault))

    def _passes(self, host_state: Any, request: scheduler_request.Asked) -> bool | Refusal:
        host = _host(host_state)
        refusal = request.refusal
        if refusal is None:
            refusal = self._narrow(host, host_state, request) if isinstance(host, Host) else host
        if refusal is not None:
            return _refuse(host_state, request.spec_obj, refusal)
        host_state.limits['numa_topology'] = _limits(host_state, request)
        return True

    def _narrow(self, host: Host, host_state: Any, request: scheduler_request.Asked) -> Refusal | None:
        """Keep the candidates that fit, or return why none does."""
        refusal, accepts = _ask(fit.refusal, host, host_state, request)
        if refusal is None:
            return None  # each candidate has its host cells
        candidates = self.filter_candidates(host_state, accepts)
        return None if candidates else refusal


class _Offers(fit.Devices):
    """The devices of all allocation candidates of a host, tried together in one search.

    Each set of host cells is tried for the candidates that have none yet; the search ends when all have one.

    :param devices: by the mapping of requests to resource providers, which several candidates may share
    """

    def __init__(self, devices: Mapping[_Mapping, fit.Devices]) -> None:
        self._waiting = dict(devices)
        self._any = next(iter(devices.values()))

    def supports(self, host_cells: frozenset[int]) -> bool:
        """Return whether every candidate has its host cells after this set is tried."""
        self._waiting = {
            mapping: devices for mapping, devices in self._waiting.items() if not devices.supports(host_cells)
        }
        return not self._waiting

    def preference(self, host_cell: int) -> int:
        """Return the position of a host cell in the order, which is the same for all candidates."""
        return self._any.preference(host_cell)

    def excludes(self, host_cells: frozenset[int], most: int) -> bool:
        """Return whether no candidate without host cells gets its devices on some of these."""
        return all(devices.excludes(host_cells, most) for devices in self._waiting.values())

    def kind(self, host_cell: int) -> Hashable:
        """Return the kind of a host cell, which is the same for all candidates."""
        return self._any.kind(host_cell)

    def reasons(self, host_cells: frozenset[int]) -> tuple[Reason, ...]:
        """Return why the first candidate without host cells has none."""
        return next(iter(self._waiting.values())).reasons(host_cells)

    def accepts(self, candidate: Mapping[str, Any]) -> bool:
        """Return whether a candidate has its host cells."""
        return _mapping(candidate) not in self._waiting


def _ask(
    question: Callable[..., _Answer], host: Host, host_state: Any, request: scheduler_request.Asked
) -> tuple[_Answer | Refusal, Callable[[Any], bool]]:
    """Return the answer for a host, and a test for candidates; there is one fit, however many candidates there are.

    :param question: ``fit.place``, or ``fit.refusal`` for the refusal alone
    """
    if not host_state.allocation_candidates:
        return Refusal.of(Reason('candidates.none')), lambda _candidate: False
    offers = _offers(host, host_state, request)
    answer = question(
        host,
        request.guest,
        limits=Limits(host_state.cpu_allocation_ratio, host_state.ram_allocation_ratio),
        networks=request.networks,
        devices=offers,
    )
    return answer, offers.accepts if offers else lambda _candidate: not isinstance(answer, Refusal)


def _judge(host_state: Any, spec_obj: Any) -> shadow.Answer:
    """Return what the filter would answer for a host, for shadow mode; nothing is changed."""
    request = scheduler_request.of(spec_obj)
    host = _host(host_state)
    if isinstance(host, Refusal):
        return shadow.Answer(Host(), request.guest, host)
    if request.refusal is not None:
        return shadow.Answer(host, request.guest, request.refusal)
    answer, accepts = _ask(fit.place, host, host_state, request)
    candidates = [candidate for candidate in host_state.allocation_candidates if accepts(candidate)]
    return shadow.Answer(
        host, request.guest, None if candidates and isinstance(answer, Refusal) else answer, candidates
    )


def _mapping(candidate: Mapping[str, Any]) -> _Mapping:
    return frozenset((group, tuple(providers)) for group, providers in candidate['mappings'].items())


def _offers(host: Host, host_state: Any, request: scheduler_request.Asked) -> _Offers | None:
    """Return the devices of the candidates, None if the guest requests none."""
    if not request.devices or not host_state.pci_stats:
        return None
    limit_s = shadow.LIMIT_S if _MODE == conf.SHADOW else None
    devices = HostDevices(host, host_state.pci_stats, request.devices, limit_s=limit_s)
    return _Offers(
        {
            _mapping(candidate): PciDevices(devices, candidate['mappings'])
            for candidate in host_state.allocation_candidates
        }
    )


def _host(host_state: Any) -> Host | Refusal:
    """Return the cells of a host, or a refusal if it has none or they cannot be read."""
    try:
        # No truth test: it would make Nova parse a topology that cannot be read here.
        topology = host_state.numa_topology
        host = Host() if topology is None else topologies.read(topology, lasting=True)
    except exception.InvalidObject as error:
        if _MODE == conf.ENFORCE:
            _warn_once(str(host_state.host), str(host_state.nodename), str(error))
        return Refusal.of(Reason('host.topology.unreadable', subject=str(error)))
    return host if host.cells else Refusal.of(Reason('host.topology'))


def _limits(host_state: Any, request: scheduler_request.Asked) -> Any:
    """Return the limits of the claim on the chosen host, in Nova's class."""
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


def _summary(refusals: Mapping[str, Refusal]) -> str:
    """Return the refusals of all hosts in one line."""
    try:
        return explain.summary(refusals)
    except Exception as error:  # noqa: BLE001 - this is the boundary
        return f'0 of {len(refusals)} hosts: {faults.tell("say why", error, "no host is left")}'


def _name(host_state: Any, taken: Container[str]) -> str:
    """Return the name of a host; two Nova cells may have hosts of the same name."""
    name = str(host_state.host)
    return name if name not in taken else f'{name} ({host_state.nodename})'


def _refuse(host_state: Any, spec_obj: Any, refusal: Refusal) -> Refusal:
    """Log a refusal in full, for which its reasons are computed, and return it."""
    if LOG.isEnabledFor(logging.DEBUG):
        LOG.debug(
            '%s refuses the NUMA topology: %s',
            explain.escape(str(host_state.host)),
            '; '.join(explain.lines(refusal)),
            instance_uuid=spec_obj.instance_uuid,
        )
    return refusal
