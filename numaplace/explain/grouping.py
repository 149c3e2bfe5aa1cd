# SPDX-License-Identifier: Apache-2.0
"""The refusals of many hosts in few lines: equal ones once, the nearest hosts first, and the rest by code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from numaplace.explain.escaping import escape
from numaplace.explain.reasons import Amount, lines, sentence
from numaplace.explain.summary import nearness
from numaplace.model import Refusal

__all__ = ['MANY_HOSTS', 'HostRefusal', 'counted', 'grouped', 'plain']

#: From so many hosts on, the counts by cause come before the reasons, if there are several causes.
MANY_HOSTS: Final = 10

#: Maximum number of groups of hosts, of lines for one of several groups, and of host names for one group.
_MOST_GROUPS, _MOST_LINES, _MOST_NAMES = 5, 8, 3
#: The length at which a name is cut.
_NAME_WIDTH = 60


@dataclass(frozen=True, slots=True)
class HostRefusal:
    """Why a host does not accept a guest.

    :param by: name of what refused it, such as a filter
    """

    host: str
    by: str
    refusal: Refusal


@dataclass(frozen=True, slots=True)
class _Group:
    """Hosts that the same filter refused with the same text, and how near they are to fitting."""

    hosts: tuple[str, ...]
    by: str
    words: tuple[str, ...]
    severity: tuple[bool, float]
    code: str


def grouped(refusals: Sequence[HostRefusal], *, each: bool = False, hint: str = '') -> list[str]:
    """Return why no host accepts a guest.

    Hosts that are refused with the same text are one group. The groups that are nearest to accepting the guest come
    first; of equal ones, the group with more hosts, then the first by name. Linear in the number of hosts,
    except for sorting their groups.

    :param each: whether each host has its own lines; otherwise the number of lines does not grow with the number of
        hosts, and hosts that are left out are counted by the code of their cause
    :param hint: how to see what is left out; it ends the lines that say so
    """
    groups = _groups(refusals, each=each)
    shown = groups if each or len(groups) == 1 else groups[:_MOST_GROUPS]
    found: list[str] = []
    for group in shown:
        found.append(f'{_heading(group.hosts)} ({group.by}):')
        room = len(group.words) if each or len(groups) == 1 else _MOST_LINES
        found += [f'  {line}' for line in group.words[:room]]
        if len(group.words) > room:
            found.append(f'  {len(group.words) - room} more{hint}')
    if left := groups[len(shown) :]:
        found.append(f'{_rest(left)}{hint}')
    return found


def counted(counts: Mapping[tuple[str, str], int]) -> str:
    """Return how many hosts refuse a guest, by what refuses it and for what; the largest numbers come first.

    A host counts for each kind of reason that it has.

    :param counts: by filter and kind of reason; the kind is empty where only the filter is known
    """
    by_filter: dict[str, list[tuple[int, str]]] = {}
    for (name, kind), number in counts.items():
        by_filter.setdefault(name, []).append((-number, kind or 'other causes'))
    listed = sorted((sorted(kinds), name) for name, kinds in by_filter.items())
    texts = [
        f'{", ".join(f"{-number:,} {escape(kind)}" for number, kind in kinds)} ({escape(name)})'
        for kinds, name in listed
    ]
    return f'hosts by cause: {"; ".join(texts)}'


def plain_counts(counts: Mapping[tuple[str, str], int]) -> list[dict[str, object]]:
    """Return how many hosts refuse a guest as plain values, the largest numbers first: `filter`, `kind` and `hosts`.

    :param counts: as for :func:`counted`
    """
    listed = sorted((-number, name, kind) for (name, kind), number in counts.items())
    return [{'filter': name, 'kind': kind or None, 'hosts': -number} for number, name, kind in listed]


def plain(refusals: Sequence[HostRefusal]) -> list[dict[str, Any]]:
    """Return all refusals as plain values: a dict for each host, the nearest first, with its reasons.

    Codes, hosts and cells are stable; `text` is for people.
    """
    near = sorted((*nearness(each.refusal), each.host, number) for number, each in enumerate(refusals))
    return [_plain(refusals[number]) for _severity, _code, _host, number in near]


def _plain(refused: HostRefusal) -> dict[str, Any]:
    reasons = [
        {**asdict(reason), 'guest_cells': list(reason.guest_cells), 'host_cells': list(reason.host_cells)}
        | {'text': sentence(reason)}
        for reason in refused.refusal.reasons
    ]
    return {'host': refused.host, 'filter': refused.by, 'reasons': reasons}


def _groups(refusals: Sequence[HostRefusal], *, each: bool) -> list[_Group]:
    alike: dict[tuple[Any, ...], list[HostRefusal]] = {}
    for refused in refusals:
        words = tuple(escape(line) for line in lines(refused.refusal))
        alike.setdefault((refused.by, words, refused.host if each else ''), []).append(refused)
    groups = [
        _Group(tuple(sorted(one.host for one in members)), by, words, *nearness(members[0].refusal))
        for (by, words, _host), members in alike.items()
    ]
    return sorted(groups, key=lambda group: (group.severity, -len(group.hosts), group.hosts))


def _heading(hosts: Sequence[str]) -> str:
    named = ', '.join(map(_name, hosts[:_MOST_NAMES]))
    if len(hosts) == 1:
        return named
    return f'{len(hosts)} hosts: {named}{", ..." if len(hosts) > _MOST_NAMES else ""}'


def _rest(groups: Sequence[_Group]) -> str:
    counts: Counter[str] = Counter()
    for group in groups:
        counts[group.code or group.by] += len(group.hosts)
    listed = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    by_cause = ', '.join(f'{count} {escape(code)}' for code, count in listed)
    return f'{Amount(counts.total()):more host}: {by_cause}'


def _name(host: str) -> str:
    shown = escape(host)
    return shown if len(shown) <= _NAME_WIDTH else f'{shown[: _NAME_WIDTH - 3]}...'
