# SPDX-License-Identifier: Apache-2.0
"""Processes that claim a place on one host and release it again, as fast as they can, until they are stopped."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from numaplace import exception
from numaplace.compute import audit, claims, resource_tracker
from numaplace.db import api
from numaplace.model import Host
from numaplace.model.records import DISABLED, ENABLED, HostRecord
from numaplace.tests import samples
from numaplace.tests.functional.storms import crew, watch

__all__ = ['PROCESSES', 'Load', 'Timed', 'operate', 'prepare', 'running']

#: So many processes claim and release; the host has CPUs for each of them and for a server that stays.
PROCESSES = 16
_HOST = 'host1'
_HARDWARE = samples.host(cells=4)
_GUEST = samples.guest(vcpus=1, memory_mib=16)


@dataclass
class Load:
    """What a process did, or all of them together.

    :param claims: that succeeded, each with its release
    :param retries: transactions that were rolled back and repeated
    :param deadlocks: of these, those that the server ended because they waited for each other
    :param given_up: claims and releases that failed after the last attempt
    """

    claims: int = 0
    retries: int = 0
    deadlocks: int = 0
    given_up: int = 0

    def add(self, other: Load) -> None:
        """Add what another process did."""
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))


@dataclass
class Timed:
    """How often something was done, how often it gave up, and how long the slowest time took in seconds."""

    calls: int = 0
    given_up: int = 0
    slowest_s: float = 0.0

    def add(self, call: Callable[[], object]) -> None:
        """Do it once more."""
        started = time.monotonic()
        try:
            call()
        except exception.ConcurrentUpdate:
            self.given_up += 1
        self.calls += 1
        self.slowest_s = max(self.slowest_s, time.monotonic() - started)


def prepare(database: api.Database) -> None:
    """Store the host, with a server that stays."""
    resource_tracker.register(database, HostRecord(_HOST, _HARDWARE))
    assert claims.instance_claim(database, samples.instance_request(_GUEST), _HOST)


@contextmanager
def _counted(database: api.Database) -> Iterator[Load]:
    """Count what goes wrong in the transactions of a database."""
    load = Load()

    def roll_back(_connection: object) -> None:
        load.retries += 1

    def fail(context: Any) -> None:
        load.deadlocks += watch.is_deadlock(context.original_exception)

    hooks = {'rollback': roll_back, 'handle_error': fail}
    for name, hook in hooks.items():
        sa.event.listen(database._engine, name, hook)
    try:
        yield load
    finally:
        for name, hook in hooks.items():
            sa.event.remove(database._engine, name, hook)


def work(url: str, directory: Path, number: int) -> None:
    """Claim and release from when the file `start` exists in a directory to `stop`; write there what was done."""
    with api.connect(url) as database, _counted(database) as load:
        database.host(_HOST)
        (directory / f'ready{number}').touch()
        while not (directory / 'start').exists():
            time.sleep(0.01)
        while not (directory / 'stop').exists():
            try:
                claim = claims.instance_claim(database, samples.instance_request(_GUEST, f'guest{number}'), _HOST)
                assert claim
                claims.release(database, claim.instance.uuid)
            except exception.ConcurrentUpdate:
                load.given_up += 1
            else:
                load.claims += 1
    (directory / f'{number}.json').write_text(json.dumps(asdict(load)))


@contextmanager
def running(url: str, directory: Path, processes: int = PROCESSES) -> Iterator[Load]:
    """Let processes claim and release while the body runs; all of them are connected when it begins.

    :param directory: an empty one
    :returns: what they did together, complete after the body
    """
    total = Load()
    started = [crew.start(work, url, directory, number) for number in range(processes)]
    try:
        while len(list(directory.glob('ready*'))) < processes:
            assert not any(process.exitcode for process in started)
            time.sleep(0.01)
        (directory / 'start').touch()
        yield total
    finally:
        for name in ('start', 'stop'):
            (directory / name).touch()
        codes = crew.join(started)
    assert codes == [0] * processes
    for path in directory.glob('*.json'):
        total.add(Load(**json.loads(path.read_text())))


def operate(database: api.Database, until: Callable[[int], bool], pause_s: float = 0.0) -> dict[str, Timed]:
    """Do to the host what an operator does, one after the other; return how long each took, by the command's name.

    :param until: returns whether it ends, from the number of calls so far
    """
    found = {name: Timed() for name in _VERBS}
    for number, (name, verb) in enumerate(itertools.cycle(_VERBS.items())):
        if until(number):
            break
        found[name].add(lambda verb=verb: verb(database))
        time.sleep(pause_s)
    return found


def _repair(database: api.Database) -> None:
    """Make the usage wrong by a figure that no claim checks, and repair it."""
    database.change_host(_HOST, lambda record, _held: replace(record, host=_with_more_used(record.host)))
    assert audit.repair(database, _HOST).differences


def _with_more_used(host: Host) -> Host:
    return replace(host, memory_used_mib=host.memory_used_mib + 1)


def _unregister(database: api.Database) -> None:
    with suppress(exception.Conflict):  # it has servers
        database.delete_host(_HOST)


_STATUSES = itertools.cycle((DISABLED, ENABLED))
_VERBS: dict[str, Callable[[api.Database], object]] = {
    'host set': lambda database: resource_tracker.switch(database, _HOST, status=next(_STATUSES)),
    'host import --refresh': lambda database: resource_tracker.refresh(database, _HOST, _HARDWARE),
    'host audit --repair': _repair,
    'host delete': _unregister,
}
