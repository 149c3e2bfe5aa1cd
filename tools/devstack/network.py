# SPDX-License-Identifier: Apache-2.0
"""A network of its own for a container, so that its servers take no port of the machine.

A namespace with one end of a veth pair; what leaves it bears the address of the machine.
"""

from __future__ import annotations

import ipaddress
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from devstack.programs import command

__all__ = ['Network']

#: Addresses for benchmarks, which no other network should use.
_NETWORK = ipaddress.IPv4Network('198.18.0.0/15')
_FORWARD = Path('/proc/sys/net/ipv4/ip_forward')
_USUAL_MTU = 1500


@dataclass(frozen=True, slots=True)
class Network:
    """What belongs to a container.

    :param name: of the namespace, of the table of nftables and of the device: letters and eight hexadecimal digits
    :param forwards: whether the machine forwarded packets before
    """

    name: str
    forwards: bool

    @classmethod
    def plan(cls, name: str) -> Network:
        """Return the network that is still to be made."""
        return cls(name, _FORWARD.read_text('ascii').strip() == '1')

    @property
    def addresses(self) -> tuple[str, str]:
        """The addresses of machine and container, in a network of 4 that the last four digits of the name determine."""
        number = int(self.name[-4:], 16) * 4 % _NETWORK.num_addresses
        return str(_NETWORK[number + 1]), str(_NETWORK[number + 2])

    @property
    def namespace(self) -> Path:
        """The file of the namespace."""
        return Path('/run/netns', self.name)

    def up(self) -> None:
        """Make namespace, devices and translation of addresses.

        :raises: :class:`StackError`
        """
        machine, container = self.addresses
        mtu = str(_mtu())
        command('ip', 'netns', 'add', self.name)
        command('ip', 'link', 'add', self.name, 'mtu', mtu, 'type', 'veth', 'peer', 'eth0', 'netns', self.name)
        command('ip', 'address', 'add', f'{machine}/30', 'dev', self.name)
        command('ip', 'link', 'set', self.name, 'up')
        command('ip', '-n', self.name, 'address', 'add', f'{container}/30', 'dev', 'eth0')
        for device in ('lo', 'eth0'):
            command('ip', '-n', self.name, 'link', 'set', device, 'up')
        command('ip', '-n', self.name, 'link', 'set', 'eth0', 'mtu', mtu)
        command('ip', '-n', self.name, 'route', 'add', 'default', 'via', machine)
        command('nft', 'add', 'table', 'ip', self.name)
        chain = '{ type nat hook postrouting priority srcnat; }'
        command('nft', 'add', 'chain', 'ip', self.name, 'out', chain)
        command('nft', 'add', 'rule', 'ip', self.name, 'out', 'ip', 'saddr', container, 'masquerade')
        _FORWARD.write_text('1', 'ascii')

    def down(self) -> None:
        """Remove what :meth:`up` has made, also if it has failed halfway."""
        for undo in (
            ('nft', 'delete', 'table', 'ip', self.name),
            ('ip', 'link', 'delete', self.name),
            ('ip', 'netns', 'delete', self.name),
        ):
            subprocess.run(undo, capture_output=True, check=False)
        if not self.forwards:
            _FORWARD.write_text('0', 'ascii')


def _mtu() -> int:
    """Return the MTU of the device to everywhere: packets of a larger one may get lost."""
    routes = json.loads(command('ip', '-json', 'route', 'show', 'default') or '[]')
    if not routes:
        return _USUAL_MTU
    return int(Path('/sys/class/net', routes[0]['dev'], 'mtu').read_text('ascii'))
