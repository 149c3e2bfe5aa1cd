# SPDX-License-Identifier: Apache-2.0
"""Options of the ``openstack`` client without a meaning here: accepted, so that commands from guides work.

Options that select things, or restrict where a guest may go, are not included: to ignore these would do something other
than the user requested, so they are refused like any unknown option.
"""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = [
    'EVERYWHERE',
    'FLAVOR_CREATE',
    'FLAVOR_LIST',
    'FLAVOR_SET',
    'FLAVOR_UNSET',
    'MIGRATION_LIST',
    'NOTHING',
    'SERVER_CREATE',
    'SERVER_DELETE',
    'SERVER_EVACUATE',
    'SERVER_GROUP_LIST',
    'SERVER_LIST',
    'SERVER_MIGRATE',
    'SERVER_REBUILD',
    'SERVER_RESIZE',
    'SERVER_SHELVE',
    'SERVER_UNSHELVE',
    'Nic',
    'Options',
]

_DEST = 'ignored'


@dataclass(frozen=True, slots=True)
class Options:
    """Options of a command.

    :param switches: those without a value
    :param valued: those with one
    """

    switches: tuple[str, ...] = ()
    valued: tuple[str, ...] = ()

    def add_to(self, parser: argparse.ArgumentParser) -> None:
        """Add them to a parser, whose help names them in a few lines."""
        parser.set_defaults(**{_DEST: []})
        if not self.switches and not self.valued:
            return
        named = [*self.switches, *(f'{option} VALUE' for option in self.valued)]
        # A value stays on the line of its option.
        text = textwrap.fill(' '.join(each.replace(' ', '\0') for each in sorted(named)), 76, break_on_hyphens=False)
        group = parser.add_argument_group(
            'options of the openstack client, accepted and ignored', text.replace('\0', ' ')
        )
        for option in self.switches:
            group.add_argument(option, dest=_DEST, action=_Ignored, nargs=0, help=argparse.SUPPRESS)
        for option in self.valued:
            group.add_argument(option, dest=_DEST, action=_Ignored, help=argparse.SUPPRESS)

    @staticmethod
    def warning(*parsed: argparse.Namespace) -> str | None:
        """Return the line that names what was ignored, or None."""
        given = dict.fromkeys(option for each in parsed for option in getattr(each, _DEST, ()))
        return f'ignored, because it has no meaning here: {", ".join(given)}' if given else None


class _Ignored(argparse.Action):
    """Keep only the name of an option: a value may be a password."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        _note(namespace, str(option_string))


class Nic(argparse.Action):
    """Collect the interfaces that have a meaning here, and ignore those of a Neutron network or port."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Process one value."""
        text = str(values)
        keys = {part.partition('=')[0] for part in text.split(',')}
        if text in _NO_NICS or (keys & _NEUTRON and keys <= _NEUTRON):
            _note(namespace, f'{option_string} {text.partition("=")[0]}')
        else:
            setattr(namespace, self.dest, [*getattr(namespace, self.dest), text])


#: The keys of the client's ``--nic`` that are for Neutron.
_NEUTRON = frozenset({'net-id', 'net-name', 'port-id', 'v4-fixed-ip', 'v6-fixed-ip', 'tag'})
_NO_NICS = ('auto', 'none')


def _note(namespace: argparse.Namespace, text: str) -> None:
    setattr(namespace, _DEST, [*getattr(namespace, _DEST), text])


def _options(switches: str = '', valued: str = '') -> Options:
    return Options(tuple(_spelt(switches)), tuple(_spelt(valued)))


def _spelt(names: str) -> Iterable[str]:
    return (name if name.startswith('-') else f'--{name}' for name in names.split())


# As in python-openstackclient 10.5.
NOTHING = Options()
#: Of the client itself, for every command.
EVERYWHERE = _options(
    'insecure timing verify',
    'os-auth-type os-auth-url os-cacert os-cert os-cloud os-compute-api-version os-domain-id os-domain-name '
    'os-identity-api-version os-image-api-version os-interface os-key os-network-api-version os-password '
    'os-placement-api-version os-project-domain-id os-project-domain-name os-project-id os-project-name '
    'os-region-name os-system-scope os-token os-user-domain-id os-user-domain-name os-user-id os-username '
    'os-volume-api-version',
)
SERVER_CREATE = _options(
    'auto-network delete-on-termination no-config-drive no-network no-security-group use-config-drive wait',
    'block-device block-device-mapping boot-from-volume config-drive description ephemeral file hostname key-name '
    'network password port property security-group snapshot swap tag trusted-image-cert user-data volume',
)
SERVER_DELETE = _options('all-projects wait')
SERVER_LIST = _options(
    'all-projects name-lookup-one-by-one no-name-lookup -n', 'project project-domain user user-domain'
)
# Its --disk-overcommit is for the disks of live migrations.
SERVER_MIGRATE = _options('block-migration disk-overcommit no-disk-overcommit shared-migration wait')
SERVER_RESIZE = _options('wait')
SERVER_EVACUATE = _options('shared-storage wait', 'password')
SERVER_GROUP_LIST = _options('all-projects long')
SERVER_SHELVE = _options('offload wait')
SERVER_UNSHELVE = _options('wait')
SERVER_REBUILD = _options(
    'key-unset no-key-name no-preserve-ephemeral no-reimage-boot-volume no-trusted-image-certs no-user-data '
    'preserve-ephemeral reimage-boot-volume wait',
    'description hostname key-name password property trusted-image-cert user-data',
)
MIGRATION_LIST = _options(valued='project project-domain user user-domain')
FLAVOR_CREATE = _options('private public', 'description ephemeral project project-domain rxtx-factor swap')
# All flavors are listed, with all their values.
FLAVOR_LIST = _options('all long public')
FLAVOR_SET = _options(valued='description project project-domain')
FLAVOR_UNSET = _options(valued='project project-domain')
