# SPDX-License-Identifier: Apache-2.0
"""The nearest change after which a host of a fleet takes a guest, as its filters and the fit say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from numaplace.cli import fleet as fleets
from numaplace.explain import escape
from numaplace.fleet import changes, explain, what_if
from numaplace.fleet.changes import Case, Change, Trial
from numaplace.fleet.changes.words import words
from numaplace.model import Networks, Placement, Refusal
from numaplace.model.fleet import candidates
from numaplace.scheduler.filters import Request
from numaplace.scheduler.limits import limits

if TYPE_CHECKING:
    from oslo_config import cfg

    from numaplace.db.records import InstanceRequest
    from numaplace.fleet.explain import Answer
    from numaplace.model.fleet import Fleet
    from numaplace.model.records import HostRecord, InstanceRecord

__all__ = ['for_new', 'lines', 'nearest', 'plain']


@dataclass(frozen=True)
class _Changed(Request):
    """A request with networks that are not those of its devices."""

    attached: Networks | None = None

    @cached_property
    def networks(self) -> Networks | None:
        """The networks of the guest, or None."""
        return self.attached


def nearest(
    conf: cfg.ConfigOpts,
    fleet: Fleet,
    asked: Request,
    answers: Sequence[Answer],
    server: InstanceRecord | None = None,
    *,
    each: bool = False,
    only: str | None = None,
) -> dict[str, Change]:
    """Return the nearest change over all hosts, by the name of its host; none if a host takes the guest.

    :param fleet: hosts as filters are asked about them, on which what the server holds is free
    :param answers: of the hosts
    :param server: the one that is asked about, if it exists
    :param each: return the nearest change of each host that refuses the guest instead
    :param only: look for changes on this host alone
    """
    takers = tuple([answer.host for answer in answers if answer.by is None])
    if takers and not each:
        return {}
    refusing = {answer.host for answer in answers if answer.by is not None and only in (None, answer.host)}
    others = [one for one in fleet.servers if server is None or one.uuid != server.uuid]
    cases = {
        record.name: _Asked(conf, _part(fleet, record, others), asked, server).case(takers)
        for record in fleet.hosts
        if record.name in refusing
    }
    parts = [{name: case} for name, case in cases.items()] if each else [cases]
    return dict([found for part in parts if (found := changes.nearest(part)) is not None])


def for_new(
    conf: cfg.ConfigOpts, fleet: Fleet, wanted: InstanceRequest, *, host: str | None = None
) -> dict[str, Change] | None:
    """Return the nearest change for a new server, by the name of its host; None if a host takes it.

    :param host: the only host that it may go to; then another host may be the change
    """
    joined = candidates(fleet)
    asked = fleets.request(conf, joined, wanted)
    answers = explain.ask(joined, fleets.checks(conf, joined, asked))
    if any(answer.by is None and host in (None, answer.host) for answer in answers):
        return None
    return nearest(conf, joined, asked, answers, each=host is not None, only=host)


def _part(fleet: Fleet, record: HostRecord, servers: Sequence[InstanceRecord]) -> Fleet:
    """Return a fleet of one host with its servers that are in no move."""
    here = [one for one in servers if one.host == record.name and one.move is None]
    providers = [provider for provider in fleet.providers if provider.host == record.name]
    return replace(fleet, hosts=(record,), servers=tuple(here), providers=tuple(providers), unread=(), remarks=())


class _Asked:
    """A host that is asked with changes."""

    def __init__(self, conf: cfg.ConfigOpts, fleet: Fleet, asked: Request, server: InstanceRecord | None) -> None:
        self._conf, self._fleet, self._asked, self._server = conf, fleet, asked, server
        self._servers = {f'{one.name} ({one.uuid})': one for one in fleet.servers}

    def case(self, others: Sequence[str]) -> Case:
        """Return the host as changes are looked for on it."""
        (record,), asked = self._fleet.hosts, self._asked
        servers = {name: one.placement for name, one in self._servers.items() if isinstance(one.placement, Placement)}
        return Case(record.host, asked.instance.guest, self.takes, limits(record), asked.networks, servers, others)

    def takes(self, trial: Trial) -> bool:
        """Return whether placement, where it is known, and all filters admit the guest."""
        fleet = self._fleet
        if trial.without is not None:
            server = self._servers[trial.without]
            fleet = what_if.delete_server(fleet, server)
            (record,) = fleet.hosts
            record = replace(record, servers=record.servers - {server.uuid})
        else:
            record = replace(fleet.hosts[0], host=trial.host)
        checks = fleets.checks(self._conf, fleet, self._request(fleet, trial), self._server)
        return not any(isinstance(check(record), Refusal) for _name, check in checks)

    def _request(self, fleet: Fleet, trial: Trial) -> Request:
        asked, instance, guest = self._asked, self._asked.instance, self._asked.instance.guest
        flavor = replace(
            instance.flavor,
            vcpus=instance.flavor.vcpus + trial.guest.vcpus - guest.vcpus,
            memory_mib=instance.flavor.memory_mib + trial.guest.memory_mib - guest.memory_mib,
        )
        return _Changed(
            replace(instance, guest=trial.guest, flavor=flavor),
            strategy=asked.strategy,
            host_cell_ids=asked.host_cell_ids,
            machine_types=asked.machine_types,
            group=next((each for each in fleet.server_groups if each.uuid == instance.group), asked.group),
            attached=trial.networks,
        )


def lines(found: Mapping[str, Change]) -> list[str]:
    """Return the changes as text."""
    if not found:
        return ['nearest change: none; no single change makes it fit']
    return [f'nearest change: {escape(host)}: {words(change)}' for host, change in found.items()]


def plain(change: Change | None) -> dict[str, Any] | None:
    """Return a change as plain values."""
    if change is None:
        return None
    values = {key: getattr(change, key) for key in ('kind', 'subject', 'before', 'after')}
    return {**values, 'text': words(change)}
