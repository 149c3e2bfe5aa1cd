# SPDX-License-Identifier: Apache-2.0
"""Refuse a host that cannot run the image: its architecture, type of domain or mode."""

from collections.abc import Mapping

from numaplace.db.records import HostRecord
from numaplace.model import Reason, Refusal
from numaplace.scheduler.filters.base import Answer, Filter, Request

__all__ = ['ImagePropertiesFilter']

#: Image properties, in the order in which a host's domains name what they are.
_PROPERTIES = ('hw_architecture', 'img_hv_type', 'hw_vm_mode')
#: Other spellings that images carry.
_ALIASES = {
    'amd64': 'x86_64',
    'arm64': 'aarch64',
    'hv': 'hvm',
    'i386': 'i686',
    'i486': 'i686',
    'i586': 'i686',
    'ppc64el': 'ppc64le',
    'x86-64': 'x86_64',
    'x86_32': 'i686',
    'x64': 'x86_64',
}


class ImagePropertiesFilter(Filter):
    """One kind of domain of the host must be all that the image asks for."""

    def admit(self, host: HostRecord, request: Request) -> Answer:
        """Refuse with ``image.PROPERTY`` for what no domain of the host is, else with all that no one domain is."""
        wanted = {
            index: (name, _canonical(request.instance.image_properties[name]))
            for index, name in enumerate(_PROPERTIES)
            if request.instance.image_properties.get(name)
        }
        domains: list[tuple[str, ...]] = [tuple(domain) for domain in host.facts.get('domains', ())]
        if any(all(domain[index] == value for index, (_, value) in wanted.items()) for domain in domains) or not wanted:
            return True
        return Refusal.of(*_reasons(wanted, domains))


def _reasons(wanted: Mapping[int, tuple[str, str]], domains: list[tuple[str, ...]]) -> list[Reason]:
    reasons = []
    for index, (name, value) in wanted.items():
        known = sorted({domain[index] for domain in domains})
        if value not in known:
            reasons.append(Reason(f'image.{name}', subject=f'{", ".join(known) or "unknown"}, not {value}'))
    if not reasons:
        together = ' with '.join(value for _, value in wanted.values())
        reasons = [Reason(f'image.{name}', subject=f'no {together}') for name, _ in wanted.values()]
    return reasons


def _canonical(value: str) -> str:
    value = value.strip().lower()
    return _ALIASES.get(value, value)
