# SPDX-License-Identifier: Apache-2.0
"""``[numaplace] audit = continue``: a guest that cannot be counted does not end nova-compute's audit of its node.

Its CPUs are held and one finding is logged; all other guests are counted. A claim still raises what Nova expects. The
state is kept for each resource tracker, as a driver that reports a NUMA topology has a single node. Importing this
module imports Nova's services; :func:`numaplace.nova.engine.install_compute` does it at the right time.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Iterator, MutableMapping
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from nova import exception as nova_exception
from oslo_log import log as logging

from numaplace import exception, explain
from numaplace.fleet import servers, usage
from numaplace.fleet.findings import UNCOUNTABLE, Finding
from numaplace.fleet.servers import Held
from numaplace.model import Host, Placement
from numaplace.nova import convert, replacements, topologies

__all__ = ['auditing', 'counting', 'naming']

LOG = logging.getLogger(__name__)

_ALL_CPUS = -1


class _Counted(NamedTuple):
    """What a tracker counts next."""

    tracker: Any
    uuid: str
    topology: Any


@dataclass(slots=True)
class _Audit:
    """One audit of a node, and what remains of it until the next one.

    :param node: name of the node
    :param uuids: the instances on the node that were counted
    :param host: the host before the last guest was counted
    :param held: what guests hold, once for each side of a move
    :param refused: the UUIDs of the guests that could not be counted
    :param uncounted_cpus: mask of the CPUs of these guests, which stay pinned until the next audit
    :param unread: findings of topologies that could not be read
    :param findings: all findings of the audit
    """

    node: str
    uuids: set[str] = field(default_factory=set)
    host: Host = field(default_factory=Host)
    held: list[Held] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    uncounted_cpus: int = 0
    unread: list[Finding] = field(default_factory=list)
    findings: frozenset[Finding] = frozenset()


#: The last audit of each tracker.
_LAST: MutableMapping[Any, _Audit] = weakref.WeakKeyDictionary()

# Each thread and each green thread has its own context: a claim that waits for an audit is not part of it.
_RUNNING: ContextVar[_Audit | None] = ContextVar('numaplace_audit', default=None)
_COUNTED: ContextVar[_Counted | None] = ContextVar('numaplace_audit_counted', default=None)


def auditing(update: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap ``ResourceTracker._update_available_resource``, the audit: log new findings at its end."""

    @functools.wraps(update)
    def update_and_report(self: Any, context: Any, resources: Any, startup: bool = False) -> Any:
        audit = _Audit(str(resources['hypervisor_hostname']))
        known = _LAST[self].findings if self in _LAST else frozenset()
        token = _RUNNING.set(audit)
        try:
            return update(self, context, resources, startup)
        finally:
            _RUNNING.reset(token)
            _LAST[self] = audit
            audit.findings = frozenset(_findings(audit))
            for finding in sorted(audit.findings - known):
                LOG.warning('%s: %s', finding.code, explain.escape(finding.text), instance_uuid=finding.server)

    return update_and_report


def _findings(audit: _Audit) -> Iterator[Finding]:
    """Return why guests could not be counted, as ``numaplace fleet audit`` does."""
    if audit.refused:
        found = list(audit.unread)
        for held in audit.held:
            found += servers.check_placement(audit.node, audit.host, held)
        found += servers.check_conflicts(audit.node, audit.host, audit.held)
        yield from (finding for finding in found if finding.code in UNCOUNTABLE and finding.server in audit.refused)


def naming(describe: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap ``ResourceTracker._get_usage_dict``, which returns what is counted next, to record the instance.

    In the audit it also corrects the topology of an instance that is being resized on its host: Nova counts the new one
    for the instance, and for the move once more, instead of the one that the guest still uses.
    """

    @functools.wraps(describe)
    def describe_by_name(self: Any, object_or_dict: Any, instance: Any, **updates: Any) -> Any:
        described = describe(self, object_or_dict, instance, **updates)
        audit = _RUNNING.get()
        if audit is not None:
            if 'numa_topology' not in updates:
                audit.uuids.add(str(instance.uuid))
            elif str(instance.uuid) in audit.uuids:
                described['numa_topology'] = _other_side(instance, updates['numa_topology'])
        _COUNTED.set(_Counted(self, str(instance.uuid), described.get('numa_topology')))
        return described

    return describe_by_name


def _other_side(instance: Any, topology: Any) -> Any:
    """Return what an instance holds besides its new topology, which is counted already."""
    move = instance.migration_context
    return move.old_numa_topology if move is not None and topology is move.new_numa_topology else topology


def counting(count: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap ``numa_usage_from_instance_numa``: count tolerantly in an audit, and free no CPU that another may hold.

    :param count: what numaplace has replaced it with
    """

    def count_or_hold(host_topology: Any, instance_topology: Any, free: bool = False) -> Any:
        guest, audit = _COUNTED.get(), _RUNNING.get()
        if guest is None or guest.topology is not instance_topology:
            return count(host_topology, instance_topology, free)
        if audit is not None:
            return _count(audit, guest, host_topology, count)
        uncounted_cpus = _LAST[guest.tracker].uncounted_cpus if guest.tracker in _LAST else 0
        if free and uncounted_cpus:
            try:
                host = topologies.read(host_topology)
                return topologies.write(
                    replacements.count(host, instance_topology, free=True, unchanged_cpus=uncounted_cpus)
                )
            except exception.InvalidObject:
                pass  # the other way logs it, and Nova counts
        return count(host_topology, instance_topology, free)

    return count_or_hold


def _count(audit: _Audit, guest: _Counted, host_topology: Any, count: Callable[..., Any]) -> Any:
    """Return the topology of the host with a guest counted, or with its CPUs held."""
    try:
        host = topologies.read(host_topology)
        placement = convert.read_placement(guest.topology, host)
    except exception.InvalidObject as error:
        return _count_unread(audit, guest, host_topology, count, error)
    audit.host = host
    audit.held.append(Held(guest.uuid, placement))
    if {placed.host_cell for placed in placement.cells} <= {cell.id for cell in host.cells}:
        try:
            return count(host_topology, guest.topology)
        except nova_exception.NovaException as error:
            LOG.debug('%s', error, instance_uuid=guest.uuid)
    audit.refused.add(guest.uuid)
    for placed in placement.cells:
        audit.uncounted_cpus |= placed.taken
    _LAST[guest.tracker] = audit  # under Nova's lock: what waits for it frees none of these CPUs
    return topologies.write(_hold(host, guest.topology, placement))


def _count_unread(
    audit: _Audit, guest: _Counted, host_topology: Any, count: Callable[..., Any], fault: Exception
) -> Any:
    """Let Nova count what numaplace cannot read; what Nova cannot count either is not counted."""
    try:
        return count(host_topology, guest.topology)
    except Exception as error:  # noqa: BLE001 - the other guests are counted
        LOG.debug('%s', error, instance_uuid=guest.uuid)
    audit.refused.add(guest.uuid)
    subject = 'the NUMA topology of the server'
    audit.unread.append(Finding('row.unreadable', audit.node, guest.uuid, None, str(fault), '', subject))
    return host_topology


def _hold(host: Host, topology: Any, placement: Placement) -> Host:
    """Return a host with a guest counted that holds what another holds too, or what its host cells do not have."""
    counted = replacements.count(host, topology, free=False, unchanged_cpus=_ALL_CPUS)
    pinned = usage.pinned(counted.cells, placement.cells)
    return Host(tuple(replace(cell, pinned_cpus=cell.pinned_cpus | pinned[cell.id]) for cell in counted.cells))
