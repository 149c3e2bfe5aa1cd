# SPDX-License-Identifier: Apache-2.0
"""The one table of keys: which a flavor and an image may have, the form of each, and what becomes of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache

from numaplace.pci_specs import POLICIES
from numaplace.request import devices, forms, hotplug, vnuma
from numaplace.request.forms import ANY, BOOLEAN, CPU_LIST, INTEGER, Form, integer, matching, one_of
from numaplace.request.viommu import MODELS

__all__ = [
    'DESCRIBES',
    'FLAVOR',
    'FLAVOR_KEYS',
    'HONOURED',
    'IMAGE',
    'IMAGE_KEYS',
    'OWN',
    'QUOTA',
    'REFUSED',
    'WITHOUT_EFFECT',
    'Key',
    'find',
]

#: What becomes of a key: it is read; a request for it is refused, because numaplace cannot provide it; a warning says
#: that it has no bearing on placement; or it describes the image and requests nothing.
HONOURED, REFUSED, WITHOUT_EFFECT, DESCRIBES = 'honoured', 'refused', 'without effect', 'describes'

#: The strategy of a flavor's servers, instead of the configured one.
STRATEGY = 'numaplace:strategy'
#: Keys of numaplace alone, all of which are read; N stands for a number.
OWN = (
    STRATEGY,
    *vnuma.KEYS,
    hotplug.VCPU_HOTPLUG,
    hotplug.MEMORY_SLOTS,
    hotplug.MAX_MEMORY,
    *(f'numaplace:{kind}.N' for kind in devices.KINDS),
)

_PLACEHOLDERS = {
    '.N': '[.][0-9]+',
    '{number}': '([1-9][0-9]*)?',
    '{group}': '([a-zA-Z0-9_-]{1,64})?',
    ':NAME': ':.+',
}


@dataclass(frozen=True, slots=True)
class Key:
    """A key that Nova 34 has.

    :param name: N stands for a number, ``{number}`` for that of a group or nothing, ``{group}`` for the name of a group
        or nothing, NAME for any name
    :param form: of its values
    :param verdict: `HONOURED`, `REFUSED`, `WITHOUT_EFFECT` or `DESCRIBES`
    :param about: what reads it, or why it is refused
    :param idle: values of a refused key that request nothing, besides false and 0
    """

    name: str
    form: Form
    verdict: str
    about: str = ''
    idle: tuple[str, ...] = ()

    def is_for(self, name: str) -> bool:
        """Return whether this is the key of a name."""
        return self.name == name or bool((pattern := _pattern(self.name)) and pattern.fullmatch(name))

    def asks(self, value: str) -> bool:
        """Return whether a value requests anything."""
        return value != '' and value not in self.idle and self.form.asks(value)


_CPU, _CELLS, _PAGES, _TOPOLOGY = 'CPU policies', 'guest cells', 'memory', 'the vCPU topology'
_PRESENT = integer(1)
_MEMORY = matching('small, large, any or a size, such as 2MB', r'(large|small|any|\d+([kKMGT]i?)?(b|bit|B)?)')
_SECURITY = 'the memory of guests is not encrypted'
_TPM = 'guests have no TPM'
_PLACEMENT = 'only placement has it'
_BUSES = one_of('fdc', 'ide', 'sata', 'scsi', 'usb', 'virtio', 'xen', 'lxc', 'uml')
_SOUND = one_of('sb16', 'es1370', 'pcspk', 'ac97', 'ich6', 'ich9', 'usb', 'virtio')
_ENCRYPTIONS = one_of('amd-sev', 'amd-sev-es', 'amd-sev-snp', 'intel-tdx')

#: After ``hw:`` and ``hw_``; the forms are those of flavors.
_BOTH = (
    Key('numa_nodes', _PRESENT, HONOURED, _CELLS),
    Key('numa_cpus.N', CPU_LIST, HONOURED, _CELLS),
    Key('numa_mem.N', _PRESENT, HONOURED, _CELLS),
    Key('mem_page_size', _MEMORY, HONOURED, _PAGES),
    Key('locked_memory', BOOLEAN, HONOURED, _PAGES),
    Key('cpu_policy', one_of('dedicated', 'shared', 'mixed'), HONOURED, _CPU),
    Key('cpu_thread_policy', one_of('prefer', 'isolate', 'require'), HONOURED, _CPU),
    Key('cpu_realtime_mask', CPU_LIST, HONOURED, _CPU),
    *(Key(f'cpu_{part}', _PRESENT, HONOURED, _TOPOLOGY) for part in ('sockets', 'cores', 'threads')),
    *(Key(f'cpu_max_{part}', _PRESENT, HONOURED, _TOPOLOGY) for part in ('sockets', 'cores', 'threads')),
    Key('viommu_model', one_of(*MODELS), HONOURED, 'the guest XML'),
    Key('pmu', BOOLEAN, HONOURED, 'the guest XML'),
    Key('pci_numa_affinity_policy', one_of(*POLICIES), HONOURED, 'the NUMA affinity of PCI devices'),
    Key('mem_encryption', BOOLEAN, REFUSED, _SECURITY),
    Key('mem_encryption_model', _ENCRYPTIONS, WITHOUT_EFFECT),
    Key('tpm_version', one_of('1.2', '2.0'), REFUSED, _TPM),
    Key('tpm_model', one_of('tpm-tis', 'tpm-crb'), WITHOUT_EFFECT),
    Key('ephemeral_encryption', BOOLEAN, REFUSED, 'ephemeral disks are not encrypted'),
    Key('ephemeral_encryption_format', one_of('plain', 'luks', 'luksv2'), WITHOUT_EFFECT),
    Key('boot_menu', BOOLEAN, WITHOUT_EFFECT),
    Key('maxphysaddr_bits', INTEGER, WITHOUT_EFFECT),
    Key('maxphysaddr_mode', one_of('passthrough', 'emulate'), WITHOUT_EFFECT),
    Key('redirected_usb_ports', integer(0, 15), WITHOUT_EFFECT),
    Key('serial_port_count', integer(0), WITHOUT_EFFECT),
    Key('sound_model', _SOUND, WITHOUT_EFFECT),
    Key('usb_model', one_of('none', 'nec-xhci', 'qemu-xhci'), WITHOUT_EFFECT),
    Key('vif_multiqueue_enabled', BOOLEAN, WITHOUT_EFFECT),
    Key('virtio_packed_ring', BOOLEAN, WITHOUT_EFFECT),
    Key('watchdog_action', one_of('none', 'pause', 'poweroff', 'reset', 'disabled'), WITHOUT_EFFECT),
)

_OF_FLAVORS = (
    Key('hw:cpu_dedicated_mask', CPU_LIST, HONOURED, _CPU),
    Key('hw:cpu_realtime', BOOLEAN, HONOURED, _CPU),
    Key('hw:emulator_threads_policy', one_of('isolate', 'share'), HONOURED, _CPU),
    Key(
        'hw:pmem',
        matching("labels with commas between, such as '6GB,SMALL'", r'[a-zA-Z0-9_]+(,[a-zA-Z0-9_]+)*,?'),
        REFUSED,
        'guests have no persistent memory',
    ),
    Key('hw:hide_hypervisor_id', BOOLEAN, WITHOUT_EFFECT),
    Key('hw:tpm_secret_security', one_of('user', 'host', 'deployment'), WITHOUT_EFFECT),
)

_LEVELS = one_of('custom', 'high', 'normal', 'low')
_QUOTA = (
    Key('quota:cpu_shares', integer(0), HONOURED, 'the guest XML'),
    Key('quota:cpu_period', integer(0), HONOURED, 'the guest XML'),
    Key('quota:cpu_quota', INTEGER, HONOURED, 'the guest XML'),
    *(
        Key(f'quota:{part}_{limit}', form, WITHOUT_EFFECT)
        for part in ('cpu', 'memory', 'disk_io', 'vif')
        for limit, form in (
            ('limit', integer(0)),
            ('reservation', INTEGER),
            ('shares_level', _LEVELS),
            ('shares_share', integer(0)),
        )
    ),
    *(
        Key(f'quota:disk_{way}_{unit}_sec', integer(0), WITHOUT_EFFECT)
        for way in ('read', 'write', 'total')
        for unit in ('bytes', 'iops')
    ),
    *(
        Key(f'quota:vif_{way}_{rate}', integer(0), WITHOUT_EFFECT)
        for way in ('inbound', 'outbound')
        for rate in ('average', 'peak', 'burst')
    ),
)

#: Of flavors, in other scopes; the first that matches counts.
_MORE_OF_FLAVORS = (
    Key('resources{number}:VCPU', INTEGER, HONOURED, _CPU),
    Key('resources{number}:PCPU', INTEGER, HONOURED, _CPU),
    Key('resources{group}:NAME', INTEGER, REFUSED, _PLACEMENT),
    Key('trait{number}:HW_CPU_HYPERTHREADING', one_of('required', 'forbidden'), HONOURED, _CPU),
    Key('trait{group}:NAME', one_of('required', 'forbidden'), REFUSED, _PLACEMENT),
    Key('group_policy', one_of('isolate', 'none'), WITHOUT_EFFECT),
    Key('capabilities:NAME', ANY, HONOURED, '``ComputeCapabilitiesFilter``'),
    Key('aggregate_instance_extra_specs:NAME', ANY, HONOURED, '``AggregateInstanceExtraSpecsFilter``'),
    Key(
        'pci_passthrough:alias',
        matching("names of [pci] alias with a number each, such as 'gpu:1, nic:2'", r'[^:]+:\d+(\s*,[^:]+:\d+)*'),
        HONOURED,
        '``PciPassthroughFilter``',
    ),
    Key('accel:device_profile', ANY, REFUSED, 'only Cyborg has it'),
    Key('os:secure_boot', one_of('disabled', 'required'), REFUSED, 'guests have no UEFI firmware', ('disabled',)),
    Key('hide_hypervisor_id', BOOLEAN, WITHOUT_EFFECT),
    Key('hw_rng:allowed', BOOLEAN, WITHOUT_EFFECT),
    Key('hw_rng:rate_bytes', integer(0), WITHOUT_EFFECT),
    Key('hw_rng:rate_period', integer(0), WITHOUT_EFFECT),
    Key('hw_video:ram_max_mb', integer(0), WITHOUT_EFFECT),
    Key('vmware:hw_version', ANY, WITHOUT_EFFECT),
    Key('vmware:storage_policy', ANY, WITHOUT_EFFECT),
)

_SCSI = ('buslogic', 'ibmvscsi', 'lsilogic', 'lsisas1068', 'lsisas1078', 'virtio-scsi', 'vmpvscsi')
_VIFS = (
    *('virtio', 'ne2k_pci', 'pcnet', 'rtl8139', 'e1000', 'e1000e', 'netfront', 'spapr-vlan', 'lan9118', 'sriov'),
    *('vmxnet', 'vmxnet3', 'igb', 'virtuale1000', 'virtuale1000e', 'virtualpcnet32', 'virtualsriovethernetcard'),
    *('virtualvmxnet', 'virtualvmxnet3'),
)

_OF_IMAGES = (
    Key('hw_architecture', ANY, HONOURED, '``ImagePropertiesFilter``'),
    Key('hw_emulation_architecture', ANY, HONOURED, 'the machine type'),
    Key('hw_machine_type', ANY, HONOURED, 'the machine type'),
    Key('hw_vm_mode', ANY, HONOURED, '``ImagePropertiesFilter``'),
    Key('hw_auto_disk_config', ANY, WITHOUT_EFFECT),
    *(Key(f'hw_{name}_bus', _BUSES, WITHOUT_EFFECT) for name in ('cdrom', 'disk', 'floppy', 'rescue')),
    Key('hw_device_id', INTEGER, WITHOUT_EFFECT),
    Key('hw_disk_type', ANY, WITHOUT_EFFECT),
    Key('hw_ephemeral_encryption_secret_uuid', ANY, WITHOUT_EFFECT),
    Key('hw_firmware_stateless', forms.FLEXIBLE, WITHOUT_EFFECT),
    Key('hw_firmware_type', one_of('uefi', 'bios'), WITHOUT_EFFECT),
    Key('hw_input_bus', one_of('usb', 'virtio'), WITHOUT_EFFECT),
    Key('hw_ipxe_boot', forms.FLEXIBLE, WITHOUT_EFFECT),
    Key('hw_pointer_model', one_of('usbtablet'), WITHOUT_EFFECT),
    Key('hw_qemu_guest_agent', forms.FLEXIBLE, WITHOUT_EFFECT),
    Key('hw_rescue_device', one_of('cdrom', 'disk', 'floppy', 'fs', 'lun'), WITHOUT_EFFECT),
    Key('hw_rng_model', one_of('virtio'), WITHOUT_EFFECT),
    Key('hw_scsi_model', one_of(*_SCSI, 'lsilogicsas', 'paravirtual', folded=True), WITHOUT_EFFECT),
    Key('hw_time_hpet', forms.FLEXIBLE, WITHOUT_EFFECT),
    Key(
        'hw_video_model',
        one_of('cirrus', 'qxl', 'vga', 'vmvga', 'xen', 'virtio', 'gop', 'none', 'bochs'),
        WITHOUT_EFFECT,
    ),
    Key('hw_video_ram', INTEGER, WITHOUT_EFFECT),
    Key('hw_vif_model', one_of(*_VIFS, folded=True), WITHOUT_EFFECT),
    Key('img_hv_type', ANY, HONOURED, '``ImagePropertiesFilter``'),
    Key('img_hv_requested_version', ANY, REFUSED, 'the version of a hypervisor is not compared'),
    Key('img_config_drive', one_of('optional', 'mandatory'), WITHOUT_EFFECT),
    Key('img_hide_hypervisor_id', forms.FLEXIBLE, WITHOUT_EFFECT),
    *(Key(f'img_{name}', forms.FLEXIBLE, DESCRIBES) for name in ('bittorrent', 'bdm_v2', 'cache_in_nova')),
    *(Key(f'img_{name}', forms.FLEXIBLE, DESCRIBES) for name in ('linked_clone', 'use_agent')),
    *(Key(f'img_{name}', ANY, DESCRIBES) for name in ('block_device_mapping', 'mappings', 'owner_id')),
    *(Key(f'img_{name}', ANY, DESCRIBES) for name in ('root_device_name', 'signature', 'signature_hash_method')),
    *(Key(f'img_{name}', ANY, DESCRIBES) for name in ('signature_certificate_uuid', 'signature_key_type')),
    Key('img_compression_level', INTEGER, DESCRIBES),
    Key('img_version', INTEGER, DESCRIBES),
    Key(
        'os_secure_boot',
        one_of('required', 'disabled', 'optional'),
        REFUSED,
        'guests have no UEFI firmware',
        ('disabled', 'optional'),
    ),
    Key('os_require_quiesce', forms.FLEXIBLE, WITHOUT_EFFECT),
    Key('os_command_line', ANY, WITHOUT_EFFECT),
    Key('os_admin_user', ANY, DESCRIBES),
    Key('os_distro', ANY, DESCRIBES),
    Key('os_skip_agent_inject_files_at_boot', forms.FLEXIBLE, DESCRIBES),
    Key('os_skip_agent_inject_ssh', forms.FLEXIBLE, DESCRIBES),
    Key('os_type', one_of('linux', 'windows', folded=True), DESCRIBES),
    Key('trait:HW_CPU_HYPERTHREADING', ANY, HONOURED, _CPU),
    Key('trait:NAME', one_of('required'), REFUSED, _PLACEMENT),
)

#: Every key of a flavor, and every property of an image, that Nova 34 validates.
FLAVOR_KEYS = (*(replace(key, name=f'hw:{key.name}') for key in _BOTH), *_OF_FLAVORS, *_QUOTA, *_MORE_OF_FLAVORS)
IMAGE_KEYS = (*(replace(key, name=f'hw_{key.name}', form=key.form.of_image()) for key in _BOTH), *_OF_IMAGES)

FLAVOR = tuple(key.name for key in FLAVOR_KEYS if key.name.startswith('hw:'))
IMAGE = tuple(key.name for key in IMAGE_KEYS if key.name.startswith('hw_'))
QUOTA = tuple(key.name for key in _QUOTA)


def find(name: str, table: tuple[Key, ...]) -> Key | None:
    """Return the key of a table that a name belongs to, or None."""
    return next((key for key in table if key.is_for(name)), None)


@cache
def _pattern(name: str) -> re.Pattern[str] | None:
    """Return the pattern of a name with placeholders; None for one without."""
    found = [(placeholder, text) for placeholder, text in _PLACEHOLDERS.items() if placeholder in name]
    pattern = re.escape(name)
    for placeholder, text in found:
        pattern = pattern.replace(re.escape(placeholder), text)
    return re.compile(pattern) if found else None
