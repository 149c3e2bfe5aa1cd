# SPDX-License-Identifier: Apache-2.0
"""Hot-plug for servers, in the database and in libvirt: nothing is used before it is claimed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from numaplace import exception
from numaplace.compute import hotplug_claims, migration
from numaplace.db import api
from numaplace.libvirt import connection, hotplug_xml, xmltext
from numaplace.libvirt.live_changes import steps
from numaplace.model import Host, Limits, MemoryModule, Refusal
from numaplace.model.records import InstanceRecord

__all__ = ['Running', 'attach_memory', 'detach_memory', 'set_vcpus']

#: Seconds until a guest that does not release a device is a failure, and between two looks at it.
_RELEASE_S, _POLL_S = 10.0, 0.5


@dataclass(frozen=True, slots=True)
class Running:
    """Where servers run.

    :param uri: that of their libvirt
    :param write: returns the present XML of a server
    """

    uri: str
    write: Callable[[InstanceRecord], str]

    @contextmanager
    def changed(
        self, before: InstanceRecord, after: InstanceRecord, is_stored: Callable[[], bool] = lambda: False
    ) -> Iterator[None]:
        """Change the domain of a server; undo the change if a step, or the body, fails.

        :param is_stored: returns whether the rows were changed; called when that is unknown, as after an interrupt. If
            they were, the domain is left changed
        :raises: :class:`~numaplace.exception.LibvirtError` if libvirt refuses,
            :class:`~numaplace.exception.DomainChanged` if it refuses to undo what it did before
        """
        undo: list[tuple[str, ...]] = []
        try:
            found = steps(self.write(before), self.write(after))
            persistent = bool(found) and connection.is_persistent(after.uuid, self.uri)
            for step in found:
                self._change(after.uuid, step.do, persistent)
                undo += [step.undo] if step.undo else []
            yield
        except BaseException as error:
            is_unknown = isinstance(error, exception.UnknownOutcome) or not isinstance(error, Exception)
            if is_unknown and is_stored():
                raise
            for words in reversed(undo):
                try:
                    self._change(after.uuid, words, persistent)
                except exception.LibvirtError as other:
                    raise exception.DomainChanged(f'{error}; and what was done before stays: {other}') from error
            raise

    def _change(self, uuid: str, words: tuple[str, ...], persistent: bool) -> None:
        command, *more = words
        connection.change(command, uuid, *more, uri=self.uri, persistent=persistent)

    def attach(self, uuid: str, module: MemoryModule) -> None:
        """Plug memory into the domain of a server.

        :raises: :class:`~numaplace.exception.LibvirtError`
        """
        self._device('attach-device', uuid, module)

    def detach(self, uuid: str, module: MemoryModule, left: int) -> None:
        """Unplug memory from the domain of a server, unless it is gone already, and wait until the guest released it.

        :param left: how many equal modules the domain keeps
        :raises: :class:`~numaplace.exception.LibvirtError` if libvirt refuses, or the guest does not release it
        """
        if self._has_more(uuid, module, left):
            self._device('detach-device', uuid, module)
        # Libvirt waits for some seconds itself, and says nothing of a guest that does not answer.
        until = time.monotonic() + _RELEASE_S
        while self._has_more(uuid, module, left):
            if time.monotonic() > until:
                raise exception.LibvirtError(
                    f'virsh detach-device at {self.uri}: the guest has not released the {module.size_mib} MiB in cell '
                    f'{module.cell}, and their claim stays; try again when the guest has them offline'
                )
            time.sleep(_POLL_S)

    def _device(self, command: str, uuid: str, module: MemoryModule) -> None:
        xml = xmltext.write(hotplug_xml.module(module))
        persistent = connection.is_persistent(uuid, self.uri)
        connection.change(command, uuid, '/dev/stdin', uri=self.uri, persistent=persistent, text=xml)

    def _has_more(self, uuid: str, module: MemoryModule, left: int) -> bool:
        return hotplug_xml.count(connection.dumpxml(uuid, self.uri), module) > left


def set_vcpus(
    database: api.Database, instance_uuid: str, number: int, running: Running, *, limits: Limits | None = None
) -> InstanceRecord | Refusal:
    """Do as :func:`numaplace.compute.hotplug_claims.set_vcpus`, and change the running guest too.

    CPUs are claimed before vCPUs are plugged in, and freed after vCPUs are unplugged.

    :raises: as there, :class:`~numaplace.exception.LibvirtError` if libvirt or the guest refuses and all is undone;
        :class:`~numaplace.exception.DomainChanged` if not all is undone; what the guest may use stays claimed
    """
    before = database.instance(instance_uuid)
    if number <= before.placement.guest.vcpus:
        host = database.host(before.host).host if before.host else Host()
        planned = hotplug_claims.with_vcpus(before, host, number)
        assert not isinstance(planned, Refusal)  # noqa: S101 - nothing is claimed

        def is_stored() -> bool:
            return database.instance(before.uuid).generation != before.generation

        with running.changed(before, planned, is_stored):
            return hotplug_claims.set_vcpus(database, before.uuid, number, as_read=before)
    after = hotplug_claims.set_vcpus(database, before.uuid, number, limits=limits, as_read=before)
    if isinstance(after, Refusal):
        return after

    def give_back() -> None:
        hotplug_claims.set_vcpus(database, before.uuid, before.placement.guest.vcpus, as_read=after)

    with _given_back(give_back), running.changed(before, after):
        return after


def attach_memory(
    database: api.Database,
    instance_uuid: str,
    module: MemoryModule,
    running: Running,
    *,
    limits: Limits | None = None,
) -> InstanceRecord | Refusal:
    """Do as :func:`numaplace.compute.hotplug_claims.attach_memory`, and change the running guest too.

    :raises: as there, :class:`~numaplace.exception.LibvirtError` if libvirt refuses; then all is undone
    """
    after = hotplug_claims.attach_memory(database, instance_uuid, module, limits=limits)
    if isinstance(after, Refusal):
        return after
    last = len(after.placement.guest.modules) - 1
    with _given_back(lambda: hotplug_claims.detach_memory(database, after.uuid, last, as_read=after)):
        running.attach(after.uuid, module)
    return after


def detach_memory(database: api.Database, instance_uuid: str, number: int, running: Running) -> InstanceRecord:
    """Do as :func:`numaplace.compute.hotplug_claims.detach_memory`, and change the running guest before.

    The claim is given back when libvirt reports that the device is gone, and not earlier.

    :raises: as there, :class:`~numaplace.exception.LibvirtError` if libvirt refuses or the guest does not release it,
        :class:`~numaplace.exception.DomainChanged` if that is not known; then the memory stays claimed
    """
    before = database.instance(instance_uuid)
    migration.on_host(before, 'detach memory from')
    module = hotplug_claims.module(before, number)
    running.detach(before.uuid, module, before.placement.guest.modules.count(module) - 1)
    return hotplug_claims.detach_memory(database, before.uuid, number, as_read=before)


@contextmanager
def _given_back(give_back: Callable[[], object]) -> Iterator[None]:
    try:
        yield
    except exception.DomainChanged:
        raise
    except BaseException:
        give_back()
        raise
