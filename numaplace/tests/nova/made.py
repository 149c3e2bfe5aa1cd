# SPDX-License-Identifier: Apache-2.0
"""Hosts and requests as nova-scheduler holds them, made of Nova's own objects."""

import itertools
import uuid

__all__ = ['INSTANCE', 'Make', 'counters']

INSTANCE = 'c2b7c2b4-6d2b-4f6c-9d9e-0f1f4b4d3a01'


class Make:
    """Builders of Nova's objects."""

    def __init__(self, nova):
        self.nova = nova
        self.objects = nova.objects

    def cell(self, number, cpus, pinned=(), siblings=None):
        return self.objects.NUMACell(
            id=number,
            cpuset=set(),
            pcpuset=set(cpus),
            memory=8192,
            cpu_usage=0,
            memory_usage=0,
            pinned_cpus=set(pinned),
            siblings=siblings or [{cpu} for cpu in cpus],
            mempages=[self.objects.NUMAPagesTopology(size_kb=4, total=2097152, used=0)],
            network_metadata=self.objects.NetworkMetadata(physnets=set(), tunneled=False),
            socket=None,
        )

    def free(self, *counts, of=4):
        """Return a topology whose cells have so many free CPUs."""
        cells = []
        for number, count in enumerate(counts):
            cpus = range(number * of, number * of + of)
            cells.append(self.cell(number, cpus, cpus[count:]))
        return self.objects.NUMATopology(cells=cells)

    def read(self, text):
        """Return a topology from the text of a row."""
        return self.objects.NUMATopology.obj_from_db_obj(text)

    def host(self, name, topology, candidates=({'mappings': {}},), pools=None):
        """Return a HostState that has read a compute node's row.

        :param topology: an object or the text of the row
        """
        state = self.nova.host_manager.HostState(name, f'{name}.example', None)
        state.update(
            compute=self.objects.ComputeNode(
                uuid=str(uuid.uuid4()),
                updated_at=None,
                memory_mb=65536,
                memory_mb_used=0,
                free_ram_mb=65536,
                free_disk_gb=100,
                local_gb=100,
                local_gb_used=0,
                disk_available_least=100,
                vcpus=64,
                vcpus_used=0,
                numa_topology=topology if isinstance(topology, str | None) else topology._to_json(),
                pci_device_pools=pools,
                host_ip='192.0.2.1',
                hypervisor_type='QEMU',
                hypervisor_version=1,
                hypervisor_hostname=name,
                cpu_info='',
                supported_hv_specs=[],
                stats={},
                metrics='[]',
                cpu_allocation_ratio=4.0,
                ram_allocation_ratio=1.5,
                disk_allocation_ratio=1.0,
            )
        )
        state.allocation_candidates = list(candidates)
        return state

    def request(self, *vcpus, requests=None, **more):
        """Return a RequestSpec for guest cells of so many dedicated vCPUs."""
        numbers = itertools.count()
        cells = [
            self.objects.InstanceNUMACell(
                id=cell,
                cpuset=set(),
                pcpuset={next(numbers) for _vcpu in range(count)},
                memory=256,
                cpu_policy='dedicated',
            )
            for cell, count in enumerate(vcpus)
        ]
        return self.objects.RequestSpec(
            instance_uuid=INSTANCE,
            numa_topology=self.objects.InstanceNUMATopology(cells=cells) if cells else None,
            pci_requests=self.objects.InstancePCIRequests(requests=requests) if requests else None,
            flavor=self.objects.Flavor(
                extra_specs={}, memory_mb=256 * len(vcpus), vcpus=sum(vcpus), root_gb=0, ephemeral_gb=0
            ),
            image=self.objects.ImageMeta(properties=self.objects.ImageMetaProps()),
            **{'scheduler_hints': {}} | more,
        )

    def device(self, cell, provider):
        return self.objects.PciDevicePool(
            vendor_id='8086', product_id='10fb', numa_node=cell, count=1, tags={'rp_uuid': provider}
        )

    def wish(self, name):
        return self.objects.InstancePCIRequest(
            request_id=name,
            count=1,
            alias_name='card',
            spec=[{'vendor_id': '8086', 'product_id': '10fb'}],
            numa_policy='required',
        )


def counters(topology):
    """Return what is counted by host cell; the pages of Nova pass through a float."""
    return [
        (cell.id, cell.pinned_cpus, cell.cpu_usage, cell.memory_usage, [float(pages.used) for pages in cell.mempages])
        for cell in topology.cells
    ]
