# SPDX-License-Identifier: Apache-2.0
"""The names that properties of images had before, which Glance still stores for old images."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ['RENAMED', 'current']

#: Names of today by old names (Nova 34, `ImageMetaProps`).
RENAMED: Mapping[str, str] = {
    'architecture': 'hw_architecture',
    'auto_disk_config': 'hw_auto_disk_config',
    'bdm_v2': 'img_bdm_v2',
    'bittorrent': 'img_bittorrent',
    'block_device_mapping': 'img_block_device_mapping',
    'cache_in_nova': 'img_cache_in_nova',
    'hypervisor_type': 'img_hv_type',
    'hypervisor_version_requires': 'img_hv_requested_version',
    'ipxe_boot': 'hw_ipxe_boot',
    'mappings': 'img_mappings',
    'owner_id': 'img_owner_id',
    'root_device_name': 'img_root_device_name',
    'vm_mode': 'hw_vm_mode',
    'vmware_disktype': 'hw_disk_type',
    'vmware_image_version': 'img_version',
    'vmware_linked_clone': 'img_linked_clone',
    'vmware_ostype': 'os_distro',
    'xenapi_device_id': 'hw_device_id',
    'xenapi_image_compression_level': 'img_compression_level',
    'xenapi_skip_agent_inject_files_at_boot': 'os_skip_agent_inject_files_at_boot',
    'xenapi_skip_agent_inject_ssh': 'os_skip_agent_inject_ssh',
    'xenapi_use_agent': 'img_use_agent',
}
#: Named the bus of the disks and, unless it is IDE, the model of the SCSI controller.
_ADAPTER = 'vmware_adaptertype'


def current(image: Mapping[str, str]) -> dict[str, str]:
    """Return the properties of an image by their names of today; a value under such a name takes precedence."""
    found = {RENAMED[name]: value for name, value in image.items() if name in RENAMED}
    adapter = image.get(_ADAPTER)
    if adapter:
        found |= {'hw_disk_bus': 'ide'} if adapter == 'ide' else {'hw_disk_bus': 'scsi', 'hw_scsi_model': adapter}
    return found | {name: value for name, value in image.items() if name not in RENAMED and name != _ADAPTER}
