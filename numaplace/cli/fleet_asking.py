# SPDX-License-Identifier: Apache-2.0
"""Ask a host of a fleet for a server that moves: by the filters of the configuration, then by the fit of the claim."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from numaplace.operations import requests
from numaplace.planning.state import key_of
from numaplace.request import keys

if TYPE_CHECKING:
    from oslo_config import cfg

    from numaplace.explain import HostRefusal
    from numaplace.model import Guest, Placement, Refusal
    from numaplace.model.fleet import Fleet
    from numaplace.model.grouping import ServerGroup
    from numaplace.model.records import HostRecord, InstanceRecord
    from numaplace.planning.state import Ask
    from numaplace.scheduler.filters import Request
    from numaplace.scheduler.filters.base import Answer, Filter

__all__ = ['asking']


def asking(conf: cfg.ConfigOpts, read: Fleet) -> Ask:
    """Return a function that asks a host.

    Of what placement knows, sizes and traits count: what is free of its amounts changes with each move.
    """
    from numaplace import partition
    from numaplace.explain import HostRefusal
    from numaplace.fleet import placement
    from numaplace.model import Placement, Refusal, held
    from numaplace.scheduler import select
    from numaplace.scheduler.limits import limits

    asked_of = _Requests(conf, with_pci=any(record.host.devices for record in read.hosts))
    filters, alike = select.Policy.of(conf).filters, _Alike()
    offers = placement.Offers(read)

    def offered(server: InstanceRecord, asked: Request, record: HostRecord) -> Refusal | None:
        instance = asked.instance
        wanted = placement.wanted(instance.flavor, instance.image_properties, instance.guest, server)
        return offers.refusal(record.name, [(wanted, 0)])

    def ask(
        server: InstanceRecord, kind: str, record: HostRecord, group: ServerGroup | None
    ) -> Placement | HostRefusal:
        asked = asked_of.of(server, kind)
        if group is not None:
            asked = replace(asked, group=group)
        if read.providers and (refusal := offered(server, asked, record)) is not None:
            return HostRefusal(record.name, placement.NAME, refusal)
        found = None
        for name, check in filters:
            answer = alike.admit(check, record, asked, server, kind)
            if isinstance(answer, Refusal):
                return HostRefusal(record.name, name, answer)
            found = answer if isinstance(answer, Placement) else found
        last: Placement | Refusal | None = held.name_taken(
            record.unmanaged, server.uuid, server.name, server.domain_name
        )
        last = last or found
        if last is None:
            last = partition.place(
                record.host,
                asked.instance.guest,
                limits=limits(record),
                networks=asked.networks,
                strategy=asked.strategy,
                host_cell_ids=asked.host_cell_ids,
            )
        return HostRefusal(record.name, select.CLAIM, last) if isinstance(last, Refusal) else last

    return ask


class _Alike:
    """Answers of filters that read a few fields of a host, by these fields and by what a server requests."""

    def __init__(self) -> None:
        self._classes: dict[Any, int] = {}
        self._of: dict[tuple[str, str], tuple[InstanceRecord, int]] = {}
        self._fields: dict[int, tuple[Any, str]] = {}
        self._answers: dict[Any, Answer] = {}

    def admit(self, check: Filter, record: HostRecord, asked: Request, server: InstanceRecord, kind: str) -> Answer:
        """Return what a filter says."""
        if check.reads is None:
            return check.admit(record, asked)
        fields = tuple([self._text(getattr(record, name)) for name in check.reads])
        key = id(check), self._class(server, kind), fields
        if key not in self._answers:
            self._answers[key] = check.admit(record, asked)
        return self._answers[key]

    def _text(self, value: Any) -> str:
        """Return a text that is equal for equal values, which are kept, so that none gets the address of another."""
        known = self._fields.get(id(value))
        if known is None:
            known = self._fields[id(value)] = value, repr(value)
        return known[1]

    def _class(self, server: InstanceRecord, kind: str) -> int:
        known = self._of.get((server.uuid, kind))
        if known is None or known[0].placement is not server.placement:
            number = self._classes.setdefault(key_of(server, (kind,)), len(self._classes))
            known = self._of[server.uuid, kind] = server, number
        return known[1]


class _Requests:
    """What servers request, each read once."""

    def __init__(self, conf: cfg.ConfigOpts, *, with_pci: bool) -> None:
        self._conf, self._with_pci = conf, with_pci
        self._guests: dict[Any, Guest] = {}
        self._like: dict[str | None, Request] = {}
        self._known: dict[tuple[str, str], tuple[InstanceRecord, Request]] = {}

    def of(self, server: InstanceRecord, kind: str) -> Request:
        """Return the request for a server that moves in some way."""
        known = self._known.get((server.uuid, kind))
        if known is not None and known[0].placement is server.placement:
            return known[1]
        request = self._read(server, kind)
        self._known[server.uuid, kind] = server, request
        return request

    def _read(self, server: InstanceRecord, kind: str) -> Request:
        from numaplace.compute import claims
        from numaplace.fleet.explain import as_requested
        from numaplace.model.records import LIVE_MIGRATION
        from numaplace.scheduler import select

        fixed = None
        if kind == LIVE_MIGRATION:
            guest = replace(server.placement.guest, wish=self._requested(server).wish)
            fixed = claims.fixed_host_cell_ids(server.placement)
        else:
            guest = self._requested(server)
        asked, named = requests.again(as_requested(server), guest), server.flavor.extra_specs.get(keys.STRATEGY)
        if named not in self._like:  # to load a strategy takes its time
            self._like[named] = select.asked(self._conf, asked)
        return replace(self._like[named], instance=asked, host_cell_ids=fixed)

    def _requested(self, server: InstanceRecord) -> Guest:
        """Return what a server requests."""
        from numaplace.request import with_networks

        flavor = server.flavor
        key = (
            (flavor.vcpus, flavor.memory_mib, tuple(sorted(flavor.extra_specs.items()))),
            tuple(sorted(server.image_properties.items())),
        )
        if key not in self._guests:
            self._guests[key] = requests.read(self._conf, flavor, server.image_properties, with_pci=self._with_pci)
        guest = self._guests[key]
        return with_networks(guest, flavor, server.image_properties, server.devices) if self._with_pci else guest
