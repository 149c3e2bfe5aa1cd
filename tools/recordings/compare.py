# SPDX-License-Identifier: Apache-2.0
"""Compare what numaplace reads from a recorded tree with what libvirt reports for the same tree."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from numaplace import cpuset, exception
from numaplace.libvirt import capabilities, recorded
from numaplace.model import Host, HostCell

__all__ = ['Verdict', 'verdicts']

#: The trees do not include memory sizes; libvirt's tests assume this much, by the number of the cell.
_MEMINFO = 'Node {number} MemTotal: {kib} kB\n'
_CELL_KIB = 1024**2

#: In this tree not even libvirt knows which of the two nodes has the two CPUs.
_UNTOLD = {'virhostcpudata/linux-test1': 'there is no such file, and no cpumap'}

#: On POWER libvirt counts, for an online thread, the threads that only guests see; its tests assume this many per core.
_SUBCORE = 8

_COUNTS = re.compile(
    r'CPUs: (?P<online>\d+)/(?P<all>\d+), MHz: \d+, '
    r'Nodes: (?P<nodes>\d+), Sockets: (?P<sockets>\d+), Cores: (?P<cores>\d+), Threads: (?P<threads>\d+)'
)


@dataclass(frozen=True)
class Verdict:
    """How one tree was read.

    :param compared: what libvirt reports for the tree and was compared
    :param differences: what differs from libvirt's report, in words
    """

    tree: str
    compared: str
    differences: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.differences:
            return f'{self.tree}: DIFFERS: {"; ".join(self.differences)}'
        return f'{self.tree}: same {self.compared}'


def verdicts(recordings: Path, scratch: Path) -> list[Verdict]:
    """Compare each tree with each report of libvirt about it.

    :param recordings: what :func:`recordings.source.fetch` returns
    :param scratch: an empty directory, for copies of the trees with the missing memory sizes added
    """
    found = []
    for tree in sorted(recordings.glob('*/linux-*')):
        if tree.is_dir():
            name = str(tree.relative_to(recordings))
            root = _lay_out(tree, scratch / name)
            try:
                host = recorded.read(root)
            except exception.UnreadableTopology as error:
                found.append(_refused(name, str(error)))
            else:
                found += _compare(name, tree, host)
    return found


def _lay_out(tree: Path, root: Path) -> Path:
    """Copy a tree to where the kernel has it, with memory."""
    system = tree / 'system' if (tree / 'system').is_dir() else tree
    copy = root / 'sys/devices/system'
    shutil.copytree(system, copy)
    for node in copy.glob('node/node*'):
        if node.is_dir():
            number = int(node.name.removeprefix('node'))
            (node / 'meminfo').write_text(_MEMINFO.format(number=number, kib=_CELL_KIB * (number + 1)))
    (root / 'proc').mkdir()
    (root / 'proc/meminfo').write_text(f'MemTotal: {_CELL_KIB} kB\n')
    return root


def _refused(name: str, error: str) -> Verdict:
    if name in _UNTOLD and _UNTOLD[name] in error:
        return Verdict(name, 'refusal: it does not tell which node has the CPUs')
    return Verdict(name, '', (f'refused: {error}',))


def _compare(name: str, tree: Path, host: Host) -> list[Verdict]:
    label = tree.name.removeprefix('linux-')
    if tree.parent.name == 'vircaps2xmldata':
        texts = sorted(tree.parent.glob(f'vircaps-*-{label}.xml'))
        return [_with_capabilities(f'{name} ({text.name})', text, host) for text in texts]
    texts = sorted(text for text in tree.parent.glob('*.expected') if text.stem.endswith(f'-{label}'))
    return [_with_counts(f'{name} ({text.name})', text, host) for text in texts]


def _with_capabilities(name: str, text: Path, host: Host) -> Verdict:
    said = capabilities.read(text.read_bytes())
    differences = []
    ids, said_ids = [cell.id for cell in host.cells], [cell.id for cell in said.cells]
    if ids != said_ids:
        differences.append(f'cells {ids}, libvirt says {said_ids}')
    for cell, expected in zip(host.cells, said.cells, strict=False):
        for what, value, other in zip(_FACTS, _facts(cell), _facts(expected), strict=True):
            # libvirt reports no caches if an older kernel does not number them.
            if value != other and not (what == 'caches' and not other):
                differences.append(f'cell {cell.id}: {what} {value}, libvirt says {other}')
    return Verdict(name, f'{len(ids)} cell{"s" * (len(ids) > 1)}: {", ".join(_FACTS)}', tuple(differences))


_FACTS = ('CPUs', 'MiB', 'siblings', 'socket', 'dies', 'caches', 'latencies and bandwidths')


def _facts(cell: HostCell) -> tuple[object, ...]:
    shape = cell.shape
    return (
        cpuset.text(shape.online_cpus),
        shape.memory_mib,
        tuple(map(cpuset.text, shape.siblings)),
        shape.socket,
        tuple(map(cpuset.text, shape.dies)),
        shape.caches,
        shape.accesses,
    )


def _with_counts(name: str, text: Path, host: Host) -> Verdict:
    """Compare with the numbers that ``virsh nodeinfo`` prints, which libvirt derives from the same files."""
    match = _COUNTS.match(text.read_text())
    if match is None:
        return Verdict(name, '', (f'{text} says something else',))
    said = {what: int(number) for what, number in match.groupdict().items()}
    expected = {
        'online CPUs': said['online'],
        'nodes': said['nodes'],
        'cores of a node': said['sockets'] * said['cores'],
        'threads': said['threads'],
    }
    found = _counts(host)
    if 'ppc64' in text.name and expected['online CPUs'] == found['online CPUs'] * _SUBCORE:
        found |= {what: found[what] * _SUBCORE for what in ('online CPUs', 'threads')}
    differences = {
        what: f'{what} {value}, libvirt says {expected[what]}'
        for what, value in found.items()
        if value != expected[what]
    }
    compared = list(expected)
    if (said['nodes'], said['sockets'], said['threads'], said['cores']) == (1, 1, 1, said['all']) and differences:
        # libvirt answers so if the product of nodes, sockets, cores and threads is not the number of CPUs.
        compared = ['online CPUs']
    return Verdict(
        name,
        f'numbers: {", ".join(compared)}',
        tuple(text for what, text in differences.items() if what in compared),
    )


def _counts(host: Host) -> dict[str, int]:
    cells = [cell.shape for cell in host.cells if cell.shape.online_cpus]
    return {
        'online CPUs': sum(cell.online_cpus.bit_count() for cell in cells),
        'nodes': len(cells),
        'cores of a node': max(len(cell.siblings) for cell in cells),
        'threads': max(core.bit_count() for cell in cells for core in cell.siblings),
    }
