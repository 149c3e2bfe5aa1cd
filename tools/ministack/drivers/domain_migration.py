# SPDX-License-Identifier: Apache-2.0
"""What the fake libvirt of Nova's tests does not do: migrate a domain to the libvirt of another process.

The guest writes its memory faster than it is copied: a migration goes on until Nova pauses the guest, as it does when
the migration is forced to complete, or aborts the migration, or until the destination is gone.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from nova.tests.fixtures import libvirt as fakelibvirt
from oslo_log import log as logging

__all__ = ['Connection', 'Domain']

LOG = logging.getLogger(__name__)


class Connection(fakelibvirt.Connection):
    """A connection that also has the domains that other hosts have sent.

    :param hosts: directory with a directory ``NAME/domains`` for each host that is reachable
    """

    def __init__(self, hosts: Path, **options: Any) -> None:
        super().__init__('qemu:///system', **options)
        self._hosts = hosts
        self._receiving = threading.Lock()

    def arrivals(self, host: str) -> Path:
        """Return the directory for the domains that a host receives."""
        return self._hosts / host / 'domains'

    def defineXML(self, xml: str) -> Any:
        """Define a domain; if it runs, it continues."""
        running = {domain.name() for domain in self.listAllDomains(fakelibvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE)}
        domain = super().defineXML(xml)
        if domain.name() in running:
            domain.create()
        return domain

    def lookupByUUIDString(self, uuid: str) -> Any:
        """Return a domain."""
        self._receive()
        return super().lookupByUUIDString(uuid)

    def listAllDomains(self, flags: int = 0) -> list[Any]:
        """Return the domains of some states."""
        self._receive()
        return super().listAllDomains(flags)

    def _receive(self) -> None:
        with self._receiving:
            for file in self.arrivals(self.hostname).glob('*.xml'):
                xml = file.read_text('utf-8')
                LOG.info('guest XML: %s', xml.replace('\n', ''))
                super().defineXML(xml).create()
                file.unlink()


class Domain(fakelibvirt.Domain):
    """A domain that can be migrated."""

    def __init__(self, connection: Connection, *words: Any, **options: Any) -> None:
        super().__init__(connection, *words, **options)
        self._libvirt = connection
        self._job = fakelibvirt.VIR_DOMAIN_JOB_NONE

    def migrateToURI3(self, dconnuri: str, params: dict[str, Any], flags: int) -> None:
        """Migrate the domain; return when it is gone.

        :raises: libvirtError if the migration is aborted or its destination cannot be reached
        """
        arrivals = self._libvirt.arrivals(urlsplit(dconnuri).hostname)
        self._job = fakelibvirt.VIR_DOMAIN_JOB_UNBOUNDED
        while self._job == fakelibvirt.VIR_DOMAIN_JOB_UNBOUNDED and self.isActive():
            if not arrivals.is_dir():
                self._job = fakelibvirt.VIR_DOMAIN_JOB_FAILED
            time.sleep(0.05)
        if self._job != fakelibvirt.VIR_DOMAIN_JOB_UNBOUNDED:
            raise fakelibvirt.make_libvirtError(
                fakelibvirt.libvirtError,
                f'the migration to {dconnuri} has ended early',
                error_code=fakelibvirt.VIR_ERR_OPERATION_FAILED,
                error_domain=fakelibvirt.VIR_FROM_QEMU,
            )
        part = arrivals / f'{self.UUIDString()}.part'
        part.write_text(params['destination_xml'], 'utf-8')
        part.rename(part.with_suffix('.xml'))
        self.destroy()
        self.undefine()
        self._job = fakelibvirt.VIR_DOMAIN_JOB_COMPLETED

    def jobStats(self, flags: int = 0) -> dict[str, Any]:
        """Return the state of the migration."""
        return {'type': self._job}

    def abortJob(self) -> None:
        """End the migration; the domain stays."""
        self._job = fakelibvirt.VIR_DOMAIN_JOB_CANCELLED
