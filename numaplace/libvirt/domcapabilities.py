# SPDX-License-Identifier: Apache-2.0
"""The XML of ``virsh domcapabilities``: what a libvirt supports for domains of one kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from numaplace.libvirt import document
from numaplace.libvirt.document import Document

__all__ = ['DomainCapabilities', 'read']

_SOURCE = 'the output of `virsh domcapabilities`'


@dataclass(frozen=True, slots=True)
class DomainCapabilities:
    """What a libvirt supports for domains of one architecture, type and machine type.

    :param place: the libvirt that reports it
    :param modes: CPU modes that it supports
    :param models: CPU models of mode custom; False for one that this host cannot run, else True
    :param max_vcpus: the most vCPUs, or None where that is not known
    :param knows_cpus: whether it has a CPU driver for the architecture
    """

    place: str
    modes: frozenset[str]
    models: Mapping[str, bool]
    max_vcpus: int | None = None
    knows_cpus: bool = True


def read(xml: bytes, place: str) -> DomainCapabilities:
    """Read the CPU modes and models, and the number of vCPUs.

    :param place: where the document came from
    :raises: :class:`~numaplace.exception.InvalidCapabilities` if it is not such XML
    """
    source = document.parse(xml, place, 'domainCapabilities', _SOURCE)
    cpu = source.root.find('cpu')
    if cpu is None:
        raise source.fault(source.root, f'there is no cpu: expected {_SOURCE}')
    modes = {mode.get('name') or '': mode for mode in cpu.iterfind('mode') if mode.get('supported') == 'yes'}
    return DomainCapabilities(place, frozenset(modes), _models(source), _max_vcpus(source))


def _max_vcpus(source: Document) -> int | None:
    vcpu = source.root.find('vcpu')
    return None if vcpu is None else source.whole(vcpu, 'max', 'number of vCPUs')


def _models(source: Document) -> dict[str, bool]:
    models = source.root.iterfind("cpu/mode[@name='custom']/model")
    return {name: model.get('usable') != 'no' for model in models if (name := (model.text or '').strip())}
