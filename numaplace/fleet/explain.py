# SPDX-License-Identifier: Apache-2.0
"""Which hosts of a fleet take a guest, and why the others do not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from numaplace import exception, explain
from numaplace.fleet import placement
from numaplace.fleet.audit import audit
from numaplace.fleet.configuration import check_flavors
from numaplace.fleet.findings import Finding
from numaplace.model import Flavor, Reason, Refusal
from numaplace.model.allocations import holds, release
from numaplace.model.fleet import Fleet
from numaplace.model.records import HostRecord, InstanceRecord

__all__ = ['Answer', 'Check', 'as_requested', 'ask', 'causes', 'check_forced', 'lines', 'without']

#: Asks one host: a refusal is falsy.
Check: TypeAlias = Callable[[HostRecord], Any]

_MOST_NAMES = 8


@dataclass(frozen=True, slots=True)
class Answer:
    """What a host says to a guest.

    :param by: name of what refused it, such as a filter; None where it takes the guest
    """

    host: str
    by: str | None = None
    refusal: Refusal | None = None


def ask(fleet: Fleet, checks: Sequence[tuple[str, Check]]) -> list[Answer]:
    """Ask every host, by name; the first check that refuses has the word.

    :param checks: names and functions, in the order of the scheduler
    """
    answers = [_ask(record, checks) for record in fleet.hosts]
    known = {record.name for record in fleet.hosts}
    for row in fleet.unread:
        if row.host is not None and row.host not in known and row.server is None:
            answers.append(Answer(row.host, 'row', Refusal.of(Reason('host.topology.unreadable', subject=row.fault))))
    return sorted(answers, key=lambda answer: answer.host)


def _ask(record: HostRecord, checks: Sequence[tuple[str, Check]]) -> Answer:
    for name, check in checks:
        answer = check(record)
        if isinstance(answer, Refusal):
            return Answer(record.name, name, answer)
    return Answer(record.name)


def as_requested(server: InstanceRecord) -> InstanceRecord:
    """Return a server with the flavor and the zone that its request names, where that is known."""
    spec = server.request_spec
    return server if spec is None else replace(server, flavor=spec.flavor, availability_zone=spec.availability_zone)


def check_forced(server: InstanceRecord, record: HostRecord) -> Refusal | None:
    """Refuse a host that is not among those that the request of a server names, if it names any."""
    hosts = server.request_spec.hosts if server.request_spec else ()
    return None if not hosts or record.name in hosts else Refusal.of(Reason('host.forced', subject=', '.join(hosts)))


def without(fleet: Fleet, server: InstanceRecord) -> Fleet:
    """Return a fleet whose hosts have free what a server holds, as for a move of it; what is not counted stays."""
    hosts = {record.name: record for record in fleet.hosts}
    for side in holds(server):
        with suppress(KeyError, exception.NumaplaceException):
            record = hosts[side.host]
            hosts[side.host] = replace(record, host=release(record.host, side.placement))
    return replace(fleet, hosts=tuple(hosts.values()))


def causes(fleet: Fleet, flavor: Flavor, server: InstanceRecord | None, answers: Sequence[Answer]) -> list[Finding]:
    """Return the findings of the audit that may be behind refusals: of the flavor, the server and the hosts."""
    refusing = {answer.host for answer in answers if answer.by is not None}
    found = list(check_flavors([flavor], fleet.hosts))
    concerned = replace(fleet, servers=() if server is None else (server,), flavors=(), providers=(), unread=())
    uuid = None if server is None else server.uuid
    for finding in audit(concerned):
        about_host = finding.server is None and finding.host in refusing and finding.code.startswith('host.')
        if about_host or (finding.server is not None and finding.server == uuid):
            found.append(finding)
    return found


def lines(
    answers: Sequence[Answer], findings: Sequence[Finding], *, each: bool = False, with_placement: bool = False
) -> Iterator[str]:
    """Yield the answer as text: who takes it, the others by cause with the nearest first, and what may be behind it.

    :param each: name all hosts, each by itself
    :param with_placement: whether placement was asked
    """
    takers = [answer.host for answer in answers if answer.by is None]
    named = ', '.join(map(explain.escape, takers[: None if each else _MOST_NAMES]))
    more = '' if each or len(takers) <= _MOST_NAMES else ', ...'
    yield f'{len(takers)} of {len(answers)} hosts take it{f": {named}{more}" if takers else ""}'
    if with_placement:
        offered = sum([answer.by != placement.NAME for answer in answers])
        yield f'placement offers {offered} of {len(answers)} hosts'
    refused = refusals(answers)
    counts = Counter((one.by, kind) for one in refused for kind in one.refusal.kinds)
    if len(refused) >= explain.MANY_HOSTS and len(counts) > 1:
        yield explain.counted(counts)
    yield from explain.grouped(refused, each=each, hint='; --all-hosts shows each')
    yield from (f'{finding.severity}: {_place(finding)}{explain.escape(finding.text)}' for finding in findings)


def refusals(answers: Sequence[Answer]) -> list[explain.HostRefusal]:
    """Return the refusals alone."""
    return [
        explain.HostRefusal(answer.host, answer.by, answer.refusal)
        for answer in answers
        if answer.by is not None and answer.refusal is not None
    ]


def _place(finding: Finding) -> str:
    words = [explain.escape(word) for word in (finding.host, finding.server) if word is not None]
    return f'{" ".join(words)}: ' if words else ''
