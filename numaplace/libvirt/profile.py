# SPDX-License-Identifier: Apache-2.0
"""Which parts the XML of a guest has, by the release whose form it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ['NEWEST', 'PROFILES', 'Profile']


@dataclass(frozen=True, slots=True)
class Profile:
    """A form of the guest XML.

    :param iothreads: the guest has an I/O thread, pinned as its emulator (Nova since release 33)
    :param distances: the guest cells have the distances of their host cells (never in Nova)
    :param reaches_all_nodes: the emulator may also run on the CPUs of bound host cells that Nova's rule leaves out,
        where the memory is preallocated: QEMU since 7.2 pins the threads that touch it to each node in turn, and does
        not start if its own CPUs are elsewhere
    :param expanders: devices with a node are behind an expander bus that tells it (never in Nova)
    :param hotplug: vCPUs may be off, and memory may be plugged in (never in Nova)
    """

    iothreads: bool = True
    distances: bool = True
    reaches_all_nodes: bool = True
    expanders: bool = True
    hotplug: bool = True


NEWEST = 'newest'

#: By name; a release of Nova stands for the form from it on, one of libvirt for what is taken from it on.
PROFILES: Mapping[str, Profile] = {
    'nova-12': Profile(iothreads=False, distances=False, reaches_all_nodes=False, expanders=False, hotplug=False),
    'nova-33': Profile(distances=False, reaches_all_nodes=False, expanders=False, hotplug=False),
    'libvirt-1.2': Profile(distances=False, expanders=False, hotplug=False),
    'libvirt-2.2': Profile(distances=False),
    NEWEST: Profile(),
}
