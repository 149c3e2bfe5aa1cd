# SPDX-License-Identifier: Apache-2.0
"""Read ``lscpu`` output in all its forms: the summary, ``-p`` and ``-e``, as text or JSON, one or several."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from numaplace import cpuset, exception
from numaplace.libvirt import lscpu_forms, lscpu_rows
from numaplace.libvirt.document import show
from numaplace.libvirt.lscpu_forms import ELSEWHERE, SOURCE, Output, number
from numaplace.libvirt.lscpu_rows import Counts, Kind
from numaplace.libvirt.topology import VENDORS, HostFacts

__all__ = ['SOURCE', 'Cpus', 'read']

_STRIDE = re.compile(r'(\d{1,5})-(\d{1,5}):(\d{1,5})')
#: Names that QEMU writes into the SMBIOS tables of a machine by default.
_QEMU = ('QEMU', 'Red Hat', 'Bochs', 'SeaBIOS')
#: What an s390 summary counts in addition to sockets; its counts describe the machine, not the partition.
_BOOKS = frozenset({'Socket(s) per book', 'Book(s)', 'Book(s) per drawer', 'Drawer(s)'})


@dataclass(frozen=True, slots=True)
class Cpus:
    """The CPUs of a machine; CPU sets are masks.

    :param online: CPUs that are online, or 0 where that is not known
    :param cores: the core of each CPU by CPU number; empty if only the number of threads is known
    :param sockets: the physical package of each CPU, as far as known
    :param threads_per_core: number of threads, or None if the cores are known
    :param counts: what the summary counts
    :param facts: everything else that is known
    :param hypervisor: hypervisor that the machine is a guest of, or empty if none is reported
    :param warnings: what was corrected
    :param offline: CPUs that are offline, as far as known
    """

    online: int
    cores: Mapping[int, int]
    sockets: Mapping[int, int]
    threads_per_core: int | None
    counts: Counts
    facts: HostFacts
    hypervisor: str = ''
    warnings: tuple[str, ...] = ()
    offline: int = 0


def read(content: bytes, place: str) -> Cpus:
    """Read any of the forms.

    :param place: where it came from, for the errors
    :raises: :class:`~numaplace.exception.InvalidCapabilities` if it is none of them, or contradicts itself
    """
    output = lscpu_forms.parse(content.decode('utf-8', 'replace'), place)
    counts = _counts(output)
    if any(row.get('core') for _, row in output.rows) or (output.rows and not counts.kinds):
        return _from_rows(output, counts)
    if not counts.kinds:
        raise exception.InvalidCapabilities(
            f"{place}: there is neither a table of CPUs nor 'Thread(s) per core': expected {SOURCE}; where lscpu has "
            f'neither, {ELSEWHERE}'
        )
    return _from_summary(output, counts)


def _from_rows(output: Output, counts: Counts) -> Cpus:
    listed = _online(output)
    rows = lscpu_rows.online(output, listed)
    named = cpuset.mask(row.cpu for row in rows)
    if listed is not None and listed != named:
        raise exception.InvalidCapabilities(
            f'{output.place}: the summary names CPUs {cpuset.text(listed)} online, and the table CPUs '
            f'{cpuset.text(named) or "none"}: expected outputs of one machine at one time'
        )
    if output.physical and not counts.kinds:
        raise exception.InvalidCapabilities(
            f'{output.place}: the table is that of `lscpu -y`, where several cores may have one number: expected '
            'the output of `lscpu -p` without -y, or that of `lscpu` before it'
        )
    if output.conflict and not counts.kinds:
        raise exception.InvalidCapabilities(output.conflict)
    cores, warnings = lscpu_rows.cores(rows, counts, output.place)
    return Cpus(
        online=named,
        cores=cores,
        sockets=lscpu_rows.sockets(rows, counts),
        threads_per_core=None,
        facts=_facts(output),
        counts=counts,
        warnings=warnings,
        offline=_offline(output),
    )


def _from_summary(output: Output, counts: Counts) -> Cpus:
    online = _online(output) or 0
    # With several packages or several kinds, it is not known which CPUs belong to which.
    single = [kind.sockets for kind in counts.kinds] == [1]
    return Cpus(
        online=online,
        cores={},
        sockets=dict.fromkeys(cpuset.ids(online), 0) if single else {},
        threads_per_core=max(kind.threads for kind in counts.kinds),
        facts=_facts(output),
        counts=counts,
        hypervisor=_hypervisor(output),
        offline=_offline(output),
    )


def _counts(output: Output) -> Counts:
    """Return what the summary counts, for each kind of CPU (util-linux, `print_summary_cputype`)."""
    kinds = tuple(map(_kind, output.kinds))
    return Counts(kinds, not _BOOKS.isdisjoint(output.values), _offline(output).bit_count())


def _kind(fields: Mapping[str, tuple[str, str]]) -> Kind:
    where, text = fields['Thread(s) per core']
    threads = number(text, where, 'number of threads', 1024)
    if not threads:
        raise exception.InvalidCapabilities(
            f'{where}: no threads per core: lscpu found no cores in /sys there; expected 1 or more, or {ELSEWHERE}'
        )
    clusters = 'Cluster(s)' in fields
    within, groups = ('cluster', 'Cluster(s)') if clusters else ('socket', 'Socket(s)')
    return Kind(
        threads=threads,
        cores_per_group=_count(fields, f'Core(s) per {within}'),
        groups=_count(fields, groups),
        sockets=_count(fields, 'Socket(s)'),
        clusters=clusters,
    )


def _count(fields: Mapping[str, tuple[str, str]], key: str) -> int | None:
    """Return a count, or None where it is missing or a dash."""
    where, text = fields.get(key, ('', '-'))
    return None if text == '-' else number(text, where, 'count', cpuset.MAX_CPU)


def _online(output: Output) -> int | None:
    """Return the CPUs that the summary lists as online, or None if it lists none."""
    return _named(output, 'On-line CPU(s)')


def _offline(output: Output) -> int:
    """Return the CPUs that the summary or a table lists as offline."""
    rows = (row for row in output.rows if row[1].get('online', 'yes').lower() in lscpu_rows.NO)
    cpus = (number(row.get('cpu', ''), where, 'number of a CPU', cpuset.MAX_CPU) for where, row in rows)
    return (_named(output, 'Off-line CPU(s)') or 0) | cpuset.mask(cpus)


def _named(output: Output, key: str) -> int | None:
    """Return the CPUs of a mask (``lscpu -x``) or list of the summary, or None if it is missing."""
    if f'{key} mask' in output.values:
        where, text = output.values[f'{key} mask']
        if not re.fullmatch('(0x)?[0-9a-fA-F,]{1,20000}', text):
            raise exception.InvalidCapabilities(
                f"{where}: {show(text)} is not a mask of CPUs: expected one such as '0xff'"
            )
        return int(text.replace(',', ''), 16)
    if f'{key} list' not in output.values:
        return None
    where, text = output.values[f'{key} list']
    try:
        return cpuset.parse(_STRIDE.sub(_spread, text))
    except exception.Invalid as error:
        raise exception.InvalidCapabilities(f'{where}: {error}') from error


def _spread(stride: re.Match[str]) -> str:
    """Return the single CPUs of a range with a stride, which newer versions write."""
    low, high, step = map(int, stride.groups())
    return ','.join(map(str, range(low, high + 1, step))) if step and high <= cpuset.MAX_CPU else stride[0]


def _hypervisor(output: Output) -> str:
    """Return the hypervisor that the machine is a guest of, or empty if none is reported."""
    values = {key: text for key, (_, text) in output.values.items()}
    maker = values.get('BIOS Vendor ID', '')
    vendor = values.get('Hypervisor vendor', '') or values.get('Hypervisor', '')
    if vendor == 'KVM' and maker and not maker.startswith(_QEMU):
        return f'KVM of {show(maker)}'
    if vendor:
        return vendor
    if any(name.startswith(_QEMU) for name in (maker, values.get('Model name', ''))):
        return 'QEMU'
    return 'a hypervisor' if 'hypervisor' in values.get('Flags', '').split() else ''


def _facts(output: Output) -> HostFacts:
    values = {key: text for key, (_, text) in output.values.items()}
    vendor = values.get('Vendor ID') or None
    return HostFacts(
        arch=values.get('Architecture', ''),
        cpu_model=values.get('Model name') or None,
        vendor=VENDORS.get(vendor, vendor) if vendor else None,
    )
