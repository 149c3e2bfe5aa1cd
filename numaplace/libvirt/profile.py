# SPDX-License-Identifier: Apache-2.0
"""Profiles of the guest XML for releases of Nova and libvirt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

__all__ = ['NEWEST', 'PROFILES', 'Profile', 'at_release']

#: The releases of libvirt that start QEMU with a thread context for each node with preallocated memory, even for one
#: without CPUs: from the first to before the second.
_THREAD_CONTEXTS = (8, 10), (9, 2)


@dataclass(frozen=True, slots=True)
class Profile:
    """A form of the guest XML.

    :param iothreads: the guest has an I/O thread, pinned like its emulator (Nova since release 33)
    :param distances: the guest cells have the distances of their host cells (never in Nova)
    :param reaches_all_nodes: if memory is preallocated, the emulator may also run on the CPUs of bound host cells that
        Nova's rule leaves out: QEMU since 7.2 pins the threads that touch the memory to each node in turn, and does
        not start if its own CPUs are elsewhere
    :param expanders: devices with a node are behind an expander bus that reports it (never in Nova)
    :param general_memory: a floating guest uses only the general memory of a host that also has other memory (never
        in Nova)
    :param hotplug: vCPUs may be off, and memory may be plugged in (never in Nova)
    :param interrupts: the guest has the IOMMU or GICv3 that its number of vCPUs needs, even if none is requested (never
        in Nova); on x86 no libvirt accepts more than 255 vCPUs without it, and none before 3.5 even with it
    :param virtio_iommu: the IOMMU may be of the model virtio
    :param dies: a socket that lies in several guest cells has dies (never in Nova; libvirt since 6.1)
    :param thread_contexts: libvirt starts QEMU with a thread context for each node with preallocated memory; QEMU since
        7.2 refuses one for a node without CPUs, so guests with memory there have none
    """

    iothreads: bool = True
    distances: bool = True
    reaches_all_nodes: bool = True
    expanders: bool = True
    general_memory: bool = True
    hotplug: bool = True
    interrupts: bool = True
    virtio_iommu: bool = True
    dies: bool = True
    thread_contexts: bool = False


NEWEST = 'newest'

#: By name: the form that Nova writes, or that libvirt accepts, since the named release.
PROFILES: Mapping[str, Profile] = {
    'nova-12': Profile(
        iothreads=False,
        distances=False,
        reaches_all_nodes=False,
        expanders=False,
        general_memory=False,
        hotplug=False,
        interrupts=False,
        dies=False,
    ),
    'nova-33': Profile(
        distances=False,
        reaches_all_nodes=False,
        expanders=False,
        general_memory=False,
        hotplug=False,
        interrupts=False,
        dies=False,
    ),
    'libvirt-1.2': Profile(distances=False, expanders=False, hotplug=False, virtio_iommu=False, dies=False),
    'libvirt-2.2': Profile(distances=False, virtio_iommu=False, dies=False),
    'libvirt-8.10': Profile(thread_contexts=True),
    NEWEST: Profile(),
}


def at_release(profile: Profile, release: tuple[int, ...]) -> Profile:
    """Return a profile as a release of libvirt needs it.

    :param release: such as (9, 0, 0); empty where it is not known
    """
    first, fixed = _THREAD_CONTEXTS
    return replace(profile, thread_contexts=True) if first <= release < fixed else profile
