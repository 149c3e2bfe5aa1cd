# SPDX-License-Identifier: Apache-2.0
"""Replace all that names somebody or something: the same name by the same name, everywhere in a fleet."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace

from numaplace import exception
from numaplace.model import (
    Devices,
    Flavor,
    GrantedDevice,
    Guest,
    Host,
    HostCell,
    HostDevices,
    MemoryModule,
    PciDevice,
    Placement,
    intern_shape,
)
from numaplace.model.fleet import Aggregate, Fleet, Provider, Remark, Unread
from numaplace.model.holding import Holding, Note
from numaplace.model.host_resources import PMEM, Namespace, pmem
from numaplace.model.pci import NETWORK
from numaplace.model.records import HostRecord, InstanceRecord, Move, RequestSpec, Side
from numaplace.request.devices import KINDS, is_key, own_devices
from numaplace.request.keys import FLAVOR_KEYS, HONOURED, IMAGE_KEYS, Key, find

__all__ = ['anonymise']

#: Facts of hosts that say what machine it is, not whose.
_FACTS = ('architecture', 'cpu_model', 'cpu_vendor', 'cpus', 'domains', 'machines', 'pci_devices')
#: Scopes of extra specs whose keys are Nova's words.
_SCOPES = ('hw', 'quota')
#: Compares a flavor with the metadata of aggregates.
_OF_AGGREGATES = 'aggregate_instance_extra_specs'
_ZONE = 'availability_zone'
#: Tags of PCI devices that are switches.
_DEVICE_TAGS = ('live_migratable', 'managed', 'one_time_use', 'remote_managed', 'trusted')
_PHYSNET = 'physical_network'
_CUSTOM = 'CUSTOM_'
#: Its labels are names of the operator.
_PMEM = 'hw:pmem'


def anonymise(fleet: Fleet) -> Fleet:
    """Return a fleet without names, UUIDs, paths, addresses and metadata of its owner.

    Sizes, usage, placements, extra specs that numaplace reads, states and times stay, so that every question gets the
    same answer in other words. Texts of what could not be read are left out: they quote the rows.
    """
    return _Names().fleet(fleet)


class _Names:
    """New names, given in the order in which the old ones are met."""

    def __init__(self) -> None:
        self._given: dict[str, dict[str, str]] = defaultdict(dict)

    def of(self, kind: str, name: str) -> str:
        """Return the new name of a thing of a kind."""
        given = self._given[kind]
        return given.setdefault(name, f'{kind}-{len(given) + 1}')

    def uuid(self, uuid: str) -> str:
        given = self._given['uuid']
        return given.setdefault(uuid, f'00000000-0000-4000-8000-{len(given) + 1:012x}')

    def maybe(self, kind: str, name: str | None) -> str | None:
        return None if name is None else self.of(kind, name)

    def fleet(self, fleet: Fleet) -> Fleet:
        return Fleet(
            tuple(map(self.host, fleet.hosts)),
            tuple([self.server(server, number) for number, server in enumerate(fleet.servers, 1)]),
            tuple(map(self.flavor, fleet.flavors)),
            tuple(map(self.aggregate, fleet.aggregates)),
            tuple(map(self.provider, fleet.providers)),
            tuple(map(self.unread, fleet.unread)),
            tuple(map(self.remark, fleet.remarks)),
        )

    # --- hosts

    def host(self, record: HostRecord) -> HostRecord:
        return replace(
            record,
            name=self.of('host', record.name),
            uuid=self.uuid(record.uuid),
            availability_zone=self.of('zone', record.availability_zone),
            facts={key: value for key, value in record.facts.items() if key in _FACTS},
            host=self.cells(record.host),
            libvirt_uri=None,
            unmanaged=tuple(map(self.holding, record.unmanaged)),
        )

    def holding(self, holding: Holding) -> Holding:
        name, uuid = self.of('domain', holding.name), self.uuid(holding.uuid)
        notes = tuple([Note(note.code, 'left out') for note in holding.notes])
        devices = tuple([self.of('device', address) for address in holding.devices])
        resources = tuple(map(self.resource, holding.resources))
        return replace(holding, name=name, uuid=uuid, devices=devices, notes=notes, resources=resources)

    def cells(self, host: Host) -> Host:
        devices = HostDevices(
            tuple(map(self.device, host.devices.known)),
            frozenset([self.of('device', address) for address in sorted(host.devices.taken)]),
            frozenset([self.of('device', address) for address in sorted(host.devices.held)]),
        )
        resources = replace(
            host.resources,
            namespaces=tuple(map(self.namespace, host.resources.namespaces)),
            used=tuple(sorted(map(self.resource, host.resources.used))),
            held=tuple(sorted(map(self.resource, host.resources.held))),
        )
        return replace(host, cells=tuple(map(self.cell, host.cells)), devices=devices, resources=resources)

    def namespace(self, found: Namespace) -> Namespace:
        name, label = self.of('namespace', found.name), self.label(found.label)
        return replace(found, name=name, label=label, path=self.path(found.path))

    def label(self, label: str) -> str:
        return self.of('label', label).replace('-', '_')

    def path(self, path: str) -> str:
        return f'/{self.of("path", path)}'

    def resource(self, name: str) -> str:
        """Return the name of a resource: of persistent memory, that of the namespace, or a path in its place."""
        if not name.startswith(PMEM):
            return name
        name = name.removeprefix(PMEM)
        return pmem(self.path(name) if name.startswith('/') else self.of('namespace', name))

    def device(self, device: PciDevice) -> PciDevice:
        tags = {key: value for key, value in device.tags.items() if key in _DEVICE_TAGS}
        if (physnet := device.tags.get(_PHYSNET)) is not None:
            tags[_PHYSNET] = self.of('physnet', physnet)
        address, parent = self.of('device', device.address), self.maybe('device', device.parent)
        return replace(device, address=address, parent=parent, tags=tags)

    def cell(self, cell: HostCell) -> HostCell:
        physnets = frozenset([self.of('physnet', name) for name in sorted(cell.shape.physnets)])
        return replace(cell, shape=intern_shape(replace(cell.shape, physnets=physnets)))

    def aggregate(self, aggregate: Aggregate) -> Aggregate:
        metadata = {
            key if key == _ZONE else self.of('key', key): self.of('zone' if key == _ZONE else 'value', value)
            for key, value in aggregate.metadata.items()
        }
        hosts = tuple([self.of('host', name) for name in aggregate.hosts])
        return Aggregate(self.of('aggregate', aggregate.name), metadata, hosts)

    def provider(self, provider: Provider) -> Provider:
        return Provider(
            self.of('host', provider.host),
            self.uuid(provider.uuid),
            {self.custom(name): inventory for name, inventory in provider.inventories.items()},
            {
                self.uuid(consumer): {self.custom(name): amount for name, amount in resources.items()}
                for consumer, resources in provider.allocations.items()
            },
            frozenset([self.custom(name) for name in sorted(provider.traits)]),
        )

    def custom(self, name: str) -> str:
        """Return a resource class or trait; only those of an operator name anything."""
        return self.of(_CUSTOM.rstrip('_'), name).replace('-', '_') if name.startswith(_CUSTOM) else name

    # --- servers

    def server(self, server: InstanceRecord, number: int) -> InstanceRecord:
        return replace(
            server,
            uuid=self.uuid(server.uuid),
            name=self.of('server', server.name),
            number=number,
            host=self.maybe('host', server.host),
            flavor=self.flavor(server.flavor),
            image_properties=self.image(server.image_properties),
            placement=self.placement(server.placement),
            availability_zone=self.maybe('zone', server.availability_zone),
            move=server.move and self.move(server.move),
            devices=self.devices(server.devices),
            adopted_name=None,
            metadata={key: value for key, value in server.metadata.items() if _is_told(FLAVOR_KEYS, key, value)},
            request_spec=server.request_spec and self.request_spec(server.request_spec),
        )

    def request_spec(self, spec: RequestSpec) -> RequestSpec:
        return replace(
            spec,
            flavor=self.flavor(spec.flavor),
            availability_zone=self.maybe('zone', spec.availability_zone),
            hosts=tuple([self.of('host', name) for name in spec.hosts]),
        )

    def move(self, move: Move) -> Move:
        return replace(move, uuid=self.uuid(move.uuid), old=self.side(move.old), new=self.side(move.new))

    def side(self, side: Side) -> Side:
        return Side(self.of('host', side.host), self.flavor(side.flavor), self.placement(side.placement))

    def placement(self, placement: Placement) -> Placement:
        devices = [
            GrantedDevice(self.device(granted.device), self.asked(granted.request)) for granted in placement.devices
        ]
        resources = tuple(map(self.resource, placement.resources))
        return replace(placement, guest=self.guest(placement.guest), devices=tuple(devices), resources=resources)

    def asked(self, request: str) -> str:
        """Return the name of a request for devices, with that of its physical network as hosts have it."""
        physnet = request.removeprefix(NETWORK)
        return self.of('alias', request) if physnet == request else f'{NETWORK}{self.of("physnet", physnet)}'

    def guest(self, guest: Guest) -> Guest:
        return replace(
            guest,
            instance_uuid=guest.instance_uuid and self.uuid(guest.instance_uuid),
            modules=tuple(map(self.module, guest.modules)),
        )

    def module(self, module: MemoryModule) -> MemoryModule:
        return replace(module, path=module.path and self.path(module.path))

    def devices(self, devices: Devices) -> Devices:
        nics = [
            replace(
                nic,
                network=self.maybe('physnet', nic.network),
                bridge=self.maybe('bridge', nic.bridge),
                physnet=self.maybe('physnet', nic.physnet),
                mac=None,
                place='',
            )
            for nic in devices.nics
        ]
        disks = [replace(disk, path=self.path(disk.path), place='') for disk in devices.disks]
        return Devices(tuple(nics), tuple(disks))

    def flavor(self, flavor: Flavor) -> Flavor:
        specs = dict([self.spec(key, value) for key, value in flavor.extra_specs.items()])
        return replace(
            flavor, name=self.of('flavor', flavor.name), id=self.of('flavor-id', flavor.id), extra_specs=specs
        )

    def image(self, properties: Mapping[str, str]) -> dict[str, str]:
        """Return what placement depends on of the properties of an image, and what has no room for a name."""
        return {key: value for key, value in properties.items() if _is_told(IMAGE_KEYS, key, value)}

    def spec(self, key: str, value: str) -> tuple[str, str]:
        """Return an extra spec: keys that name no more than a size or a policy stay."""
        scope, _, name = key.partition(':')
        if is_key(key) or key.startswith('numaplace:vnuma') or key == 'numaplace:vcpu_hotplug':
            return key, self.attached(name, value) if is_key(key) else value
        if scope == 'resources':
            return key.replace(name, self.custom(name)), value
        if scope in _SCOPES and find(key, FLAVOR_KEYS) is not None:
            return key, value if _is_told(FLAVOR_KEYS, key, value) else self.hidden(key, value)
        if scope == 'trait':
            return f'{scope}:{self.custom(name)}', value
        if scope == _OF_AGGREGATES:
            return f'{scope}:{self.of("key", name)}', self.of('value', value)
        return self.of('key', key), self.of('value', value)

    def hidden(self, key: str, value: str) -> str:
        """Return another value of a key of Nova's."""
        if key != _PMEM:
            return self.of('value', value)
        return ','.join([self.label(label.strip()) for label in value.split(',') if label.strip()])

    def attached(self, name: str, text: str) -> str:
        """Return a NIC or disk of a flavor."""
        kind = name.partition('.')[0]
        try:
            found = self.devices(own_devices(*([text] if kind == each else [] for each in KINDS)))
        except exception.InvalidRequest:
            return self.of('value', text)
        return str(*found.nics, *found.disks)

    def remark(self, remark: Remark) -> Remark:
        server = remark.server and self.uuid(remark.server)
        return replace(remark, host=self.maybe('host', remark.host), server=server)

    def unread(self, row: Unread) -> Unread:
        return Unread(
            row.code,
            row.place,
            self.of('row', row.key) if row.server is None else self.uuid(row.server),
            'left out',
            self.maybe('host', row.host),
            row.server and self.uuid(row.server),
        )


def _is_told(table: tuple[Key, ...], key: str, value: str) -> bool:
    """Return whether a key is one of Nova's, and its value one of Nova's words, or what placement depends on."""
    known = find(key, table)
    if known is None or key == _PMEM or not known.form.accepts(value):
        return False
    return known.verdict == HONOURED or known.form.kind not in ('any', 'pattern')
