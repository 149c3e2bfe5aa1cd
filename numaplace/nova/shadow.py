# SPDX-License-Identifier: Apache-2.0
"""Shadow mode: Nova decides, with its own functions and its own filter, and numaplace reports where it differs.

numaplace computes its answer first, from values, because Nova's functions change their arguments. A fault of numaplace
ends at :meth:`~numaplace.nova.shadow_report.Tally.guard`. Importing this module imports Nova's services;
:func:`numaplace.nova.engine.install` does it at the right time.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, NamedTuple

from nova import conf
from nova import exception as nova_exception
from nova.scheduler.filters import numa_topology_filter

from numaplace import cpuset, explain, units
from numaplace.model import Guest, Host, HostCell, Placement, Refusal
from numaplace.nova import convert, placement_audit, replacements
from numaplace.nova.shadow_report import Case, Tally

__all__ = [
    'LIMIT_S',
    'TALLY',
    'Answer',
    'counting',
    'fitting',
    'host_passes',
    'naming',
    'naming_claims',
    'naming_usage',
]

#: How long devices are searched on a host, at most: Nova waits for the answer that it does not use.
LIMIT_S = 1.0

#: The counts of this process.
TALLY = Tally()

#: Nova's own filter, even if another class has replaced it under its name.
_FILTER = numa_topology_filter.NUMATopologyFilter


class Answer(NamedTuple):
    """The answer of numaplace for a host and a guest as they were before the call to Nova.

    :param verdict: None if the guest fits, but its devices decide the placement
    :param candidates: the allocation candidates that a filter keeps
    """

    host: Host
    guest: Guest
    verdict: Placement | Refusal | None
    candidates: list[Any] | None = None


class _Found(NamedTuple):
    """A placement of Nova's, and what is wrong with it."""

    placement: Placement
    faults: list[str]


@dataclass(slots=True)
class _Watch:
    """A call to Nova that fits and counts inside.

    :param answer: numaplace's answer, for Nova's filter, which is compared as a whole
    :param found: the placement that the filter uses: the first invalid one, or else the first one
    """

    case: Case
    answer: Answer | None = None
    found: _Found | None = None


# Each thread and each green thread has its own context.
_WATCH: ContextVar[_Watch | None] = ContextVar('numaplace_watch', default=None)

#: The topology that a compute node is about to count, and its instance.
_COUNTED: ContextVar[tuple[Any, str] | None] = ContextVar('numaplace_counted', default=None)


@contextmanager
def _watching(watch: _Watch | None) -> Iterator[None]:
    token = _WATCH.set(watch)
    try:
        yield
    finally:
        _WATCH.reset(token)


def _watch(place: str, host_state: Any, spec_obj: Any) -> _Watch:
    instance = spec_obj.instance_uuid if 'instance_uuid' in spec_obj else None
    return _Watch(Case(place, str(host_state.host), instance))


def _case(place: str, instance_topology: Any) -> Case:
    """Return the case of a function that does not get the host, and does not always get the instance."""
    watch = _WATCH.get()
    if watch is not None:
        return Case(place if place == 'usage' else watch.case.place, watch.case.host, watch.case.instance)
    counted = _COUNTED.get()
    instance = counted[1] if counted is not None and counted[0] is instance_topology else None
    return Case(place, str(conf.CONF.host), instance)


# --- the fit -------------------------------------------------------------------------------


def fitting(theirs: Callable[..., Any]) -> Callable[..., Any]:
    """Return the replacement of ``numa_fit_instance_to_host``, which gives the same answers.

    :param theirs: Nova's own
    """

    def numa_fit_instance_to_host(  # noqa: PLR0917 - as Nova's callers give them
        host_topology: Any,
        instance_topology: Any,
        provider_mapping: Any,
        limits: Any = None,
        pci_requests: Any = None,
        pci_stats: Any = None,
    ) -> Any:
        asked = host_topology, instance_topology, provider_mapping, limits, pci_requests, pci_stats
        if not host_topology or not instance_topology:
            return theirs(*asked)
        watch = _WATCH.get()
        if watch is not None and watch.case.place == 'filter':
            found = theirs(*asked)
            with TALLY.guard('filter'):
                _note(watch, found)
            return found
        return _beside('claim', theirs, asked)

    return numa_fit_instance_to_host


def _beside(place: str, theirs: Callable[..., Any], asked: tuple[Any, ...]) -> Any:
    """Return Nova's answer for a fit outside the watched calls, and compare it."""
    ours: Answer | None = None
    with TALLY.guard(place):
        case = _case(place, asked[1])
        ours = _place(*asked)
    try:
        found = theirs(*asked)
    except Exception as error:
        with TALLY.guard(place):
            if ours is not None:
                _compare_error(case, ours, error)
        raise
    with TALLY.guard(place):
        if ours is not None:
            _compare(case, ours, fits=bool(found), found=_audit(ours, found) if found else None)
    return found


def _place(  # noqa: PLR0917 - as Nova's callers give them
    host_topology: Any, instance_topology: Any, provider_mapping: Any, limits: Any, pci_requests: Any, pci_stats: Any
) -> Answer:
    host, guest = convert.read_host(host_topology), convert.read_guest(instance_topology)
    devices = replacements.devices(host, provider_mapping, pci_requests, pci_stats, LIMIT_S)
    return Answer(host, guest, replacements.place(host, guest, limits, devices))


def _audit(ours: Answer, found: Any) -> _Found:
    placement = convert.read_placement(found, ours.host)
    return _Found(placement, placement_audit.faults(ours.host, ours.guest, placement))


def _note(watch: _Watch, found: Any) -> None:
    """Audit the placement of one of the filter's candidates immediately: the fit of the next one changes it."""
    if watch.answer is None or found is None or (watch.found is not None and watch.found.faults):
        return
    audited = _audit(watch.answer, found)
    if watch.found is None or audited.faults:
        watch.found = audited


def _compare(case: Case, ours: Answer, *, fits: bool, found: _Found | None, other: str = '') -> None:
    """Count a decision.

    :param found: Nova's placement, if it made one
    :param other: another difference between the two
    """
    refuses = isinstance(ours.verdict, Refusal)
    unsound = '; '.join(found.faults) if found is not None else ''
    if fits == refuses:
        kind = 'nova-fits' if fits else 'nova-refuses'
    elif unsound:
        kind = 'nova-unsound'
    elif other:
        kind = 'candidates'
    else:
        TALLY.decided(case)
        return
    nova = _told(found.placement if found else None) if fits else 'refuses'
    text = f'Nova {nova}, numaplace {_told(ours.verdict)}'
    TALLY.decided(case, kind, '; '.join(filter(None, (text, other, unsound and f'in the placement of Nova {unsound}'))))


def _compare_error(case: Case, ours: Answer, error: Exception) -> None:
    TALLY.decided(case, 'nova-raises', f'Nova raises {_named(error)}, numaplace {_told(ours.verdict)}')


def _told(verdict: Placement | Refusal | None) -> str:
    if verdict is None:
        return 'fits'
    if isinstance(verdict, Refusal):
        return f'refuses: {"; ".join(explain.lines(verdict))}'
    cells = ', '.join(str(placed.host_cell) for placed in verdict.cells)
    return f'fits on host cell{"s" if len(verdict.cells) > 1 else ""} {cells}'


def _named(error: Exception) -> str:
    return f'{type(error).__name__} ({explain.escape(str(error))})'


# --- the filter ------------------------------------------------------------------------------


def host_passes(judge: Callable[[Any, Any], Answer], host_state: Any, spec_obj: Any) -> bool:
    """Return the answer of Nova's own filter for a host, with its effects on the host.

    :param judge: numaplace's answer for a HostState and a RequestSpec, neither of which it may change
    """
    theirs = _FILTER().host_passes
    if not spec_obj.numa_topology:
        return bool(theirs(host_state, spec_obj))
    watch: _Watch | None = None
    with TALLY.guard('filter'):
        watch = _watch('filter', host_state, spec_obj)
        watch.answer = judge(host_state, spec_obj)
    try:
        with _watching(watch):
            passes = bool(theirs(host_state, spec_obj))
    except Exception as error:
        with TALLY.guard('filter'):
            if watch is not None and watch.answer is not None:
                _compare_error(watch.case, watch.answer, error)
        raise
    with TALLY.guard('filter'):
        if watch is not None and watch.answer is not None:
            other = _candidates(watch.answer.candidates, host_state.allocation_candidates) if passes else ''
            _compare(watch.case, watch.answer, fits=passes, found=watch.found, other=other)
    return passes


def _candidates(ours: list[Any] | None, theirs: list[Any]) -> str:
    if not ours or ours == theirs:
        return ''
    return f'Nova keeps {len(theirs)} allocation candidates, numaplace {len(ours)}'


def naming(consume: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Wrap ``HostState._locked_consume_from_request``, unchanged, so that its fits are reported by host."""

    @functools.wraps(consume)
    def consume_by_name(self: Any, spec_obj: Any) -> Any:
        watch: _Watch | None = None
        with TALLY.guard('consume'):
            watch = _watch('consume', self, spec_obj)
        with _watching(watch):
            return consume(self, spec_obj)

    return consume_by_name


def naming_claims(test: Callable[[Any, Any, Any], Any]) -> Callable[[Any, Any, Any], Any]:
    """Wrap ``Claim._test_numa_topology``, unchanged, so that its fits are reported by instance."""

    @functools.wraps(test)
    def test_by_name(self: Any, compute_node: Any, limit: Any) -> Any:
        watch: _Watch | None = None
        with TALLY.guard('claim'):
            watch = _Watch(Case('claim', str(conf.CONF.host), str(self.instance.uuid)))
        with _watching(watch):
            return test(self, compute_node, limit)

    return test_by_name


# --- the usage -------------------------------------------------------------------------------


def counting(theirs: Callable[..., Any]) -> Callable[..., Any]:
    """Return the replacement of ``numa_usage_from_instance_numa``, which gives the same counts.

    :param theirs: Nova's own
    """

    def numa_usage_from_instance_numa(host_topology: Any, instance_topology: Any, free: bool = False) -> Any:
        if not host_topology or not instance_topology:
            return theirs(host_topology, instance_topology, free)
        ours: Host | Exception | None = None
        with TALLY.guard('usage'):
            case = _case('usage', instance_topology)
            ours = _count(host_topology, instance_topology, free)
        try:
            counted = theirs(host_topology, instance_topology, free)
        except Exception as error:
            with TALLY.guard('usage'):
                if ours is not None:
                    _compare_counts(case, ours, error)
            raise
        with TALLY.guard('usage'):
            if ours is not None:
                _compare_counts(case, ours, convert.read_host(counted))
        return counted

    return numa_usage_from_instance_numa


def naming_usage(describe: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap ``ResourceTracker._get_usage_dict``, which returns the usage of an instance, to record the instance."""

    @functools.wraps(describe)
    def describe_by_name(self: Any, object_or_dict: Any, instance: Any, **updates: Any) -> Any:
        usage = describe(self, object_or_dict, instance, **updates)
        with TALLY.guard('usage'):
            _COUNTED.set((usage.get('numa_topology'), str(instance.uuid)))
        return usage

    return describe_by_name


def _count(host_topology: Any, instance_topology: Any, free: bool) -> Host | Exception:
    """Return the host with a guest counted, or the exception of Nova's that numaplace would raise."""
    try:
        return replacements.count(convert.read_host(host_topology), instance_topology, free=free)
    except nova_exception.NovaException as error:
        found: Exception = error
        return found


def _compare_counts(case: Case, ours: Host | Exception, theirs: Host | Exception) -> None:
    if isinstance(ours, Host) and isinstance(theirs, Host):
        pairs = [pair for pair in zip(theirs.cells, ours.cells, strict=True) if _usage(pair[0]) != _usage(pair[1])]
        differs = bool(pairs)
        words = [', '.join(_counted(pair[side]) for pair in pairs) for side in (0, 1)]
    else:
        differs = type(ours) is not type(theirs)
        words = ['' if isinstance(side, Host) else f'raises {_named(side)}' for side in (theirs, ours)]
    if not differs:
        TALLY.decided(case)
        return
    nova, numaplace = (word or 'counts it' for word in words)
    kind = 'nova-counts' if isinstance(theirs, Host) else 'nova-raises'
    TALLY.decided(case, kind, f'Nova {nova}, numaplace {numaplace}')


def _usage(cell: HostCell) -> tuple[Any, ...]:
    return cell.pinned_cpus, cell.cpu_usage, cell.memory_usage_mib, cell.pages


def _counted(cell: HostCell) -> str:
    pages = ''.join(f', {pages.used} of {units.size(pages.size_kib)}' for pages in cell.pages)
    return (
        f'counts in host cell {cell.id} CPUs {cpuset.text(cell.pinned_cpus) or "none"}, {cell.cpu_usage} shared vCPUs, '
        f'{cell.memory_usage_mib} MiB{pages}'
    )
