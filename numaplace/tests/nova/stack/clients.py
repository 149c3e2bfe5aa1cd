# SPDX-License-Identifier: Apache-2.0
"""Boot and delete servers by openstacksdk, in any cloud."""

import time
import uuid
from collections.abc import Callable, Iterable
from typing import Any

__all__ = ['Cloud', 'await_that']

#: Seconds for what takes a cloud one or two: a slow machine is no failure.
_PATIENCE = 120


class Cloud:
    """What the tests do in a cloud; everything that was made is deleted again by :meth:`clean`."""

    def __init__(self, connection: Any) -> None:
        self._compute = connection.compute
        self._placement = connection.placement
        self._image = next(iter(connection.image.images())).id
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


def await_that(ask: Callable[[], Any], holds: Callable[[Any], bool]) -> Any:
    """Ask until the answer is as it should be, and return it.

    :raises: AssertionError with the last answer if it never is
    """
    deadline = time.monotonic() + _PATIENCE
    answer = ask()
    while not holds(answer):
        assert time.monotonic() < deadline, f'still, after {_PATIENCE} s: {answer}'
        time.sleep(0.05)
        answer = ask()
    return answer
