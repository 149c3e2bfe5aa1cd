# SPDX-License-Identifier: Apache-2.0
"""``numaplace-compute``: the agent of a host keeps its row right, and says that it is up."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from oslo_config import cfg

from numaplace import conf as configuration
from numaplace import exception, explain
from numaplace.db import api
from numaplace.fleet import audit
from numaplace.libvirt.connection import LOCAL
from numaplace.model.records import HostRecord
from numaplace.operations import domain_check, host_records, naming, sources
from numaplace.services import launching, metrics

__all__ = ['Agent', 'main']

LOG = logging.getLogger(__name__)


class Agent(launching.ServiceBase):  # type: ignore[misc]  # oslo.service has no types
    """The agent of this machine.

    Two threads, each with a connection of its own: one says that the host is up, the other reads the host. What they
    need and is away, the database or the libvirt, they wait for.
    """

    def __init__(self, given: launching.Given, conf: cfg.ConfigOpts) -> None:
        self._given, self._conf = given, conf
        self._ended = threading.Event()
        self._threads: list[threading.Thread] = []
        self._told: frozenset[str] = frozenset()

    def start(self) -> None:
        """Begin to look at the host."""
        metrics.serve(self._conf, 0)
        for name, act, interval in (
            ('heartbeat', self.report, lambda: self._conf.report_interval),
            ('discovery', self.look, lambda: self._conf.numaplace.discovery_interval),
        ):
            thread = threading.Thread(target=self._repeat, args=(name, act, interval), name=name)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """End when what is under way is done."""
        self._ended.set()

    def wait(self) -> None:
        """Wait for the end."""
        for thread in self._threads:
            thread.join()

    def reset(self) -> None:
        """Do nothing: each look reads the configuration."""

    @property
    def name(self) -> str:
        """The name of the host."""
        return naming.name('[DEFAULT] host:', self._conf.host or socket.gethostname())

    def report(self, database: api.Database) -> None:
        """Say that the host is up."""
        until = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=self._conf.service_down_time)
        if database.report_up(self.name, until):
            metrics.HEARTBEATS.inc()

    def look(self, database: api.Database) -> None:
        """Read the configuration and the host, store what has changed, and log what is wrong there now.

        :raises: the faults of :func:`numaplace.operations.host_records.store`, of the configuration and of the libvirt
        """
        conf = self._conf = launching.load(self._given)
        name, uri = self.name, conf.libvirt.connection_uri or LOCAL
        known = _known(database, name)
        options = host_records.options(conf, known.host if known else None)
        found = sources.this_libvirt(conf.libvirt.connection_uri, options)
        found = sources.with_devices(found, configuration.device_specs(conf), uri)
        found = sources.with_resources(found, conf, uri)
        stored = host_records.store(
            database,
            host_records.record_of(conf, name, found, known),
            uri,
            known=known,
            keeps_devices=found.pci_devices is None,
            policy=conf.numaplace.unknown_guests,
            zone=None,
            must_answer=True,
            force=True,
            only_if_changed=True,
        )
        if known is None or stored.record.generation != known.generation:
            LOG.info('host %r is %s', name, 'registered' if known is None else 'stored as it is now')
        if known is None:
            self.report(database)
        differences, warnings = domain_check.check(conf, database, stored.record, uri)
        # The warnings of the domains are among those of the store.
        self._tell(
            [*found.warnings, *dict.fromkeys((*stored.warnings, *warnings)), *_lines(differences, database, name)]
        )

    def _tell(self, lines: Sequence[str]) -> None:
        """Log what is wrong now and was not, and what is no longer wrong."""
        now = frozenset(map(explain.escape, lines))
        for line in sorted(now - self._told):
            LOG.warning('%s', line)
        for line in sorted(self._told - now):
            LOG.info('no longer: %s', line)
        self._told = now
        metrics.FINDINGS.set(len(now))

    def _repeat(self, what: str, act: Callable[[api.Database], None], interval: Callable[[], int]) -> None:
        """Do something again and again until the end; each new fault is one line in the log."""
        database, fault = None, ''
        while True:
            try:
                database = database or api.connect(self._conf.numaplace.connection)
                act(database)
                if fault:
                    LOG.info('%s: works again', what)
                fault = ''
            except exception.NumaplaceException as error:
                if fault != str(error):
                    fault = str(error)
                    LOG.error('%s: %s; the next attempt is in %s s', what, explain.escape(fault), interval())
            except Exception:
                fault = 'unexpected'
                LOG.exception('%s', what)
            metrics.FAULTS.labels(what).set(bool(fault))
            if self._ended.wait(interval()):
                break
        if database is not None:
            database.close()


def _known(database: api.Database, name: str) -> HostRecord | None:
    with suppress(exception.NotFound):
        return host_records.before(database, name)
    return None


def _lines(differences: Sequence[domain_check.Mismatch], database: api.Database, name: str) -> Iterator[str]:
    """Yield what is wrong with the servers of a host: beside their domains, and on the hardware as it is now."""
    for each in differences:
        if each.server:  # a domain without one is named by the warnings
            who, expected = f'server {each.server!r}, domain {each.domain!r}', each.expected or 'none'
            yield f'{who}: {each.part}: expected {expected}, found {each.found or "none"}'
    record, servers = database.holders(name, {})
    for finding in audit.audit_host(record, audit.held(servers).get(name, ())):
        yield f'host {name!r}, {f"server {finding.server}" if finding.server else "usage"}: {finding.warning}'


def main(argv: Sequence[str] | None = None) -> int:
    """Run the agent."""

    def make(given: launching.Given, conf: cfg.ConfigOpts) -> list[Agent]:
        if conf.report_interval >= conf.service_down_time:
            raise exception.InvalidConfiguration(
                f'[DEFAULT] report_interval = {conf.report_interval}: the host would be down between two reports; '
                f'expected less than [DEFAULT] service_down_time, which is {conf.service_down_time}'
            )
        return [Agent(given, conf)]

    return launching.run(
        'numaplace-compute',
        'The agent of this host: registers it, keeps what it has and runs up to date, and reports that it is up.',
        make,
        argv,
    )
