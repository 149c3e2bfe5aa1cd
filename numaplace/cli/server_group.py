# SPDX-License-Identifier: Apache-2.0
"""``numaplace server group``: servers that are placed together, or apart."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from numaplace import exception
from numaplace.cli import base, ignored, names

if TYPE_CHECKING:
    from numaplace.model.grouping import ServerGroup

__all__ = ['CreateServerGroup', 'DeleteServerGroup', 'ListServerGroup', 'ShowServerGroup']

_RULE = 'max_server_per_host'


def _row(group: ServerGroup) -> tuple[Any, ...]:
    members = sorted(group.members)
    rules = {} if group.max_server_per_host is None else {_RULE: group.max_server_per_host}
    words = ', '.join(f'{key}={value}' for key, value in rules.items())
    return (
        group.uuid,
        base.Text(group.name),
        group.policy,
        base.Written(rules, words),
        base.Written(members, '\n'.join(members) or 'none'),
    )


_COLUMNS = ('id', 'name', 'policy', 'rules', 'members')


class CreateServerGroup(base.ShowOf):
    """Create a server group; servers join it with `server create --hint group=ID`.

    Every claim keeps affinity and anti-affinity. The weighers keep soft-affinity and soft-anti-affinity where they can.
    """

    outcome = "the server group '{name}' exists, with the UUID {id}"

    examples = (
        'numaplace server group create --policy anti-affinity web',
        'numaplace server group create --policy anti-affinity --rule max_server_per_host=2 db',
        'numaplace server create --flavor m1.numa --hint group=web web1',
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the name, the policy and its rule."""
        from numaplace.model.grouping import POLICIES

        parser = super().get_parser(prog_name)
        parser.add_argument('name', metavar='NAME', help='Name of the server group.')
        parser.add_argument(
            '--policy', choices=POLICIES, default='affinity', help='Whether members share a host (default: affinity).'
        )
        parser.add_argument(
            '--rule',
            action='append',
            default=[],
            metavar='KEY=VALUE',
            help='For anti-affinity: max_server_per_host=N, how many members a host may have (default: 1).',
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Store the group and show it.

        :raises: :class:`~numaplace.exception.AlreadyExists`, :class:`~numaplace.exception.Invalid`
        """
        from numaplace.model.grouping import ServerGroup

        name = names.name('server group', parsed_args.name)
        most = _most(parsed_args.policy, names.pairs('--rule', parsed_args.rule))
        with self.open_database() as database:
            group = database.create_server_group(ServerGroup(name, parsed_args.policy, max_server_per_host=most))
        return _COLUMNS, _row(group)


def _most(policy: str, rules: dict[str, str]) -> int | None:
    """Return the value of the only rule.

    :raises: :class:`~numaplace.exception.Invalid`
    """
    from numaplace.model.grouping import ANTI_AFFINITY

    for key, value in rules.items():
        if key != _RULE or policy != ANTI_AFFINITY:
            raise exception.Invalid(
                f"--rule '{names.shorten(f'{key}={value}')}': expected {_RULE}=N with --policy {ANTI_AFFINITY}"
            )
        try:
            return names.whole(1)(value)
        except argparse.ArgumentTypeError as error:
            raise exception.Invalid(f'--rule {_RULE}: {error}') from None
    return None


class ShowServerGroup(base.ShowOf):
    """Show a server group with the UUIDs of its members."""

    examples = ('numaplace server group show web',)

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the name."""
        parser = super().get_parser(prog_name)
        parser.add_argument('group', metavar='GROUP', help='Name or UUID of the server group.')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Return the group."""
        with self.open_database() as database:
            return _COLUMNS, _row(database.server_group(parsed_args.group))


class ListServerGroup(base.ListOf):
    """List all server groups."""

    nothing = 'no server groups'
    examples = ('numaplace server group list', 'numaplace server group list -f json')
    ignores = ignored.SERVER_GROUP_LIST

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Return the groups by name."""
        with self.open_database() as database:
            return ('ID', 'Name', 'Policy', 'Rules', 'Members'), list(map(_row, database.server_groups()))


class DeleteServerGroup(base.Action):
    """Delete server groups; their members stay where they are, without a policy."""

    examples = ('numaplace server group delete web', 'numaplace server group delete web db')

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the names."""
        parser = super().get_parser(prog_name)
        parser.add_argument('groups', metavar='GROUP', nargs='+', help='Name or UUID of a server group.')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """Delete one after the other; return the exit status."""
        with self.open_database() as database:
            return self.for_each('server groups', parsed_args.groups, database.delete_server_group, parsed_args)
