# SPDX-License-Identifier: Apache-2.0
"""Refuse a host that cannot run the image, by its architecture or mode, or the guest, by its machine type."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from numaplace import architecture, exception
from numaplace import request as requests
from numaplace.model import Guest, Reason, Refusal
from numaplace.model.records import HostRecord
from numaplace.request import Machine, machines
from numaplace.request.viommu import resolve
from numaplace.scheduler.filters.base import Answer, Filter, Request

if TYPE_CHECKING:
    from oslo_config import cfg

__all__ = ['ImagePropertiesFilter', 'beyond_machine']

#: Image properties, in the order of the values in a host's domains.
_PROPERTIES = ('hw_architecture', 'img_hv_type', 'hw_vm_mode')
#: Another spelling of a mode.
_MODES = {'hv': 'hvm'}


class ImagePropertiesFilter(Filter):
    """One kind of domain of the host must match all image properties, and its machine type must support the guest.

    :param default_architecture: of images that request none; None for any
    """

    def __init__(self, default_architecture: str | None = None) -> None:
        self._default = {'hw_architecture': default_architecture} if default_architecture else {}

    @classmethod
    def of(cls, group: cfg.ConfigOpts.GroupAttr) -> ImagePropertiesFilter:
        """Return the filter of a configuration."""
        return cls(group.image_properties_default_architecture)

    reads = ('facts',)

    def admit(self, host: HostRecord, request: Request) -> Answer:
        """Refuse with ``image.PROPERTY`` for properties that no domain matches, or all if no domain matches them all.

        Refuse with ``machine.LIMIT`` for what the machine type does not support.
        """
        image = {**self._default, **request.instance.image_properties}
        wanted = {index: (name, image[name]) for index, name in enumerate(_PROPERTIES) if image.get(name)}
        domains: list[tuple[str, ...]] = [tuple(domain) for domain in host.facts.get('domains', ())]
        if wanted and not any(_is_all(domain, wanted) for domain in domains):
            return Refusal.of(*_reasons(wanted, domains))
        beyond = tuple(beyond_machine(host, request, request.instance.guest))
        return Refusal.of(*beyond) if beyond else True


def beyond_machine(host: HostRecord, request: Request, guest: Guest) -> Iterator[Reason]:
    """Yield what a guest requests and its machine type on a host does not support.

    :param guest: that of the request, or how it was divided over the host
    """
    machine = machines.of_host(request.instance.image_properties, host.facts, request.machine_types)
    if machine is not None:
        yield from _beyond(request, guest, machine)


def _beyond(request: Request, guest: Guest, machine: Machine) -> Iterator[Reason]:
    asked = request.instance
    tuning, hotplug = requests.tuning(asked.flavor, asked.image_properties), requests.hotplug(asked.flavor)
    yield from machines.reasons(
        guest,
        machine,
        hotplug,
        near=request.devices.near_place,
        pmu=tuning.pmu,
        addresses=tuning.address_mode is not None,
    )
    try:
        resolve(requests.viommu(asked.flavor, asked.image_properties), guest, machine)
    except exception.Invalid as error:
        yield Reason('machine.viommu', subject=str(error))


def _is_all(domain: tuple[str, ...], wanted: Mapping[int, tuple[str, str]]) -> bool:
    return all(domain[index] == _canonical(value) for index, (_, value) in wanted.items())


def _reasons(wanted: Mapping[int, tuple[str, str]], domains: list[tuple[str, ...]]) -> list[Reason]:
    reasons = []
    for index, (name, value) in wanted.items():
        known = sorted({domain[index] for domain in domains})
        if _canonical(value) not in known:
            has = f'has {", ".join(known)}' if known else 'says nothing of it'
            reasons.append(Reason(f'image.{name}', subject=f'{name}={value}, the host {has}'))
    if not reasons:
        for pair in wanted.values():
            others = ' and '.join('='.join(other) for other in wanted.values() if other != pair)
            reasons.append(Reason(f'image.{pair[0]}', subject=f'{"=".join(pair)}, not together with {others}'))
    return reasons


def _canonical(value: str) -> str:
    """Return libvirt's name for an architecture or a mode, which images spell in several ways."""
    value = architecture.canonical(value)
    return _MODES.get(value, value)
