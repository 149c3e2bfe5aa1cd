# SPDX-License-Identifier: Apache-2.0
"""Every exception that numaplace raises, under one base; Nova's names where Nova has one.

"Does not fit" is not an error: see :class:`numaplace.model.Refusal`.
"""

import collections.abc as _abc


class NumaplaceException(Exception):
    """Base of all exceptions. Its text is one line that names key, value, place and accepted forms."""


# --- general -----------------------------------------------------------------


class Invalid(NumaplaceException):
    """A value does not have the form that its place accepts."""


class InvalidRequest(Invalid):
    """Keys of a request contradict each other, or a value is not an integer where one is needed."""


class InvalidConfiguration(NumaplaceException):
    """Options of the configuration contradict each other or this machine."""


class NotFound(NumaplaceException):
    """Something named does not exist."""


class InstanceNotFound(NotFound):
    """There is no such server."""


class AlreadyExists(NumaplaceException):
    """Something with that name already exists."""


class Conflict(NumaplaceException):
    """The thing is in use, so the operation is not possible now."""


class ArchitectureUnknown(Conflict):
    """Neither the host of a server nor its image names an architecture, so there is no domain for it yet."""


class InstanceInvalidState(Conflict):
    """The state of the server does not allow the operation, such as confirming a resize that did not happen."""


class NoAnswer(NumaplaceException):
    """No scheduler on the message bus answers."""


class AlreadyCarriedOut(Conflict):
    """The same request was carried out before: its message was delivered twice."""


class ComputeServiceInUse(Conflict):
    """The host is up, so its servers cannot be evacuated."""


class ComputeServiceUnavailable(Conflict):
    """The host is down, so its servers cannot be moved, only evacuated."""


class UnableToMigrateToSelf(Conflict):
    """The server is already on that host."""


class UnknownCommand(NotFound, ValueError):
    """No command has that name; it is also a ValueError, which cliff expects."""


class UnknownPlugin(InvalidConfiguration):
    """A name in the configuration does not match an installed plug-in; the text lists the known ones."""


# --- requests: flavor extra specs and image properties -----------------------------


class InvalidNUMANodesNumber(Invalid):
    """``hw:numa_nodes`` is not an integer, or smaller than 1."""


class ImageNUMATopologyForbidden(Invalid):
    """Flavor and image both describe the guest's NUMA topology."""


class ImageNUMATopologyIncomplete(Invalid):
    """CPUs or memory are given for some guest cells but not for all."""


class ImageNUMATopologyAsymmetric(Invalid):
    """vCPUs or memory do not divide evenly into the guest cells."""


class ImageNUMATopologyCPUOutOfRange(Invalid):
    """A guest cell names a vCPU that the flavor does not have."""


class ImageNUMATopologyCPUDuplicates(Invalid):
    """Two guest cells name the same vCPU."""


class ImageNUMATopologyCPUsUnassigned(Invalid):
    """A vCPU of the flavor is in no guest cell."""


class ImageNUMATopologyMemoryOutOfRange(Invalid):
    """The memory of the guest cells does not add up to the flavor's."""


class ImageNUMATopologyRebuildConflict(Invalid):
    """A rebuild would change the NUMA topology of the guest."""


class InvalidCPUAllocationPolicy(Invalid):
    """The CPU policy is not shared, dedicated or mixed."""


class ImageCPUPinningForbidden(Invalid):
    """The image requests a CPU policy that the flavor does not allow."""


class InvalidCPUThreadAllocationPolicy(Invalid):
    """The CPU thread policy is not prefer, isolate or require."""


class ImageCPUThreadPolicyForbidden(Invalid):
    """The image requests another CPU thread policy than the flavor."""


class CPUThreadPolicyConfigurationInvalid(Invalid):
    """A CPU thread policy needs dedicated vCPUs."""


class InvalidEmulatorThreadsPolicy(Invalid):
    """The emulator threads policy is neither share nor isolate."""


class BadRequirementEmulatorThreadsPolicy(Invalid):
    """Isolated emulator threads need dedicated vCPUs."""


class InvalidMixedInstanceDedicatedMask(Invalid):
    """``hw:cpu_dedicated_mask`` leaves no dedicated or no shared vCPU, or names one that does not exist."""


class RequiredMixedInstancePolicy(Invalid):
    """``hw:cpu_dedicated_mask`` needs the CPU policy mixed."""


class RequiredMixedOrRealtimeCPUMask(Invalid):
    """The CPU policy mixed needs exactly one of the dedicated mask and the realtime mask."""


class RealtimeConfigurationInvalid(Invalid):
    """Realtime vCPUs need the CPU policy dedicated or mixed."""


class RealtimeMaskNotFoundOrInvalid(Invalid):
    """The realtime mask is empty, names missing vCPUs, or leaves none for the emulator."""


class MemoryPageSizeInvalid(Invalid):
    """The memory page size is not a valid size."""


class MemoryPageSizeForbidden(Invalid):
    """The image requests a memory page size that the flavor does not allow."""


class LockMemoryForbidden(Invalid):
    """Locked memory needs a memory page size."""


class PciDeviceInvalid(Invalid):
    """A PCI device is not what a server holds, or held by another."""


class PciRequestAliasNotDefined(Invalid):
    """``pci_passthrough:alias`` names an alias that ``[pci] alias`` does not define."""


class InvalidPCINUMAAffinity(Invalid):
    """The NUMA affinity policy of PCI devices is not required, legacy, preferred or socket."""


class ImagePCINUMAPolicyForbidden(Invalid):
    """The image requests another NUMA affinity policy of PCI devices than the flavor."""


class FlavorImageLockedMemoryConflict(Invalid):
    """Flavor and image contradict each other about locked memory."""


class FlavorImageConflict(Invalid):
    """Flavor and image contradict each other."""


class InvalidMachineType(Invalid):
    """Memory encryption needs another machine type than the image names."""


class InvalidVideoMode(Invalid):
    """Memory encryption of that model needs an image without a video device."""


class StatelessFirmwareRequired(Invalid):
    """Memory encryption of that model needs firmware without a state, which the image does not have."""


class ImageVCPULimitsRangeExceeded(Invalid):
    """The image's limits of the vCPU topology are above the flavor's."""


class ImageVCPUTopologyRangeExceeded(Invalid):
    """The image's preferred vCPU topology is above the limits."""


class ImageVCPULimitsRangeImpossible(Invalid):
    """No vCPU topology within the limits has that many vCPUs."""


class InvalidVIOMMUArchitecture(Invalid):
    """A virtual IOMMU needs an x86 or an aarch64 guest."""


class InvalidVIOMMUMachineType(Invalid):
    """A virtual IOMMU needs another machine type than the guest has."""


class UnsupportedRequest(Invalid):
    """Nova provides what is requested, and numaplace alone does not."""


class MachineLimitExceeded(Invalid):
    """A guest exceeds a limit of its machine type."""


# --- claims ----------------------------------------------------------------------


class CPUPinningInvalid(NumaplaceException):
    """A CPU to pin is already pinned."""


class CPUPinningUnknown(NumaplaceException):
    """A CPU to pin is not among the host cell's dedicated CPUs."""


class CPUUnpinningInvalid(NumaplaceException):
    """A CPU to unpin is not pinned."""


class CPUUnpinningUnknown(NumaplaceException):
    """A CPU to unpin is not among the host cell's dedicated CPUs."""


class UsageInvalid(NumaplaceException):
    """A release would make a counter of the host negative, or names a host cell that does not exist."""


class NoValidHost(NumaplaceException):
    """No host accepts the guest; `refusals` returns why, as plain values, `counts` are numbers of hosts by cause."""

    def __init__(
        self,
        text: str,
        refusals: _abc.Callable[[], list[dict[str, object]]],
        counts: _abc.Sequence[dict[str, object]] = (),
    ) -> None:
        super().__init__(text)
        self.refusals, self.counts = refusals, list(counts)


class ConcurrentUpdate(NumaplaceException):
    """Other processes kept changing the same rows, so the change was abandoned."""


# --- automatic vNUMA ---------------------------------------------------------------


class InvalidPartition(Invalid):
    """A guest cannot be divided over host cells; `part` is the field of Wish at fault, `vcpus` or `memory_mib`."""

    def __init__(self, text: str, part: str) -> None:
        super().__init__(text)
        self.part = part


class InvalidDomain(Invalid):
    """A document is not libvirt domain XML with a ``<vnuma>`` that can be expanded, or requests what its host lacks."""


# --- hosts -----------------------------------------------------------------------


class PciConfigInvalidSpec(InvalidConfiguration):
    """``[pci] device_spec`` is not valid."""


class PciInvalidAlias(InvalidConfiguration):
    """``[pci] alias`` is not valid."""


class InvalidReservedMemoryPagesOption(InvalidConfiguration):
    """``reserved_huge_pages`` is not of the form ``node:0,size:2048,count:64``."""


class InvalidNetworkNUMAAffinity(InvalidConfiguration):
    """The NUMA affinity of a network is missing or names a host cell that does not exist."""


class InvalidCapabilities(Invalid):
    """A document that should describe a host does not: capabilities, lstopo, numactl or lscpu."""


class UnreadableTopology(NumaplaceException):
    """The kernel's files do not say which NUMA cells, CPUs and memory this machine has."""


class LibvirtError(NumaplaceException):
    """Libvirt does not answer, or refuses a request; the text ends with libvirt's own message."""


class DomainChanged(LibvirtError):
    """A domain was changed in part, or its state is unknown: a change was not reverted, or libvirt did not answer."""


class OutputLost(NumaplaceException):
    """The output of a command could not be written, for example on a full disk; its changes are kept."""


# --- stored objects ----------------------------------------------------------------


class InvalidObject(Invalid):
    """Stored JSON is not an object of the kind that its column holds."""


class IncompatibleObjectVersion(InvalidObject):
    """Stored JSON has a version of an object that this release cannot read."""


class UnknownDatabase(NumaplaceException):
    """A database cannot be opened, or belongs to another program."""


class LostConnection(UnknownDatabase):
    """The connection to the database broke before a change was stored, or while reading: retrying is safe."""


class UnknownOutcome(UnknownDatabase):
    """The connection to the database broke while a change was stored: whether it was stored is not known."""


# --- inside a real Nova ------------------------------------------------------------


class UnsupportedNova(NumaplaceException):
    """This Nova belongs to a series, or has functions, that numaplace does not know."""


class TimeLimitReached(NumaplaceException):
    """A search was given up."""
