# SPDX-License-Identifier: Apache-2.0
"""What is wrong in a fleet: one table of all codes, with cause, effect and cure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ['CODES', 'ERROR', 'OF_DOMAINS', 'RECOUNTED', 'UNCOUNTABLE', 'WARNING', 'Code', 'Finding']

#: An error needs action; a warning is what an operator should know.
ERROR, WARNING = 'error', 'warning'

#: Codes that only domains have, which no server can be like.
OF_DOMAINS = frozenset(
    (
        'domain.type',
        'emulator.node',
        'emulator.unpinned',
        'memory.preferred',
        'memory.spread',
        'memory.unbound',
        'placement.auto',
    )
)


@dataclass(frozen=True, slots=True)
class Code:
    """A kind of finding; the texts name the fields of the finding in braces.

    :param cause: what is so, as a clause
    :param effect: what follows from it, as a clause
    :param cure: what to do, as an imperative clause
    """

    severity: str
    cause: str
    effect: str
    cure: str


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One finding; what it does not concern is None or empty.

    :param host: name of a host
    :param server: UUID of a server
    :param cell: id of a host cell
    :param found: what is recorded
    :param expected: what it should be
    :param subject: what else the sentence names, such as the other server
    """

    code: str
    host: str | None = None
    server: str | None = None
    cell: int | None = None
    found: str = ''
    expected: str = ''
    subject: str = ''

    @property
    def severity(self) -> str:
        """ERROR or WARNING."""
        return CODES[self.code].severity

    @property
    def text(self) -> str:
        """One line that says cause, effect and cure."""
        code = CODES[self.code]
        fields: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__}
        return f'{code.cause}; {code.effect}: {code.cure}'.format(**fields)

    @property
    def warning(self) -> str:
        """The text after its code, for where no columns tell the code."""
        return f'{self.code}: {self.text}'

    @property
    def order(self) -> tuple[str, str, str, str, int, str]:
        """Sorts findings: errors first, then by host, server and code."""
        return (
            self.severity,
            self.host or '',
            self.server or '',
            self.code,
            -1 if self.cell is None else self.cell,
            self.found,
        )


_REBUILD = 'cold migrate the server, or shelve and unshelve it, so that it is placed anew'
_REPAIR = 'run `numaplace host audit --repair`; in Nova restart nova-compute, which counts its servers anew'

CODES: Mapping[str, Code] = {
    # --- one server
    'cpus.twice': Code(
        ERROR,
        'CPUs {found} are pinned for this server and for {subject}',
        'both run on the same CPUs and slow each other down',
        f'{_REBUILD}; one of the two is enough',
    ),
    'cpus.outside': Code(
        ERROR,
        'CPUs {found} are pinned but are not among the dedicated CPUs {expected}',
        'other guests or the host itself may run there',
        f'add them to [compute] cpu_dedicated_set, or {_REBUILD}',
    ),
    'cpus.missing': Code(
        ERROR,
        'CPUs {found} are pinned but the host does not offer them: they are offline or in neither CPU set',
        'the guest does not start again, or shares them with the host itself',
        f'bring these CPUs online, add them to [compute] cpu_dedicated_set, or {_REBUILD}',
    ),
    'cpus.node': Code(
        ERROR,
        'CPUs {found} are pinned but belong to other host cells than cell {cell}, which has the memory',
        'every access to memory crosses the interconnect',
        _REBUILD,
    ),
    'cpus.unpinned': Code(
        ERROR,
        'vCPUs {found} are pinned to no CPU',
        'they run on any CPU of the host, also on those of other guests, and hold none; if the flavor requests '
        'dedicated CPUs, Nova\'s own fit does this to guests with unequal cells, see the page "Nova\'s fit cache"',
        f'{_REBUILD}; give a domain of another tool the shared CPUs with `virsh vcpupin`',
    ),
    'cpus.floating': Code(
        WARNING,
        'vCPUs {found} float over shared CPUs that are dedicated CPUs of other guests too',
        'pinned guests do not have their CPUs for themselves',
        'set [compute] cpu_shared_set and cpu_dedicated_set to disjoint sets, or keep pinned and floating guests on '
        'different hosts by aggregates',
    ),
    'cells.shared': Code(
        ERROR,
        'guest cells {found} are on the same host cell {cell}',
        'the topology that the guest sees is not that of its memory and CPUs',
        _REBUILD,
    ),
    'devices.twice': Code(
        ERROR,
        'PCI devices {found} are given to this server and to {subject}',
        'only one of them starts',
        f'{_REBUILD}; one of the two is enough',
    ),
    'devices.missing': Code(
        ERROR,
        'PCI devices {found} are given to this server but the host does not have them, or others in their place',
        'the guest does not start again',
        f'put the devices back and add them to [pci] device_spec, or {_REBUILD}',
    ),
    'resources.missing': Code(
        ERROR,
        'this server holds {found}, which the host does not have',
        'the guest does not start again',
        f'refresh the host once it has it again, or {_REBUILD}',
    ),
    'resources.overdrawn': Code(
        ERROR,
        '{found} servers hold {subject}, of at most {expected}',
        'not all of them start',
        _REBUILD,
    ),
    'server.cell': Code(
        ERROR,
        'a guest cell is on host cell {cell}, which the host does not have; it has {expected}',
        'nothing is counted for it, and the guest does not start again',
        _REBUILD,
    ),
    'server.host': Code(
        ERROR,
        'the server is on host {found}, which does not exist',
        'nothing is counted for it, and no operation on it succeeds',
        'evacuate or delete the server, or register the host again',
    ),
    'server.metadata': Code(
        WARNING,
        'the metadata of the server has {found}',
        'keys of that kind do nothing there',
        'set them as properties of a flavor, and resize the server to it',
    ),
    'move.stuck': Code(
        WARNING,
        'a {subject} is in the status {found} since {expected}',
        'it holds CPUs and memory on both hosts',
        'confirm or revert a finished resize; abort any other move, or reset its status',
    ),
    # --- a domain, whoever defined it
    'emulator.unpinned': Code(
        WARNING,
        'the vCPUs are pinned but the threads of the emulator are not',
        'they run on any CPU of the host, also on those of other guests',
        'pin them with `virsh emulatorpin`, or define the server with `numaplace server define`',
    ),
    'emulator.node': Code(
        ERROR,
        'emulator or I/O threads have the dedicated CPUs {found}, which are not on a host cell of a pinned guest cell',
        'no server can hold them there',
        'give these threads shared CPUs, or CPUs next to those of the vCPUs, with `virsh emulatorpin`',
    ),
    'memory.unbound': Code(
        WARNING,
        'the memory is bound to no host cell; it is counted on cell {cell}, where the vCPUs are pinned',
        'the kernel takes it from another host cell when that one is full',
        'bind it with `virsh numatune`, or define the server with `numaplace server define`',
    ),
    'memory.preferred': Code(
        WARNING,
        'the memory is bound to host cell {subject} with the mode {found}, which is not strict',
        'the kernel takes it from another host cell when that one is full',
        'bind it strictly with `virsh numatune`, or define the server with `numaplace server define`',
    ),
    'memory.spread': Code(
        ERROR,
        'the memory may come from each of the host cells {found}, and nothing says how much from which',
        'all of it is held on each of them',
        'bind each guest cell to one host cell with <memnode>, or a guest without cells with `virsh numatune`',
    ),
    'placement.auto': Code(
        ERROR,
        'numad chooses the host cells when the domain starts',
        'what it holds is different after each start',
        "set placement='static', and pin the vCPUs",
    ),
    'domain.type': Code(
        ERROR,
        'the domain is of type {found}, neither qemu nor kvm',
        'numaplace cannot manage it; its CPUs are held all the same',
        'leave it as it is, or give it CPUs that are in no set',
    ),
    # --- the usage of a host
    'cpus.leaked': Code(
        ERROR,
        'CPUs {found} are counted as pinned but no server holds them',
        'nobody can use them',
        _REPAIR,
    ),
    'cpus.uncounted': Code(
        ERROR,
        'CPUs {found} are pinned for servers but are not counted',
        'the next server may get them too',
        _REPAIR,
    ),
    'devices.leaked': Code(
        ERROR,
        'PCI devices {found} are counted as given but no server holds them',
        'nobody can use them',
        _REPAIR,
    ),
    'devices.uncounted': Code(
        ERROR,
        'PCI devices {found} are given to servers but are not counted',
        'the next server may get them too',
        _REPAIR,
    ),
    'resources.leaked': Code(
        ERROR,
        '{found} is counted as held but no server holds it',
        'nobody can use it',
        _REPAIR,
    ),
    'resources.uncounted': Code(
        ERROR,
        'servers hold {found}, which is not counted',
        'the next server may get it too',
        _REPAIR,
    ),
    'cpus.shared': Code(
        ERROR,
        '{found} shared vCPUs are counted where the servers have {expected}',
        'the allocation ratio is not what is kept',
        _REPAIR,
    ),
    'memory.counted': Code(
        ERROR,
        '{found} MiB are counted where the servers have {expected} MiB',
        'servers are refused where they fit, or accepted where they do not',
        _REPAIR,
    ),
    'memory.overdrawn': Code(
        WARNING,
        'servers have {found} MiB of {expected} MiB that the allocation ratio allows',
        'the host may run out of memory',
        'migrate servers, or raise ram_allocation_ratio if that is intended',
    ),
    'pages.counted': Code(
        ERROR,
        '{found} pages of {subject} are counted where the servers have {expected}',
        'servers are refused where they fit, or accepted where they do not',
        _REPAIR,
    ),
    'pages.overdrawn': Code(
        ERROR,
        'servers have {found} pages of {subject} of {expected} that are not reserved',
        'a guest that is stopped does not start again',
        'give the host cell more pages, lower [DEFAULT] reserved_huge_pages, or migrate servers',
    ),
    'usage.negative': Code(
        ERROR,
        'the usage is below zero: {found}',
        'more is handed out than there is',
        _REPAIR,
    ),
    'usage.host': Code(
        ERROR,
        '{found} {subject} are counted for the whole host where the servers have {expected}',
        'servers are refused where they fit, or accepted where they do not',
        _REPAIR,
    ),
    # --- a host and its configuration
    'host.cpus': Code(
        WARNING,
        'the cells have CPUs {found} of {expected}',
        'the other CPUs take no guests',
        'compare [compute] cpu_dedicated_set and cpu_shared_set with isolcpus and with what `lscpu` prints; reboot the '
        'host if the boot configuration was changed after its last boot, then restart the compute service',
    ),
    'host.sets': Code(
        WARNING,
        'the {subject} CPUs are {found} but the configuration names {expected}',
        'the configuration and the placement of guests differ',
        'correct the configuration, or restart the compute service; while servers are pinned to CPUs outside of the '
        'configured set, its audit fails and the row stays as it is',
    ),
    'host.ratio': Code(
        WARNING,
        '{subject} of the host is {found} but the configuration says {expected}',
        'more or less is accepted than the configuration allows',
        'set the ratio in the configuration of the host and restart its compute service',
    ),
    'host.service': Code(
        ERROR,
        'the host has a compute node but no compute service',
        'no server is sent there, and no operation on its servers succeeds',
        'start nova-compute there, which registers its service again; if the host is gone, evacuate its servers, and '
        'delete its compute node and its resource provider',
    ),
    'host.twice': Code(
        ERROR,
        'two cells have a host of this name: {found}',
        'services and servers of both are mixed up',
        'rename one of the hosts, and delete its old service and compute node',
    ),
    # --- a host and its kernel
    'kernel.unisolated': Code(
        WARNING,
        'CPUs {found} are dedicated but not {subject}, unlike the dedicated CPUs {expected}',
        'processes and the tick of the host disturb guests that are pinned there',
        'give the same CPUs in isolcpus and nohz_full of the boot configuration and in [compute] cpu_dedicated_set, '
        'and reboot the host',
    ),
    'kernel.unused': Code(
        WARNING,
        'CPUs {found} are isolated but in neither CPU set',
        'no guest gets them, and the host does not use them by itself',
        'add them to [compute] cpu_dedicated_set, or leave them out of isolcpus; ignore this if other programs, such '
        'as a virtual switch, are pinned there',
    ),
    'kernel.cpuset': Code(
        WARNING,
        'guests may not use CPUs {found} of this host: {subject} leaves {expected} to them',
        'a guest that is placed there does not start',
        'leave the others out of [compute] cpu_shared_set and cpu_dedicated_set, or open them',
    ),
    'kernel.mems': Code(
        WARNING,
        'guests may not use NUMA cells {found} of this host: {subject} leaves {expected} to them',
        'a guest that is placed there does not start',
        'leave the CPUs of the others out of [compute] cpu_shared_set and cpu_dedicated_set, or open them',
    ),
    'kernel.offline': Code(
        WARNING,
        'CPUs {found} are off, and it is not known with which CPUs they share a core',
        'each counts as a core of its own, which the CPU thread policies may take for a whole one',
        'register or refresh the host once while they are online; --refresh then keeps what was read of them',
    ),
    'kernel.boot': Code(
        WARNING,
        '{subject} has {expected} but the running kernel was started with {found}',
        'CPUs and pages are not reserved as they are meant to be',
        'reboot the host, then run `numaplace host discover --refresh`; if it was rebooted, write the configuration of '
        'the boot loader anew, as by `update-grub`',
    ),
    'kernel.pages': Code(
        WARNING,
        'all {found} pages of {subject} are in host cell {cell}, and hugepages= does not say how many each node gets',
        'guests with such pages fit no other cell',
        'give the number by node, as in hugepages=0:512,1:512 (from Linux 5.16 on), or write it to nr_hugepages of '
        'each node in /sys when the host starts',
    ),
    'host.emulator': Code(
        WARNING,
        'host cell {cell} has the dedicated CPUs {found} but none of the shared CPUs {expected}',
        'guests there that share CPUs for their emulator threads (hw:emulator_threads_policy=share) have these on '
        'another cell, with a way through the interconnect for each access',
        'add a CPU of this cell to [compute] cpu_shared_set',
    ),
    # --- flavors
    'flavor.invalid': Code(
        WARNING,
        'flavor {subject}: {found}',
        'every server with it is refused',
        'correct or delete the extra spec',
    ),
    'flavor.unplaceable': Code(
        WARNING,
        'flavor {subject} fits no host, even without any server: {found}',
        'every server with it ends with "No valid host"',
        'compare its extra specs with the cells of the hosts (`numaplace fleet explain --flavor`)',
    ),
    # --- placement
    'allocation.orphan': Code(
        ERROR,
        'placement has an allocation of {found} for a consumer that is no server and no move',
        'placement offers less than there is',
        'run `openstack resource provider allocation delete` for the consumer, or `nova-manage placement audit`',
    ),
    'allocation.missing': Code(
        ERROR,
        'placement has no allocation for the server on this host',
        'placement offers what the server uses',
        'run `nova-manage placement heal_allocations`',
    ),
    'inventory.pcpu': Code(
        ERROR,
        'placement has an inventory of {found} PCPU where the host has {expected} dedicated CPUs',
        'servers are sent to hosts without room, or not to those with room',
        'restart nova-compute, and look into its log for why the inventory was not updated',
    ),
    # --- rows
    'row.unreadable': Code(
        ERROR,
        '{subject} cannot be read: {found}',
        'it is left out here, so that nothing is known of what it holds',
        'correct the row, or delete the server or host; to read a host anew, run `numaplace host import --refresh`, or '
        'in Nova start its compute service',
    ),
    'row.old': Code(
        WARNING,
        'the row is not as it is written now: {found}',
        'newer releases may not read it, and the host may be found late for a server',
        'run `numaplace db migrate-topologies`; in Nova, start the compute service of the host once with this release',
    ),
    'libvirt.unreadable': Code(
        ERROR,
        '{subject} cannot be read: {found}',
        'what its domains hold is not counted',
        'ask the libvirt with `virsh --connect URI list`, or write the file anew',
    ),
    'cell.unreachable': Code(
        ERROR,
        'the database of cell {subject} cannot be read: {found}',
        'its hosts and servers are missing here',
        'check the connection of the cell mapping and the rights of the database user',
    ),
}

#: What counting the servers of a host anew corrects.
RECOUNTED = frozenset([code for code, entry in CODES.items() if entry.cure == _REPAIR])
#: Why a server cannot be counted on its host; the other findings of a server do not concern the usage of its host.
UNCOUNTABLE = frozenset(
    {
        'cpus.missing',
        'cpus.node',
        'cpus.outside',
        'cpus.twice',
        'devices.missing',
        'devices.twice',
        'resources.missing',
        'resources.overdrawn',
        'row.unreadable',
        'server.cell',
    }
)
