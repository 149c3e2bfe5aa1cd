# SPDX-License-Identifier: Apache-2.0
"""The CPUs and NUMA cells that control groups let guests use; capabilities and sysfs list the others too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from numaplace import cpuset
from numaplace.fleet.findings import Finding
from numaplace.libvirt import kernel
from numaplace.model import Host

__all__ = ['check']

#: Where systemd puts guests, and the root group that this process sees: of the machine, or of its container.
_GROUPS = ('machine.slice', '')

#: The code of each kind, and its files in cgroup v2 and in v1, which has a separate hierarchy for cpusets.
_FILES = (
    ('kernel.cpuset', 'cpuset.cpus.effective', 'cpuset.effective_cpus'),
    ('kernel.mems', 'cpuset.mems.effective', 'cpuset.effective_mems'),
)


def check(name: str, host: Host, root: str | Path = '/sys') -> Iterator[Finding]:
    """Find the CPUs for guests, and the cells with memory, that a control group does not let guests use.

    :param name: of the host

    :param root: where sysfs is mounted
    :raises: :class:`~numaplace.exception.UnreadableTopology` if one of their files is malformed
    """
    wanted = {
        # The kernel omits offline CPUs from the effective set.
        'kernel.cpuset': (host.shared_cpus | host.dedicated_cpus) & ~host.offline_cpus,
        'kernel.mems': cpuset.mask(cell.id for cell in host.cells if cell.shape.memory_mib),
    }
    for code, unified, legacy in _FILES:
        for group in _GROUPS:
            mount = Path(root, 'fs/cgroup')
            path = next(
                (path for path in (mount / group / unified, mount / 'cpuset' / group / legacy) if path.is_file()), None
            )
            if path is not None:
                left = kernel.cpus(path)
                if closed := wanted[code] & ~left:
                    yield Finding(code, name, None, None, cpuset.text(closed), cpuset.text(left) or 'none', str(path))
                break
