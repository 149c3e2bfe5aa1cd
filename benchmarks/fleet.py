# SPDX-License-Identifier: Apache-2.0
"""Read and audit a Nova of many hosts, beside Nova's own audit of one of them: ``python -m benchmarks.fleet``.

Both look at the same rows, in SQLite files with Nova's own schema. This needs nova==34.0.0 and openstack-placement in
addition to numaplace; ``tox -e bench-fleet`` makes such an environment.
"""

from __future__ import annotations

import argparse
import importlib
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from benchmarks import inputs
from benchmarks.beside_nova import machine
from benchmarks.clock import duration
from benchmarks.nova_side import Nova
from numaplace import fit, novadb, request, wire
from numaplace.compute import resource_tracker
from numaplace.fleet import explain
from numaplace.fleet.audit import audit
from numaplace.model import Flavor, Host
from numaplace.model.fleet import Fleet
from numaplace.model.records import ACTIVE, HostRecord, InstanceRecord, RequestSpec
from numaplace.tests import nova_rows

__all__ = ['main', 'make']

#: Cells of a host and CPUs of each.
CELLS, CPUS = 4, 32
_FLAVORS = [
    Flavor(f'm{vcpus}.{cells}', vcpus, 512 * vcpus, 1, {'hw:cpu_policy': 'dedicated', 'hw:numa_nodes': str(cells)})
    for vcpus, cells in ((1, 1), (2, 1), (2, 2), (4, 1), (4, 2), (6, 2), (8, 4))
]
_IMAGE = {'hw_machine_type': 'q35', 'hw_disk_bus': 'virtio', 'hw_video_model': 'virtio', 'os_distro': 'debian'}
_LARGE = Flavor('large', 24, 4096, 1, {'hw:cpu_policy': 'dedicated', 'hw:numa_nodes': '1'})


def make(hosts: int, servers: int) -> Fleet:
    """Return hosts with servers of random flavors, each where the fit has placed it."""
    draw, now = random.Random(hosts), datetime.now(UTC).replace(microsecond=0)
    records: list[HostRecord] = []
    guests: list[InstanceRecord] = []
    for number in range(hosts):
        name, host = f'compute{number:04}', resource_tracker.empty(inputs.host(CELLS, cpus=CPUS))
        for _ in range(servers * (number + 1) // hosts - servers * number // hosts):
            flavor = draw.choice(_FLAVORS)
            placed = fit.place(host, request.read(flavor, {}))
            if not placed:
                raise SystemExit(f'{name} is full: expected fewer servers')
            host = host.consume(placed)
            row = len(guests) + 1
            key = str(uuid.UUID(int=row))
            placed = replace(placed, guest=replace(placed.guest, instance_uuid=key))
            server = InstanceRecord(key, f's{row}', row, name, flavor, _IMAGE, placed, None, ACTIVE, now)
            guests.append(replace(server, request_spec=RequestSpec(flavor)))
        records.append(_record(name, host, now))
    return Fleet(tuple(records), tuple(guests), (*_FLAVORS, _LARGE))


def _record(name: str, host: Host, now: datetime) -> HostRecord:
    facts = {'architecture': 'x86_64', 'cpus': CELLS * CPUS, 'domains': [['x86_64', 'kvm', 'hvm']]}
    return HostRecord(name, host, str(uuid.uuid5(uuid.NAMESPACE_OID, name)), facts=facts, updated_at=now)


# --- ours


def _work(api: str, main: str) -> None:
    """Read, audit and ask; print the seconds of each, and the peak memory."""
    seconds = []

    def timed(call: Callable[[], Any]) -> Any:
        start = time.process_time()
        answer = call()
        seconds.append(time.process_time() - start)
        return answer

    fleet = timed(lambda: novadb.read(api, main))
    found = timed(lambda: audit(fleet))
    if any(finding.severity == 'error' for finding in found):
        raise SystemExit(f'the fleet is not healthy: {found[0].text}')
    guest = request.read(_LARGE, {})
    timed(lambda: list(explain.lines(explain.ask(fleet, [('fit', lambda record: fit.place(record.host, guest))]), [])))
    print(json.dumps([*seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))


# --- Nova's


class _Placement:
    """A placement without allocations, which takes what it is given; what it costs is not Nova's own audit."""

    def __init__(self) -> None:
        self._trees = importlib.import_module('nova.compute.provider_tree')
        self._report = importlib.import_module('nova.scheduler.client.report')

    def get_provider_subtree_and_ensure_root(self, _context: Any, key: str, name: str, **_more: Any) -> Any:
        tree = self._trees.ProviderTree()
        tree.new_root(name, key)
        return tree

    def get_allocations_for_resource_provider(self, _context: Any, _uuid: str) -> Any:
        return self._report.ProviderAllocInfo(allocations={})

    def get_allocations_for_provider_tree(self, _context: Any, _name: str) -> dict[str, Any]:
        return {}

    def update_from_provider_tree(self, _context: Any, _tree: Any, allocations: Any = None) -> None:
        pass


def _tracker(record: HostRecord, url: str) -> Callable[[], None]:
    """Return a function that does one periodic audit of a compute node as nova-compute does."""
    module = importlib.import_module
    objects, fake = module('nova.objects'), module('nova.virt.fake')
    context = module('nova.context').get_admin_context()
    context.db_connection = module('oslo_db.sqlalchemy.enginefacade').transaction_context()
    context.db_connection.configure(connection=url, thread_checkin=False)

    class Driver(fake.FakeDriver):  # type: ignore[name-defined,misc]
        def get_available_nodes(self, **_how: Any) -> list[str]:
            return [record.name]

        def get_available_resource(self, nodename: str) -> dict[str, Any]:
            topology = wire.dumps(wire.write_host(resource_tracker.empty(record.host)))
            return super().get_available_resource(nodename) | {'numa_topology': topology, 'uuid': record.uuid}

        def update_provider_tree(self, provider_tree: Any, nodename: str, allocations: Any = None) -> None:
            pass

    tracker = module('nova.compute.resource_tracker').ResourceTracker(record.name, Driver(None), _Placement())
    tracker.set_service_ref(objects.Service.get_by_compute_host(context, record.name))
    tracker.update_available_resource(context, record.name, startup=True)
    counted = tracker.compute_nodes[record.name].numa_topology
    if wire.read_host(wire.load_row(counted)).cells != record.host.cells:
        raise SystemExit(f'Nova counts something else on {record.name}')
    return lambda: tracker.update_available_resource(context, record.name)


def _complete(engine: sa.Engine) -> None:
    """Add to the rows what only Nova itself looks at."""
    version = importlib.import_module('nova.objects.service').SERVICE_VERSION
    rows = {
        'instances': {'project_id': 'p', 'user_id': 'u', 'image_ref': str(uuid.UUID(int=0)), 'ephemeral_gb': 0},
        'instance_extra': {'pci_requests': '[]'},
        'services': {'version': version, 'uuid': sa.func.hex(sa.func.randomblob(16))},
    }
    with engine.begin() as connection:
        for table, values in rows.items():
            nova_rows.Tables(connection).update(table, values)


def _seconds_of_nova(fleet: Fleet, engine: sa.Engine, rounds: int) -> float:
    """Return the median of Nova's audit of one host."""
    url, found = engine.url.render_as_string(hide_password=False), []
    for record in fleet.hosts[:rounds]:
        once = _tracker(record, url)
        start = time.process_time()
        once()
        found.append(time.process_time() - start)
    return statistics.median(found)


# --- the table


def _print(rows: Sequence[tuple[str, str]]) -> None:
    for name, value in rows:
        print(f'{name:<58} {value:>12}')


def _table(hosts: int, servers: int, rounds: int) -> None:
    Nova()
    databases = importlib.import_module('numaplace.tests.nova.databases')
    fleet = make(hosts, servers)
    with tempfile.TemporaryDirectory() as directory, databases.scratch('sqlite', Path(directory)) as urls:
        for number, kind in ((0, 'api'), (2, 'main')):
            databases.manage(urls[number], kind)
        rows = databases.Databases(urls)
        rows.store(replace(fleet, flavors=tuple([replace(flavor, id=flavor.name) for flavor in fleet.flavors])))
        _complete(rows.cell1)
        command = [sys.executable, '-W', 'ignore', '-m', 'benchmarks.fleet', '--work', urls[0], urls[2]]
        runs = [
            json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout) for _ in range(3)
        ]
        read, audited, asked, memory_mib = (statistics.median(values) for values in zip(*runs, strict=True))
        nova = _seconds_of_nova(fleet, rows.cell1, rounds)
    print(machine(), f'\n\n{hosts} hosts with {servers} servers, processor time', sep='')
    _print(
        [
            ('read all databases', duration(read)),
            ('audit', duration(audited)),
            ('explain a refusal, after reading', duration(asked)),
            ('peak memory of all three', f'{memory_mib:.0f} MiB'),
            ("Nova's own audit of one host", duration(nova)),
            (f'the same {hosts} times', duration(nova * hosts)),
            ('times as long as reading and auditing all', f'{nova * hosts / (read + audited):.1f}'),
        ]
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog='python -m benchmarks.fleet', description=__doc__.splitlines()[0])
    parser.add_argument('--hosts', type=int, default=1000, metavar='N', help='number of hosts (default: 1000)')
    parser.add_argument('--servers', type=int, default=20_000, metavar='N', help='number of servers (default: 20000)')
    parser.add_argument('--rounds', type=int, default=15, metavar='N', help='hosts that Nova audits (default: 15)')
    parser.add_argument('--work', nargs=2, metavar=('API', 'MAIN'), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        _work(*options.work)
    else:
        _table(options.hosts, options.servers, options.rounds)


if __name__ == '__main__':
    main()
