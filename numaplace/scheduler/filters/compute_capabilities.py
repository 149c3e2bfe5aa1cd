# SPDX-License-Identifier: Apache-2.0
"""Refuse a host that lacks what a flavor's ``capabilities:`` keys ask for."""

from collections.abc import Mapping
from typing import Any

from numaplace.db.records import HostRecord
from numaplace.model import Reason, Refusal
from numaplace.scheduler.filters import operators
from numaplace.scheduler.filters.base import Answer, Filter, Request

__all__ = ['ComputeCapabilitiesFilter', 'capabilities']

_SCOPE = 'capabilities'


class ComputeCapabilitiesFilter(Filter):
    """Every key ``capabilities:NAME[:NAME...]``, and every plain key that is a capability's name, must match.

    Keys of other scopes (``hw:``, ``quota:``) are not about capabilities. What is not known of a host does not match.
    """

    def admit(self, host: HostRecord, request: Request) -> Answer:
        """Refuse with one ``capability`` for each key that does not match."""
        known = capabilities(host)
        reasons = []
        for key, wanted in sorted(request.instance.flavor.extra_specs.items()):
            scope, *path = key.split(':')
            if scope != _SCOPE and (path or scope not in known):
                continue
            value = _look_up(known, path or [scope])
            if value is None or not operators.match(value, wanted):
                found = 'unknown' if value is None else value
                reasons.append(Reason('capability', subject=f'{key}: {found}, not {wanted}'))
        return Refusal.of(*reasons) if reasons else True


def capabilities(host: HostRecord) -> dict[str, Any]:
    """Return what is known of a host by the names that Nova gives it; sizes in MiB."""
    facts = host.facts
    return {
        'host': host.name,
        'hypervisor_hostname': host.name,
        'hypervisor_type': 'QEMU' if facts.get('domains') else None,
        'cpu_info': {
            'arch': facts.get('architecture'),
            'model': facts.get('cpu_model'),
            'vendor': facts.get('cpu_vendor'),
        },
        'vcpus_total': (host.host.shared_cpus | host.host.dedicated_cpus).bit_count(),
        'vcpus_used': host.host.vcpus_used,
        'total_usable_ram_mb': host.host.memory_mib,
        'free_ram_mb': host.host.memory_mib - host.host.memory_used_mib,
    }


def _look_up(known: Mapping[str, Any], path: list[str]) -> str | None:
    value: Any = known
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return None if value is None or isinstance(value, Mapping) else str(value)
