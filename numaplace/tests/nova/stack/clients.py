# SPDX-License-Identifier: Apache-2.0
"""Boot and delete servers by openstacksdk, in any cloud."""

import contextlib
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Any

__all__ = ['Cloud', 'await_that']

#: Seconds for what takes a cloud one or two: a slow machine is no failure.
_PATIENCE = 120


class Cloud:
    """What the tests do in a cloud; everything that was made is deleted again by :meth:`clean`."""

    def __init__(self, connection: Any) -> None:
        self._compute = connection.compute
        self._placement = connection.placement
        self._images = connection.image.images
        self._image = next(iter(self._images())).id
        self._run = uuid.uuid4().hex[:8]
        self._flavors = []
        self._servers = []

    def flavor(self, name: str, vcpus: int, ram: int, **properties: object) -> Any:
        """Make a flavor of which no other test knows.

        :param properties: extra specs below ``hw:``; two underscores stand for a dot
        """
        flavor = self._compute.create_flavor(name=f'{name}-{self._run}', ram=ram, vcpus=vcpus, disk=1)
        self._flavors.append(flavor)
        specs = {f'hw:{key.replace("__", ".")}': str(value) for key, value in properties.items()}
        if specs:
            self._compute.create_flavor_extra_specs(flavor, specs)
        return flavor

    def cells(self, name: str, *vcpus: int, ram: int = 256, **properties: object) -> Any:
        """Make a flavor of pinned cells with so many vCPUs each.

        :param ram: MiB of each cell
        """
        keys = {'numa_nodes': len(vcpus), 'cpu_policy': 'dedicated'}
        for cell, count in enumerate(vcpus):
            first = sum(vcpus[:cell])
            keys[f'numa_cpus__{cell}'] = ','.join(str(vcpu) for vcpu in range(first, first + count))
            keys[f'numa_mem__{cell}'] = ram
        return self.flavor(name, sum(vcpus), ram * len(vcpus), **keys, **properties)

    def request(self, flavor: Any, name: str, **keys: object) -> Any:
        """Ask for a server without waiting for it."""
        server = self._compute.create_server(
            name=f'{name}-{self._run}', flavor_id=flavor.id, image_id=self._image, networks='none', **keys
        )
        self._servers.append(server)
        return server

    def boot(self, flavor: Any, name: str, **keys: object) -> Any:
        """Ask for a server and return it when it is ACTIVE or in ERROR."""
        return self.settled(self.request(flavor, name, **keys))

    def boot_several(self, flavor: Any, name: str, count: int) -> list[Any]:
        """Ask for several servers in one request."""
        self._servers.remove(self.request(flavor, name, min_count=count, max_count=count))
        servers = list(self._compute.servers(name=f'^{name}-{self._run}'))
        self._servers += servers
        return [self.settled(server) for server in servers]

    def settled(self, server: Any) -> Any:
        """Return a server when it is ACTIVE or in ERROR."""
        return await_that(
            lambda: self._compute.get_server(server.id), lambda found: found.status in ('ACTIVE', 'ERROR')
        )

    def reaches(self, server: Any, *statuses: str) -> Any:
        """Return a server when it is in one of some statuses, or in ERROR, and Nova does nothing with it."""
        return await_that(
            lambda: self._compute.get_server(server.id),
            lambda found: found.status in (*statuses, 'ERROR') and found.task_state is None,
        )

    def resize(self, server: Any, flavor: Any) -> None:
        """Ask for another flavor; the scheduler chooses the host."""
        self._compute.resize_server(server, flavor)

    def migrate(self, server: Any, host: str) -> None:
        """Ask for a cold migration."""
        self._compute.migrate_server(server, host=host)

    def confirm(self, server: Any) -> Any:
        """Confirm a resize or a cold migration, and wait for its end."""
        self._compute.confirm_server_resize(server)
        return self.reaches(server, 'ACTIVE')

    def revert(self, server: Any) -> Any:
        """Revert a resize or a cold migration, and wait for its end."""
        self._compute.revert_server_resize(server)
        return self.reaches(server, 'ACTIVE')

    def live_migrate(self, server: Any, host: str) -> Any:
        """Ask for a live migration, and return it when it is running."""
        self._compute.live_migrate_server(server, host=host, block_migration='auto')
        return self.running_migration(server)

    def running_migration(self, server: Any, patience: float = _PATIENCE) -> Any:
        """Return the live migration of a server when it is running, whoever has asked for it."""
        (migration,) = await_that(
            lambda: list(self._compute.server_migrations(server)),
            lambda found: found and found[0].status == 'running',
            patience,
        )
        return migration

    def force_complete(self, server: Any, migration: Any) -> Any:
        """Force a live migration to complete, and return the server when it has moved."""
        self._compute.force_complete_server_migration(migration, server)
        return self.reaches(server, 'ACTIVE')

    def abort(self, server: Any, migration: Any) -> Any:
        """Abort a live migration, and return the server when Nova has cleaned up."""
        self._compute.abort_server_migration(migration, server)
        return self.reaches(server, 'ACTIVE')

    def reset(self, server: Any) -> None:
        """Return a server to ACTIVE that Nova 34 has put into ERROR, as it does after a failed live migration."""
        self._compute.reset_server_state(server, 'active')

    def evacuate(self, server: Any, host: str) -> Any:
        """Rebuild a server of a host that is down on another."""
        self._compute.evacuate_server(server, host=host)
        # Nova stops it before it writes the new host.
        await_that(lambda: self._compute.get_server(server.id).compute_host, lambda found: found == host)
        return self.reaches(server, 'SHUTOFF')

    def shelve(self, server: Any) -> Any:
        """Shelve a server, and return it when it is on no host."""
        self._compute.shelve_server(server)
        return self.reaches(server, 'SHELVED_OFFLOADED')

    def unshelve(self, server: Any) -> Any:
        """Unshelve a server on a host that the scheduler chooses."""
        self._compute.unshelve_server(server)
        return self.reaches(server, 'ACTIVE')

    def snapshots(self) -> list[Any]:
        """Return the images that computes have uploaded."""
        return [image for image in self._images() if image.id != self._image]

    def set_down(self, host: str, *, down: bool) -> None:
        """Declare that the service of a host is down, or no longer."""
        (service,) = self._compute.services(host=host)
        self._compute.update_service_forced_down(service, forced=down)

    @contextlib.contextmanager
    def only(self, *hosts: str) -> Iterator[None]:
        """Let the scheduler choose some hosts only, during the block."""
        others = [service for service in self._compute.services(binary='nova-compute') if service.host not in hosts]
        for service in others:
            self._compute.disable_service(service)
        try:
            yield
        finally:
            for service in others:
                self._compute.enable_service(service)

    def topology(self, server: Any) -> dict[str, Any]:
        """Return what Nova tells of the NUMA cells of a server."""
        answer = self._compute.get(f'/servers/{server.id}/topology', microversion='2.78')
        answer.raise_for_status()
        return answer.json()

    def request_id(self, server: Any) -> str:
        """Return the id of the request that a server was made by."""
        (created,) = (action for action in self._compute.server_actions(server.id) if action.action == 'create')
        return created.request_id

    def candidates(self, **resources: int) -> int:
        """Return how many hosts placement offers for an amount of resources."""
        amounts = ','.join(f'{name}:{amount}' for name, amount in resources.items())
        answer = self._placement.get(f'/allocation_candidates?resources={amounts}', microversion='1.39')
        answer.raise_for_status()
        return len(answer.json()['provider_summaries'])

    def traits(self, host: str) -> set[str]:
        """Return the traits of a host in placement."""
        (provider,) = self._placement.get(f'/resource_providers?name={host}').json()['resource_providers']
        answer = self._placement.get(f'/resource_providers/{provider["uuid"]}/traits', microversion='1.39')
        answer.raise_for_status()
        return set(answer.json()['traits'])

    def most_vcpus(self) -> int:
        """Return how many shared CPUs the largest host has in placement."""
        providers = self._placement.get('/resource_providers').json()['resource_providers']
        answers = [self._placement.get(f'/resource_providers/{provider["uuid"]}/inventories') for provider in providers]
        return max(answer.json()['inventories'].get('VCPU', {'total': 0})['total'] for answer in answers)

    def delete(self, servers: Iterable[Any]) -> None:
        """Delete servers and wait until they are gone."""
        ids = {server.id for server in servers}
        for server_id in ids:
            self._compute.delete_server(server_id)
        await_that(lambda: {server.id for server in self._compute.servers()}, ids.isdisjoint)
        self._servers = [server for server in self._servers if server.id not in ids]

    def clean(self) -> None:
        """Delete everything that was made here."""
        self.delete(self._servers)
        for flavor in self._flavors:
            self._compute.delete_flavor(flavor)


def await_that(ask: Callable[[], Any], holds: Callable[[Any], bool], patience: float = _PATIENCE) -> Any:
    """Ask until the answer is as it should be, and return it.

    :raises: AssertionError with the last answer if it never is
    """
    deadline = time.monotonic() + patience
    answer = ask()
    while not holds(answer):
        assert time.monotonic() < deadline, f'still, after {patience} s: {answer}'
        time.sleep(0.05)
        answer = ask()
    return answer
