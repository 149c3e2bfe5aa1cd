# SPDX-License-Identifier: Apache-2.0
"""Saved files of libvirt hosts that are all right, except for one host with a fault of each code."""

import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

__all__ = ['CONFIGURATION', 'FAULTS', 'Expected', 'write']

_CAPABILITIES = Path(__file__).parent / 'data' / 'domains' / 'capabilities.xml'
#: Two nodes with eight cores of two threads each; core 7 and core 15 are for faults.
_CORES = {0: (2, 3, 4, 5, 6), 1: (10, 11, 12, 13, 14)}
_SHARED = {0: '0-1,16-17', 1: '8-9,24-25'}
#: The configuration of all hosts without one of their own, beside them.
CONFIGURATION = 'common.conf'
_SETTINGS = """[DEFAULT]
cpu_allocation_ratio = 16.0
ram_allocation_ratio = 1.0
[compute]
cpu_dedicated_set = {dedicated}
cpu_shared_set = 0-1,8-9,16-17,24-25
"""
_DEDICATED = '2-7,10-15,18-23,26-31'

#: What an audit finds: the code, the host, and the UUID of the domain, or None.
Expected = tuple[str, str, str | None]


class _Fault(NamedTuple):
    """A fault of a domain.

    :param codes: what is found of it
    :param others: what is found of the first domain of the host too
    """

    xml: str
    codes: tuple[str, ...]
    others: tuple[str, ...] = ()
    of_host: tuple[str, ...] = ()


def _pins(*cpus: int) -> str:
    return ''.join(f"<vcpupin vcpu='{vcpu}' cpuset='{cpu}'/>" for vcpu, cpu in enumerate(cpus))


def _bound(nodes: str = '0', mode: str = 'strict') -> str:
    return f"<numatune><memory mode='{mode}' nodeset='{nodes}'/></numatune>"


def _domain(
    *cpus: int,
    vcpus: int = 2,
    attributes: str = '',
    emulator: str = _SHARED[0],
    bound: str = _bound(),
    memory_mib: int = 256,
    more: str = '',
    kind: str = 'kvm',
) -> str:
    threads = f"<emulatorpin cpuset='{emulator}'/>" if emulator else ''
    tune = f'<cputune>{_pins(*cpus)}{threads}</cputune>' if cpus or threads else ''
    return (
        f"<domain type='{kind}'><name>{{name}}</name><uuid>{{uuid}}</uuid><memory unit='MiB'>{memory_mib}</memory>"
        f"<vcpu {attributes}>{vcpus}</vcpu>{tune}{bound}{more}<os><type arch='x86_64'>hvm</type></os></domain>"
    )


def _of_two_cells(nodes: str) -> str:
    cells = ''.join(f"<cell id='{cell}' cpus='{cell}' memory='128' unit='MiB'/>" for cell in (0, 1))
    bound = ''.join(f"<memnode cellid='{cell}' mode='strict' nodeset='{nodes[cell]}'/>" for cell in (0, 1))
    numatune = f"<numatune><memory mode='strict' nodeset='0-1'/>{bound}</numatune>"
    return _domain(7, 23, bound=numatune, more=f'<cpu><numa>{cells}</numa></cpu>')


_HUGE = "<memoryBacking><hugepages><page size='1' unit='G'/></hugepages></memoryBacking>"

_FAULTS = (
    _Fault(_domain(2, 18), ('cpus.twice',), ('cpus.twice',)),
    _Fault(_domain(7, 7), ('cpus.twice',)),
    _Fault(_domain(0, 7), ('cpus.outside',)),
    _Fault(_domain(99, 7), ('cpus.missing',)),
    _Fault(_domain(7, 23, bound=_bound('1')), ('cpus.node',)),
    _Fault(_domain(emulator='', bound=''), ('cpus.unpinned',)),
    _Fault(_domain(attributes="cpuset='7,23'"), ('cpus.floating',)),
    _Fault(_of_two_cells('00'), ('cells.shared',)),
    _Fault(_domain(7, 23, bound=_bound('5')), ('server.cell',)),
    _Fault(_domain(7, 23, emulator=''), ('emulator.unpinned',)),
    _Fault(_domain(7, 23, emulator='15'), ('emulator.node',)),
    _Fault(_domain(7, 23, bound=''), ('memory.unbound',)),
    _Fault(_domain(7, 23, bound=_bound(mode='preferred')), ('memory.preferred',)),
    _Fault(_domain(7, 23, bound=_bound('0-1')), ('memory.spread',)),
    _Fault(_domain(attributes="placement='auto'", emulator='', bound=''), ('placement.auto',)),
    _Fault(_domain(7, 23, kind='lxc'), ('domain.type',)),
    _Fault(_domain(7, 23, memory_mib=9 * 1024, more=_HUGE), (), of_host=('pages.overdrawn',)),
    _Fault(_domain(7, 23, memory_mib=66 * 1024), (), of_host=('memory.overdrawn',)),
    _Fault('<domain>', (), of_host=('libvirt.unreadable',)),
)


def _set_apart(host: Path) -> str:
    (host / 'numaplace.conf').write_text(_SETTINGS.format(dedicated='2-7,10-14,18-23,26-30'))
    return 'host.sets'


def _overcommit(host: Path) -> str:
    (host / 'numaplace.conf').write_text(_SETTINGS.format(dedicated=_DEDICATED).replace('16.0', '2.0'))
    return 'host.ratio'


def _forget(host: Path) -> str:
    shutil.rmtree(host / 'domains')
    (host / 'capabilities.xml').unlink()
    return 'libvirt.unreadable'


_OF_HOSTS: tuple[Callable[[Path], str], ...] = (_set_apart, _overcommit, _forget)
#: So many hosts have a fault.
FAULTS = len(_FAULTS) + len(_OF_HOSTS)


def write(directory: Path, hosts: int = FAULTS, domains: int = 20) -> set[Expected]:
    """Write the files of hosts, and return what is wrong with them.

    :param hosts: at least FAULTS
    :param domains: of each host, at least 11
    """
    directory.mkdir(parents=True, exist_ok=True)
    (directory / CONFIGURATION).write_text(_SETTINGS.format(dedicated=_DEDICATED))
    expected: set[Expected] = set()
    for number in range(hosts):
        host = directory / f'host{number:03}'
        (host / 'domains').mkdir(parents=True)
        shutil.copy(_CAPABILITIES, host / 'capabilities.xml')
        fault = _FAULTS[number] if number < len(_FAULTS) else None
        for index, xml in enumerate(_documents(domains, fault)):
            path = host / 'domains' / f'guest{index:02}.xml'
            path.write_text(xml.format(name=path.stem, uuid=_uuid(host, index)))
        if fault is not None:
            expected |= _expected(host, fault)
        elif number < FAULTS:
            expected.add((_OF_HOSTS[number - len(_FAULTS)](host), host.name, None))
    return expected


def _documents(number: int, fault: _Fault | None) -> Iterator[str]:
    pinned = [(node, core) for node, cores in _CORES.items() for core in cores]
    for node, core in pinned:
        yield _domain(core, core + 16, emulator=_SHARED[node], bound=_bound(str(node)))
    floating = number - len(pinned) - (fault is not None)
    for index in range(floating):
        node = index % 2
        yield _domain(attributes=f"cpuset='{_SHARED[node]}'", emulator='', bound=_bound(str(node)))
    if fault is not None:
        yield fault.xml


def _expected(host: Path, fault: _Fault) -> set[Expected]:
    last = len(list((host / 'domains').iterdir())) - 1
    found: set[Expected] = {(code, host.name, _uuid(host, last)) for code in fault.codes}
    found |= {(code, host.name, _uuid(host, 0)) for code in fault.others}
    return found | {(code, host.name, None) for code in fault.of_host}


def _uuid(host: Path, index: int) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f'{host.name}-{index}'))
