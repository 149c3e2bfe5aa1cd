# SPDX-License-Identifier: Apache-2.0
"""The hosts of the stack: one file each; its name is the host's, and its content determines the driver."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ministack.processes import StackError

__all__ = ['HERE', 'ComputeHost', 'read']

#: The files of the default hosts.
HERE = Path(__file__).with_name('hosts')


@dataclass(frozen=True, slots=True)
class ComputeHost:
    """A host with a nova-compute of its own.

    :param option: the option of the driver that names the file
    :param shared: CPUs for floating guests, as nova.conf has them
    :param dedicated: CPUs to be pinned, as nova.conf has them
    """

    name: str
    file: Path
    driver: str
    option: str
    shared: str
    dedicated: str


def read(file: Path) -> ComputeHost:
    """Read the file of a host: a NUMATopology in Nova's JSON, or CPU sets and the machine of the fake libvirt.

    :raises: :class:`StackError` if it is neither
    """
    file = file.resolve()
    try:
        content = json.loads(file.read_text('utf-8'))
        if 'machine' in content:
            cpus = content['cpu_shared_set'], content['cpu_dedicated_set']
            return ComputeHost(file.stem, file, 'numa_libvirt.NumaLibvirtDriver', 'machine', *cpus)
        cells = [cell['nova_object.data'] for cell in content['nova_object.data']['cells']]
        shared, dedicated = _cpus(cells, 'cpuset'), _cpus(cells, 'pcpuset')
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StackError(
            f'host file {file}: {error!r}; expected the JSON of a NUMATopology, '
            'or of an object with cpu_shared_set, cpu_dedicated_set and machine'
        ) from None
    return ComputeHost(file.stem, file, 'numa_fake.NumaFakeDriver', 'topology', shared, dedicated)


def _cpus(cells: list[dict[str, Any]], name: str) -> str:
    return ','.join(str(cpu) for cell in cells for cpu in sorted(cell[name]))
