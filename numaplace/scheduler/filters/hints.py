# SPDX-License-Identifier: Apache-2.0
"""Refuse a host that the hints of the request exclude."""

import ipaddress

from numaplace import exception
from numaplace.model import Reason, Refusal
from numaplace.model.records import HostRecord
from numaplace.scheduler.filters.base import Answer, Filter, Request

__all__ = ['DifferentHostFilter', 'SameHostFilter', 'SimpleCIDRAffinityFilter']


class DifferentHostFilter(Filter):
    """Hint ``different_host``: none of these servers is on the host."""

    def admit(self, host: HostRecord, request: Request) -> Answer:
        """Refuse with ``hint.different_host``; the subject is one of the servers."""
        present = host.servers.intersection(request.instance.hints.get('different_host', ()))
        return Refusal.of(Reason('hint.different_host', subject=min(present))) if present else True


class SameHostFilter(Filter):
    """Hint ``same_host``: one of these servers is on the host."""

    def admit(self, host: HostRecord, request: Request) -> Answer:
        """Refuse with ``hint.same_host``; the subject is the servers."""
        wanted = request.instance.hints.get('same_host', ())
        if not wanted or host.servers.intersection(wanted):
            return True
        return Refusal.of(Reason('hint.same_host', subject=', '.join(wanted)))


class SimpleCIDRAffinityFilter(Filter):
    """Hints ``build_near_host_ip`` and ``cidr`` (``/24`` by default): the host's address is in that network."""

    reads = ('facts',)

    def admit(self, host: HostRecord, request: Request) -> Answer:
        """Refuse with ``hint.cidr``; the subject is the network.

        :raises: :class:`~numaplace.exception.Invalid` for hints that are no network
        """
        hints = request.instance.hints
        near, mask = hints.get('build_near_host_ip', ('',))[0], hints.get('cidr', ('/24',))[0]
        if not near:
            return True
        try:
            network = ipaddress.ip_network(near + mask, strict=False)
        except ValueError:
            raise exception.Invalid(
                f'hints build_near_host_ip={near} and cidr={mask}: expected an address such as 192.0.2.1, and /24 or '
                'the like'
            ) from None
        address = host.facts.get('host_ip')
        if address and _is_in(address, network):
            return True
        return Refusal.of(Reason('hint.cidr', subject=f'{address or "unknown"}, not in {network}'))


def _is_in(address: str, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    try:
        return ipaddress.ip_address(address) in network
    except ValueError:
        return False
