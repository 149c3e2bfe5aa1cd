# SPDX-License-Identifier: Apache-2.0
"""A driver without a hypervisor whose host has the NUMA topology of a file."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import nova.conf
import os_resource_classes
from nova import objects
from nova.compute import power_state
from nova.image import glance
from nova.virt import fake
from oslo_config import cfg

CONF = nova.conf.CONF
CONF.register_opts(
    [
        cfg.StrOpt('topology', help='File with a NUMATopology as Nova stores it in compute_nodes.'),
        cfg.StrOpt('guests', help='Directory in which each host keeps its guests (default: the state path).'),
    ],
    group='ministack',
)


class _Guests(dict[str, fake.FakeInstance]):
    """The guests of a host by UUID, which a hypervisor still has when its nova-compute starts again.

    :param directory: with a file for each guest, which holds its name
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        super().__init__(
            (file.name, fake.FakeInstance(file.read_text('utf-8'), power_state.RUNNING, file.name))
            for file in directory.iterdir()
        )

    def __setitem__(self, uuid: str, guest: fake.FakeInstance) -> None:
        super().__setitem__(uuid, guest)
        (self._directory / uuid).write_text(guest.name, 'utf-8')

    def __delitem__(self, uuid: str) -> None:
        super().__delitem__(uuid)
        (self._directory / uuid).unlink()


class NumaFakeDriver(fake.FakeDriverWithoutFakeNodes):
    """Nova's fake driver with NUMA cells, and with CPUs to be pinned in placement."""

    capabilities = fake.FakeDriver.capabilities | {'supports_pcpus': True}
    local_gb = 1000

    def __init__(self, virtapi: Any, read_only: bool = False) -> None:
        self._topology = objects.NUMATopology.obj_from_db_obj(Path(CONF.ministack.topology).read_text('utf-8'))
        cells = self._topology.cells
        for cell in cells:
            if not cell.obj_attr_is_set('socket'):  # of a release before; Nova's own drivers set it
                cell.socket = None
        self._cpus = {
            os_resource_classes.VCPU: sum(len(cell.cpuset) for cell in cells),
            os_resource_classes.PCPU: sum(len(cell.pcpuset) for cell in cells),
        }
        self.vcpus = sum(len(cell.cpuset | cell.pcpuset) for cell in cells)
        self.memory_mb = sum(cell.memory for cell in cells)
        super().__init__(virtapi, read_only)
        # The state path of a fake compute of devstack belongs to root.
        kept = CONF.ministack.guests
        self.instances = _Guests(Path(kept, CONF.host) if kept else Path(CONF.state_path, 'guests'))

    def get_available_resource(self, nodename: str) -> dict[str, Any]:
        """Return what the host has; the resource tracker counts the use."""
        return super().get_available_resource(nodename) | {'numa_topology': self._topology._to_json()}

    def snapshot(self, context: Any, instance: Any, image_id: str, update_task_state: Any) -> None:
        """Upload an image of an empty disk."""
        super().snapshot(context, instance, image_id, update_task_state)
        formats = {'disk_format': 'raw', 'container_format': 'bare'}
        glance.API().update(context, image_id, formats, io.BytesIO(bytes(512)), purge_props=False)

    def update_provider_tree(self, provider_tree: Any, nodename: str, allocations: Any = None) -> None:
        """Report shared and dedicated CPUs to placement separately."""
        super().update_provider_tree(provider_tree, nodename, allocations)
        inventory = dict(provider_tree.data(nodename).inventory)
        every = inventory.pop(os_resource_classes.VCPU)
        for resource_class, total in self._cpus.items():
            if total:
                inventory[resource_class] = every | {'total': total, 'max_unit': total}
        if os_resource_classes.PCPU in inventory:
            inventory[os_resource_classes.PCPU] |= {'allocation_ratio': 1.0}
        provider_tree.update_inventory(nodename, inventory)
