# SPDX-License-Identifier: Apache-2.0
"""Hot changes of servers in the rows and in the libvirt that runs them: nothing is used that is not claimed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from numaplace import exception
from numaplace.compute import hotplug
from numaplace.db import api
from numaplace.db.records import InstanceRecord
from numaplace.libvirt import connection, xmltext
from numaplace.libvirt import hotplug as elements
from numaplace.libvirt.steps import steps
from numaplace.model import Host, Limits, MemoryModule, Refusal

__all__ = ['Running', 'attach_memory', 'set_vcpus']


@dataclass(frozen=True, slots=True)
class Running:
    """Where servers run.

    :param uri: of their libvirt
    :param write: tells the XML of a server as it is
    """

    uri: str
    write: Callable[[InstanceRecord], str]

    @contextmanager
    def changed(
        self, before: InstanceRecord, after: InstanceRecord, is_stored: Callable[[], bool] = lambda: False
    ) -> Iterator[None]:
        """Change the domain of a server; take it back where a step, or the body, fails.

        :param is_stored: asked where nobody knows it, as after an interrupt: whether the rows were changed; then the
            domain stays as they say
        :raises: :class:`~numaplace.exception.LibvirtError` if libvirt refuses,
            :class:`~numaplace.exception.DomainChanged` if it refuses to take back what it did before
        """
        undo: list[tuple[str, ...]] = []
        try:
            found = steps(self.write(before), self.write(after))
            kept = bool(found) and connection.is_persistent(after.uuid, self.uri)
            for step in found:
                self._change(after.uuid, step.do, kept)
                undo += [step.undo] if step.undo else []
            yield
        except BaseException as error:
            is_unknown = isinstance(error, exception.UnknownOutcome) or not isinstance(error, Exception)
            if is_unknown and is_stored():
                raise
            for words in reversed(undo):
                try:
                    self._change(after.uuid, words, kept)
                except exception.LibvirtError as other:
                    raise exception.DomainChanged(f'{error}; and what was done before stays: {other}') from error
            raise

    def _change(self, uuid: str, words: tuple[str, ...], kept: bool) -> None:
        command, *more = words
        connection.change(command, uuid, *more, uri=self.uri, kept=kept)

    def attach(self, uuid: str, module: MemoryModule) -> None:
        """Plug memory into the domain of a server.

        :raises: :class:`~numaplace.exception.LibvirtError`
        """
        xml = xmltext.write(elements.module(module))
        kept = connection.is_persistent(uuid, self.uri)
        connection.change('attach-device', uuid, '/dev/stdin', uri=self.uri, kept=kept, text=xml)


def set_vcpus(
    database: api.Database, instance_uuid: str, number: int, running: Running, *, limits: Limits | None = None
) -> InstanceRecord | Refusal:
    """Do as :func:`numaplace.compute.hotplug.set_vcpus`, with the guest that runs.

    CPUs are claimed before vCPUs are plugged in, and freed after they were pulled out.

    :raises: as there, :class:`~numaplace.exception.LibvirtError` if libvirt or the guest refuses, and all is as it was;
        :class:`~numaplace.exception.DomainChanged` if it is not, and all that the guest may use stays claimed
    """
    before = database.instance(instance_uuid)
    if number <= before.placement.guest.vcpus:
        host = database.host(before.host).host if before.host else Host()
        planned = hotplug.with_vcpus(before, host, number)
        assert not isinstance(planned, Refusal)  # noqa: S101 - nothing is claimed

        def is_stored() -> bool:
            return database.instance(before.uuid).generation != before.generation

        with running.changed(before, planned, is_stored):
            return hotplug.set_vcpus(database, before.uuid, number, as_read=before)
    after = hotplug.set_vcpus(database, before.uuid, number, limits=limits, as_read=before)
    if isinstance(after, Refusal):
        return after

    def give_back() -> None:
        hotplug.set_vcpus(database, before.uuid, before.placement.guest.vcpus, as_read=after)

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
    """Do as :func:`numaplace.compute.hotplug.attach_memory`, with the guest that runs.

    :raises: as there, :class:`~numaplace.exception.LibvirtError` if libvirt refuses: then all is as it was
    """
    after = hotplug.attach_memory(database, instance_uuid, module, limits=limits)
    if isinstance(after, Refusal):
        return after
    last = len(after.placement.guest.modules) - 1
    with _given_back(lambda: hotplug.detach_memory(database, after.uuid, last, as_read=after)):
        running.attach(after.uuid, module)
    return after


@contextmanager
def _given_back(give_back: Callable[[], object]) -> Iterator[None]:
    try:
        yield
    except exception.DomainChanged:
        raise
    except BaseException:
        give_back()
        raise
