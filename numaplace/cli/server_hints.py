# SPDX-License-Identifier: Apache-2.0
"""The hints, the project and the group of a new server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from numaplace.cli import names

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator

    from numaplace.db.api import Database
    from numaplace.operations.requests import Scheduling
    from numaplace.scheduler.select import Policy

__all__ = ['add', 'read', 'warnings']

_GROUP = 'group'
#: Hints that name servers.
_SERVERS = ('different_host', 'same_host')
#: The filter that each hint is for.
_FILTERS = {
    'different_host': 'DifferentHostFilter',
    'same_host': 'SameHostFilter',
    'build_near_host_ip': 'SimpleCIDRAffinityFilter',
    'cidr': 'SimpleCIDRAffinityFilter',
    'query': 'JsonFilter',
}


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        '--hint',
        action='append',
        default=[],
        metavar='KEY=VALUE',
        help='Hint for the filters: group=GROUP, different_host=SERVER, same_host=SERVER, build_near_host_ip=ADDRESS, '
        'cidr=/24 or query=JSON; may be repeated.',
    )
    parser.add_argument('--server-group', metavar='GROUP', help='Server group, the same as --hint group=GROUP.')
    parser.add_argument(
        '--project', metavar='PROJECT', help='Project of the server, for AggregateMultiTenancyIsolation.'
    )


def read(database: Database, parsed_args: argparse.Namespace) -> Scheduling:
    """Return what the options say, with UUIDs in place of the names of servers and of the group.

    :raises: :class:`~numaplace.exception.Invalid`, :class:`~numaplace.exception.NotFound`
    """
    hints: dict[str, tuple[str, ...]] = {}
    for word in parsed_args.hint:
        ((key, value),) = names.pairs('--hint', [word]).items()
        hints[key] = (*hints.get(key, ()), database.instance_uuid(value) if key in _SERVERS else value)
    groups = hints.pop(_GROUP, ())
    group = parsed_args.server_group or (groups[-1] if groups else None)
    project = parsed_args.project
    return {
        'project': None if project is None else names.name('project', project),
        'hints': hints,
        'group': None if group is None else database.server_group(group).uuid,
    }


def warnings(hints: Iterable[str], policy: Policy) -> Iterator[str]:
    """Yield what has no effect."""
    enabled = {name for name, _ in policy.filters}
    for key in hints:
        if key not in _FILTERS:
            yield f'hint {key!r}: no filter knows it'
        elif _FILTERS[key] not in enabled:
            yield f'hint {key!r} has no effect: {_FILTERS[key]} is not one of [filter_scheduler] enabled_filters'
