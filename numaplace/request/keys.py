# SPDX-License-Identifier: Apache-2.0
"""The one table of keys: which a flavor and an image may have, and what is said of others."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence

from numaplace import exception
from numaplace.model import Flavor
from numaplace.request import devices, hotplug, vnuma

__all__ = ['FLAVOR', 'IMAGE', 'OWN', 'QUOTA', 'check', 'unknown']

#: Keys of numaplace alone, all of which are read; N stands for a number.
OWN = (
    *vnuma.KEYS,
    hotplug.VCPU_HOTPLUG,
    hotplug.MEMORY_SLOTS,
    hotplug.MAX_MEMORY,
    *(f'numaplace:{kind}.N' for kind in devices.KINDS),
)

#: Names after ``hw:`` and ``hw_`` that are read, of flavors and images, of flavors alone, and of images alone.
_BOTH = (
    *('numa_nodes', 'numa_cpus.N', 'numa_mem.N', 'mem_page_size', 'locked_memory', 'viommu_model', 'pmu'),
    *('cpu_policy', 'cpu_thread_policy', 'cpu_realtime_mask'),
    *('cpu_sockets', 'cpu_cores', 'cpu_threads', 'cpu_max_sockets', 'cpu_max_cores', 'cpu_max_threads'),
)
_OF_FLAVORS = ('cpu_dedicated_mask', 'cpu_realtime', 'emulator_threads_policy', 'pmem')
_OF_IMAGES = ('architecture', 'emulation_architecture', 'machine_type')

# Those that Nova 34 has besides (`nova.api.validation.extra_specs`, `ImageMetaProps`), which change nothing here.
_MORE_OF_BOTH = (
    *('boot_menu', 'ephemeral_encryption', 'ephemeral_encryption_format', 'mem_encryption', 'mem_encryption_model'),
    *('pci_numa_affinity_policy', 'redirected_usb_ports', 'serial_port_count', 'sound_model', 'tpm_model'),
    *('tpm_version', 'usb_model', 'vif_multiqueue_enabled', 'virtio_packed_ring', 'watchdog_action'),
    *('maxphysaddr_bits', 'maxphysaddr_mode'),
)
_MORE_OF_FLAVORS = ('hide_hypervisor_id', 'tpm_secret_security')
_MORE_OF_IMAGES = (
    *('auto_disk_config', 'cdrom_bus', 'device_id', 'disk_bus', 'disk_type', 'ephemeral_encryption_secret_uuid'),
    *('firmware_stateless', 'firmware_type', 'floppy_bus', 'input_bus', 'ipxe_boot', 'pointer_model'),
    *('qemu_guest_agent', 'rescue_bus', 'rescue_device', 'rng_model', 'scsi_model', 'time_hpet', 'video_model'),
    *('video_ram', 'vif_model', 'vm_mode'),
)
_LIMITS = ('limit', 'reservation', 'shares_level', 'shares_share')

FLAVOR = tuple(f'hw:{name}' for name in (*_BOTH, *_OF_FLAVORS, *_MORE_OF_BOTH, *_MORE_OF_FLAVORS))
IMAGE = tuple(f'hw_{name}' for name in (*_BOTH, *_OF_IMAGES, *_MORE_OF_BOTH, *_MORE_OF_IMAGES))
QUOTA = (
    *('quota:cpu_shares', 'quota:cpu_period', 'quota:cpu_quota'),  # these are read
    *(f'quota:{part}_{limit}' for part in ('cpu', 'memory', 'disk_io', 'vif') for limit in _LIMITS),
    *(f'quota:disk_{way}_{unit}_sec' for way in ('read', 'write', 'total') for unit in ('bytes', 'iops')),
    *(f'quota:vif_{way}_{rate}' for way in ('inbound', 'outbound') for rate in ('average', 'peak', 'burst')),
)

_NUMBER = re.compile(r'\.[0-9]+$')


def check(name: str, extra_specs: Mapping[str, str]) -> None:
    """Refuse extra specs of a flavor that only numaplace could have, but does not.

    :param name: of the flavor

    :raises: :class:`~numaplace.exception.InvalidRequest`
    """
    faults = [
        f'{place}: there is no such key: expected {_near(key, "numaplace:", OWN) or ("one of " + ", ".join(OWN))}'
        for key, place in _others(extra_specs, 'numaplace:', OWN, f'flavor {name!r}')
        if not devices.is_key(key)  # their reader says what is wrong with the number
    ]
    if faults:
        raise exception.InvalidRequest('; '.join(faults))


def unknown(flavor: Flavor, image: Mapping[str, object] | None = None) -> Iterator[str]:
    """Yield a text for each key of Nova's scopes that Nova does not have either, so that it does nothing."""
    of_flavor = f'flavor {flavor.name!r}'
    for values, scope, known, owner in (
        (flavor.extra_specs, 'hw:', FLAVOR, of_flavor),
        (flavor.extra_specs, 'quota:', QUOTA, of_flavor),
        (image or {}, 'hw_', IMAGE, 'image'),
    ):
        for key, place in _others(values, scope, known, owner):
            near = _near(key, scope, known)
            yield f'{place}: there is no such key, and it does nothing' + (f'; the nearest is {near}' if near else '')


def _others(values: Mapping[str, object], scope: str, known: Sequence[str], owner: str) -> Iterator[tuple[str, str]]:
    """Yield the keys of a scope that are not known, each with its place for an error."""
    for key, value in values.items():
        if key.startswith(scope) and _NUMBER.sub('.N', key) not in known:
            yield key, f'{owner}: {key}={str(value)!r}'


def _near(key: str, scope: str, known: Sequence[str]) -> str:
    """Return the known key of a scope with the most similar name, or nothing."""
    by_name = {each.removeprefix(scope): each for each in known}
    name = _NUMBER.sub('.N', key.removeprefix(scope))
    return next((by_name[near] for near in difflib.get_close_matches(name, by_name, n=1)), '')
