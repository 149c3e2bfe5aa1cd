# SPDX-License-Identifier: Apache-2.0
"""What devstack is told: a ``local.conf`` for each topology."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ['CELLS', 'DEST', 'IMAGE', 'PASSWORD', 'TESTS', 'Settings', 'text']

#: Where devstack puts everything.
DEST = '/opt/stack'
#: Of every service and of the administrator: nobody reaches the container from elsewhere.
PASSWORD = 'nomoresecret'  # noqa: S105
#: An image of zeros: no guest here runs a system.
IMAGE = '/opt/mirrors/empty.img'

#: Keystone, Glance, Placement, Nova and the server of Neutron, which Nova asks about ports when a guest is deleted.
_SERVICES = (
    *('mysql', 'rabbit', 'key', 'g-api', 'placement-api', 'placement-client', 'q-svc'),
    *('n-api', 'n-cond', 'n-sch', 'n-cpu'),
)

_COMMON = """\
[[local|localrc]]
HOST_IP={address}
ADMIN_PASSWORD={password}
DATABASE_PASSWORD=$ADMIN_PASSWORD
RABBIT_PASSWORD=$ADMIN_PASSWORD
SERVICE_PASSWORD=$ADMIN_PASSWORD
GIT_BASE={git_base}
LOGFILE={dest}/logs/stack.sh.log
LOG_COLOR=False
API_WORKERS=1
MYSQL_GATHER_PERFORMANCE=False
disable_all_services
enable_service {services}
# No agent of Neutron: guests have no ports.
Q_AGENT=openvswitch
Q_ML2_PLUGIN_MECHANISM_DRIVERS=openvswitch
Q_ML2_TENANT_NETWORK_TYPE=vxlan
NEUTRON_CREATE_INITIAL_NETWORKS=False
DOWNLOAD_DEFAULT_IMAGES=False
IMAGE_URLS=file://{image}
# The memory is the machine's, not the container's.
ENABLE_KSM=False
ENABLE_KSMTUNED=False
enable_plugin numaplace {plugin} {branch}
NUMAPLACE_MODE={mode}
"""

#: Seconds that each of the two conductors waits when it stops, whether or not it has tasks.
_CONDUCTORS = """
[[post-config|$NOVA_CONF]]
[DEFAULT]
manager_shutdown_timeout = 5
[[post-config|$NOVA_CONF_DIR/nova_cell1.conf]]
[DEFAULT]
manager_shutdown_timeout = 5
"""

#: One cell: libvirt and QEMU without KVM, on the CPUs and the memory that the machine has.
_LIBVIRT = """\
VIRT_DRIVER=libvirt
LIBVIRT_TYPE=qemu
"""

#: Three cells: two hosts without a hypervisor, as in the job numaplace-devstack-cells.
_FAKE = """\
VIRT_DRIVER=fake
NUMBER_FAKE_NOVA_COMPUTE=2

[[post-config|$NOVA_CPU_CONF]]
[DEFAULT]
compute_driver = numa_fake.NumaFakeDriver
[ministack]
topology = {dest}/numaplace/numaplace/tests/data/seed/three-cell-host.json
guests = {dest}/data/guests
"""

#: The number of NUMA cells of the largest host, and what makes hosts of them.
CELLS = {1: _LIBVIRT, 3: _FAKE}

#: Variables for the tests of each: a guest with more pinned vCPUs in a cell than any cell of a host has CPUs.
TESTS = {1: {}, 3: {'NUMAPLACE_TEST_MISPLACED': '1,1,5'}}


@dataclass(frozen=True, slots=True)
class Settings:
    """What differs between two runs.

    :param cells: one of :data:`CELLS`
    :param address: of the container
    :param git_base: directory or URL with the repositories of OpenStack
    :param plugin: directory or URL of our own repository
    :param branch: of our own repository
    :param mode: ``[numaplace] mode``
    """

    cells: int
    address: str
    git_base: str
    plugin: str
    branch: str
    mode: str


def text(settings: Settings) -> str:
    """Return the text of ``local.conf``."""
    common = _COMMON.format(
        address=settings.address,
        password=PASSWORD,
        git_base=settings.git_base,
        dest=DEST,
        services=' '.join(_SERVICES),
        image=IMAGE,
        plugin=settings.plugin,
        branch=settings.branch,
        mode=settings.mode,
    )
    return common + CELLS[settings.cells].format(dest=DEST) + _CONDUCTORS
