# SPDX-License-Identifier: Apache-2.0
"""Seeded fleets and requests for filters and weighers: ours, and the same as Nova's own objects."""

import json
import random
import types
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from numaplace.model import Flavor
from numaplace.model.fleet import in_aggregates
from numaplace.model.grouping import POLICIES, Aggregate, ServerGroup
from numaplace.model.records import DISABLED, DOWN, ENABLED, UP, HostRecord
from numaplace.scheduler.filters import Request
from numaplace.scheduler.limits import limits
from numaplace.tests import samples

__all__ = ['Scene', 'host_states', 'request_spec', 'scene']

_EXTRA_SPECS = {
    'capabilities:cpu_info:arch': ('s== x86_64', 'x86_64', 's!= x86_64', '<or> aarch64 <or> x86_64', '<in> 86'),
    'capabilities:vcpus_total': ('16', '= 16', '== 16', '>= 17', '<= 8', '!= 16', '>=', 'many', '>= many'),
    'capabilities:free_ram_mb': ('>= 2048', '<= 2048', '= 4096'),
    'capabilities:cpu_info:model': ('<all-in> Neh alem', 's> A', 's< A', '<or>', '= 4'),
    'capabilities:no_such': ('1',),
    'vcpus_used': ('<= 4',),
    'ssd': ('true', 's== true', '<or> true <or> maybe', '<in> ru', 's<= true', '= 1'),
    'aggregate_instance_extra_specs:pinned': ('true', 'false', '<or> false <or> true', '<all-in> t r'),
    'aggregate_instance_extra_specs:speed': ('= 5', '>= 9', '== 7', '<= 7', '!= 7', 's>= 5'),
    'hw:numa_nodes': ('1',),
    'quota:cpu_shares': ('1024',),
}
_METADATA = {
    'ssd': ('true', 'false', 'true,false', ''),
    'pinned': ('true', 'false', ' true , maybe'),
    'speed': ('5', '7', '5,9', 'fast'),
    'instance_type': ('m1.a', 'm1.b', 'm1.a, m1.b', ''),
    'filter_tenant_id': ('p1', 'p2', 'p1,p2', ' p2 '),
    'filter_tenant_id_more': ('p3',),
    'max_instances_per_host': ('1', '2', '3', 'some'),
    'hw_vm_mode': ('hvm', 'xen', 'hvm,xen'),
    'os_distro': ('debian', 'ubuntu,debian'),
    'os_type': ('linux', 'windows'),
    'hw_cpu_sockets': ('2', '1,2'),
    'hw_qemu_guest_agent': ('true', 'True', 'false'),
    'rack': ('r1', 'r2'),
    'site.os_distro': ('debian',),
    **{
        f'{name}_weight_multiplier': ('2.0', '-1', '0', 'much')
        for name in ('ram', 'cpu', 'num_instances', 'soft_affinity', 'soft_anti_affinity')
    },
}
_IMAGE = {
    'hw_architecture': ('x86_64', 'aarch64', 'AMD64', 'i686'),
    'img_hv_type': ('kvm', 'qemu', 'xen'),
    'hw_vm_mode': ('hvm', 'xen', 'hv'),
    'os_distro': ('debian', 'ubuntu', 'fedora'),
    'os_type': ('linux', 'windows'),
    'hw_cpu_sockets': ('1', '2', '4'),
    'hw_qemu_guest_agent': ('true', 'false'),
    'rack': ('r1', 'r3'),
}
_QUERIES = (
    '[">=", "$free_ram_mb", 2048]',
    '["and", [">=", "$vcpus_total", 16], ["not", ["=", "$host", "host1"]]]',
    '["or", ["<", "$num_instances", 2], ["=", "$host", "host2"]]',
    '["in", "$host", "host0", "host1"]',
    '["not", ["=", "$host", "host1"]]',
    '["not", ["=", "$host", "host1"], ["=", "$host", "host2"]]',
    '["=", "$no_such", 1]',
    '["<=", "$ram_allocation_ratio", 1.0, 2.0]',
    '[">", "$host", 4]',
    '["=", "", "x"]',
    '["and"]',
    '["or"]',
    '[]',
    '["near", 1]',
    '{"a": 1}',
    'no JSON',
)
_DOMAINS = (['x86_64', 'kvm', 'hvm'], ['x86_64', 'qemu', 'hvm'], ['aarch64', 'qemu', 'hvm'], ['i686', 'qemu', 'hvm'])


@dataclass(frozen=True)
class Scene:
    """A fleet and a request.

    :param options: of ``[filter_scheduler]``
    """

    hosts: list[HostRecord]
    request: Request
    options: Mapping[str, Any]

    @property
    def group(self) -> types.SimpleNamespace:
        """The options, as attributes."""
        return types.SimpleNamespace(**self.options)


def _some(chance: random.Random, choices: Mapping[str, tuple[str, ...]], most: int) -> dict[str, str]:
    keys = chance.sample(sorted(choices), chance.randint(0, most))
    return {key: chance.choice(choices[key]) for key in keys}


def scene(seed: int) -> Scene:
    """Return the fleet and the request of a seed."""
    chance = random.Random(seed)
    names = [f'host{number}' for number in range(chance.randint(1, 6))]
    servers = [str(uuid.UUID(int=chance.getrandbits(128))) for _ in range(chance.randint(0, 3 * len(names)))]
    places = {server: chance.choice(names) for server in servers}
    aggregates = [
        Aggregate(f'a{number}', _some(chance, _METADATA, 4), tuple(chance.sample(names, chance.randint(0, len(names)))))
        for number in range(chance.randint(0, 3))
    ]
    hosts = in_aggregates([_host(chance, name, places) for name in names], aggregates)
    return Scene(hosts, _request(chance, names, places), _options(chance, names))


def _host(chance: random.Random, name: str, places: Mapping[str, str]) -> HostRecord:
    host = samples.host(chance.choice((1, 2)), chance.choice((4, 8)), chance.choice((1024, 2048, 4096)))
    used = chance.choice((0, 512, 2048, 9000))
    facts: dict[str, Any] = {
        'architecture': chance.choice(('x86_64', 'aarch64')),
        'cpu_model': chance.choice(('Nehalem', 'EPYC')),
        'cpu_vendor': 'Intel',
        'domains': chance.sample(_DOMAINS, chance.randint(0, 3)),
        'host_ip': f'192.0.{chance.randint(2, 3)}.{chance.randint(1, 250)}',
    }
    return HostRecord(
        name,
        replace(host, vcpus_used=chance.choice((0, 3, 8, 40)), memory_used_mib=used),
        facts=facts,
        cpu_allocation_ratio=chance.choice((1.0, 4.0, 16.0)),
        ram_allocation_ratio=chance.choice((1.0, 1.5)),
        status=chance.choice((ENABLED, ENABLED, DISABLED)),
        state=chance.choice((UP, UP, DOWN)),
        servers=frozenset(server for server, place in places.items() if place == name),
    )


def _request(chance: random.Random, names: list[str], places: Mapping[str, str]) -> Request:
    own = chance.choice(sorted(places)) if places and chance.random() < 0.2 else str(uuid.UUID(int=seed_of(chance)))
    asked = samples.instance_request(samples.guest(vcpus=1, memory_mib=64))
    hints: dict[str, tuple[str, ...]] = {}
    if places and chance.random() < 0.5:
        kind = chance.choice(('different_host', 'same_host'))
        hints[kind] = tuple(chance.sample(sorted(places), min(len(places), chance.randint(1, 2))))
    if chance.random() < 0.3:
        hints['build_near_host_ip'] = ('192.0.2.1',)
        if chance.random() < 0.5:
            hints['cidr'] = (chance.choice(('/24', '/25', '/8')),)
    if chance.random() < 0.5:
        hints['query'] = (chance.choice(_QUERIES),)
    image = _some(chance, _IMAGE, 3)
    if chance.random() < 0.5:
        image['image_name'] = chance.choice(('cirros', 'windows'))
    instance = replace(
        asked,
        uuid=own,
        flavor=Flavor(chance.choice(('m1.a', 'm1.b', 'm1.c')), 1, 64, extra_specs=_some(chance, _EXTRA_SPECS, 2)),
        image_properties=image,
        project=chance.choice(('p1', 'p2', 'p3')),
        hints=hints,
    )
    return Request(instance, group=_group(chance, names, places, own))


def seed_of(chance: random.Random) -> int:
    """Return the number of a new UUID."""
    return chance.getrandbits(128)


def _group(chance: random.Random, names: list[str], places: Mapping[str, str], own: str) -> ServerGroup | None:
    if chance.random() < 0.3:
        return None
    policy = chance.choice(POLICIES)
    members = chance.sample(sorted(places), min(len(places), chance.randint(0, 4)))
    if policy == 'affinity' and chance.random() < 0.8:  # as a group with this policy is: all on one host
        one = chance.choice(names)
        members = [server for server in members if places[server] == one]
    if own in places:
        members.append(own)
    most = chance.choice((None, 1, 2, 3)) if policy == 'anti-affinity' else None
    by_server = {server: frozenset({places[server]}) for server in members}
    return ServerGroup('group', policy, str(uuid.UUID(int=seed_of(chance))), most, by_server)


def _options(chance: random.Random, names: list[str]) -> dict[str, Any]:
    return {
        'max_instances_per_host': chance.randint(1, 4),
        'isolated_hosts': chance.sample(names, chance.randint(0, len(names))),
        'isolated_images': chance.choice(([], ['windows'], ['windows', 'cirros'])),
        'restrict_isolated_hosts_to_isolated_images': chance.choice((True, False)),
        'image_properties_default_architecture': chance.choice((None, None, 'x86_64')),
        'aggregate_image_properties_isolation_namespace': chance.choice((None, None, 'site', 'hw_vm')),
        'aggregate_image_properties_isolation_separator': chance.choice(('.', '_')),
        **{
            f'{name}_weight_multiplier': chance.choice((1.0, 0.0, 2.5, *others))
            for name, *others in (
                ('ram', -1.0),
                ('cpu', -1.0),
                ('num_instances', -1.0),
                ('soft_affinity',),
                ('soft_anti_affinity',),
            )
        },
    }


def host_states(nova: types.SimpleNamespace, made: Scene) -> list[Any]:
    """Return the hosts as nova-scheduler holds them."""
    return [_host_state(nova, host) for host in made.hosts]


def _host_state(nova: types.SimpleNamespace, host: HostRecord) -> Any:
    state = nova.host_manager.HostState(host.name, host.name, None)
    facts = host.facts
    ratios = limits(host)
    state.vcpus_total, state.vcpus_used = host.host.cpu_count, host.host.vcpus_used
    state.total_usable_ram_mb, state.free_ram_mb = host.host.memory_mib, host.host.free_memory_mib
    state.cpu_allocation_ratio, state.ram_allocation_ratio = ratios.cpu_allocation_ratio, ratios.ram_allocation_ratio
    state.num_instances, state.stats, state.metrics = len(host.servers), {}, []
    state.instances = dict.fromkeys(host.servers)
    state.host_ip, state.hypervisor_hostname = facts['host_ip'], host.name
    state.hypervisor_type = 'QEMU' if facts['domains'] else None
    state.supported_instances = facts['domains']
    cpu = {'arch': facts['architecture'], 'model': facts['cpu_model'], 'vendor': facts['cpu_vendor']}
    state.cpu_info = json.dumps(cpu)
    state.aggregates = [
        nova.objects.Aggregate(name=each.name, metadata=dict(each.metadata), hosts=list(each.hosts))
        for each in host.aggregates
    ]
    state.service = {
        'disabled': host.status == DISABLED,
        'forced_down': host.state == DOWN,
        'last_seen_up': nova.timeutils.utcnow(),
        'host': host.name,
        'binary': 'nova-compute',
        'topic': 'compute',
    }
    return state


def request_spec(nova: types.SimpleNamespace, made: Scene) -> Any:
    """Return the request as nova-scheduler gets it."""
    asked, group = made.request.instance, made.request.group
    image = dict(asked.image_properties)
    name = image.pop('image_name', None)
    meta = nova.objects.ImageMeta.from_dict({**({'id': name} if name else {}), 'properties': image})
    return nova.objects.RequestSpec(
        instance_uuid=asked.uuid,
        project_id=asked.project,
        numa_topology=None,
        pci_requests=None,
        flavor=nova.objects.Flavor(name=asked.flavor.name, extra_specs=dict(asked.flavor.extra_specs)),
        image=meta,
        scheduler_hints={key: list(values) for key, values in asked.hints.items()},
        instance_group=group and _instance_group(nova, group),
    )


def _instance_group(nova: types.SimpleNamespace, group: ServerGroup) -> Any:
    hosts = sorted({host for places in group.members.values() for host in places})
    rules = {'max_server_per_host': group.max_server_per_host} if group.max_server_per_host else {}
    return nova.objects.InstanceGroup(
        uuid=group.uuid,
        policy=group.policy,
        policies=[group.policy],
        rules=rules,
        members=list(group.members),
        hosts=hosts,
    )
