# SPDX-License-Identifier: Apache-2.0
"""Refuse a host that lacks what a flavor's ``capabilities:`` keys request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from numaplace.model import Reason, Refusal
from numaplace.model.records import HostRecord
from numaplace.scheduler.filters import operators
from numaplace.scheduler.filters.base import Answer, Filter, Request
from numaplace.scheduler.limits import limits

if TYPE_CHECKING:
    from numaplace.scheduler.index import HostIndex, Mask

__all__ = ['ComputeCapabilitiesFilter', 'capabilities', 'look_up']

_SCOPE = 'capabilities'


class ComputeCapabilitiesFilter(Filter):
    """Every key ``capabilities:NAME[:NAME...]``, and every plain key that is a capability's name, must match.

    Keys of other scopes (``hw:``, ``quota:``) are not about capabilities. Unknown capabilities of a host do not match.
    """

    def admit(self, host: HostRecord, request: Request) -> Answer:
        """Refuse with one ``capability`` for each key that does not match."""
        asked = _asked(request)
        known = capabilities(host) if asked else {}
        reasons = []
        for key, wanted in asked.items():
            scope, *path = key.split(':')
            if scope != _SCOPE and scope not in known:
                continue
            found = look_up(known, path or [scope])
            value = None if found is None or isinstance(found, Mapping) else str(found)
            if value is None or not operators.match(value, wanted):
                has = 'unknown' if value is None else value
                reasons.append(Reason('capability', subject=f'{key}: {has}, not {wanted}'))
        return Refusal.of(*reasons) if reasons else True

    def may_admit(self, index: HostIndex, request: Request) -> Mask | None:
        """Pass all hosts where no key can be about capabilities."""
        return None if _asked(request) else index.everything()


def _asked(request: Request) -> dict[str, str]:
    """Return the extra specs that can be about capabilities, sorted by key."""
    specs = sorted(request.instance.flavor.extra_specs.items())
    return {key: wanted for key, wanted in specs if key.partition(':')[0] == _SCOPE or ':' not in key}


def capabilities(host: HostRecord) -> dict[str, Any]:
    """Return what is known of a host by Nova's names; sizes in MiB."""
    facts = host.facts
    return {
        'host': host.name,
        'nodename': host.name,
        'hypervisor_hostname': host.name,
        'host_ip': facts.get('host_ip'),
        'hypervisor_type': 'QEMU' if facts.get('domains') else None,
        'cpu_info': {
            'arch': facts.get('architecture'),
            'model': facts.get('cpu_model'),
            'vendor': facts.get('cpu_vendor'),
        },
        'vcpus_total': host.host.cpu_count,
        'vcpus_used': host.host.vcpus_used,
        'cpu_allocation_ratio': limits(host).cpu_allocation_ratio,
        'ram_allocation_ratio': limits(host).ram_allocation_ratio,
        'num_instances': len(host.servers),
        'total_usable_ram_mb': host.host.memory_mib,
        'free_ram_mb': host.host.free_memory_mib,
    }


def look_up(known: Mapping[str, Any], path: list[str]) -> Any:
    """Return what is known under a path of names, or None."""
    value: Any = known
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value
