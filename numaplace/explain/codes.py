# SPDX-License-Identifier: Apache-2.0
"""The one table of the causes of refusals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ['CODES', 'Code']


@dataclass(frozen=True, slots=True)
class Code:
    """A cause of refusals.

    :param needs: what was needed, as a text that :func:`_words` fills in; ``{needed:page}`` is "1 page" or "2 pages"
    :param has: what was available, in the same form; empty where `needs` says it all
    :param short: whether the difference of the two numbers is what is missing
    :param about: the cause for the table of all codes
    :param detail: the text after `has` where the reason has a subject
    """

    needs: str
    has: str
    about: str
    short: bool = True
    detail: str = ''


CODES: Mapping[str, Code] = {
    'cells.count': Code(
        'the guest needs {needed:host cell}', 'the host has {available}', 'The guest has more cells than the host.'
    ),
    'cells.assignment': Code(
        '{guest} fit only {hosts}: {needed:guest cell} for {available:host cell}',
        '',
        'Each guest cell fits some host cell, but these together fit too few. The guest cells and the host cells that '
        'they compete for are named.',
    ),
    'cells.unknown': Code(
        '{guest} must go to {hosts}, which the host does not have',
        '',
        'A guest cell is bound to a host cell that does not exist.',
    ),
    'cpus.dedicated.total': Code(
        '{needs} {needed:dedicated CPU}',
        '{where} has {available}',
        'The host cell has fewer dedicated CPUs (cpu_dedicated_set) than the guest cell needs, used or not, without '
        'those on cores that the guest requests to keep free.',
        detail=' and {subject} more on cores that are kept free',
    ),
    'cpus.dedicated.free': Code(
        '{needs} {needed:free dedicated CPU}',
        '{where} has {available}',
        'Other guests hold too many of the dedicated CPUs. Free CPUs on cores that the guest requests to keep free, or '
        'on cores of which others use a part where it needs whole cores, do not count; the text gives their number.',
        detail=' and {subject} more on cores that are kept free or partly used',
    ),
    'cpus.dedicated.none': Code(
        '{needs} a dedicated vCPU for the thread policy or the isolated emulator, and has none',
        '',
        'Thread policy isolate, or emulator threads policy isolate on guest cell 0, needs CPUs with the dedicated '
        'vCPUs that the guest cell does not have.',
    ),
    'cpus.shared.total': Code(
        '{needs} {needed:shared CPU}',
        '{where} has {available}',
        'The guest cell has more shared vCPUs than the host cell has shared CPUs (cpu_shared_set). A guest may not '
        'overcommit against itself.',
    ),
    'cpus.shared.limit': Code(
        '{needs} room for {needed:shared vCPU}',
        '{where} has room for {available}',
        'With this guest cell there would be more shared vCPUs than shared CPUs x cpu_allocation_ratio.',
    ),
    'cpus.host.total': Code(
        'the guest needs {needed:shared CPU}',
        'the host has {available}',
        'A guest without a NUMA topology has more vCPUs than the whole host has shared CPUs; a host with '
        'only cpu_dedicated_set has none.',
    ),
    'cpus.host': Code(
        'the guest needs room for {needed:vCPU}',
        'the host has room for {available}',
        'With this guest there would be more shared vCPUs than shared CPUs x cpu_allocation_ratio of the whole host; '
        'for CoreFilter, more vCPUs than CPUs x the ratio.',
    ),
    'cpus.invalid': Code(
        'the number of vCPUs of {guest} is {available}: expected at least {needed}',
        '',
        'A guest, or a guest cell inside Nova, has no vCPU. libvirt refuses the XML that Nova writes for such a cell.',
        short=False,
    ),
    'memory.invalid': Code(
        'the memory of {guest} is {available} MiB: expected at least {needed}',
        '',
        'A guest or a guest cell has no memory, or less than none, as from hw_numa_mem.0=-256 of an image. No host is '
        'looked at.',
        short=False,
    ),
    'pages.invalid': Code(
        'the page size of {guest} is {available} KiB: expected at least {needed}, or small, large or any',
        '',
        'The page size is 0, or below 0 and none of the three that stand for a choice, as from hw:mem_page_size=-2MB. '
        'No host is checked.',
        short=False,
    ),
    'memory.free': Code(
        '{needs} {needed} MiB of free memory',
        '{where} has {available}',
        'A pinned guest cell may not overcommit memory, and other guests hold too much of it.',
    ),
    'memory.total': Code(
        '{needs} {needed} MiB of memory',
        '{where} has {available}',
        'The guest cell has more memory than the host cell, used or not.',
    ),
    'memory.limit': Code(
        '{needs} room for {needed} MiB',
        '{where} has room for {available}',
        'With this guest cell the memory of the guests would exceed memory x ram_allocation_ratio.',
    ),
    'memory.shared': Code(
        '{needs} {needed} MiB in free pages of the requested sizes',
        '{where} has {available} MiB in such pages, which no choice of sizes divides among the guest cells',
        'Guest cells that are bound to one host cell fit its pages one by one, but not together.',
        short=False,
    ),
    'memory.multiple': Code(
        '{needs} memory in whole pages, and has {needed} KiB',
        'on {where} a page would be {available} KiB',
        'The memory of the guest cell is not a whole number of the pages that would back it.',
        short=False,
    ),
    'memory.host': Code(
        'the guest needs room for {needed} MiB',
        'the host has room for {available}',
        'Memory x ram_allocation_ratio of the whole host, less what its guests use, does not suffice.',
    ),
    'memory.host.total': Code(
        'the guest needs room for {needed} MiB',
        'the host has room for {available} in all',
        'The guest has more memory than memory x ram_allocation_ratio of the whole host, used or not.',
    ),
    'pages.SIZE': Code(
        '{needs} {needed:free page} of {size}',
        '{where} has {available}',
        'Other guests hold too many of the memory pages of that size in KiB. For large and any it is the size of which '
        'the smallest share is missing.',
    ),
    'pages.SIZE.total': Code(
        '{needs} {needed:page} of {size}',
        '{where} has {available}',
        'The host cell has fewer pages of that size in KiB than the guest cell needs, used or not, without those that '
        'reserved_huge_pages reserves; of a size that it does not have there are 0.',
    ),
    'pages.large': Code(
        '{needs} pages above the smallest size',
        '{where} has none',
        'hw:mem_page_size=large, but the host cell has pages of one size only.',
        short=False,
    ),
    'pages.none': Code(
        '{needs} memory pages of a known size',
        '{where} lists none',
        'hw:mem_page_size is set, but the host cell lists no page sizes.',
        short=False,
    ),
    'threads.require': Code(
        '{needs} {needed:core} with {subject} free threads each',
        '{where} has {available}',
        'Thread policy require takes the same number of threads from each core, and at least 2. The number for which '
        'the smallest share of cores is missing is named.',
    ),
    'threads.require.total': Code(
        '{needs} {needed:core} with {subject} dedicated CPUs each',
        '{where} has {available}',
        'The host cell has fewer cores for thread policy require than the guest cell needs, used or not.',
    ),
    'threads.require.smt': Code(
        '{needs} cores with several threads',
        'the cores of {where} have one',
        'Thread policy require on a host cell without SMT.',
        short=False,
    ),
    'threads.isolate': Code(
        '{needs} {needed:wholly free core}',
        '{where} has {available}',
        'Thread policy isolate takes a whole core for each vCPU; only the cores with the most threads of the host cell '
        'count. If narrower ones are free too, the text gives their number.',
        detail=' of the widest, and {subject} narrower that do not count',
    ),
    'threads.isolate.total': Code(
        '{needs} {needed:core} whose threads are all dedicated CPUs',
        '{where} has {available}',
        'The host cell has fewer cores for thread policy isolate than the guest cell needs, used or not: one for each '
        'vCPU, of those with the most threads, and one for an isolated emulator.',
        detail=' of the widest, and {subject} narrower that do not count',
    ),
    'threads.isolate.emulator': Code(
        '{needs} {needed:wholly free core}, one of them for the emulator',
        '{where} has {available}',
        'Isolated emulator threads with thread policy isolate take a whole core of their own.',
    ),
    'threads.isolate.smt': Code(
        '{needs} cores with one thread',
        'those of {where} have {available}, and its dedicated CPUs are set apart',
        'Thread policy isolate is refused on SMT hosts that use cpu_dedicated_set: the siblings of a core could not be '
        'kept free.',
        short=False,
    ),
    'network.physnet': Code(
        'the physical network {subject} needs one of {hosts}',
        'the guest cells cannot go there',
        'No assignment uses a host cell with affinity to the physical network.',
        short=False,
    ),
    'network.tunnel': Code(
        'tunnelled networks need one of {hosts}',
        'the guest cells cannot go there',
        'No assignment uses a host cell with affinity to tunnelled networks.',
        short=False,
    ),
    'network.joint': Code(
        'no assignment is near all of these networks at once: {subject}',
        '',
        'Each network could have a near host cell, but not all of them together.',
    ),
    'request.unsupported': Code(
        'this is requested, and numaplace alone does not provide it: {subject}',
        '',
        'The flavor or the image requests something that Nova provides and numaplace alone does not.',
    ),
    'claim.lost': Code(
        'the claim was lost: {subject}',
        '',
        'Other claims kept changing the host, or it was deleted in the meantime.',
    ),
    'candidates.none': Code(
        'placement offers no allocation on the host',
        '',
        'Nova asks placement first, and each allocation that it offers on the host was removed by another filter.',
    ),
    'placement.unknown': Code(
        'placement does not know the host',
        '',
        'There is no resource provider of the compute node, so that placement never offers it.',
    ),
    'placement.free': Code(
        'the guest needs {needed} of the resource class {subject}',
        'placement has {available}',
        'Placement has less left of a resource class: its inventory without what is reserved, times the allocation '
        'ratio, less all allocations.',
    ),
    'placement.most': Code(
        'the guest needs {needed} of the resource class {subject}',
        'placement gives one server {available} at most',
        'Placement gives one consumer at most max_unit of an inventory: of CPUs and memory what the host has, whatever '
        'the allocation ratio.',
    ),
    'placement.step': Code(
        'the guest needs {needed} of a resource class: placement gives {subject}',
        '',
        'Placement gives one consumer an amount of at least min_unit that is a multiple of step_size.',
    ),
    'placement.trait': Code(
        'the host lacks the trait {subject}', '', 'The flavor or the image requires a trait that the host has not.'
    ),
    'placement.forbidden': Code(
        'the host has the trait {subject}, which is forbidden',
        '',
        'The flavor or the image forbids a trait; COMPUTE_STATUS_DISABLED is that of a disabled compute service.',
    ),
    'vnuma': Code(
        'the guest cannot be divided over the host: {subject}',
        '',
        'Automatic vNUMA: the vCPUs and the memory do not divide over the host cells that the request allows.',
    ),
    'host.topology': Code(
        'the host reports no NUMA topology',
        '',
        'The guest requests NUMA cells, and the host has reported none to Nova.',
    ),
    'host.topology.unreadable': Code(
        'the NUMA topology that the host has reported cannot be read: {subject}',
        '',
        'The topology that the compute node wrote to the database is broken, or has an unknown version.',
    ),
    'guest.topology.unreadable': Code(
        'the NUMA topology of the guest cannot be read: {subject}',
        '',
        'The topology that Nova made of the flavor and the image is broken, or has an unknown version.',
    ),
    'fault': Code(
        'numaplace could not judge the host: {subject}',
        '',
        'A fault of numaplace inside Nova; it is logged, with the traceback if debug = True.',
    ),
    'domain.name': Code(
        'a domain named {subject} is on the host, which numaplace does not manage',
        '',
        'The server would have the name or the instance name of a domain that is in the libvirt of the host.',
    ),
    'host.down': Code('the host is down', '', 'The host does not report, or was set down.'),
    'host.disabled': Code('the host is disabled', '', 'The operator disabled the host.'),
    'host.forced': Code(
        'the request names another host: {subject}',
        '',
        'The server was requested on a host, as --availability-zone ZONE:HOST does.',
    ),
    'host.same': Code(
        'the server is on this host',
        '',
        'A move needs another host; [DEFAULT] allow_resize_to_same_host allows a resize to stay.',
    ),
    'zone': Code('the host is in another availability zone: {subject}', '', 'The guest requests another zone.'),
    'group.affinity': Code(
        'other members of the server group {subject} are on another host',
        '',
        'The policy of the server group is affinity: all members are on one host. A member in a move counts on both '
        'hosts.',
    ),
    'group.anti-affinity': Code(
        'the host has as many members of the server group {subject} as it may have',
        '',
        'The policy of the server group is anti-affinity: each host has one member, or as many as its rule '
        'max_server_per_host says. A member in a move counts on both hosts.',
    ),
    'aggregate.extra_spec': Code(
        'the aggregates of the host do not match the flavor: {subject}',
        '',
        'An extra spec, plain or aggregate_instance_extra_specs:KEY, does not match the metadata of any aggregate of '
        'the host.',
    ),
    'aggregate.image': Code(
        'the aggregates of the host are for other images: {subject}',
        '',
        'A property of the image is a key of an aggregate of the host, with other values.',
    ),
    'aggregate.project': Code(
        'the aggregates of the host are for other projects than that of the server: {subject}',
        '',
        'An aggregate of the host has a key that begins with filter_tenant_id, and none names the project.',
    ),
    'aggregate.flavor': Code(
        'the aggregates of the host are for other flavors: {subject}',
        '',
        'An aggregate of the host has the key instance_type, and none names the flavor.',
    ),
    'aggregate.trait': Code(
        'an aggregate of the host is for guests that require the trait {subject}',
        '',
        'An aggregate of the host has trait:NAME=required, and neither the flavor nor the image does; asked where '
        '[scheduler] enable_isolated_aggregate_filtering is set.',
    ),
    'servers.host': Code(
        'with this guest the host would have {needed:server}',
        'it may have {available}',
        'The host has as many servers as max_instances_per_host of the configuration or of an aggregate allows.',
    ),
    'hint.different_host': Code(
        'a server of the hint different_host is on the host: {subject}',
        '',
        'The request has the hint different_host.',
    ),
    'hint.same_host': Code(
        'no server of the hint same_host is on the host: {subject}', '', 'The request has the hint same_host.'
    ),
    'hint.cidr': Code(
        'the address of the host is {subject}',
        '',
        'The request has the hint build_near_host_ip. The address is [DEFAULT] my_ip of the file with which the host '
        'was registered.',
    ),
    'hint.query': Code(
        'the host does not match the hint query: {subject}', '', 'The request has a query in JSON as a hint.'
    ),
    'isolated.host': Code(
        'the host is for isolated images only',
        '',
        '[filter_scheduler] isolated_hosts names the host, and not the image.',
    ),
    'isolated.image': Code(
        'the image is for isolated hosts only: {subject}',
        '',
        '[filter_scheduler] isolated_images names the image, and isolated_hosts does not name the host.',
    ),
    'capability': Code(
        'the host lacks a capability: {subject}',
        '',
        'An extra spec capabilities:KEY does not match what is known of the host.',
    ),
    'image.PROPERTY': Code(
        'the host cannot run the image: {subject}',
        '',
        'The architecture, the hypervisor type or the mode that the image requests is not one of the host.',
    ),
    'machine.vcpus': Code(
        'the guest has {needed:vCPU}',
        'machine type {subject} takes at most {available}',
        'The machine type of the image, or the usual one of the architecture, takes fewer vCPUs: as the capabilities '
        'of the host say, or as the newest release of QEMU does where they say nothing. vCPUs that are off count.',
        short=False,
    ),
    'machine.apic': Code(
        'the last vCPU has APIC ID {needed}',
        'machine type {subject} takes IDs up to {available}',
        'Sockets, cores and threads have whole bits in an APIC ID, so that an uneven topology makes it large; machine '
        'type pc has no IOMMU that would let interrupts reach such a vCPU.',
        short=False,
    ),
    'machine.threads': Code(
        'a core of the guest has {needed:thread}',
        'machine type {subject} takes at most {available}',
        'The vCPU topology has more threads in a core than the machine type.',
        short=False,
    ),
    'machine.cells': Code(
        'the guest has {needed:NUMA cell}',
        'machine type {subject} takes at most {available}',
        'QEMU takes at most 128 NUMA cells; guests of s390x see none, and have one at most.',
        short=False,
    ),
    'machine.slots': Code(
        'the guest has {needed:memory slot}',
        'machine type {subject} takes at most {available}',
        'numaplace:memory_slots is more than the machine type has.',
        short=False,
    ),
    'machine.memory': Code(
        'the guest, a cell of it or a memory module has {needed} MiB',
        'machine type {subject} takes multiples of {available} MiB',
        'libvirt would round the memory up, beyond what is claimed.',
        short=False,
    ),
    'machine.hotplug': Code(
        'machine type {subject} cannot switch vCPUs off and on',
        '',
        'numaplace:vcpu_hotplug is set, and the machine type has no hot-pluggable vCPUs.',
    ),
    'machine.devices': Code(
        '{subject} has no PCIe expander bus, which a device near to a guest cell needs: expected q35, or '
        'virt of aarch64',
        '',
        'A numaplace:nic.N or numaplace:disk.N, or --nic or --disk of the server, names a node, and the guest of this '
        'machine type has no way to learn the node.',
    ),
    'machine.pmu': Code(
        'machine type {subject} cannot switch its performance counters: expected no hw:pmu, nor hw_pmu of the image',
        '',
        'QEMU has none on s390x and RISC-V, and cannot switch them off on POWER.',
    ),
    'machine.addresses': Code(
        'machine type {subject} has physical addresses of a fixed length: expected no hw:maxphysaddr_mode',
        '',
        'libvirt sets the number of bits of physical addresses only of x86 guests.',
    ),
    'machine.encryption': Code(
        'memory encryption needs a machine type of the kind q35: machine type {subject}',
        '',
        'hw:mem_encryption, or hw_mem_encryption of the image, does not suit the machine type.',
    ),
    'encryption.total': Code(
        'the guest needs memory encryption ({subject})',
        'the host has it for {available:guest}',
        'The host offers no memory encryption of that model, by the domain capabilities that it was registered with.',
        short=False,
    ),
    'encryption.free': Code(
        'the guest needs memory encryption ({subject})',
        'the host has room for {available:more guest} with it',
        'As many guests as the host can encrypt at once have memory encryption of that model.',
        short=False,
    ),
    'pmem.total': Code(
        'the guest needs {needed:namespace} of persistent memory with the label {subject}',
        'the host has {available}',
        'The host has fewer namespaces with a label of hw:pmem ([libvirt] pmem_namespaces) than the guest requests, '
        'used or not.',
        short=False,
    ),
    'pmem.free': Code(
        'the guest needs {needed:namespace} of persistent memory with the label {subject}',
        'the host has {available} free',
        'Other guests hold too many of the namespaces with a label of hw:pmem.',
        short=False,
    ),
    'machine.viommu': Code(
        'the guest cannot have its IOMMU: {subject}',
        '',
        'hw:viommu_model, or hw_viommu_model of the image, does not suit the machine type or the architecture.',
    ),
    'pci.total': Code(
        'the guest needs {needed:PCI device} for {subject}',
        'the host has {available} that it may have',
        'A request for PCI devices is for more than are free on the whole host: of its alternatives, and where the '
        'policy is required or legacy, with a known host cell or, with legacy, an unknown one.',
    ),
    'pci.affinity': Code(
        'the guest needs {needed:PCI device} for {subject}',
        'near the host cells that it fits there are {available}',
        'The guest cells do not fit the host cells, or the socket, near which the policy requires the devices.',
    ),
    'pci.joint': Code(
        'the guest needs {needed:PCI device} together for {subject}',
        'near the host cells that it fits there are {available}',
        'Each request for PCI devices could be met alone, but these compete for too few.',
    ),
    'pci.functions': Code(
        'the guest needs {needed:PCI device} together for {subject}',
        'they suffice only if a PF is given together with its own VFs',
        'A card is given either whole (type-PF) or as virtual functions (type-VF).',
        short=False,
    ),
    'pci.greedy': Code(
        'Nova chooses PCI devices for one request after the other and does not find enough on {hosts}, where a joint '
        'choice would do: {subject}',
        '',
        'Only inside Nova, whose own choice of devices counts; an order of the requests that would do is named.',
    ),
    'pci.place': Code(
        'a PCI device in exchange for {subject} is near another guest cell, which cannot change while the guest runs',
        '',
        'A device moves with a running guest only to one that is near the same guest cell, or near none as before.',
    ),
    'pci.required': Code(
        'the requested devices are not available on any choice of host cells that the guest fits',
        '',
        'The PCI devices and the cells of the guest cannot be placed together.',
    ),
}
