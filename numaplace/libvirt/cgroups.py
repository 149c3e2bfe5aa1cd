# SPDX-License-Identifier: Apache-2.0
"""The CPUs and NUMA cells that control groups let guests use; capabilities and sysfs list the others too."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from numaplace import cpuset
from numaplace.libvirt import kernel
from numaplace.model import Host

__all__ = ['Limit', 'limits']

#: Where systemd puts guests, and the root group that this process sees: of the machine, or of its container.
_GROUPS = ('machine.slice', '')

#: The files of each kind, in cgroup v2 and in v1, which has a separate hierarchy for cpusets.
_FILES = (
    ('CPUs', 'cpuset.cpus.effective', 'cpuset.effective_cpus'),
    ('NUMA cells', 'cpuset.mems.effective', 'cpuset.effective_mems'),
)

_REMEDIES = {
    'CPUs': 'leave the others out of [compute] cpu_shared_set and cpu_dedicated_set, or open them',
    'NUMA cells': 'leave the CPUs of the others out of [compute] cpu_shared_set and cpu_dedicated_set, or open them',
}


@dataclass(frozen=True, slots=True)
class Limit:
    """A control group that restricts what guests may use of a host; sets are masks.

    :param what: what it restricts, as a plural noun
    :param path: file that lists what guests may use
    """

    what: str
    path: Path
    open: int
    closed: int

    def __str__(self) -> str:
        """Return the limit in words."""
        return (
            f'guests may not use {self.what} {cpuset.text(self.closed)} of this host: {self.path} leaves '
            f'{cpuset.text(self.open) or "none"} to them; {_REMEDIES[self.what]}'
        )


def limits(host: Host, root: str | Path = '/sys') -> list[Limit]:
    """Return the limits that control groups put on the CPUs for guests and on the cells with memory.

    :param root: where sysfs is mounted
    :raises: :class:`~numaplace.exception.UnreadableTopology` if one of their files is malformed
    """
    wanted = {
        # The kernel omits offline CPUs from the effective set.
        'CPUs': (host.shared_cpus | host.dedicated_cpus) & ~host.offline_cpus,
        'NUMA cells': cpuset.mask(cell.id for cell in host.cells if cell.shape.memory_mib),
    }
    found = []
    for what, unified, legacy in _FILES:
        for group in _GROUPS:
            mount = Path(root, 'fs/cgroup')
            path = next(
                (path for path in (mount / group / unified, mount / 'cpuset' / group / legacy) if path.is_file()), None
            )
            if path is not None:
                left = kernel.cpus(path)
                if closed := wanted[what] & ~left:
                    found.append(Limit(what, path, left, closed))
                break
    return found
