# SPDX-License-Identifier: Apache-2.0
"""Claims: a guest placed on a host and recorded there, in one step that others cannot come between."""

from __future__ import annotations

from contextlib import suppress
from types import TracebackType
from typing import Self

from numaplace import exception, fit
from numaplace.db import api
from numaplace.db.records import HostRecord, InstanceRecord, InstanceRequest
from numaplace.db.retry import retry
from numaplace.model import Limits, Networks, Placement, Refusal

__all__ = ['Claim', 'instance_claim', 'release']


class Claim:
    """A guest that holds its place. As a context manager it gives all back when the body raises, whatever it raises.

    :param instance: the server as it is stored
    """

    def __init__(self, database: api.Database, instance: InstanceRecord) -> None:
        self.instance = instance
        self._database = database
        self._settled = False

    def abort(self) -> None:
        """Delete the server and free what it holds; does nothing when that, or a ``with`` block, is over.

        :raises: as :func:`release`, but a server that is gone already is no fault
        """
        if self._settled:
            return
        with suppress(exception.NotFound):  # whoever deleted it freed it
            release(self._database, self.instance.uuid)
        self._settled = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _error: object, _traceback: TracebackType | None) -> None:
        if kind is not None:
            self.abort()
        self._settled = True


def instance_claim(
    database: api.Database,
    request: InstanceRequest,
    host_name: str,
    *,
    limits: Limits | None = None,
    networks: Networks | None = None,
    strategy: fit.Strategy = fit.SPREAD,
) -> Claim | Refusal:
    """Place a server on a host and record it, in one transaction.

    When another claim on the host came first, the guest is fitted anew to what is left.

    :param limits: how far the host's cells may be overcommitted; without them, as far as asked
    :param networks: what the guest attaches to
    :returns: the claim, or the refusal of the fit, which leaves the database unchanged
    :raises: :class:`~numaplace.exception.NotFound` for an unknown host,
        :class:`~numaplace.exception.ConcurrentUpdate` if the race for the host was lost again and again
    """

    def place(record: HostRecord) -> Placement | Refusal:
        return fit.place(record.host, request.guest, limits=limits, networks=networks, strategy=strategy)

    answer = retry(lambda: database.claim(request, host_name, place))
    return answer if isinstance(answer, Refusal) else Claim(database, answer)


def release(database: api.Database, instance_uuid: str) -> InstanceRecord:
    """Delete a server and free what it holds, in one transaction.

    :returns: the server as it was
    :raises: :class:`~numaplace.exception.NotFound` if there is no such server,
        :class:`~numaplace.exception.ConcurrentUpdate` if the race for its host was lost again and again;
        :class:`~numaplace.exception.UsageInvalid`, :class:`~numaplace.exception.CPUUnpinningInvalid` or
        :class:`~numaplace.exception.CPUUnpinningUnknown` if the usage of the host does not hold the server
    """
    return retry(lambda: database.release(instance_uuid))
