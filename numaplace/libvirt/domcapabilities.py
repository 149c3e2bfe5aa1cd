# SPDX-License-Identifier: Apache-2.0
"""The XML of ``virsh domcapabilities``: what a libvirt supports for domains of one kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from numaplace.libvirt import document
from numaplace.libvirt.document import Document
from numaplace.model.host_resources import AMD_SEV, AMD_SEV_ES, Encryption

__all__ = ['SOURCE', 'DomainCapabilities', 'read']

SOURCE = 'the output of `virsh domcapabilities`'


@dataclass(frozen=True, slots=True)
class DomainCapabilities:
    """What a libvirt supports for domains of one architecture, type and machine type.

    :param place: the libvirt that reports it
    :param modes: CPU modes that it supports
    :param models: CPU models of mode custom; False for one that this host cannot run, else True
    :param max_vcpus: the most vCPUs, or None where that is not known
    :param knows_cpus: whether it has a CPU driver for the architecture
    :param encryption: memory encryption of its host
    """

    place: str
    modes: frozenset[str]
    models: Mapping[str, bool]
    max_vcpus: int | None = None
    knows_cpus: bool = True
    encryption: tuple[Encryption, ...] = ()


def read(xml: bytes, place: str) -> DomainCapabilities:
    """Read the CPU modes and models, and the number of vCPUs.

    :param place: where the document came from
    :raises: :class:`~numaplace.exception.InvalidCapabilities` if it is not such XML
    """
    source = document.parse(xml, place, 'domainCapabilities', SOURCE)
    cpu = source.root.find('cpu')
    if cpu is None:
        raise source.fault(source.root, f'there is no cpu: expected {SOURCE}')
    modes = {mode.get('name') or '': mode for mode in cpu.iterfind('mode') if mode.get('supported') == 'yes'}
    return DomainCapabilities(
        place, frozenset(modes), _models(source), _max_vcpus(source), encryption=tuple(_encryption(source))
    )


def _max_vcpus(source: Document) -> int | None:
    vcpu = source.root.find('vcpu')
    return None if vcpu is None else source.whole(vcpu, 'max', 'number of vCPUs')


def _encryption(source: Document) -> Iterator[Encryption]:
    """Yield the models of encryption; a libvirt before 8.0 says nothing of how many guests may have it."""
    sev = source.root.find("features/sev[@supported='yes']")
    if sev is None:
        return
    cbitpos, bits, most, most_es = (
        None if (found := sev.find(tag)) is None else source.whole(found, None, what)
        for tag, what in (
            ('cbitpos', 'number of a bit'),
            ('reducedPhysBits', 'number of bits'),
            ('maxGuests', 'number of guests'),
            ('maxESGuests', 'number of guests'),
        )
    )
    for model, number in ((AMD_SEV, most), (AMD_SEV_ES, most_es or 0)):
        if number != 0:
            yield Encryption(model, number, cbitpos, bits)


def _models(source: Document) -> dict[str, bool]:
    models = source.root.iterfind("cpu/mode[@name='custom']/model")
    return {name: model.get('usable') != 'no' for model in models if (name := (model.text or '').strip())}
