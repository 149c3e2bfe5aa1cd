# SPDX-License-Identifier: Apache-2.0
"""The recorded hosts in numaplace/tests/data/fixtures, read for tests."""

import gzip
import json
import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

__all__ = ['HOSTS', 'Numactl', 'capabilities', 'kernel_files', 'lay_out', 'live', 'numactl', 'sysfs', 'text']

#: Names of the recorded hosts. ``tiers`` is no real machine: libvirt, lstopo, numactl and lscpu read it from files that
#: were made up, of a kernel with two dies in a package, memory without CPUs, CPUs without memory, HMAT, gaps and an
#: offline CPU. Beside them ``modules`` is one processor of AMD's family 15h, by an older kernel, and ``bare-node`` what
#: lstopo printed of a node without memory.
HOSTS = ('fake-oracle-host', 'one2', 'oracle4', 'oracle4split', 'seed3', 'tiers')

_FIXTURES = resources.files('numaplace.tests.data').joinpath('fixtures')


@dataclass(frozen=True)
class Numactl:
    """What ``numactl -H`` said: all by node number."""

    cpus: dict[int, list[int]]
    sizes_mib: dict[int, int]
    distances: dict[int, list[int]]


def capabilities(name: str) -> bytes:
    """Return what ``virsh capabilities`` printed."""
    return _FIXTURES.joinpath(f'{name}.capabilities.xml').read_bytes()


def text(name: str) -> bytes:
    """Return what another program printed, by the name of the file: ``seed3.lstopo.xml``, ``seed3.lscpu-p.txt``."""
    return _FIXTURES.joinpath(name).read_bytes()


def live(name: str) -> bytes:
    """Return what ``virsh dumpxml`` printed of a guest that ran on seed3."""
    return _FIXTURES.joinpath('live', f'{name}.xml').read_bytes()


def numactl(name: str) -> Numactl:
    """Return what ``numactl -H`` printed."""
    printed = text(f'{name}.numactl.txt').decode('ascii')
    cpus = {
        int(node): [int(cpu) for cpu in words.split()] for node, words in re.findall(r'node (\d+) cpus:(.*)', printed)
    }
    sizes = {int(node): int(size) for node, size in re.findall(r'node (\d+) size: (\d+) MB', printed)}
    rows = re.findall(r'^ *(\d+): ([ \d]+)$', printed, re.MULTILINE)
    return Numactl(cpus, sizes, {int(node): [int(word) for word in words.split()] for node, words in rows})


def sysfs(name: str) -> bytes:
    """Return the recorded files and links below ``/sys`` as compressed JSON."""
    return _FIXTURES.joinpath(f'{name}.sysfs.json.gz').read_bytes()


def kernel_files(name: str) -> dict[str, str]:
    """Return the recorded files below ``/sys``: text by path, without the links."""
    return {path: content for path, content in _recorded(name).items() if isinstance(content, str)}


def _recorded(name: str) -> dict[str, str | dict[str, str]]:
    files: dict[str, str | dict[str, str]] = json.loads(gzip.decompress(sysfs(name)))
    return files


def lay_out(name: str, root: Path) -> Path:
    """Write the recorded files and links below a directory that then stands for ``/sys``, and return it."""
    for path, content in _recorded(name).items():
        target = root.joinpath(Path(path).relative_to('/sys'))
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            target.write_text(content, 'ascii')
        else:
            target.symlink_to(content['link'])
    return root
