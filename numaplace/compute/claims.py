# SPDX-License-Identifier: Apache-2.0
"""Claims: a guest placed on a host and recorded there, in one step that others cannot come between."""

from __future__ import annotations

from numaplace import fit
from numaplace.db import api
from numaplace.db.records import InstanceRecord, InstanceRequest
from numaplace.model import Limits, Networks, Refusal

__all__ = ['Claim', 'instance_claim', 'release']


class Claim:
    """A guest that holds its place. As a context manager it gives all back when the body raises.

    :param instance: the server as it is stored
    """

    def __init__(self, database: api.Database, instance: InstanceRecord) -> None:
        self.instance = instance

    def abort(self) -> None:
        """Give everything back; once is enough, and again does nothing."""


def instance_claim(
    database: api.Database,
    request: InstanceRequest,
    host_name: str,
    *,
    limits: Limits | None = None,
    networks: Networks | None = None,
    strategy: fit.Strategy = fit.SPREAD,
) -> Claim | Refusal:
    """Place a server on a host and record it.

    :raises: :class:`~numaplace.exception.NotFound` for an unknown host,
        :class:`~numaplace.exception.ConcurrentUpdate` if the race for the host was lost again and again
    """
    raise NotImplementedError


def release(database: api.Database, instance_uuid: str) -> InstanceRecord:
    """Delete a server and free what it holds.

    :returns: the server as it was
    :raises: :class:`~numaplace.exception.NotFound`, :class:`~numaplace.exception.ConcurrentUpdate`
    """
    raise NotImplementedError
