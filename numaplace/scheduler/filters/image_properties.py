# SPDX-License-Identifier: Apache-2.0
"""Refuse a host that cannot run the image: its architecture, type of domain or mode."""

from collections.abc import Mapping

from numaplace.db.records import HostRecord
from numaplace.model import Reason, Refusal
from numaplace.scheduler.filters.base import Answer, Filter, Request

__all__ = ['ImagePropertiesFilter', 'canonical']

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
            index: (name, request.instance.image_properties[name])
            for index, name in enumerate(_PROPERTIES)
            if request.instance.image_properties.get(name)
        }
        domains: list[tuple[str, ...]] = [tuple(domain) for domain in host.facts.get('domains', ())]
        if not wanted or any(_is_all(domain, wanted) for domain in domains):
            return True
        return Refusal.of(*_reasons(wanted, domains))


def _is_all(domain: tuple[str, ...], wanted: Mapping[int, tuple[str, str]]) -> bool:
    return all(domain[index] == canonical(value) for index, (_, value) in wanted.items())


def _reasons(wanted: Mapping[int, tuple[str, str]], domains: list[tuple[str, ...]]) -> list[Reason]:
    reasons = []
    for index, (name, value) in wanted.items():
        known = sorted({domain[index] for domain in domains})
        if canonical(value) not in known:
            has = f'has {", ".join(known)}' if known else 'says nothing of it'
            reasons.append(Reason(f'image.{name}', subject=f'{name}={value}, the host {has}'))
    if not reasons:
        for pair in wanted.values():
            others = ' and '.join('='.join(other) for other in wanted.values() if other != pair)
            reasons.append(Reason(f'image.{pair[0]}', subject=f'{"=".join(pair)}, not together with {others}'))
    return reasons


def canonical(value: str) -> str:
    """Return the name that libvirt has for an architecture or a mode that images spell in several ways."""
    value = value.strip().lower()
    return _ALIASES.get(value, value)
