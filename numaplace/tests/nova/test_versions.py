# SPDX-License-Identifier: Apache-2.0
"""Every version of the objects that Nova takes from its database: what Nova can use numaplace reads alike.

The versions of a guest's cells are compared in the tracker.
"""

import json

import pytest

from numaplace import wire
from numaplace.tests.nova.made import INSTANCE, counters

pytestmark = pytest.mark.filterwarnings('ignore')  # Nova and what it imports warn of their own deprecations


def _older(value, versions):
    """Return JSON in which objects have the versions that are given by name."""
    if isinstance(value, list):
        return [_older(item, versions) for item in value]
    if not isinstance(value, dict):
        return value
    value = {key: _older(item, versions) for key, item in value.items()}
    name = value.get('nova_object.name')
    if name in versions:
        wire.take_back(name, value['nova_object.data'], versions[name])
        value['nova_object.version'] = versions[name]
    return value


def _plain(thing):
    return json.loads(json.dumps(thing.obj_to_primitive()))


def _host(make):
    host = make.free(3, 2)
    for cell in host.cells:
        cell.cpuset = {20 + cell.id}
        cell.network_metadata = make.objects.NetworkMetadata(physnets={'blue'}, tunneled=True)
        cell.mempages.append(make.objects.NUMAPagesTopology(size_kb=2048, total=1024, used=3))
    return _plain(host)


def _guest(make, **changes):
    fields = {'id': 1, 'cpuset': {0}, 'pcpuset': {1}, 'memory': 512, 'cpu_policy': 'mixed', 'pagesize': 2048}
    cell = make.objects.InstanceNUMACell(**fields | {'cpu_pinning_raw': {'1': 5}} | changes)
    return make.objects.InstanceNUMATopology(instance_uuid=INSTANCE, cells=[cell], emulator_threads_policy=None)


def _read(services, host):
    return services.objects.NUMATopology.obj_from_db_obj(json.dumps(host))


def _answers(functions, host, guest, limits):
    """Return the counters with a guest, those without it again, and whether another one fits."""
    usage, fit = functions
    counted = usage(host, guest)
    return counters(counted), counters(usage(counted, guest, True)), bool(fit(host, guest.obj_clone(), {}, limits))


def _theirs(services, host, guest, limits=None):
    return _answers((services.own_usage, services.own_fit), _read(services, host), guest, limits)


def _ours(services, host, guest, limits=None):
    """Return what numaplace answers where it cannot leave the guest to Nova."""
    from numaplace.nova import replacements  # noqa: PLC0415

    functions = replacements.numa_usage_from_instance_numa, replacements.numa_fit_instance_to_host
    return _answers(functions, _read(services, host), guest, limits)


@pytest.mark.parametrize(
    ('name', 'version'),
    [
        ('NUMATopology', '1.0'),
        ('NUMATopology', '1.1'),
        ('NUMATopology', '1.2'),
        ('NUMACell', '1.5'),
        ('NUMAPagesTopology', '1.0'),
        ('NUMAPagesTopology', '1.1'),
        ('NetworkMetadata', '1.0'),
    ],
)
def test_a_host_of_every_version_that_nova_uses_counts_alike(services, make, name, version):
    host, guest = _older(_host(make), {name: version}), _guest(make)
    theirs = _theirs(services, host, guest)
    assert theirs == _ours(services, host, guest)
    assert theirs[2]


def test_a_host_cell_that_names_no_socket_is_counted_too(services, make):
    """Nova fits guests on it, and cannot count them."""
    host = _older(_host(make), {'NUMACell': '1.4'})
    with pytest.raises(NotImplementedError, match="Cannot load 'socket'"):
        _theirs(services, host, _guest(make))
    assert _theirs(services, _host(make), _guest(make)) == _ours(services, host, _guest(make))


LEGACY = {'cells': [{'id': 0, 'cpus': '0,1,2,3', 'mem': {'total': 8192, 'used': 512}, 'cpu_usage': 1}]}


@pytest.mark.parametrize('version', ['1.0', '1.1', '1.2', '1.3', None])
def test_a_host_that_nova_cannot_use_is_refused_and_raises_in_the_usage_what_nova_raises(services, make, version):
    """Before 1.4 a cell had no dedicated CPUs of its own; None is the format before versioned objects."""
    if version is None:
        host = json.loads(services.objects.NUMATopology.from_legacy_object(json.dumps(LEGACY)))
    else:
        host = _older(_host(make), {'NUMACell': version})
    guest = _guest(make, pagesize=None)
    with pytest.raises(NotImplementedError, match="Cannot load 'pcpuset'"):
        services.own_fit(_read(services, host), guest, {})
    assert services.hardware.numa_fit_instance_to_host(_read(services, host), guest, {}) is None
    for usage in (services.own_usage, services.hardware.numa_usage_from_instance_numa):
        with pytest.raises(NotImplementedError, match="Cannot load 'pcpuset'"):
            usage(_read(services, host), guest)


@pytest.mark.parametrize('version', ['1.0', '1.1'])
@pytest.mark.parametrize('ratio', [0.1, 16.0])
def test_limits_of_every_version_decide_alike(services, make, version, ratio):
    networks = services.objects.NetworkMetadata(physnets={'blue'}, tunneled=False)
    limits = services.objects.NUMATopologyLimits(
        cpu_allocation_ratio=ratio, ram_allocation_ratio=1.5, network_metadata=networks
    )
    older = services.objects.NUMATopologyLimits.obj_from_primitive(
        _older(_plain(limits), {'NUMATopologyLimits': version})
    )
    theirs = _theirs(services, _host(make), _guest(make), older)
    assert theirs == _ours(services, _host(make), _guest(make), older)
    assert theirs[2] == (ratio > 1)


@pytest.mark.parametrize(
    ('name', 'version'),
    [
        *(('InstanceNUMATopology', f'1.{minor}') for minor in range(4)),
        *(('MigrationContext', f'1.{minor}') for minor in range(3)),
        ('VirtCPUTopology', '1.0'),
    ],
)
def test_a_guest_in_the_row_of_a_move_counts_alike_in_every_version(services, make, name, version):
    objects = services.objects
    topology = objects.VirtCPUTopology(sockets=1, cores=1, threads=2)
    context = objects.MigrationContext(
        instance_uuid=INSTANCE,
        migration_id=3,
        old_numa_topology=_guest(make),
        new_numa_topology=_guest(make, cpu_topology=topology),
        old_pci_devices=None,
        new_pci_devices=objects.PciDeviceList(objects=[]),
        old_pci_requests=None,
        new_pci_requests=None,
        old_resources=None,
        new_resources=None,
    )
    row = _older(_plain(context), {name: version})
    read = objects.MigrationContext.obj_from_db_obj(json.dumps(row))
    host = wire.read_host(_host(make))
    assert wire.read_context(read, host, host) == wire.read_context(row, host, host)
    for guest in (read.old_numa_topology, read.new_numa_topology):
        assert _theirs(services, _host(make), guest) == _ours(services, _host(make), guest)
