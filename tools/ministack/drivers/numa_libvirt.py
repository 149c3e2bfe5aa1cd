# SPDX-License-Identifier: Apache-2.0
"""Nova's libvirt driver with the fake libvirt of Nova's own tests; the XML of each guest is logged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import fixtures
import nova.conf
from nova.tests import fixtures as nova_fixtures
from nova.tests.fixtures import libvirt as fakelibvirt
from nova.virt.domain_migration import Connection, Domain
from nova.virt.libvirt import driver, utils
from oslo_config import cfg
from oslo_log import log as logging

CONF = nova.conf.CONF
CONF.register_opt(
    cfg.StrOpt('machine', help='File with the HostInfo of the pretended libvirt under machine.'), group='ministack'
)
LOG = logging.getLogger(__name__)


class NumaLibvirtDriver(driver.LibvirtDriver):
    """The unchanged driver, except for what it would do to disks and to the machine."""

    def __init__(self, virtapi: Any, read_only: bool = False) -> None:
        machine = json.loads(Path(CONF.ministack.machine).read_text('utf-8'))['machine']
        connection = Connection(
            Path(CONF.state_path).parent,
            version=fakelibvirt.FAKE_LIBVIRT_VERSION,
            hv_version=fakelibvirt.FAKE_QEMU_VERSION,
            host_info=fakelibvirt.HostInfo(**machine),
            hostname=CONF.host,
        )
        connection.arrivals(CONF.host).mkdir(exist_ok=True)
        disks = nova_fixtures.LibvirtImageBackendFixture()
        self._fixtures = [
            disks,
            nova_fixtures.CGroupsFixture(),
            nova_fixtures.LibvirtFixture(),
            nova_fixtures.OSBrickFixture(),
            fixtures.MonkeyPatch('nova.tests.fixtures.libvirt.Domain', Domain),
            fixtures.MockPatch('nova.privsep.utils.supports_direct_io', return_value=True),
            fixtures.MockPatch('nova.virt.libvirt.host.Host.get_connection', return_value=connection),
            fixtures.MockPatch(
                'nova.virt.libvirt.host.Host.get_online_cpus',
                return_value=set(range(connection.host_info.cpus)),
            ),
        ]
        for fixture in self._fixtures:
            fixture.setUp()
        disks.disks['disk'].snapshot_extract.side_effect = lambda file, _format: Path(file).write_bytes(bytes(512))
        super().__init__(virtapi, read_only)

    def _create_image(self, _context: Any, instance: Any, *_args: Any, **_kwargs: Any) -> tuple[bool, bool]:
        Path(utils.get_instance_path(instance)).mkdir(exist_ok=True)
        return False, False

    @staticmethod
    def _get_local_gb_info() -> dict[str, int]:
        return {'total': 128, 'used': 0, 'free': 128}

    def _get_guest_xml(self, context: Any, instance: Any, *args: Any, **kwargs: Any) -> str:
        xml = super()._get_guest_xml(context, instance, *args, **kwargs)
        LOG.info('guest XML: %s', xml.replace('\n', ''), instance=instance)
        return xml
